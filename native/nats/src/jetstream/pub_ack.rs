//! The answer to a publish into a stream.
//!
//! The server writes `{"stream":"OUT", "seq":1}` by hand for nearly every message; that shape is read
//! by hand. Everything else, a refusal above all, goes through serde.

use std::borrow::Cow;

use message::{Code, Fault};
use serde::Deserialize;

use super::ApiError;
use crate::protocol::status;

/// The stream has stored the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PubAck<'a> {
    pub stream: Cow<'a, str>,
    pub sequence: u64,
    /// The stream already held a message of this `Nats-Msg-Id`, at `sequence`.
    pub duplicate: bool,
}

impl<'a> PubAck<'a> {
    /// Reads what came to the reply subject of a publish.
    ///
    /// # Errors
    /// `limit/backlog` when the subject is full, `nats/stream-full` when the stream or its disk is,
    /// `nats/no-stream` when no stream listens, or another one than expected, `nats/max-payload`, `nats/refused`; `nats/timeout`
    /// when it may pass; `nats/protocol` when it is no answer of JetStream.
    #[inline]
    pub fn parse(headers: &[u8], payload: &'a [u8]) -> Result<PubAck<'a>, Fault> {
        match usual(payload) {
            Some(ack) => Ok(ack),
            None => unusual(headers, payload),
        }
    }
}

/// `{"stream":"NAME","seq":N}`, with or without a blank after a comma or colon, and optionally
/// `,"duplicate":true` at the end.
#[inline]
fn usual(payload: &[u8]) -> Option<PubAck<'_>> {
    let rest = payload.strip_prefix(b"{\"stream\":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| !matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))?;
    let stream = std::str::from_utf8(&rest[..end]).ok()?;
    let rest = rest[end..].strip_prefix(b"\",")?.trim_ascii_start().strip_prefix(b"\"seq\":")?.trim_ascii_start();
    let mut sequence = 0_u64;
    let mut length = 0;
    while let Some(digit) = rest.get(length).map(|b| b.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        sequence = sequence.checked_mul(10)?.checked_add(u64::from(digit))?;
        length += 1;
    }
    // JSON has no leading zeros, and sequences begin at 1.
    if length == 0 || rest[0] == b'0' {
        return None;
    }
    let duplicate = match &rest[length..] {
        b"}" => false,
        rest => {
            let value = rest.strip_prefix(b",")?.trim_ascii_start().strip_prefix(b"\"duplicate\":")?;
            if value.trim_ascii_start() == b"true}" { true } else { return None }
        }
    };
    Some(PubAck { stream: Cow::Borrowed(stream), sequence, duplicate })
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    seq: Option<u64>,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiError>,
}

#[cold]
fn unusual<'a>(headers: &[u8], payload: &'a [u8]) -> Result<PubAck<'a>, Fault> {
    if payload.is_empty() {
        return Err(match status(headers) {
            Some((503, _)) => Fault::new(
                Code::NatsNoStream,
                "no stream answers on the subject: there is none, or it has no leader at the moment",
            ),
            Some((code, _)) => Fault::new(Code::NatsRefused, format!("JetStream answered with status {code}")),
            None => Fault::new(Code::NatsProtocol, "an empty answer to a publish"),
        });
    }
    let answer: Answer<'a> = serde_json::from_slice(payload)
        .map_err(|_| Fault::new(Code::NatsProtocol, "an answer to a publish that is no PubAck"))?;
    match answer {
        Answer { error: Some(error), .. } => Err(error.fault()),
        Answer { stream: Some(stream), seq: Some(sequence), duplicate, .. } => {
            Ok(PubAck { stream, sequence, duplicate })
        }
        _ => Err(Fault::new(Code::NatsProtocol, "an answer to a publish without stream and sequence")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(payload: &str) -> Result<(String, u64, bool), Code> {
        PubAck::parse(b"", payload.as_bytes())
            .map(|ack| (ack.stream.into_owned(), ack.sequence, ack.duplicate))
            .map_err(|fault| fault.code())
    }

    #[test]
    fn every_shape_of_a_success() {
        for text in [
            r#"{"stream":"OUT","seq":12}"#,
            r#"{"stream":"OUT", "seq":12}"#,
            r#"{"stream": "OUT", "seq": 12}"#,
            r#"{"seq":12,"stream":"OUT"}"#,
            r#"{"stream":"OUT","domain":"hub","seq":12}"#,
            r#"{"stream":"OUT","seq":12,"duplicate":false}"#,
            r#"{"stream":"OUT","seq":12,"batch":"b","count":3}"#,
        ] {
            assert_eq!(parsed(text), Ok(("OUT".into(), 12, false)), "{text}");
        }
        for text in
            [r#"{"stream":"OUT","seq":12,"duplicate":true}"#, r#"{"stream":"OUT", "seq":12, "duplicate": true}"#]
        {
            assert!(usual(text.as_bytes()).is_some());
            assert_eq!(parsed(text), Ok(("OUT".into(), 12, true)), "{text}");
        }
        assert_eq!(parsed(r#"{"stream":"\u0041","seq":1}"#), Ok(("A".into(), 1, false)));
    }

    #[test]
    fn refusals_and_nonsense_have_their_codes() {
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages per subject exceeded"},"stream":"OUT","seq":0}"#;
        assert_eq!(parsed(full), Err(Code::LimitBacklog));
        assert_eq!(PubAck::parse(b"NATS/1.0 503\r\n\r\n", b"").unwrap_err().code(), Code::NatsNoStream);
        assert_eq!(PubAck::parse(b"NATS/1.0 500\r\n\r\n", b"").unwrap_err().code(), Code::NatsRefused);
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "null",
            r#"{"stream":"OUT"}"#,
            r#"{"stream":"OUT","seq":-1}"#,
            r#"{"stream":"OUT","seq":01}"#,
        ] {
            assert_eq!(parsed(text), Err(Code::NatsProtocol), "{text}");
        }
        let overflow = r#"{"stream":"OUT","seq":99999999999999999999}"#;
        assert_eq!(parsed(overflow), Err(Code::NatsProtocol));
    }
}
