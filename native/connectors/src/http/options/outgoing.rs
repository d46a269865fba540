//! The options of an HTTP out.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Oauth2Auth, OutBatch};
use crate::options::{HeaderText, Secret, Span, UrlText};

/// A request per message, or per `batch` of them. It has the message's `Content-Type`, `Idempotency-Key: <message id>`, those of
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
    /// Several messages in one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<OutBatch>,
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
    Span::constant("10s", Duration::from_secs(10))
}

fn retry_for() -> Span {
    Span::constant("1h", Duration::from_secs(3600))
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
    /// Without the message.
    Get,
    /// Without the message.
    Delete,
}

impl Method {
    #[must_use]
    pub fn has_body(self) -> bool {
        !matches!(self, Method::Get | Method::Delete)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Get => "GET",
            Method::Delete => "DELETE",
        }
    }
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

/// Who we say that we are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OutAuth {
    /// By a token.
    Bearer(BearerAuth),
    /// By user and password.
    Basic(BasicAuth),
    /// By a token that is asked for.
    Oauth2(Oauth2Auth),
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
