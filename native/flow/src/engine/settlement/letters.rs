//! Dead letters: what could not be delivered, with everything that is needed to send it again.

use message::Fault;

use super::Settlement;
use super::headers;
use super::publish::MAX_HEADERS;
use crate::engine::ids::{Id, IdKey};
use crate::engine::message::{Body, Envelope};
use crate::engine::observe::{EventKind, Metric};
use crate::engine::subjects;

/// A message, or a part of one, that ends here.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The step's label, `in`, or `out:NAME`.
    pub step: &'a str,
    pub fault: &'a Fault,
    /// What failed, as it was when it did.
    pub body: Body<'a>,
    pub original: Original<'a>,
    /// The out's URL, where its steps have made one.
    pub url: Option<&'a str>,
}

/// The whole message that a dead letter is of.
#[derive(Clone, Copy, Debug)]
pub enum Original<'a> {
    /// The letter has it: nothing was split.
    Same,
    /// What failed is a part; the whole message is kept with this letter, as it came.
    Keep(Body<'a>),
    /// What failed is a part; the whole message is kept already.
    Kept,
}

impl<'a> Letter<'a> {
    #[must_use]
    pub fn new(step: &'a str, fault: &'a Fault, body: Body<'a>) -> Letter<'a> {
        Letter { step, fault, body, original: Original::Same, url: None }
    }
}

/// Kept for the last headers and the end of the block.
const SPARE_BYTES: usize = 128;
/// What a letter may have of headers, so that there is room for those with which it is sent again.
const MAX_LETTER_HEADERS: usize = MAX_HEADERS - (1 << 10);

impl Settlement {
    /// Puts a message, or a part of one, into `VRSKY_DEAD`. Its input waits for that PubAck too.
    pub fn dead_letter(&mut self, envelope: &Envelope<'_>, letter: &Letter<'_>) {
        let owner = envelope.owner;
        owner.counters.add(Metric::Dead, 1);
        self.meters.dead(letter.fault.code());
        self.event(EventKind::Dead, envelope, letter.step, Some(letter.fault), letter.body.bytes.len());
        self.tap_dead(envelope, letter.step, letter.fault, letter.body);
        let subject = subjects::dead(owner.customer(), owner.name(), &subjects::token(letter.step));
        let id = headers::next_id(envelope, &IdKey::new(&["dead", owner.revision(), &subject]));
        self.begin_letter(envelope, &id, letter.body.content_type);
        let now_ms = self.now_ms;
        let block = self.block.put(headers::REVISION, owner.revision().as_bytes()).put_number(headers::DIED, now_ms);
        block.put_fault(letter.fault, letter.step);
        if let Some(url) = letter.url.or_else(|| envelope.headers.get_str(headers::URL)) {
            block.put(headers::URL, url.as_bytes());
        }
        if !matches!(letter.original, Original::Same) {
            block.put(headers::ORIGINAL, envelope.id.as_bytes());
        }
        self.end_letter(envelope, &subject, letter.body.bytes);
        if let Original::Keep(original) = letter.original {
            self.keep_original(envelope, original);
        }
    }

    /// The whole message of a failed part, once for all of its parts.
    fn keep_original(&mut self, envelope: &Envelope<'_>, original: Body<'_>) {
        let owner = envelope.owner;
        let subject = subjects::original(owner.customer(), owner.name(), &subjects::token(envelope.id));
        let whole = Envelope { part: 0, ..*envelope };
        let id = Id::derived(owner.customer(), &IdKey::new(&["original"]), envelope.id, 0, envelope.redrive);
        self.begin_letter(&whole, &id, original.content_type);
        self.end_letter(&whole, &subject, original.bytes);
    }

    fn begin_letter(&mut self, envelope: &Envelope<'_>, id: &Id, content_type: &str) {
        let customer = envelope.owner.customer();
        let block = self.block.start(customer).put(headers::PUBLISH_ID, id.as_bytes()).put_identity(envelope);
        if !content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, content_type.as_bytes());
        }
        block.put_time(envelope.time_ms);
    }

    fn end_letter(&mut self, envelope: &Envelope<'_>, subject: &str, payload: &[u8]) {
        let own = self.block.bytes().len();
        self.block.pass(envelope);
        let passed = self.block.bytes().len() - own;
        if own + passed > MAX_LETTER_HEADERS {
            self.block.cut(own).put_number(headers::OMITTED_HEADERS, passed as u64);
        }
        let is_too_large = self.block.bytes().len() + payload.len() + SPARE_BYTES > self.max_payload;
        if is_too_large {
            self.block.put_number(headers::OMITTED_BYTES, payload.len() as u64);
        }
        self.block.end();
        let kept = if is_too_large { &[] } else { payload };
        if let Err(fault) = self.publish_dead(envelope, subject, kept) {
            self.lose(envelope, &fault);
        }
    }
}
