//! The header block of what this node publishes.
//!
//! `Customer-ID`, `Nats-Msg-Id`, `Content-Type` and `Vrsky-*` are written here and nowhere else;
//! what a message brought under those names is passed over, everything else goes along.

use message::{Fault, Headers};

/// Headers that name something of ours. A client's are stripped at every ingress: `Nats-Rollup`
/// would purge a stream, `Customer-ID` would be somebody else.
pub const CUSTOMER: &str = "Customer-ID";
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
pub const CONTENT_TYPE: &str = "Content-Type";
pub const TIME: &str = "Vrsky-Time";
/// The id under which the message first came in.
pub const ROOT: &str = "Vrsky-Id";
/// Of a publish: another stream than this one refuses it.
pub const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// The URL of an out with placeholders, on the outgoing lane.
pub const URL: &str = "Vrsky-Url";

#[must_use]
pub fn is_ours(name: &[u8]) -> bool {
    let starts = |prefix: &[u8]| name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
    match name.first() {
        Some(b'N' | b'n') => starts(b"nats-"),
        Some(b'V' | b'v') => starts(b"vrsky-"),
        Some(b'C' | b'c') => name.eq_ignore_ascii_case(b"customer-id") || name.eq_ignore_ascii_case(b"content-type"),
        _ => false,
    }
}

/// What the engine wants to know of a message's headers, found in one pass. The first of a name counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    pub customer: Option<&'a str>,
    pub id: Option<&'a str>,
    pub root: Option<&'a str>,
    pub content_type: Option<&'a str>,
    pub time_ms: Option<u64>,
}

impl<'a> Known<'a> {
    #[must_use]
    pub fn of(headers: Headers<'a>) -> Known<'a> {
        let mut known = Known::default();
        for (name, value) in &headers {
            let place = match name.len() {
                8 if is(name, ROOT) => &mut known.root,
                10 if is(name, TIME) => {
                    known.time_ms = known.time_ms.or_else(|| std::str::from_utf8(value).ok()?.parse().ok());
                    continue;
                }
                11 if is(name, MESSAGE_ID) => &mut known.id,
                11 if is(name, CUSTOMER) => &mut known.customer,
                12 if is(name, CONTENT_TYPE) => &mut known.content_type,
                _ => continue,
            };
            if place.is_none() {
                *place = std::str::from_utf8(value).ok();
            }
        }
        known
    }
}

fn is(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

/// A header block under construction; the buffer is kept from message to message.
#[derive(Debug, Default)]
pub struct Block(Vec<u8>);

impl Block {
    /// Starts with the status line and the customer.
    pub fn start(&mut self, customer: &str) -> &mut Self {
        self.0.clear();
        self.0.extend_from_slice(b"NATS/1.0\r\nCustomer-ID: ");
        self.0.extend_from_slice(customer.as_bytes());
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// `value` is ours, or already free of CR and LF.
    pub fn put(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// A text of any content on one line: control characters become blanks, long texts are cut.
    pub fn put_text(&mut self, name: &str, text: &str) -> &mut Self {
        const LONGEST: usize = 500;
        let line: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.put(name, line.as_bytes())
    }

    pub fn put_number(&mut self, name: &str, number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut rest = number;
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.put(name, &digits[at..])
    }

    /// What came with the message and is not ours.
    pub fn pass(&mut self, headers: Headers<'_>) -> &mut Self {
        for (name, value) in headers.iter().filter(|(name, _)| !is_ours(name)) {
            self.0.extend_from_slice(name);
            self.0.extend_from_slice(b": ");
            self.0.extend_from_slice(value);
            self.0.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Lines as a source hands them over: `Name: value\r\n`, already checked and allow-listed.
    pub fn pass_lines(&mut self, lines: &[u8]) -> &mut Self {
        self.0.extend_from_slice(lines);
        self
    }

    /// Why a message is in the dead letters.
    pub fn put_fault(&mut self, fault: &Fault, step: &str) -> &mut Self {
        self.put("Vrsky-Code", fault.code().as_str().as_bytes());
        self.put_text("Vrsky-Reason", fault.reason());
        self.put_text("Vrsky-Place", &fault.place().to_string());
        self.put_text("Vrsky-Step", step)
    }

    /// The block as it stands.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Ends the block and gives its bytes.
    pub fn end(&mut self) -> &[u8] {
        self.0.extend_from_slice(b"\r\n");
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::Code;

    #[test]
    fn what_a_client_says_of_itself_is_not_passed_on() {
        let from = b"NATS/1.0\r\nCustomer-ID: evil\r\nnats-rollup: all\r\nVRSKY-Step: x\r\ncontent-type: text/html\r\ntraceparent: 00-1\r\nnonce: 1\r\n\r\n";
        let mut block = Block::default();
        block.start("acme").put_number(TIME, 1_700_000_000_123).pass(Headers::new(from));
        assert_eq!(
            block.end(),
            b"NATS/1.0\r\nCustomer-ID: acme\r\nVrsky-Time: 1700000000123\r\ntraceparent: 00-1\r\nnonce: 1\r\n\r\n"
        );
    }

    #[test]
    fn what_is_known_is_the_first_of_each_name() {
        let block = b"NATS/1.0\r\nNATS-MSG-ID: a\r\nNats-Msg-Id: b\r\nVrsky-Time: 7\r\ncontent-type: text/xml\r\nCustomer-ID: acme\r\n\r\n";
        let known = Known::of(Headers::new(block));
        assert_eq!((known.id, known.root, known.customer), (Some("a"), None, Some("acme")));
        assert_eq!((known.content_type, known.time_ms), (Some("text/xml"), Some(7)));
    }

    #[test]
    fn a_reason_cannot_break_out_of_its_line() {
        let fault = Fault::new(Code::ScriptThrew, "bad\r\nNats-Rollup: all").in_field("a\nb");
        let mut block = Block::default();
        block.start("acme").put_fault(&fault, "1:script");
        let headers = Headers::new(block.end());
        assert_eq!(headers.get("Nats-Rollup"), None);
        assert_eq!(headers.get_str("Vrsky-Reason"), Some("bad  Nats-Rollup: all"));
        assert_eq!(headers.get_str("Vrsky-Code"), Some("script/threw"));
    }
}
