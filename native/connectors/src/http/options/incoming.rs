//! The options of an HTTP in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::webhook::{HandshakeOptions, InHmac, InWebhook};
use crate::options::{PassedHeader, QueryName, SenderSecrets};

/// Requests at `/in/<customer><path>`. Of a request's headers, these go on with the message:
/// `Content-Type`, `traceparent`, `tracestate`, `X-Request-Id` and `ce-*` (CloudEvents), and
/// what `headers` and `query` name. The node adds `Path-NAME` for each parameter of the path, `Request-method` where there
/// are several `methods`, and `Auth-name`, the name of the secret that was presented, where `auth` has several.
/// A request has at most 100 headers, and 16 KiB with its first line; one with more is answered with a bare
/// 431, and what is no HTTP with a bare 400, neither with an error's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpIn {
    /// The path below the customer, such as `/orders`, or `/orders/{id}` with a part that goes on as the header `Path-id`.
    /// A path without parameters comes before one with them, and a fixed part before a parameter.
    #[schemars(extend("format" = "url-path"))]
    pub path: String,
    /// The methods that are taken; others are answered with 405. A GET or DELETE without a body is the message `{}`
    /// where steps, or placeholders in an out's URL, read JSON; else it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub methods: Vec<InMethod>,
    /// Who may post. Without it the route is served on loopback only; `none` says that everybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<InAuth>,
    /// What the path's sender asks before it delivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<HandshakeOptions>,
    /// Kinds of payload that are taken; others are answered with 415. Without it: what the steps read,
    /// or any `Content-Type` when nothing reads the payload: no steps, and no placeholders in an out's URL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub content_types: Vec<ContentType>,
    /// Further headers of a request that go on with its message; expressions and scripts find them in `headers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub headers: Vec<PassedHeader>,
    /// Parameters of a request's query that go on with its message: `page` of `?page=2` as the header `Query-page`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub query: Vec<QueryName>,
    /// Largest body, bytes; a larger one is answered with 413. Without it: `limits.bytes`. Of the NATS
    /// server's `max_payload`, 32 KiB are kept for headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub max_body: Option<u32>,
}

/// A kind of payload, by its `Content-Type`. When an HTTP in names none, steps that begin with XML take `xml`,
/// `text` and `bytes`, and those that begin with JSON `json`, `form`, `text` and `bytes`: what is sent without a telling
/// `Content-Type` is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentType {
    /// `application/xml`, `text/xml`, `*/*+xml`, in UTF-8 or with another charset that `convert` reads
    Xml,
    /// `application/json`, `*/*+json`
    Json,
    /// `text/plain`
    Text,
    /// `application/octet-stream`, or no `Content-Type` at all
    Bytes,
    /// `application/x-www-form-urlencoded`: `a=1&b=x&b=y` becomes the JSON `{"a": "1", "b": ["x", "y"]}`.
    /// A form has at most 10,000 names and values.
    Form,
}

/// A method of a request; POST where an in names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum InMethod {
    Post,
    Put,
    Patch,
    Delete,
    Get,
}

/// Who may post. Of several secrets each counts: one for each sender, or, with the same `sender`, while one takes the
/// place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum InAuth {
    /// `none`: everybody may.
    Open(NoAuth),
    /// A bearer token.
    Bearer(InBearer),
    /// User and password.
    Basic(InBasic),
    /// A key in a header of its own.
    ApiKey(InApiKey),
    /// A signature of a well-known sender of webhooks.
    Webhook(InWebhook),
    /// A signature of another sender.
    Hmac(InHmac),
}

/// `Authorization: Bearer <token>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InBearer {
    /// The token.
    pub bearer: SenderSecrets,
}

/// `Authorization: Basic <user and password>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InBasic {
    /// User and password.
    pub basic: KnownUser,
}

/// A user, and the passwords that count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownUser {
    /// The user's name, without a colon.
    #[schemars(length(min = 1, max = 256), extend("format" = "user-name"))]
    pub user: String,
    /// The password.
    pub password: SenderSecrets,
}

/// A key in a header: `X-API-Key: <key>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InApiKey {
    /// The header, and the key.
    pub api_key: KnownKey,
}

/// A header, and the keys that count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownKey {
    /// The header's name.
    pub header: PassedHeader,
    /// The key.
    pub key: SenderSecrets,
}

/// Nobody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoAuth {
    /// Everybody may post.
    None,
}
