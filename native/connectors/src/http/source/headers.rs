//! Which headers of a sender go on with the message.
//!
//! Only these, and Content-Type, which travels apart: `traceparent`, `tracestate`,
//! `X-Request-Id` and CloudEvents' `ce-*`. All others are dropped, above all `Nats-*` (one of them
//! would purge a stream), `Vrsky-*` and `Customer-ID`, which only we may write.

use http::{HeaderMap, HeaderName, HeaderValue};
use message::{Code, Fault};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST_KEY: usize = 255;

/// `Name: value\r\n` lines. `http/bad-request` when a value has characters outside printable
/// ASCII: those could end the line, or hide in a log.
pub(super) fn forwarded(headers: &HeaderMap) -> Result<Vec<u8>, Fault> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        if *name == TRACEPARENT || *name == TRACESTATE || *name == REQUEST_ID || is_cloud_event(name) {
            check_printable(name, value)?;
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
    }
    Ok(lines)
}

fn is_cloud_event(name: &HeaderName) -> bool {
    name.as_str().strip_prefix("ce-").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

fn check_printable(name: &HeaderName, value: &HeaderValue) -> Result<(), Fault> {
    if value.as_bytes().iter().all(|b| (0x20..0x7f).contains(b)) {
        return Ok(());
    }
    Err(Fault::new(Code::HttpBadRequest, format!("the header {name} has characters other than printable ASCII")))
}

/// `http/bad-request` unless there is at most one key, of 1 to 255 printable ASCII characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Box<str>>, Fault> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    check_printable(&IDEMPOTENCY_KEY, value)?;
    let key = value.to_str().unwrap_or_default();
    if values.next().is_some() || key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Fault::new(Code::HttpBadRequest, "there may be one Idempotency-Key, of 1 to 255 characters"));
    }
    Ok(Some(key.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &[u8])]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    #[test]
    fn only_allowed_headers_go_on() {
        let headers = map(&[
            ("Nats-Rollup", b"all"),
            ("Nats-Msg-Id", b"1"),
            ("Vrsky-Id", b"1"),
            ("Customer-ID", b"zeta"),
            ("Authorization", b"Bearer x"),
            ("Cookie", b"a=b"),
            ("traceparent", b"00-1-2-01"),
            ("Tracestate", b"a=1"),
            ("X-Request-Id", b"r 1"),
            ("ce-type", b"order"),
            ("ce-", b"?"),
            ("Content-Type", b"text/xml"),
        ]);
        let lines = String::from_utf8(forwarded(&headers).unwrap()).unwrap();
        assert_eq!(lines, "traceparent: 00-1-2-01\r\ntracestate: a=1\r\nx-request-id: r 1\r\nce-type: order\r\n");
    }

    #[test]
    fn values_outside_printable_ascii_are_refused() {
        for bad in [&b"a\tb"[..], b"\xc3\xa4", b"\x80"] {
            assert_eq!(forwarded(&map(&[("ce-type", bad)])).unwrap_err().code(), Code::HttpBadRequest);
            assert!(idempotency_key(&map(&[("idempotency-key", bad)])).is_err());
            assert!(forwarded(&map(&[("x-other", bad)])).unwrap().is_empty());
        }
    }

    #[test]
    fn an_idempotency_key_has_bounds() {
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(idempotency_key(&map(&[("idempotency-key", b"k 1")])).unwrap().as_deref(), Some("k 1"));
        assert!(idempotency_key(&map(&[("idempotency-key", "x".repeat(255).as_bytes())])).is_ok());
        assert!(idempotency_key(&map(&[("idempotency-key", "x".repeat(256).as_bytes())])).is_err());
        assert!(idempotency_key(&map(&[("idempotency-key", b"")])).is_err());
        let mut twice = map(&[("idempotency-key", b"a")]);
        twice.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        assert!(idempotency_key(&twice).is_err());
    }
}
