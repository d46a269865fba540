//! Requests with an `Idempotency-Key`: the key is recorded first, so that it stands for one body, on every node.
//!
//! ```text
//! record ─► stored: publish the message ─► 202
//!    │                │                                                        ▲
//!    │                └─ PubAck: note that it is stored                        │
//!    └─ refused, there is one: read it ─┬─ the same body, noted as stored ─────┤ with the recorded id
//!                                       ├─ the same body: publish again ───────┘
//!                                       ├─ another body ─► 422 `http/key-reused`
//!                                       └─ gone meanwhile: record again
//! ```
//!
//! Record and note are in a stream of their own, `VRSKY_KEYS`, one message each for as long as the stream's `max_age`. A
//! message that was recorded but not stored, because the node died in between, is published by the client's next try.
//! The note is not waited for. Until it is there, the stream's own window tells a repetition.

use std::collections::BTreeMap;
use std::rc::Rc;

use connectors::{Incoming, Settled};
use message::{Code, Fault};

use super::{RETRY_AFTER, store};
use crate::engine::ids::{Id, body_digits};
use crate::engine::message::{EntryId, InputRef};
use crate::engine::observe::Metric;
use crate::engine::registry::Revision;
use crate::engine::settlement::{Outcome, Settlement};
use crate::engine::subjects;

/// A record of a key, as it stands in its stream: `<body> <message id>`; and whether its message is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    body: Box<str>,
    id: Box<str>,
    is_stored: bool,
}

impl Recorded {
    /// Reads a record; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str, is_stored: bool) -> Option<Recorded> {
        let (body, id) = text.split_once(' ')?;
        Some(Recorded { body: body.into(), id: id.into(), is_stored })
    }
}

/// What the shard has to do for a key.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Read the record at this subject, then call `on_record`.
    Read { item: u64, subject: String },
}

/// A request that waits for its key's record.
struct Waiting {
    revision: Rc<Revision>,
    input: InputRef,
    id: Id,
    incoming: Incoming,
    subject: String,
    body: String,
    /// Records that were refused and then not found.
    rounds: u32,
}

/// More than one would mean that records come and go within milliseconds.
const MAX_ROUNDS: u32 = 3;

/// Requests whose keys are looked at, by the source's number for them.
#[derive(Default)]
pub(super) struct Keyed(BTreeMap<u64, Waiting>);

impl Keyed {
    /// Records the key of a request, which waits meanwhile.
    pub fn record(
        &mut self,
        settlement: &mut Settlement,
        revision: &Rc<Revision>,
        input: InputRef,
        id: Id,
        incoming: Incoming,
    ) {
        let (owner, key) = (&revision.owner, incoming.idempotency_key.as_deref().unwrap_or_default());
        let digits = Id::of_key(owner.customer(), owner.name(), key.as_bytes());
        let waiting = Waiting {
            subject: subjects::key(owner.customer(), digits.digits()),
            body: body_digits(&incoming.payload),
            revision: Rc::clone(revision),
            input,
            id,
            incoming,
            rounds: 0,
        };
        self.publish(settlement, waiting);
    }

    fn publish(&mut self, settlement: &mut Settlement, waiting: Waiting) {
        let record = format!("{} {}", waiting.body, waiting.id);
        let (input, owner) = (waiting.input, &waiting.revision.owner);
        match settlement.record_key(input, owner, &waiting.subject, record.as_bytes()) {
            Ok(()) => {
                self.0.insert(waiting.incoming.item, waiting);
            }
            Err(fault) => settlement.settle(input, Outcome::Retry(RETRY_AFTER, fault)),
        }
    }

    /// The record of a key is there, or there was one already.
    pub fn on_key(
        &mut self,
        settlement: &mut Settlement,
        input: EntryId,
        item: u64,
        recorded: Result<(), Fault>,
    ) -> Option<KeyAction> {
        let waiting = self.0.get(&item).filter(|waiting| waiting.input == InputRef::Entry(input))?;
        match recorded {
            Ok(()) => {
                store(settlement, &waiting.revision, waiting.input, &waiting.id, &waiting.incoming);
                None
            }
            Err(fault) if fault.code() == Code::LimitBacklog => {
                Some(KeyAction::Read { item, subject: waiting.subject.clone() })
            }
            Err(fault) => {
                settlement.settle(waiting.input, Outcome::Retry(RETRY_AFTER, fault));
                None
            }
        }
    }

    /// What a record says was read; `None` when it is not there any more.
    pub fn on_record(&mut self, settlement: &mut Settlement, item: u64, found: Result<Option<Recorded>, Fault>) {
        let Some(mut waiting) = self.0.remove(&item) else { return };
        match found {
            Ok(Some(recorded)) if *recorded.body == *waiting.body => {
                let Some(id) = Id::parse(&recorded.id) else { return self.give_up(settlement, &waiting) };
                settlement.rename(waiting.input, &id);
                if recorded.is_stored {
                    waiting.revision.owner.counters.add(Metric::Duplicate, 1);
                    return settlement.settle(waiting.input, Outcome::Ok);
                }
                store(settlement, &waiting.revision, waiting.input, &id, &waiting.incoming);
                self.0.insert(item, waiting);
            }
            Ok(Some(_)) => {
                let fault = Fault::new(Code::HttpKeyReused, "the Idempotency-Key came before, with another body");
                settlement.settle(waiting.input, Outcome::Retry(RETRY_AFTER, fault));
            }
            Ok(None) if waiting.rounds < MAX_ROUNDS => {
                waiting.rounds += 1;
                self.publish(settlement, waiting);
            }
            Ok(None) => self.give_up(settlement, &waiting),
            Err(fault) => settlement.settle(waiting.input, Outcome::Retry(RETRY_AFTER, fault)),
        }
    }

    fn give_up(&self, settlement: &mut Settlement, waiting: &Waiting) {
        let fault = Fault::new(Code::NatsRefused, "the record of the Idempotency-Key cannot be read");
        settlement.settle(waiting.input, Outcome::Retry(RETRY_AFTER, fault));
    }

    /// The request has its answer.
    pub fn answered(&mut self, settlement: &mut Settlement, item: u64, settled: &Settled) {
        if let (Some(waiting), Settled::Stored { .. }) = (self.0.remove(&item), settled) {
            settlement.mark_key(&waiting.revision.owner, &subjects::key_stored(&waiting.subject));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let id = Id::random("acme", &mut fastrand::Rng::with_seed(1));
        let text = format!("{} {id}", body_digits(b"{}"));
        let recorded = Recorded::parse(&text, false).unwrap();
        assert_eq!((&*recorded.body, Id::parse(&recorded.id)), (&*body_digits(b"{}"), Some(id)));
        assert_eq!(Recorded::parse("nothing", true), None);
        assert_ne!(body_digits(b"{}"), body_digits(b"{ }"));
    }
}
