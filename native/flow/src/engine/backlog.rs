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

/// Why a number could not be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Another question would wait as long.
    NoAnswer,
    /// Of this stream; it may be well with others.
    Refused,
}

/// None are stored when there is no such stream. Never asked for more than one subject: 0.2 ms, where `>`
/// costs 34 ms and 1.3 MB.
pub async fn stored(outbox: &Outbox, stream: &str, subject: &str) -> Result<u64, Unknown> {
    let request = format!("{{\"subjects_filter\":\"{subject}\"}}");
    let api = format!("$JS.API.STREAM.INFO.{stream}");
    let reply = outbox.request(&api, request.as_bytes(), PATIENCE).await.map_err(|_| Unknown::NoAnswer)?;
    read(&reply.payload, subject)
}

fn read(reply: &[u8], subject: &str) -> Result<u64, Unknown> {
    let info: Info = serde_json::from_slice(reply).map_err(|_| Unknown::Refused)?;
    match info.error {
        Some(error) if error.our_code() != Code::NatsNoStream => Err(Unknown::Refused),
        _ => Ok(info.state.subjects.get(subject).copied().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_or_is_not_known() {
        let stored = |reply: &str| read(reply.as_bytes(), "a.b");
        assert_eq!(stored(r#"{"state":{"messages":9,"subjects":{"a.b":3}}}"#), Ok(3));
        assert_eq!(stored(r#"{"state":{"messages":9}}"#), Ok(0));
        assert_eq!(stored(r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#), Ok(0));
        assert_eq!(
            stored(r#"{"error":{"code":503,"err_code":10008,"description":"no leader"}}"#),
            Err(Unknown::Refused)
        );
        assert_eq!(stored("no JSON"), Err(Unknown::Refused));
    }
}
