//! Which headers of a sender go on with the message.
//!
//! Only these, and Content-Type, which travels apart: `traceparent`, `tracestate`,
//! `X-Request-Id` and CloudEvents' `ce-*`. All others are dropped, above all `Nats-*` (one of them
//! would purge a stream), `Vrsky-*` and `Customer-ID`, which only we may write.
//!
//! Of our own are `Query-*` and `Path-*`, `Request-method` where a route takes several, and `Auth-name`.

use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use message::{Code, Fault};

use super::form;
use super::path::{self, Parameters};
use super::routes::Passes;
use crate::hops::{HOPS, MOST_HOPS, hops};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST_KEY: usize = 255;

/// A header that may stand there once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    Once(&'a HeaderValue),
    Repeated,
}

/// What the Content-Encoding says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    #[default]
    Identity,
    Gzip,
    /// Another one, or more than one.
    Other,
}

impl Encoding {
    fn and(self, value: &HeaderValue) -> Encoding {
        let is_gzip = is_token(value, b"gzip") || is_token(value, b"x-gzip");
        match self {
            _ if is_token(value, b"identity") => self,
            Encoding::Identity if is_gzip => Encoding::Gzip,
            _ => Encoding::Other,
        }
    }
}

/// All that the server wants to know of a request's headers, found in one pass.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) hosts: usize,
    pub(super) authorization: Field<'a>,
    pub(super) content_type: Field<'a>,
    pub(super) encoding: Encoding,
    transfer_encoding: Field<'a>,
    /// A browser's page that sends the request.
    pub(super) origin: Field<'a>,
    idempotency_key: Field<'a>,
    hops: Field<'a>,
    lines: Vec<u8>,
    /// Of the lines those that say what the request is for: parameters and method.
    target: String,
    unprintable: Option<&'a HeaderName>,
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = if matches!(self, Field::Absent) { Field::Once(value) } else { Field::Repeated };
    }
}

impl<'a> Found<'a> {
    pub(super) fn new(headers: &'a HeaderMap) -> Found<'a> {
        let mut found = Found::default();
        for (name, value) in headers {
            match *name {
                HOST => found.hosts += 1,
                AUTHORIZATION => found.authorization.add(value),
                CONTENT_TYPE => found.content_type.add(value),
                CONTENT_ENCODING => found.encoding = found.encoding.and(value),
                TRANSFER_ENCODING => found.transfer_encoding.add(value),
                ORIGIN => found.origin.add(value),
                _ if *name == IDEMPOTENCY_KEY => found.idempotency_key.add(value),
                _ if name.as_str() == HOPS => {
                    found.hops.add(value);
                    found.forward(name, value);
                }
                _ if goes_on(name) => found.forward(name, value),
                _ => {}
            }
        }
        found
    }

    fn forward(&mut self, name: &'a HeaderName, value: &HeaderValue) {
        if !is_printable(value) {
            self.unprintable = Some(name);
        }
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
    }

    /// What the route names goes on, too. `http/bad-request` for a parameter of the query that no header can carry.
    pub(super) fn pass(&mut self, passes: &Passes, headers: &'a HeaderMap, query: Option<&str>) -> Result<(), Fault> {
        for name in passes.headers.iter().filter(|name| !goes_on(name) && !is_our_own(name)) {
            // The name as it stands in the map lives as long as the request.
            for (name, value) in headers.iter().filter(|(known, _)| *known == name) {
                self.forward(name, value);
            }
        }
        let Some(query) = query.filter(|_| !passes.query.is_empty()) else { return Ok(()) };
        for pair in form::pairs(query.as_bytes()) {
            let (name, value) = pair?;
            if !passes.query.iter().any(|named| *named == name) {
                continue;
            }
            if value.chars().any(char::is_control) {
                return Err(bad(&format!("the parameter {name} of the query has a control character")));
            }
            self.aim("Query-", &name, &value);
        }
        Ok(())
    }

    /// Parameters of the path go on, each as `Path-NAME`. `http/bad-request` for what no header can carry.
    pub(super) fn pass_parameters(&mut self, parameters: &Parameters) -> Result<(), Fault> {
        for (name, value) in parameters {
            let value = path::decoded(name, value)?;
            self.aim("Path-", name, &value);
        }
        Ok(())
    }

    /// A header of our own that says what the request is for.
    pub(super) fn aim(&mut self, kind: &str, name: &str, value: &str) {
        self.add(kind, name, value);
        self.target.extend([kind, name, ": ", value, "\n"]);
    }

    /// Two requests with one key that are for different things are two messages.
    pub(super) fn take_target(&mut self) -> String {
        std::mem::take(&mut self.target)
    }

    /// A header of our own; `value` has no control characters.
    pub(super) fn add(&mut self, kind: &str, name: &str, value: &str) {
        add(&mut self.lines, kind, name, value);
    }

    /// `Name: value\r\n` lines of the headers that go on. `http/bad-request` when a value has
    /// characters outside printable ASCII: those could end the line, or hide in a log.
    pub(super) fn forwarded(&mut self) -> Result<Vec<u8>, Fault> {
        match self.unprintable {
            None => Ok(std::mem::take(&mut self.lines)),
            Some(name) => Err(bad(&format!("the header {name} has characters other than printable ASCII"))),
        }
    }

    /// How often the message was posted before, by outs of such nodes. `http/loop` when that was too often.
    pub(super) fn hops(&self) -> Result<(), Fault> {
        let Field::Once(value) = self.hops else {
            let is_one = matches!(self.hops, Field::Absent);
            return if is_one { Ok(()) } else { Err(bad("there may be one X-Vrsky-Hops")) };
        };
        match hops(value.as_bytes()) {
            Some(hops) if hops < MOST_HOPS => Ok(()),
            Some(hops) => {
                Err(Fault::new(Code::HttpLoop, format!("it was posted from pipeline to pipeline {hops} times")))
            }
            None => Err(bad("X-Vrsky-Hops is a number")),
        }
    }

    /// `http/transfer-coding` when the body is not as it was before it was sent: that would be stored (RFC 9112, 6.1).
    pub(super) fn transfer_coding(&self) -> Result<(), Fault> {
        match self.transfer_encoding {
            Field::Absent => Ok(()),
            Field::Once(value) if is_token(value, b"chunked") => Ok(()),
            _ => Err(Fault::new(Code::HttpTransferCoding, "the only transfer coding here is chunked")),
        }
    }

    /// `http/bad-request` unless there is at most one key, of 1 to 255 printable ASCII characters.
    pub(super) fn idempotency_key(&self) -> Result<Option<Box<str>>, Fault> {
        let refused = || bad("there may be one Idempotency-Key, of 1 to 255 printable ASCII characters");
        let value = match self.idempotency_key {
            Field::Absent => return Ok(None),
            Field::Once(value) if is_printable(value) => value,
            _ => return Err(refused()),
        };
        let key = value.to_str().map_err(|_| refused())?;
        if key.is_empty() || key.len() > LONGEST_KEY { Err(refused()) } else { Ok(Some(key.into())) }
    }
}

/// The line of a header of our own, such as `Query-page`.
pub(super) fn add(lines: &mut Vec<u8>, kind: &str, name: &str, value: &str) {
    for part in [kind, name, ": ", value, "\r\n"] {
        lines.extend_from_slice(part.as_bytes());
    }
}

/// Whether a sender's header of this name goes on with the message.
#[must_use]
pub fn is_passed_on(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| name == CONTENT_TYPE || goes_on(&name))
}

fn goes_on(name: &HeaderName) -> bool {
    *name == TRACEPARENT || *name == TRACESTATE || *name == REQUEST_ID || is_cloud_event(name)
}

/// What a sender may not say in our place, whatever a route names.
fn is_our_own(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "auth-name" || name == "request-method"
}

fn is_cloud_event(name: &HeaderName) -> bool {
    let attribute = name.as_str().strip_prefix("ce-").unwrap_or_default();
    !attribute.is_empty() && attribute.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_token(value: &HeaderValue, token: &[u8]) -> bool {
    value.as_bytes().trim_ascii().eq_ignore_ascii_case(token)
}

fn is_printable(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|b| (0x20..0x7f).contains(b))
}

fn bad(reason: &str) -> Fault {
    Fault::new(Code::HttpBadRequest, reason)
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
        let lines = String::from_utf8(Found::new(&headers).forwarded().unwrap()).unwrap();
        assert_eq!(lines, "traceparent: 00-1-2-01\r\ntracestate: a=1\r\nx-request-id: r 1\r\nce-type: order\r\n");
    }

    #[test]
    fn values_outside_printable_ascii_are_refused() {
        for bad in [&b"a\tb"[..], b"\xc3\xa4", b"\x80"] {
            assert_eq!(Found::new(&map(&[("ce-type", bad)])).forwarded().unwrap_err().code(), Code::HttpBadRequest);
            assert!(Found::new(&map(&[("idempotency-key", bad)])).idempotency_key().is_err());
            assert!(Found::new(&map(&[("x-other", bad)])).forwarded().unwrap().is_empty());
        }
    }

    #[test]
    fn an_idempotency_key_has_bounds() {
        assert_eq!(Found::new(&HeaderMap::new()).idempotency_key().unwrap(), None);
        assert_eq!(Found::new(&map(&[("idempotency-key", b"k 1")])).idempotency_key().unwrap().as_deref(), Some("k 1"));
        assert!(Found::new(&map(&[("idempotency-key", "x".repeat(255).as_bytes())])).idempotency_key().is_ok());
        assert!(Found::new(&map(&[("idempotency-key", "x".repeat(256).as_bytes())])).idempotency_key().is_err());
        assert!(Found::new(&map(&[("idempotency-key", b"")])).idempotency_key().is_err());
        let mut twice = map(&[("idempotency-key", b"a")]);
        twice.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        assert!(Found::new(&twice).idempotency_key().is_err());
    }
}
