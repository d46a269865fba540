//! How many messages a stream holds under one subject.

use std::collections::HashMap;
use std::time::Duration;

use message::Code;
use nats::Outbox;
use nats::jetstream::ApiError;
use serde::Deserialize;

const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Info {
    error: Option<ApiError>,
    #[serde(default)]
    state: State,
}

#[derive(Default, Deserialize)]
struct State {
    #[serde(default)]
    subjects: HashMap<String, u64>,
}

/// None are stored when there is no such stream; `None` when that could not be learned. Never asked for more
/// than one subject: 0.2 ms, where `>` costs 34 ms and 1.3 MB.
pub async fn stored(outbox: &Outbox, stream: &str, subject: &str) -> Option<u64> {
    let request = format!("{{\"subjects_filter\":\"{subject}\"}}");
    let api = format!("$JS.API.STREAM.INFO.{stream}");
    let reply = outbox.request(&api, request.as_bytes(), PATIENCE).await.ok()?;
    read(&reply.payload, subject)
}

fn read(reply: &[u8], subject: &str) -> Option<u64> {
    let info: Info = serde_json::from_slice(reply).ok()?;
    match info.error {
        Some(error) if error.our_code() != Code::NatsNoStream => None,
        _ => Some(info.state.subjects.get(subject).copied().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_or_is_not_known() {
        let stored = |reply: &str| read(reply.as_bytes(), "a.b");
        assert_eq!(stored(r#"{"state":{"messages":9,"subjects":{"a.b":3}}}"#), Some(3));
        assert_eq!(stored(r#"{"state":{"messages":9}}"#), Some(0));
        assert_eq!(stored(r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#), Some(0));
        assert_eq!(stored(r#"{"error":{"code":503,"err_code":10008,"description":"no leader"}}"#), None);
        assert_eq!(stored("no JSON"), None);
    }
}
