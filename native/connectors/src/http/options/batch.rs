//! Several messages in one request of an HTTP out.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::Span;

/// Messages gather until there are `messages` of them or `bytes`, or until the first has waited for `wait`. Each has to
/// be JSON; another one is a dead letter, `http/batch-not-json`. The request's `Content-Type` is that of the format, its
/// `Idempotency-Key` is made of those of its messages, and it has none of the headers that came in with them. Where
/// fields stand in the URL, each URL has a request of its own. A 2xx delivers all of them. After 400, 413 or 422 the
/// batch is halved, until the message that is refused stands alone. Any other answer is for all; what is repeated then
/// comes in smaller requests, at last alone. GET and DELETE have no batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutBatch {
    /// How the messages stand in the body.
    #[serde(default)]
    pub format: BatchFormat,
    /// Most messages of a request.
    #[serde(default = "batch_messages")]
    #[schemars(range(min = 1, max = 1000))]
    pub messages: u32,
    /// Most bytes of a request's body; one message alone may have more.
    #[serde(default = "batch_bytes")]
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub bytes: u32,
    /// How long the first message waits for others, at most `60s`. Nothing waits while the node ends, or has no room for
    /// more messages of the out.
    #[serde(default = "batch_wait")]
    pub wait: Span,
}

fn batch_messages() -> u32 {
    100
}

fn batch_bytes() -> u32 {
    1 << 20
}

fn batch_wait() -> Span {
    Span::constant("1s", Duration::from_secs(1))
}

/// How several messages stand in one body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchFormat {
    /// A JSON array, `application/json`.
    #[default]
    Array,
    /// A line of JSON for each, `application/x-ndjson`.
    Ndjson,
}
