//! The options of an HTTP in that senders of webhooks need: their signatures, and what they ask first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::{HeaderText, OriginHost, QueryName, Secrets, SenderHeader, SenderSecrets, Span};

/// A signature as a well-known sender makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InWebhook {
    /// The sender, and the secret that it signs with.
    pub webhook: KnownSender,
}

/// A sender whose way to sign is known here. What does not fit is answered with 401, before anything reads the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownSender {
    /// Who signs.
    pub from: WebhookSender,
    /// The secret that it signs with; as the sender shows it, such as `whsec_...`.
    pub key: SenderSecrets,
    /// How far the time that is signed may be from the node's clock, either way. Without it 5 minutes; for senders that sign
    /// a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Span>,
    /// By what deliveries that come again are known. Without it `delivery` where the sender gives each an id in a header,
    /// else `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicate: Option<DeduplicateBy>,
}

/// A sender of webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookSender {
    /// `X-Hub-Signature-256`; deliveries by `X-GitHub-Delivery`, which is not signed
    Github,
    /// `Stripe-Signature`, with a time
    Stripe,
    /// `X-Shopify-Hmac-Sha256`; deliveries by `X-Shopify-Webhook-Id`, which is not signed
    Shopify,
    /// `X-Slack-Signature`, with a time
    Slack,
    /// `webhook-signature`, with a time and an id (standardwebhooks.com)
    StandardWebhooks,
    /// The same with headers that begin with `svix-`
    Svix,
}

/// By what a delivery that comes again is known; each counts for 24 h, as an `Idempotency-Key` does. The same delivery
/// with another body is another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeduplicateBy {
    /// The delivery's id and its body
    Delivery,
    /// The body alone: also for a request that somebody else sends again under another id
    Content,
    /// Nothing; the sender's `Idempotency-Key` counts, when there is one
    None,
}

/// A signature by HMAC of another sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InHmac {
    /// How the sender signs, and the secret.
    pub hmac: KnownHmac,
}

/// How a sender signs. What does not fit is answered with 401, before anything reads the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownHmac {
    /// The header with the signature.
    pub header: SenderHeader,
    /// The secret.
    pub key: SenderSecrets,
    /// The hash.
    #[serde(default)]
    pub algorithm: HmacAlgorithm,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// What stands before the signature in its header, such as `sha256=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<HeaderText>,
    /// What is signed: `{body}` once, with `{timestamp}`, `{id}` and other text around it. A value that could go on with what
    /// stands beside it is refused, such as an id with a full stop in `{id}.{body}`.
    #[serde(default = "body")]
    #[schemars(length(max = 1024))]
    pub signed: String,
    /// The header with the time of the signature, in seconds or milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<SenderHeader>,
    /// How far that time may be from the node's clock, either way; without it 5 minutes. `none`: the time is signed, but may be
    /// any, and be written in any way that shows where it ends, such as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
    /// The header with the delivery's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SenderHeader>,
    /// By what deliveries that come again are known. Without it `delivery` with an `id`, else `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicate: Option<DeduplicateBy>,
    /// How the secret is written.
    #[serde(default)]
    pub key_encoding: KeyEncoding,
}

fn body() -> String {
    "{body}".to_owned()
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HmacAlgorithm {
    /// For senders that have nothing better
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    #[default]
    Hex,
    Base64,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyEncoding {
    /// As its own bytes
    #[default]
    Text,
    Hex,
    Base64,
}

/// How far a time may be from now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Tolerance {
    /// It may be any.
    Any(NoTolerance),
    /// So far.
    Within(Span),
}

/// Nothing is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoTolerance {
    /// A time of any age
    None,
}

/// What a sender asks before it delivers to a path. The node answers by itself, without a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandshakeOptions {
    /// A challenge in the query: `?hub.challenge=1158201444` is answered with `1158201444`, to anybody but for `verify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<QueryChallenge>,
    /// A challenge in a JSON object that is posted, from a sender that `auth` lets in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyChallenge>,
    /// `OPTIONS` with `WebHook-Request-Origin`, as CloudEvents has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_events: Option<CloudEventsOptions>,
}

/// Which parameter is sent back, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryChallenge {
    /// The parameter that is sent back: `hub.challenge` for Meta and WebSub, `validationToken` for Microsoft Graph.
    pub challenge: QueryName,
    /// The method of the request: Microsoft Graph asks by POST.
    #[serde(default)]
    pub method: ChallengeMethod,
    /// What the request has to know, such as the verify token of Meta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// The method of a handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChallengeMethod {
    #[default]
    Get,
    Post,
}

/// A parameter of the query with a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The parameter, such as `hub.verify_token`.
    pub parameter: QueryName,
    /// What it has to be.
    pub token: Secrets,
}

/// Which posted object is a challenge, and how it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BodyChallenge {
    /// The field that is sent back.
    #[serde(default = "challenge")]
    #[schemars(length(min = 1, max = 64))]
    pub challenge: String,
    /// What tells it from a message. Without it: an object with this field alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<ChallengeWhen>,
    /// As what it is sent back.
    #[serde(default)]
    pub reply: ChallengeReply,
}

fn challenge() -> String {
    "challenge".to_owned()
}

/// What tells a challenge from a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ChallengeWhen {
    /// A field of the object.
    Field(WhenField),
    /// A header of the request.
    Header(WhenHeader),
}

/// A field of the object: Slack's is `{field: {type: url_verification}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenField {
    /// Its name and its text.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    pub field: indexmap::IndexMap<String, String>,
}

/// A header: Twitch's is `{header: {Twitch-Eventsub-Message-Type: webhook_callback_verification}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenHeader {
    /// Its name and its value.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1, "propertyNames" = {"format": "sender-header"}))]
    pub header: indexmap::IndexMap<String, HeaderText>,
}

/// As what a challenge is sent back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeReply {
    /// Its text
    #[default]
    Text,
    /// An object with the same field
    Json,
}

/// Who may deliver CloudEvents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudEventsOptions {
    /// Hosts that are allowed to, such as `eventgrid.azure.net` or `*.webpubsub.azure.com`; without them each is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub origins: Vec<OriginHost>,
    /// Requests a minute that are allowed; without it, a sender that asks for a rate may have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rate: Option<u32>,
}
