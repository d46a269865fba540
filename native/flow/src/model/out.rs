//! `out:` where messages go.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HeaderText, NatsMode, Span, UrlText};

/// The name of an out that is the file's only connector and has no name there.
pub const SINGLE_OUT: &str = "default";

/// One connector, which is then the out named `default`, or several by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Outs {
    /// One connector.
    Single(Out),
    /// Name of the out to connector. A `route` step chooses between them.
    Named(
        #[schemars(extend("minProperties" = 1, "maxProperties" = 64, "propertyNames" = {"format": "name"}))]
        IndexMap<String, Out>,
    ),
}

impl Outs {
    /// Name and connector of every out, in the file's order, with the pointer to it.
    #[must_use]
    pub fn list(&self) -> Vec<(&str, &Out, String)> {
        match self {
            Outs::Single(out) => vec![(SINGLE_OUT, out, "/out".to_owned())],
            Outs::Named(outs) => outs.iter().map(|(name, out)| (name.as_str(), out, format!("/out/{name}"))).collect(),
        }
    }
}

/// Where a message goes: exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Out {
    /// A request to an HTTP server.
    Http(Box<HttpOut>),
    /// A line in a file.
    File(FileOut),
    /// A line on standard output.
    Stdout(StdoutOut),
    /// A subject of the NATS server.
    Nats(NatsOut),
}

/// A request per message. It has the message's `Content-Type`, `Idempotency-Key: <message id>`, those of
/// `traceparent`, `tracestate`, `X-Request-Id` and `ce-*` that came in, and the `headers` and `auth` that stand here. An
/// https server is known by the certificate authorities of the system, by Mozilla's, or by `tls.ca` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpOut {
    /// Where to. Fields of the message may stand in path and query: `https://erp.example/orders/{order.id}`. A URL
    /// that lets in whoever knows it, such as a chat's webhook, is a `{secret: NAME}` as a whole, without fields.
    pub url: OutUrl,
    /// The request's method. GET and DELETE leave the message out; its fields may stand in the URL.
    #[serde(default)]
    pub method: Method,
    /// Further headers: a text, or `{secret: NAME}`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "propertyNames" = {"format": "header-name"}))]
    pub headers: IndexMap<String, HeaderValue>,
    /// The `Content-Type` in place of the message's: SOAP 1.1 wants `text/xml; charset=utf-8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<HeaderText>,
    /// The `Authorization` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<OutAuth>,
    /// Of https: whom the server is certified by, and who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<OutTls>,
    /// Longest time for one attempt, from connecting to the answer's end.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Whether an attempt is repeated.
    #[serde(default)]
    pub retry: Retry,
    /// How long a message is tried before it goes to the dead letters. Meanwhile a server's `Retry-After` is
    /// honoured, up to 300 s and never beyond this.
    #[serde(default = "retry_for")]
    pub retry_for: Span,
    /// Most requests at a time.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u32,
    /// Whether redirects are followed, up to 5; each address is checked like the first. A 303 is followed with
    /// GET, without the message.
    #[serde(default)]
    pub follow_redirects: bool,
}

fn timeout() -> Span {
    Span::constant("10s", 10)
}

fn retry_for() -> Span {
    Span::constant("1h", 3600)
}

fn concurrency() -> u32 {
    32
}

/// The request's method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
    Get,
    Delete,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OutUrl {
    /// As it stands here.
    Text(UrlText),
    /// A secret of the customer.
    Secret(Secret),
}

/// What happens after a failed attempt. 408, 425, 429 and 5xx can be repeated; another 4xx is permanent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Repeated, also when it is unknown whether the server took the message.
    #[default]
    Always,
    /// Repeated only when the server surely did not take it; `http/ambiguous` otherwise.
    Safe,
    /// Not repeated.
    Never,
}

/// A header's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderValue {
    /// As it stands here.
    Text(HeaderText),
    /// A secret of the customer.
    Secret(Secret),
}

/// A secret of the pipeline's own customer; its value is never in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub struct Secret {
    /// Its name, 1 to 40 of a-z, 0-9 and inner hyphens, never two in a row. `erp-token` of `acme` is looked for as
    /// the variable `VRSKY_SECRET_ACME__ERP_TOKEN`, then as the file `<dir>/acme/erp-token`.
    #[schemars(extend("format" = "secret-name"))]
    pub secret: String,
}

/// Who we say that we are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OutAuth {
    /// By a token.
    Bearer(BearerAuth),
    /// By user and password.
    Basic(BasicAuth),
}

/// `Authorization: Basic <user and password>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User and password.
    pub basic: UserPassword,
}

/// A user and the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPassword {
    /// The user's name, without a colon.
    #[schemars(length(min = 1, max = 256), extend("format" = "user-name"))]
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Certificates in PEM, each a secret: a file of the secrets' folder holds one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutTls {
    /// The only certificate authorities that the server may be certified by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Secret>,
    /// Our certificate, and those between it and its authority. Needs `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Secret>,
    /// Its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
}

/// `Authorization: Bearer <token>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BearerAuth {
    /// The token.
    pub bearer: Secret,
}

/// A file that grows by one line of NDJSON for every message: JSON without blanks between its tokens; XML and
/// other text as a JSON string. What is not UTF-8 is a dead letter, `convert/not-representable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOut {
    /// Below the customer's folder for files, `<data>/files/<customer>/`; without `..`. Outs of a customer that name the
    /// same file share it, line by line. Absolute only on a node that runs with `--files-anywhere`.
    #[schemars(length(min = 1, max = 1024), extend("format" = "out-path"))]
    pub path: String,
}

/// Standard output, one line for every message: JSON without blanks between its tokens, other text as it is, with
/// control characters escaped and what is not UTF-8 as U+FFFD. The lines stand among those of `vrsky run --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutOut {}

/// A NATS subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsOut {
    /// The subject, without wildcards.
    #[schemars(extend("format" = "subject"))]
    pub subject: String,
    /// `jetstream` waits until a stream has stored the message; `core` does not.
    #[serde(default)]
    pub mode: NatsMode,
    /// The stream that has to take it, with `mode: jetstream` only; while another one has the subject, nothing is
    /// delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "stream"))]
    pub stream: Option<String>,
}
