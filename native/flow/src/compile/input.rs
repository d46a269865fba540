//! `in`, compiled.

use connectors::http::source::{Accept, Passes};
use message::Format;

use crate::model::{ContentType, HttpIn, In, InApiKey, InAuth, InBasic, NatsMode, PipelineFile};

/// Where messages come in.
#[derive(Clone, Debug)]
pub enum Input {
    Http(HttpInput),
    Nats {
        subject: String,
        mode: NatsMode,
        /// The user's stream; empty in core mode.
        stream: String,
        /// The durable consumer on it.
        durable: String,
    },
}

/// A route of the HTTP server.
#[derive(Clone, Debug)]
pub struct HttpInput {
    pub path: String,
    pub auth: HttpAuth,
    /// Bytes; never above `limits.bytes`.
    pub max_body: usize,
    pub accept: Accept,
    /// Headers and parameters of the query that go on with a message.
    pub passes: Passes,
}

/// Who may post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAuth {
    /// `auth: none`: nobody is asked.
    Nobody,
    /// No `auth` at all: only the machine itself.
    LoopbackOnly,
    /// Whoever presents the value of one of these secrets.
    Presents { scheme: Scheme, secrets: Vec<String> },
}

/// How it is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    Bearer,
    /// With this user.
    Basic(String),
    /// In this header.
    Header(String),
}

impl Input {
    /// The stream that is read, and the durable consumer on it.
    #[must_use]
    pub fn consumer(&self) -> Option<(&str, &str)> {
        match self {
            Input::Nats { mode: NatsMode::Jetstream, stream, durable, .. } => Some((stream, durable)),
            _ => None,
        }
    }

    pub(crate) fn secrets(&self) -> Vec<&str> {
        match self {
            Input::Http(HttpInput { auth: HttpAuth::Presents { secrets, .. }, .. }) => {
                secrets.iter().map(String::as_str).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// `expected` is what the steps read, if they read one format only; `outs_read` whether an out reads the payload.
pub fn compile(file: &PipelineFile, expected: Option<Format>, outs_read: bool) -> Input {
    match &file.input {
        In::Http(http) => Input::Http(http_input(file, http, expected, outs_read)),
        In::Nats(nats) => Input::Nats {
            subject: nats.subject.clone(),
            mode: nats.mode,
            stream: nats.stream.clone().unwrap_or_default(),
            // No name holds an underscore, and no file may name a durable that begins so.
            durable: nats.durable.clone().unwrap_or_else(|| format!("vrsky_{}_{}", file.customer, file.pipeline)),
        },
    }
}

fn http_input(file: &PipelineFile, http: &HttpIn, expected: Option<Format>, outs_read: bool) -> HttpInput {
    let auth = match &http.auth {
        None => HttpAuth::LoopbackOnly,
        Some(InAuth::Open(_)) => HttpAuth::Nobody,
        Some(InAuth::Bearer(auth)) => HttpAuth::Presents { scheme: Scheme::Bearer, secrets: auth.bearer.names() },
        Some(InAuth::Basic(InBasic { basic })) => {
            HttpAuth::Presents { scheme: Scheme::Basic(basic.user.clone()), secrets: basic.password.names() }
        }
        Some(InAuth::ApiKey(InApiKey { api_key })) => {
            HttpAuth::Presents { scheme: Scheme::Header(api_key.header.to_string()), secrets: api_key.key.names() }
        }
    };
    let named = http.content_types.iter().map(|kind| match kind {
        ContentType::Xml => Accept::XML,
        ContentType::Json => Accept::JSON,
        ContentType::Text => Accept::TEXT,
        ContentType::Bytes => Accept::BYTES,
        ContentType::Form => Accept::FORM,
    });
    // A payload without a telling Content-Type is looked at by who reads it.
    let fallback = match expected {
        _ if file.steps.is_empty() && !outs_read => Accept::ANY,
        Some(Format::Xml) => Accept::XML | Accept::TEXT | Accept::BYTES,
        Some(Format::Json) => Accept::JSON | Accept::FORM | Accept::TEXT | Accept::BYTES,
        None => Accept::ALL,
    };
    let limit = file.limits.bytes;
    HttpInput {
        path: http.path.clone(),
        auth,
        max_body: http.max_body.unwrap_or(limit).min(limit) as usize,
        passes: Passes {
            // Each is a header's name: the model has seen to it.
            headers: http.headers.iter().filter_map(|name| name.parse().ok()).collect(),
            query: http.query.iter().map(|name| name.to_string()).collect(),
        },
        accept: named.reduce(|all, one| all | one).unwrap_or(fallback),
    }
}
