//! What a pipeline file says of NATS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Messages of a NATS subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsIn {
    /// The subject; `*` and `>` are wildcards.
    #[schemars(extend("format" = "subject-filter"))]
    pub subject: String,
    /// `core` takes each message at most once; `jetstream` takes it from a stream, at least once.
    #[serde(default)]
    pub mode: NatsMode,
    /// The stream that holds the subject; wanted with `mode: jetstream`, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "stream"))]
    pub stream: Option<String>,
    /// The durable consumer's name; no other pipeline may have it. Without it: `vrsky_<customer>_<pipeline>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "stream"))]
    pub durable: Option<String>,
}

/// How a message is handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NatsMode {
    /// Plain publish and subscribe: at most once.
    #[default]
    Core,
    /// Through a stream, with acks: at least once.
    Jetstream,
}

/// A NATS subject. How often a message was passed on is not counted here, as it is by HTTP, MQTT 5 and files: one that is
/// published to a subject which an in on its way reads goes round for ever.
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
