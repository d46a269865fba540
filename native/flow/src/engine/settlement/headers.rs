//! The header block of what this node publishes, and what it reads of a message's.
//!
//! `Customer-ID`, `Nats-Msg-Id`, `Content-Type` and `Vrsky-*` are written here and nowhere else. A message's own
//! headers of these names are passed over: `Nats-Rollup` would purge a stream, `Customer-ID` would be somebody else.

use message::{Fault, Headers};

use super::plain::{is_plain, one_line};
use crate::engine::canary::CANARY;
use crate::engine::ids::{Id, IdKey};
use crate::engine::message::{Envelope, Foreign, Owner, Traced};
use crate::engine::observe::Role;

pub const CUSTOMER: &str = "Customer-ID";
/// Of one publish: the stream drops a second one within its window.
pub const PUBLISH_ID: &str = "Nats-Msg-Id";
pub const CONTENT_TYPE: &str = "Content-Type";
/// When the message was accepted, milliseconds since the Unix epoch.
pub const TIME: &str = "Vrsky-Time";
/// The message's id.
pub const ID: &str = "Vrsky-Id";
/// Which part of a split message it is, from 0.
pub const PART: &str = "Vrsky-Part";
/// How often the message was sent again from the dead letters.
pub const REDRIVE: &str = "Vrsky-Redrive";
/// The label of the step with which a redriven part goes on.
pub const RESUME: &str = "Vrsky-Resume";
/// The URL of an out with placeholders, on the outgoing lane.
pub const URL: &str = "Vrsky-Url";
/// How long a parked message has been tried for, milliseconds.
pub const SPENT: &str = "Vrsky-Spent";
/// Of a publish: another stream than this one refuses it.
pub const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
pub const REVISION: &str = "Vrsky-Revision";
/// Of a message between two runs of steps: the version of the form that its payload has.
pub const HANDOVER: &str = "Vrsky-Handover";
/// When a message became a dead letter, milliseconds since the Unix epoch.
pub const DIED: &str = "Vrsky-Died";
/// The message id under which the whole message of a failed part is kept.
pub const ORIGINAL: &str = "Vrsky-Original";
pub const OMITTED_BYTES: &str = "Vrsky-Omitted-Bytes";
/// The bytes of the headers that a dead letter was too small for.
pub const OMITTED_HEADERS: &str = "Vrsky-Omitted-Headers";

/// Whether a header is written by the node only.
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

/// Whether a header of a message is passed on: it is not ours, and has no control character, at which some receivers
/// begin a new line (`\x0bCustomer-ID: somebody-else`).
#[inline]
pub(super) fn is_passed(name: &[u8], value: &[u8]) -> bool {
    !is_ours(name) && is_plain(name) && is_plain(value)
}

/// What the engine reads of a message's headers, in one pass. The first of a name counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParsedHeaders<'a> {
    pub customer: Option<&'a str>,
    /// Any bytes: what is made of it needs no more.
    pub publish_id: Option<&'a [u8]>,
    pub id: Option<&'a str>,
    pub part: Option<u64>,
    pub redrive: u32,
    pub resume: Option<&'a str>,
    pub content_type: Option<&'a str>,
    pub time_ms: Option<u64>,
    pub spent_ms: Option<u64>,
    /// The version of the form of a message between two runs of steps.
    pub handover: Option<u64>,
    /// Those that are not ours.
    pub foreign: Foreign,
}

/// The id of a publish that passes a message of a lane on. Two revisions may have made different messages of one part;
/// the publish that brought this one tells them apart, and is the same when the message comes again.
pub fn next_id(envelope: &Envelope<'_>, key: &IdKey) -> Id {
    let key = key.brought_by(envelope.headers.get(PUBLISH_ID).unwrap_or_default());
    Id::derived(envelope.owner.customer(), &key, envelope.id, envelope.part, envelope.redrive)
}

impl<'a> ParsedHeaders<'a> {
    #[must_use]
    pub fn of(headers: Headers<'a>) -> ParsedHeaders<'a> {
        let mut parsed = ParsedHeaders {
            foreign: Foreign::Run { start: 0, end: 0, traced: Traced::No },
            ..ParsedHeaders::default()
        };
        for line in headers.lines() {
            if is_ours(line.name) {
                parsed.note(line.name, line.value);
            } else if headers.block().get(line.start..line.end).and_then(one_line).is_some_and(is_plain) {
                parsed.foreign = parsed.foreign.with(&line, headers.block());
            } else {
                parsed.foreign = Foreign::Scattered;
            }
        }
        parsed
    }

    #[inline]
    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        let text = |place: &mut Option<&'a str>| {
            if place.is_none() {
                *place = std::str::from_utf8(value).ok();
            }
        };
        match name.len() {
            8 if is(name, ID) => text(&mut self.id),
            10 if is(name, TIME) => self.time_ms = self.time_ms.or_else(|| number(value)),
            10 if is(name, PART) => self.part = self.part.or_else(|| number(value)),
            11 if is(name, PUBLISH_ID) => self.publish_id = self.publish_id.or(Some(value)),
            11 if is(name, CUSTOMER) => text(&mut self.customer),
            11 if is(name, SPENT) => self.spent_ms = self.spent_ms.or_else(|| number(value)),
            12 if is(name, CONTENT_TYPE) => text(&mut self.content_type),
            12 if is(name, RESUME) => text(&mut self.resume),
            14 if is(name, HANDOVER) => self.handover = self.handover.or_else(|| Some(number(value).unwrap_or(0))),
            13 if is(name, REDRIVE) => {
                self.redrive = number(value).and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
            }
            _ => {}
        }
    }

    /// The id of a message in one of our own lanes. Programs before this one wrote no `Vrsky-Part`: then the id of
    /// the publish tells the parts of a split apart.
    #[must_use]
    pub fn lane_id(&self) -> Option<&'a str> {
        let publish_id = || self.publish_id.and_then(|id| std::str::from_utf8(id).ok());
        match (self.id, self.part) {
            (Some(id), Some(_)) => Some(id),
            (id, None) => publish_id().or(id),
            (None, Some(_)) => publish_id(),
        }
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn is(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

/// A block is seldom longer without what a message brings.
const USUAL_BYTES: usize = 512;

/// A header block under construction; the buffer is kept from message to message.
#[derive(Debug, Default)]
pub struct Block {
    pub(super) bytes: Vec<u8>,
    /// `Vrsky-Time` as it was written last, and what it says.
    time: (u64, Vec<u8>),
}

impl Block {
    /// Starts with the status line and the customer.
    #[inline]
    pub fn start(&mut self, customer: &str) -> &mut Self {
        self.bytes.clear();
        self.bytes.reserve(USUAL_BYTES);
        self.bytes.extend_from_slice(b"NATS/1.0\r\nCustomer-ID: ");
        self.bytes.extend_from_slice(customer.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
        self
    }

    /// When the message was accepted: often the same as the one before it.
    #[inline]
    pub fn put_time(&mut self, time_ms: u64) -> &mut Self {
        if self.time.0 == time_ms && !self.time.1.is_empty() {
            self.bytes.extend_from_slice(&self.time.1);
            return self;
        }
        let start = self.bytes.len();
        self.put_number(TIME, time_ms);
        self.time.0 = time_ms;
        self.time.1.clear();
        self.time.1.extend_from_slice(&self.bytes[start..]);
        self
    }

    /// What a message is known by on its way through our streams.
    pub fn put_identity(&mut self, envelope: &Envelope<'_>) -> &mut Self {
        self.put(ID, envelope.id.as_bytes()).put_number(PART, envelope.part);
        if envelope.redrive > 0 {
            self.put_number(REDRIVE, u64::from(envelope.redrive));
        }
        self
    }

    /// Whether a canary has made the message: its out reports to it what it refuses.
    #[inline]
    pub fn put_maker(&mut self, owner: &Owner) -> &mut Self {
        match &owner.trial {
            Some(trial) if trial.role == Role::Canary => self.put(CANARY, trial.canary.as_bytes()),
            _ => self,
        }
    }

    /// `value` is ours, or already free of CR and LF.
    #[inline]
    pub fn put(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        self
    }

    /// A text of any content on one line: control characters become blanks, long texts are cut.
    pub fn put_text(&mut self, name: &str, text: &str) -> &mut Self {
        const MAX_CHARACTERS: usize = 500;
        let line: String = text.chars().take(MAX_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.put(name, line.as_bytes())
    }

    #[inline]
    pub fn put_number(&mut self, name: &str, number: u64) -> &mut Self {
        self.put(name, itoa::Buffer::new().format(number).as_bytes())
    }

    /// What came with the message and is not ours.
    #[inline]
    pub fn pass(&mut self, envelope: &Envelope<'_>) -> &mut Self {
        match envelope.foreign.lines(envelope.headers.block()) {
            Some(lines) => self.pass_lines(lines),
            None => self.pass_foreign(envelope.headers),
        }
    }

    fn pass_foreign(&mut self, headers: Headers<'_>) -> &mut Self {
        self.pass_where(headers, is_passed)
    }

    /// The headers whose names are wanted.
    pub fn pass_if(&mut self, headers: Headers<'_>, wanted: impl Fn(&[u8]) -> bool) -> &mut Self {
        self.pass_where(headers, |name, _| wanted(name))
    }

    pub(super) fn pass_where(&mut self, headers: Headers<'_>, wanted: impl Fn(&[u8], &[u8]) -> bool) -> &mut Self {
        for (name, value) in headers.iter().filter(|(name, value)| wanted(name, value)) {
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(b": ");
            self.bytes.extend_from_slice(value);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Lines as a source hands them over: `Name: value\r\n`, already checked and allow-listed.
    pub fn pass_lines(&mut self, lines: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(lines);
        self
    }

    /// Takes back what was put in after so many bytes.
    pub fn cut(&mut self, bytes: usize) -> &mut Self {
        self.bytes.truncate(bytes);
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
        &self.bytes
    }

    /// Ends the block and gives its bytes.
    pub fn end(&mut self) -> &[u8] {
        self.bytes.extend_from_slice(b"\r\n");
        &self.bytes
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
        block.start("acme").put_number(TIME, 1_700_000_000_123).pass_foreign(Headers::new(from));
        assert_eq!(
            block.end(),
            b"NATS/1.0\r\nCustomer-ID: acme\r\nVrsky-Time: 1700000000123\r\ntraceparent: 00-1\r\nnonce: 1\r\n\r\n"
        );
    }

    #[test]
    fn headers_beside_each_other_are_passed_on_as_they_stand_and_others_one_by_one() {
        let foreign = |lines: &str| {
            let block = format!("NATS/1.0\r\n{lines}\r\n");
            let headers = Headers::new(block.as_bytes());
            let run = ParsedHeaders::of(headers).foreign.lines(headers.block()).map(<[u8]>::to_vec);
            let mut one_by_one = Block::default();
            one_by_one.pass_foreign(headers);
            // However they are passed on, they read the same.
            let text = |block: Vec<u8>| String::from_utf8(block).unwrap();
            run.map(|run| (text(run), text(one_by_one.bytes().to_vec())))
        };
        let same = |text: &str| Some((text.to_owned(), text.to_owned()));
        assert_eq!(foreign(""), same(""));
        assert_eq!(foreign("Vrsky-Time: 7\r\n"), same(""));
        assert_eq!(foreign("A: 1\r\nB: 2\r\n"), same("A: 1\r\nB: 2\r\n"));
        assert_eq!(foreign("Customer-ID: acme\r\nA: 1\r\nB: 2\r\nNats-Msg-Id: 1\r\n"), same("A: 1\r\nB: 2\r\n"));
        assert_eq!(foreign("A:1\r\n"), Some(("A:1\r\n".into(), "A: 1\r\n".into())));
        for scattered in ["A: 1\r\n nats-rollup: all\r\nB: 2\r\n", "A: 1\r\nno header\r\nB: 2\r\n", "A: 1\nB: 2\r\n"] {
            assert_eq!(foreign(scattered), None, "{scattered}");
        }
    }

    #[test]
    fn a_header_with_a_control_character_is_not_passed_on() {
        let passed = |lines: &str| {
            let block = format!("NATS/1.0\r\n{lines}A: 1\t2\r\n\r\n");
            let headers = Headers::new(block.as_bytes());
            assert_eq!(ParsedHeaders::of(headers).foreign, Foreign::Scattered, "{lines:?}");
            let mut block = Block::default();
            String::from_utf8(block.pass_foreign(headers).bytes().to_vec()).unwrap()
        };
        for line in [
            "\x0bCustomer-ID: beta\r\n",
            "Customer-ID\x0b: beta\r\n",
            "\x1fNats-Msg-Id: mine\r\n",
            "X: a\rCustomer-ID: beta\r\n",
            "X: a\x0cCustomer-ID: beta\r\n",
            "X\x7f: 1\r\n",
        ] {
            assert_eq!(passed(line), "A: 1\t2\r\n", "{line:?}");
        }
    }

    #[test]
    fn a_time_reads_the_same_however_often_it_is_written() {
        let mut block = Block::default();
        for time_ms in [0, 7, 7, 1_700_000_000_123, 7] {
            block.bytes.clear();
            assert_eq!(block.put_time(time_ms).bytes(), format!("Vrsky-Time: {time_ms}\r\n").as_bytes());
        }
    }

    #[test]
    fn the_first_header_of_each_name_counts() {
        let block = b"NATS/1.0\r\nNATS-MSG-ID: a\r\nNats-Msg-Id: b\r\nVrsky-Time: 7\r\ncontent-type: text/xml\r\nCustomer-ID: acme\r\n\r\n";
        let parsed = ParsedHeaders::of(Headers::new(block));
        assert_eq!((parsed.publish_id, parsed.id, parsed.customer), (Some(&b"a"[..]), None, Some("acme")));
        assert_eq!((parsed.content_type, parsed.time_ms), (Some("text/xml"), Some(7)));
    }

    #[test]
    fn a_lane_message_has_its_messages_id_and_one_of_an_earlier_program_its_publishs() {
        let id = |block: &[u8]| ParsedHeaders::of(Headers::new(block)).lane_id().map(str::to_owned);
        assert_eq!(id(b"NATS/1.0\r\nNats-Msg-Id: p\r\nVrsky-Id: m\r\nVrsky-Part: 0\r\n\r\n").as_deref(), Some("m"));
        assert_eq!(id(b"NATS/1.0\r\nNats-Msg-Id: p\r\nVrsky-Id: m\r\n\r\n").as_deref(), Some("p"));
        assert_eq!(id(b"NATS/1.0\r\nNats-Msg-Id: p\r\n\r\n").as_deref(), Some("p"));
        assert_eq!(id(b"NATS/1.0\r\nVrsky-Id: m\r\n\r\n").as_deref(), Some("m"));
        assert_eq!(id(b"NATS/1.0\r\n\r\n"), None);
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
