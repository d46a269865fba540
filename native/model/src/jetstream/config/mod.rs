//! Configurations of streams and consumers: read from requests, completed with defaults, checked.

mod consumer;
mod fields;
mod stream;

pub use consumer::{AckPolicy, ConsumerConfig, DeliverPolicy};
pub use fields::Fields;
pub use stream::{Discard, Retention, Storage, StreamConfig};

use std::collections::BTreeMap;

/// Written by the server itself.
const REQUIRED_LEVEL: &str = "_nats.req.level";

/// Metadata as the server stores it: without what it adds to each answer.
fn stored_metadata(mut metadata: BTreeMap<String, String>) -> BTreeMap<String, String> {
    metadata.retain(|key, _| !matches!(key.as_str(), "_nats.ver" | "_nats.level"));
    metadata.insert(REQUIRED_LEVEL.into(), "0".into());
    metadata
}

/// Metadata as an answer has it.
#[must_use]
pub fn shown_metadata(metadata: &BTreeMap<String, String>, version: &str) -> BTreeMap<String, String> {
    let mut metadata = metadata.clone();
    metadata.insert("_nats.ver".into(), version.into());
    metadata.insert("_nats.level".into(), "5".into());
    metadata
}
