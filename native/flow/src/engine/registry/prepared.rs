//! A compiled pipeline on its way to the shards: checked once, the same for all.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use connectors::http::source::{Auth, Scheme as SourceScheme, Token};
use connectors::rate::TokenBucket;
use message::{Code, Fault};
use script::{Executor, Loaded};
use tokio::time::Instant;

use super::secrets::Secrets;
use crate::compile::{HttpAuth, Input, Pipeline, Scheme};
use crate::engine::observe::{Counters, Healths};
use crate::engine::settings::Settings;
use crate::model::{In, Limits};

/// A compiled pipeline with its secrets and what its shards count.
pub struct Prepared {
    pub pipeline: Arc<Pipeline>,
    pub secrets: Secrets,
    /// One set of counters per shard; they go on over revisions.
    pub counters: Vec<Arc<Counters>>,
    /// One per shard, of this revision alone.
    pub health: Vec<Arc<Healths>>,
    pub(super) auth: Option<Auth>,
    pub(super) bucket: Option<Arc<Mutex<TokenBucket>>>,
    pub(super) lanes: u32,
}

impl Prepared {
    /// Finds every secret now, so that a missing one refuses the revision instead of its messages.
    ///
    /// # Errors
    /// `secret/not-found`; `config/invalid-value` for a token that cannot stand in a header.
    pub fn new(
        pipeline: Arc<Pipeline>,
        secrets: Secrets,
        counters: Vec<Arc<Counters>>,
        settings: &Settings,
    ) -> Result<Prepared, Fault> {
        for name in pipeline.secret_names() {
            secrets.get(name)?;
        }
        let auth = match pipeline.input() {
            Input::Http(http) => Some(auth_of(&http.auth, &secrets)?),
            Input::Nats { .. } => None,
        };
        let bucket = pipeline.rate().map(|rate| Arc::new(Mutex::new(TokenBucket::new(rate, 0, Instant::now()))));
        let health = counters.iter().map(|_| Arc::new(Healths::new(pipeline.outs().len()))).collect();
        Ok(Prepared { pipeline, secrets, counters, health, auth, bucket, lanes: settings.lanes })
    }

    /// Its scripts, for as long as what is returned lives.
    #[must_use]
    pub fn load(&self, executor: &Rc<dyn Executor>) -> Vec<Loaded> {
        self.pipeline.programs().map(|program| Loaded::new(executor, program)).collect()
    }

    /// Whether the server takes payloads as large as the file asks for. For the default nobody has asked.
    ///
    /// # Errors
    /// `config/invalid-value` with the pointer of the value.
    pub fn check_size(&self, max_payload: usize) -> Result<(), Fault> {
        let file = self.pipeline.file();
        let bytes = Some(file.limits.bytes).filter(|bytes| *bytes != Limits::default().bytes);
        let body = match &file.input {
            In::Http(http) => http.max_body,
            In::Nats(_) => None,
        };
        for (asked, key, pointer) in [(bytes, "limits.bytes", "/limits/bytes"), (body, "max_body", "/in/http/max_body")]
        {
            if let Some(asked) = asked.filter(|asked| *asked as usize > max_payload) {
                let reason = format!(
                    "`{key}` of {}/{} is {asked}, above the NATS server's max_payload, {max_payload}",
                    file.customer, file.pipeline
                );
                return Err(Fault::new(Code::ConfigInvalidValue, reason).at_pointer(pointer));
            }
        }
        Ok(())
    }
}

/// Who may post, with the values of the secrets.
///
/// # Errors
/// `secret/not-found`; `config/invalid-value` for a token or key that cannot stand in a header.
pub fn auth_of(auth: &HttpAuth, secrets: &Secrets) -> Result<Auth, Fault> {
    let (scheme, names) = match auth {
        HttpAuth::Nobody => return Ok(Auth::None),
        HttpAuth::LoopbackOnly => return Ok(Auth::LoopbackOnly),
        HttpAuth::Presents { scheme, secrets } => (scheme, secrets),
    };
    let token = |name: &String| match scheme {
        Scheme::Basic(user) => Ok(Token::basic(user, secrets.get(name)?)),
        Scheme::Bearer | Scheme::Header(_) => Token::new(secrets.get(name)?),
    };
    let tokens = names.iter().map(token).collect::<Result<_, _>>()?;
    let scheme = match scheme {
        Scheme::Bearer => SourceScheme::Bearer,
        Scheme::Basic(_) => SourceScheme::Basic,
        Scheme::Header(name) => SourceScheme::Header(name.parse().map_err(|_| {
            Fault::new(Code::ConfigInvalidValue, format!("the header `{name}` of the key has no name that can be sent"))
        })?),
    };
    Ok(Auth::Presents(scheme, tokens))
}
