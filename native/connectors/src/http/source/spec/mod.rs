//! From the options of an HTTP in to a route.

mod shaking;
mod signing;

use std::sync::Arc;

use http::Method;
use message::{Code, Fault, Format};
use serde_json::Value;

use super::{Accept, Auth, Passes, Route, Scheme, Token, is_passed_on, path_parameters, path_shape};
use crate::http::options::{
    ContentType, HandshakeOptions, HttpIn, InApiKey, InAuth, InBasic, InHmac, InMethod, InWebhook,
};
use crate::kind::{Attach, Claim, Described, PipelineContext, Reads, Secrets, SourceKind, SourceSpec, typed};
use crate::options::SenderSecret;

pub use signing::Signing;

pub struct HttpSourceKind;

impl Described for HttpSourceKind {
    type Options = HttpIn;
    const NAME: &'static str = "http";
    const SUMMARY: &'static str =
        "Requests. Answered with 202 and the message's id once the message is stored durably.";
    const EXAMPLE: &'static str = include_str!("../../example_in.yaml");
    const CHECKED: &'static str = "That the secrets of `auth` and `handshake` are there and can be used as they are, and that the address to listen on is free.";
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
            auth: auth(&options).map_err(|fault| vec![fault])?,
            methods: methods(&options.methods),
            max_body: options.max_body.map_or(limit, |most| most as usize),
            asked: options.max_body,
            passes: Passes {
                // Each is a header's name: the model has seen to it.
                headers: options.headers.iter().filter_map(|name| name.parse().ok()).collect(),
                query: options.query.iter().map(|name| name.to_string()).collect(),
            },
            accept: accept(&options, pipeline.reads),
            handshake: options.handshake.unwrap_or_default(),
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
    /// What a message may come by; POST when there is none here.
    methods: Vec<Method>,
    handshake: HandshakeOptions,
}

/// Who may post, by the names of secrets.
#[derive(Clone, Debug)]
pub enum HttpAuth {
    /// `auth: none`: nobody is asked.
    Nobody,
    /// No `auth` at all: only the machine itself.
    LoopbackOnly,
    /// Whoever presents the value of one of these secrets.
    Presents { by: PresentedBy, secrets: Vec<SenderSecret> },
    /// Whoever signs with the value of one of these secrets.
    Signs(Signing),
}

impl HttpAuth {
    /// The names of its secrets.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        let secrets = match self {
            HttpAuth::Presents { secrets, .. } => secrets.as_slice(),
            HttpAuth::Signs(signing) => &signing.secrets,
            HttpAuth::Nobody | HttpAuth::LoopbackOnly => &[],
        };
        secrets.iter().map(|one| one.secret.as_str()).collect()
    }
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

fn auth(options: &HttpIn) -> Result<HttpAuth, Fault> {
    let below = |base: &'static str| move |fault: Fault| fault.below(base);
    Ok(match &options.auth {
        None => HttpAuth::LoopbackOnly,
        Some(InAuth::Open(_)) => HttpAuth::Nobody,
        Some(InAuth::Bearer(auth)) => HttpAuth::Presents { by: PresentedBy::Bearer, secrets: auth.bearer.list() },
        Some(InAuth::Basic(InBasic { basic })) => {
            HttpAuth::Presents { by: PresentedBy::Basic(basic.user.clone()), secrets: basic.password.list() }
        }
        Some(InAuth::ApiKey(InApiKey { api_key })) => {
            HttpAuth::Presents { by: PresentedBy::Header(api_key.header.to_string()), secrets: api_key.key.list() }
        }
        Some(InAuth::Webhook(InWebhook { webhook })) => {
            HttpAuth::Signs(Signing::of_sender(webhook).map_err(below("/auth/webhook"))?)
        }
        Some(InAuth::Hmac(InHmac { hmac })) => HttpAuth::Signs(Signing::of_hmac(hmac).map_err(below("/auth/hmac"))?),
    })
}

/// Each once, in the file's order.
fn methods(named: &[InMethod]) -> Vec<Method> {
    let mut methods = Vec::new();
    for method in named {
        let method = match method {
            InMethod::Post => Method::POST,
            InMethod::Put => Method::PUT,
            InMethod::Patch => Method::PATCH,
            InMethod::Delete => Method::DELETE,
            InMethod::Get => Method::GET,
        };
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    methods
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
        Reads::Only(Format::Csv) => Accept::CSV | Accept::TEXT | Accept::BYTES,
        Reads::Only(Format::Json) => Accept::JSON | Accept::FORM | Accept::TEXT | Accept::BYTES,
        Reads::Any => Accept::ALL,
    })
}

impl HttpInput {
    /// The route, with the values of the secrets and a binding of its own to be given.
    ///
    /// # Errors
    /// `secret/not-found`; `config/invalid-value` for a token or key that cannot stand in a header, or a secret of
    /// signatures that is not encoded as it should be.
    pub fn route(&self, secrets: &dyn Secrets) -> Result<Route, Fault> {
        let (auth, signature) = match &self.auth {
            HttpAuth::Nobody => (Auth::None, None),
            HttpAuth::LoopbackOnly => (Auth::LoopbackOnly, None),
            HttpAuth::Presents { by, secrets: names } => {
                (presents(by, names, secrets).map_err(|fault| fault.at_pointer("/auth"))?, None)
            }
            HttpAuth::Signs(signing) => {
                (Auth::None, Some(signing.open(secrets).map_err(|fault| fault.at_pointer("/auth"))?))
            }
        };
        Ok(Route {
            auth,
            signature,
            accept: self.accept,
            passes: self.passes.clone(),
            methods: self.methods.clone(),
            handshakes: shaking::open(&self.handshake, secrets).map_err(|fault| fault.at_pointer("/handshake"))?,
            ..Route::open(0, self.max_body)
        })
    }

    /// Whether the machine itself alone may post.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        matches!(self.auth, HttpAuth::LoopbackOnly)
    }
}

/// The bearer token or key that a secret holds. A fault names the secret.
fn token_in(secrets: &dyn Secrets, name: &str) -> Result<Token, Fault> {
    Token::new(secrets.get(name)?)
        .map_err(|fault| Fault::new(fault.code(), format!("the secret `{name}` is refused: {}", fault.reason())))
}

fn presents(by: &PresentedBy, names: &[SenderSecret], secrets: &dyn Secrets) -> Result<Auth, Fault> {
    let several = names.len() > 1;
    let token = |SenderSecret { secret: name, sender }: &SenderSecret| {
        let token = match by {
            PresentedBy::Basic(user) => Token::basic(user, secrets.get(name)?),
            PresentedBy::Bearer | PresentedBy::Header(_) => token_in(secrets, name)?,
        };
        Ok(match sender {
            Some(sender) if several => token.named(name).of_sender(sender),
            None if several => token.named(name),
            _ => token,
        })
    };
    let tokens = names.iter().map(token).collect::<Result<_, Fault>>()?;
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

impl SourceSpec for HttpInput {
    fn secrets(&self) -> Vec<&str> {
        let verify = shaking::secrets(&self.handshake);
        self.auth.secrets().into_iter().chain(verify).collect()
    }

    fn describe(&self) -> String {
        let methods: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        format!("{} {}", if methods.is_empty() { "POST".to_owned() } else { methods.join(", ") }, self.address)
    }

    fn attach(&self) -> Attach<'_> {
        Attach::Route(self)
    }

    fn check(&self, secrets: &dyn Secrets) -> Result<(), Fault> {
        self.route(secrets).map(drop)
    }

    fn claim(&self) -> Option<Claim> {
        // Those that differ in the names of their parameters alone take the same paths.
        let shape = path_shape(&self.path).unwrap_or_else(|_| self.path.clone());
        let address = self.address.strip_suffix(self.path.as_str()).unwrap_or_default();
        Some(Claim { what: format!("the address {address}{shape}"), option: "path", files: None })
    }

    fn asked_bytes(&self) -> Option<(u32, &'static str)> {
        self.asked.map(|bytes| (bytes, "max_body"))
    }

    /// The sender's or the node's own headers, and what the options name, a part of the URL too.
    fn passes(&self, header: &str) -> bool {
        let name = header.to_ascii_lowercase();
        let is_part = |prefix: &str, named: &[&str]| {
            let part = name.strip_prefix(prefix);
            part.is_some_and(|part| named.iter().any(|one| one.eq_ignore_ascii_case(part)))
        };
        let query: Vec<&str> = self.passes.query.iter().map(String::as_str).collect();
        let parameters = path_parameters(&self.path);
        let parameters: Vec<&str> = parameters.iter().map(|name| &**name).collect();
        is_passed_on(header)
            || name == "customer-id"
            || name == "auth-name" && self.auth.secrets().len() > 1
            || name == "request-method" && self.methods.len() > 1
            || self.passes.headers.iter().any(|one| one.as_str() == name)
            || is_part("query-", &query)
            || is_part("path-", &parameters)
    }
}
