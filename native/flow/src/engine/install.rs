//! A compiled pipeline as one shard runs it: where its outputs go, and what it counts.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use connectors::http::source::{Auth, Route as SourceRoute, Token};
use connectors::rate::TokenBucket;
use message::{Code, Fault};
use script::{Executor, Loaded};

use super::crowd::Crowd;
use super::health::Healths;
use super::ids::OutputKey;
use super::metrics::Counters;
use super::node::Settings;
use super::node_type::NodeType;
use super::sinks::check_files;
use super::subjects::{self, LaneType};
use crate::compile::{HttpAuth, Input, OutKind, Pipeline};
use crate::model::{In, Limits, NatsMode};

/// Where an out's messages are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A subject of core NATS: nobody confirms.
    Core { subject: String },
    /// A subject of a stream of the user's, of this one when it is named: delivered with its PubAck.
    Stream { subject: String, stream: Option<String> },
    /// Our outgoing lane: a sink delivers it from there.
    Lane { subject: String },
}

/// One out.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    pub key: OutputKey,
    pub route: Route,
}

/// The values of a pipeline's secrets, by name. Never shown.
#[derive(Clone, Default)]
pub struct Secrets(Arc<HashMap<String, String>>);

impl Secrets {
    #[must_use]
    pub fn new(values: HashMap<String, String>) -> Secrets {
        Secrets(Arc::new(values))
    }

    pub fn get(&self, name: &str) -> Result<&str, Fault> {
        let found = self.0.get(name).map(String::as_str);
        found.ok_or_else(|| Fault::new(Code::SecretNotFound, format!("the secret `{name}` is not defined")))
    }
}

/// A compiled pipeline on its way to the shards: checked once, the same for all.
pub struct Prepared {
    pub pipeline: Arc<Pipeline>,
    pub secrets: Secrets,
    /// One set of counters per shard; they go on over revisions.
    pub counters: Vec<Arc<Counters>>,
    /// One per shard, of this revision alone.
    pub health: Vec<Arc<Healths>>,
    auth: Option<Auth>,
    bucket: Option<Arc<Mutex<TokenBucket>>>,
    lanes: u32,
}

impl Prepared {
    /// Finds every secret and looks at every path now, so that what is wrong with one refuses the revision instead of
    /// its messages.
    pub fn new(
        pipeline: Arc<Pipeline>,
        secrets: Secrets,
        counters: Vec<Arc<Counters>>,
        settings: &Settings,
    ) -> Result<Prepared, Fault> {
        for name in pipeline.secret_names() {
            secrets.get(name)?;
        }
        if settings.serves(NodeType::Outgoing) {
            check_files(&pipeline, settings)?;
        }
        let auth = match pipeline.input() {
            Input::Http(http) => Some(match &http.auth {
                HttpAuth::Nobody => Auth::None,
                HttpAuth::LoopbackOnly => Auth::LoopbackOnly,
                HttpAuth::Bearer { secret } => Auth::Bearer(Token::new(secrets.get(secret)?)?),
            }),
            Input::Nats { .. } => None,
        };
        let bucket = pipeline.rate().map(|rate| Arc::new(Mutex::new(TokenBucket::new(rate, 0, Instant::now()))));
        let health = counters.iter().map(|_| Arc::new(Healths::new(pipeline.outs().len()))).collect();
        Ok(Prepared { pipeline, secrets, counters, health, auth, bucket, lanes: settings.lanes })
    }

    /// Its scripts, for as long as what is returned lives.
    pub fn load(&self, executor: &Rc<dyn Executor>) -> Vec<Loaded> {
        self.pipeline.programs().map(|program| Loaded::new(executor, program)).collect()
    }

    /// `config/invalid-value` when the file asks for larger payloads than the server takes. For the
    /// default nobody has asked.
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

/// One revision of a pipeline in one shard. Replaced as a whole, never changed.
pub struct Installed {
    pub pipeline: Arc<Pipeline>,
    pub secrets: Secrets,
    pub counters: Arc<Counters>,
    pub health: Arc<Healths>,
    pub targets: Vec<Target>,
    /// Where an incoming connection publishes, and the stream that listens there.
    pub logic_subject: String,
    pub logic_stream: String,
    /// `limits.rate`, of all shards together; looked at by HTTP ins only.
    pub bucket: Option<Arc<Mutex<TokenBucket>>>,
    /// Whether the pipeline's own backlog lies below its tier's, which the stream enforces.
    pub own_backlog: bool,
    pub backlog_full: Cell<bool>,
    /// What the streams of its outs have refused.
    pub(super) crowd: Crowd,
    /// The stream of its outgoing lane, and how many messages that holds for each out.
    pub outgoing_stream: String,
    pub outgoing_cap: u64,
    /// Whether something came in since the backlog was last looked at.
    pub active: Cell<bool>,
    /// Its scripts stay loaded for as long as anything of this revision is in hand.
    _scripts: Vec<Loaded>,
    auth: Option<Auth>,
}

impl std::fmt::Debug for Installed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Installed({}/{})", self.customer(), self.name())
    }
}

impl Installed {
    #[must_use]
    pub fn new(prepared: &Prepared, shard: usize, scripts: Vec<Loaded>) -> Rc<Installed> {
        let pipeline = Arc::clone(&prepared.pipeline);
        let (customer, name) = (pipeline.customer().to_owned(), pipeline.name().to_owned());
        let (tier, cap) = subjects::tier_for(pipeline.backlog());
        let lane = subjects::lane_of(&customer, prepared.lanes);
        let outs = pipeline.outs();
        // NATS to NATS skips the streams in between: the PubAck of the target is the sink's word.
        let direct = outs.iter().all(|out| matches!(out.kind, OutKind::Nats { .. }));
        let targets = outs.iter().map(|out| {
            let route = match &out.kind {
                OutKind::Nats { subject, mode: NatsMode::Core, .. } if direct => {
                    Route::Core { subject: subject.clone() }
                }
                OutKind::Nats { subject, stream, .. } if direct => {
                    Route::Stream { subject: subject.clone(), stream: stream.clone() }
                }
                _ => Route::Lane {
                    subject: subjects::subject(LaneType::Outgoing, tier, lane, &customer, &name, &out.name),
                },
            };
            Target { key: OutputKey::new(pipeline.revision(), &out.name), name: out.name.clone(), route }
        });
        Rc::new(Installed {
            targets: targets.collect(),
            logic_subject: subjects::subject(LaneType::Logic, tier, lane, &customer, &name, "in"),
            logic_stream: subjects::stream(LaneType::Logic, tier, lane),
            secrets: prepared.secrets.clone(),
            counters: Arc::clone(&prepared.counters[shard]),
            health: Arc::clone(&prepared.health[shard]),
            bucket: prepared.bucket.clone(),
            own_backlog: pipeline.backlog() < cap,
            backlog_full: Cell::new(false),
            crowd: Crowd::default(),
            outgoing_stream: subjects::stream(LaneType::Outgoing, tier, lane),
            outgoing_cap: cap,
            active: Cell::new(false),
            _scripts: scripts,
            auth: prepared.auth.clone(),
            pipeline,
        })
    }

    /// Path and route of an HTTP in, under this shard's number for it. `max_body` is what the server takes.
    #[must_use]
    pub fn route(&self, binding: u32, max_body: usize) -> Option<(String, SourceRoute)> {
        let Input::Http(http) = self.pipeline.input() else { return None };
        let auth = self.auth.clone()?;
        let route = SourceRoute { binding, auth, max_body: http.max_body.min(max_body), accept: http.accept };
        Some((http.path.clone(), route))
    }

    #[must_use]
    pub fn customer(&self) -> &str {
        self.pipeline.customer()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.pipeline.name()
    }

    #[must_use]
    pub fn revision(&self) -> &str {
        self.pipeline.revision()
    }
}

/// A pipeline of `acme` with this `out`, as shard 0 has it.
#[cfg(test)]
pub(super) fn installed(out: &str) -> Rc<Installed> {
    let file = format!(
        "{{\"customer\": \"acme\", \"pipeline\": \"orders\", \"in\": {{\"http\": {{\"path\": \"/x\"}}}}, \"out\": {out}}}"
    );
    let settings = "{\"nats\": {\"url\": \"nats://127.0.0.1:1\"}, \"files\": \".\"}";
    let pipeline = Pipeline::from_json(&file, &()).unwrap();
    let counters = vec![Arc::new(Counters::default())];
    let settings: Settings = serde_json::from_str(settings).unwrap();
    Installed::new(&Prepared::new(pipeline, Secrets::default(), counters, &settings).unwrap(), 0, Vec::new())
}
