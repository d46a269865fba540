//! From the options of an HTTP in to a route.

use std::sync::Arc;

use message::{Code, Fault, Format};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::{Accept, Auth, Passes, Scheme, Token, is_passed_on};
use crate::http::options::{ContentType, HttpIn, InApiKey, InAuth, InBasic};
use crate::kind::{Attach, Claim, Kind, PipelineContext, Reads, Secrets, SourceKind, SourceSpec, canonical, typed};

pub struct HttpSourceKind;

impl Kind for HttpSourceKind {
    fn name(&self) -> &'static str {
        "http"
    }

    fn summary(&self) -> &'static str {
        "POST requests. Answered with 202 and the message's id once the message is stored durably."
    }

    fn example(&self) -> &'static str {
        include_str!("../example_in.yaml")
    }

    fn checked(&self) -> &'static str {
        "That the secrets of `auth` are there and can stand in a header, and that the address to listen on is free."
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<HttpIn>()
    }

    fn canonical(&self, options: &Value) -> serde_json::Result<Value> {
        canonical::<HttpIn>(options)
    }
}

impl SourceKind for HttpSourceKind {
    fn compile(&self, options: &Value, pipeline: &PipelineContext<'_>) -> Result<Arc<dyn SourceSpec>, Vec<Fault>> {
        let options: HttpIn = typed(options)?;
        let limit = pipeline.max_bytes;
        if options.max_body.is_some_and(|most| most as usize > limit) {
            let reason = format!("`max_body` is above `limits.bytes`, which is {limit}");
            return Err(vec![Fault::new(Code::ConfigInvalidValue, reason).at_pointer("/max_body")]);
        }
        Ok(Arc::new(HttpInput {
            address: format!("/in/{}{}", pipeline.customer, options.path),
            auth: auth(&options),
            max_body: options.max_body.map_or(limit, |most| most as usize),
            asked: options.max_body,
            passes: Passes {
                // Each is a header's name: the model has seen to it.
                headers: options.headers.iter().filter_map(|name| name.parse().ok()).collect(),
                query: options.query.iter().map(|name| name.to_string()).collect(),
            },
            accept: accept(&options, pipeline.reads),
            path: options.path,
        }))
    }
}

/// A route of the HTTP server, without the values of its secrets.
#[derive(Clone, Debug)]
pub struct HttpInput {
    pub path: String,
    /// Where clients post to: `/in/<customer><path>`.
    pub address: String,
    pub auth: HttpAuth,
    /// Bytes; never above `limits.bytes`.
    pub max_body: usize,
    /// What the file says of it.
    asked: Option<u32>,
    pub accept: Accept,
    /// Headers and parameters of the query that go on with a message.
    pub passes: Passes,
}

/// Who may post, by the names of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAuth {
    /// `auth: none`: nobody is asked.
    Nobody,
    /// No `auth` at all: only the machine itself.
    LoopbackOnly,
    /// Whoever presents the value of one of these secrets.
    Presents { by: PresentedBy, secrets: Vec<String> },
}

/// How it is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresentedBy {
    Bearer,
    /// With this user.
    Basic(String),
    /// In this header.
    Header(String),
}

fn auth(options: &HttpIn) -> HttpAuth {
    match &options.auth {
        None => HttpAuth::LoopbackOnly,
        Some(InAuth::Open(_)) => HttpAuth::Nobody,
        Some(InAuth::Bearer(auth)) => HttpAuth::Presents { by: PresentedBy::Bearer, secrets: auth.bearer.names() },
        Some(InAuth::Basic(InBasic { basic })) => {
            HttpAuth::Presents { by: PresentedBy::Basic(basic.user.clone()), secrets: basic.password.names() }
        }
        Some(InAuth::ApiKey(InApiKey { api_key })) => {
            HttpAuth::Presents { by: PresentedBy::Header(api_key.header.to_string()), secrets: api_key.key.names() }
        }
    }
}

fn accept(options: &HttpIn, reads: Reads) -> Accept {
    let named = options.content_types.iter().map(|kind| match kind {
        ContentType::Xml => Accept::XML,
        ContentType::Json => Accept::JSON,
        ContentType::Text => Accept::TEXT,
        ContentType::Bytes => Accept::BYTES,
        ContentType::Form => Accept::FORM,
    });
    // A payload without a telling Content-Type is looked at by who reads it.
    named.reduce(|all, one| all | one).unwrap_or(match reads {
        Reads::Nothing => Accept::ANY,
        Reads::Only(Format::Xml) => Accept::XML | Accept::TEXT | Accept::BYTES,
        Reads::Only(Format::Json) => Accept::JSON | Accept::FORM | Accept::TEXT | Accept::BYTES,
        Reads::Any => Accept::ALL,
    })
}

impl HttpInput {
    /// Who may post, with the values of the secrets.
    ///
    /// # Errors
    /// `secret/not-found`; `config/invalid-value` for a token or key that cannot stand in a header.
    pub fn auth(&self, secrets: &dyn Secrets) -> Result<Auth, Fault> {
        let (by, names) = match &self.auth {
            HttpAuth::Nobody => return Ok(Auth::None),
            HttpAuth::LoopbackOnly => return Ok(Auth::LoopbackOnly),
            HttpAuth::Presents { by, secrets } => (by, secrets),
        };
        let token = |name: &String| match by {
            PresentedBy::Basic(user) => Ok(Token::basic(user, secrets.get(name)?)),
            PresentedBy::Bearer | PresentedBy::Header(_) => Token::new(secrets.get(name)?),
        };
        let tokens = names.iter().map(token).collect::<Result<_, _>>()?;
        let scheme = match by {
            PresentedBy::Bearer => Scheme::Bearer,
            PresentedBy::Basic(_) => Scheme::Basic,
            PresentedBy::Header(name) => Scheme::Header(name.parse().map_err(|_| {
                let reason = format!("the header `{name}` of the key has no name that can be sent");
                Fault::new(Code::ConfigInvalidValue, reason)
            })?),
        };
        Ok(Auth::Presents(scheme, tokens))
    }

    /// Whether the machine itself alone may post.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        self.auth == HttpAuth::LoopbackOnly
    }
}

impl SourceSpec for HttpInput {
    fn secrets(&self) -> Vec<&str> {
        match &self.auth {
            HttpAuth::Presents { secrets, .. } => secrets.iter().map(String::as_str).collect(),
            HttpAuth::Nobody | HttpAuth::LoopbackOnly => Vec::new(),
        }
    }

    fn describe(&self) -> String {
        format!("POST {}", self.address)
    }

    fn attach(&self) -> Attach<'_> {
        Attach::Route(self)
    }

    fn check(&self, secrets: &dyn Secrets) -> Result<(), Fault> {
        self.auth(secrets).map(drop)
    }

    fn claim(&self) -> Option<Claim> {
        Some(Claim { what: format!("the address {}", self.address), option: "path" })
    }

    fn asked_bytes(&self) -> Option<(u32, &'static str)> {
        self.asked.map(|bytes| (bytes, "max_body"))
    }

    /// The sender's or the node's own headers, and what the options name, a parameter of the query too.
    fn passes(&self, header: &str) -> bool {
        const PARAMETER: &str = "query-";
        let name = header.to_ascii_lowercase();
        is_passed_on(header)
            || name == "customer-id"
            || self.passes.headers.iter().any(|one| one.as_str() == name)
            || name
                .strip_prefix(PARAMETER)
                .is_some_and(|parameter| self.passes.query.iter().any(|one| one.eq_ignore_ascii_case(parameter)))
    }
}
