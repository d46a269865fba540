//! The ledger of inputs in hand: an input closes when all work on it is done and every output of it is confirmed.
//!
//! ```text
//! open ─► entry ──begin_work──► a script, a sink has it ──end_work──┐
//!           └─────add_output──► published ──confirm / refuse────────┤
//!                                                                   ▼
//!                               nothing left: Closed ─► ack, NAK, or an answer to the source
//! ```
//!
//! An [`EntryId`] names an entry and its generation, and stands in the reply subject of a publish with the number of
//! the output. An entry that closes after anything but the PubAcks of its outputs gets a new generation, so that a
//! late answer finds nobody. One whose outputs are all confirmed keeps it: nats-server caches where about a thousand
//! subjects lead, so few reply subjects are used over and over.
//!
//! An input with several outputs keeps their frames: what a stream refuses is published again from here, and the
//! others do not get theirs a second time. The ledger holds ids and bytes only.

use std::rc::Rc;
use std::time::Duration;

use message::Fault;

use super::entry::{Entry, MAX_KEPT_TOKEN, Output, State};
pub use super::entry::{Meaning, Origin, Outcome};
use super::offer::Offer;
use super::usage::{Of, Usage, Usages};
use crate::engine::message::{CustomerId, EntryId, QueueId, RevisionId};

/// A closed entry: what is left to do is to tell where the input came from.
#[derive(Debug)]
pub struct Closed {
    pub origin: Origin,
    pub outcome: Outcome,
    /// A message was on its way to the parked ones, and nobody has confirmed it.
    pub unparked: Option<QueueId>,
}

/// An output that its stream has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    pub revision: RevisionId,
    pub meaning: Meaning,
}

/// An output that its stream has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub revision: RevisionId,
    pub meaning: Meaning,
    pub origin: Origin,
    /// Whether its frame is published again from here, instead of the whole input.
    pub is_kept: bool,
}

/// What a new entry is about.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub origin: Origin,
    pub revision: RevisionId,
    pub customer: CustomerId,
    pub bytes: usize,
    /// The ack subject of a JetStream message, the message id of a request.
    pub token: &'a [u8],
}

/// The inputs that this shard has in hand.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    free: Vec<u32>,
    usages: Usages,
    /// Outputs that wait to be published again.
    refused: usize,
    /// How many of them are offered at a time, and behind which entry the next ones are looked for.
    offer: Offer,
}

impl Ledger {
    /// Enters an input without work or outputs.
    pub fn open(&mut self, input: &Input<'_>, tick: u64) -> EntryId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::unused());
            #[allow(clippy::cast_possible_truncation)] // bounded by the pull credit
            let index = self.entries.len() as u32 - 1;
            index
        });
        let entry = &mut self.entries[index as usize];
        entry.open = true;
        entry.origin = input.origin;
        entry.revision = input.revision;
        entry.customer = input.customer;
        entry.since = tick;
        entry.bytes = input.bytes;
        entry.token.extend_from_slice(input.token);
        self.usages.add(of(entry), input.bytes);
        EntryId::new(index, entry.generation)
    }

    fn get(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id.index()).filter(|entry| entry.open && entry.generation == id.generation())
    }

    fn get_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        self.entries.get_mut(id.index()).filter(|entry| entry.open && entry.generation == id.generation())
    }

    /// One more piece of work on the input is in hand here: its steps, a script, a sink.
    pub fn begin_work(&mut self, id: EntryId) {
        if let Some(entry) = self.get_mut(id) {
            entry.work += 1;
        }
    }

    /// A piece of work is done. Gives the entry when nothing is left.
    pub fn end_work(&mut self, id: EntryId, outcome: Outcome) -> Option<Closed> {
        let entry = self.get_mut(id)?;
        entry.work = entry.work.saturating_sub(1);
        entry.note(outcome);
        self.close_if_done(id)
    }

    /// Keeps the frames of the outputs to come: the input has several.
    pub fn keep_frames(&mut self, id: EntryId) {
        if let Some(entry) = self.get_mut(id) {
            entry.keeps_frames = true;
        }
    }

    /// Adds an output that is about to be published. Gives its number.
    pub fn add_output(&mut self, id: EntryId, meaning: Meaning, stream: Option<Rc<str>>, tick: u64) -> Option<u32> {
        let entry = self.get_mut(id)?;
        let number = u32::try_from(entry.outputs.len()).ok()?;
        entry.outputs.push(Output { state: State::Waiting, meaning, stream, frame: Box::default() });
        entry.unconfirmed += 1;
        entry.since = tick;
        Some(number)
    }

    /// What was published as the last output, kept where it may have to be repeated.
    pub fn published(&mut self, id: EntryId, frame: &[u8]) {
        let Some(entry) = self.get_mut(id) else { return };
        if !entry.keeps_frames && entry.origin != Origin::Core {
            return;
        }
        let Some(output) = entry.outputs.last_mut() else { return };
        output.frame = frame.into();
        entry.bytes += frame.len();
        let of = of(entry);
        self.usages.grow(of, frame.len());
    }

    /// A stream has taken an output. `customer`: whose reply subject the answer came to, `None` for one that nobody
    /// but the server can know. `None` when the answer is for nobody: [`Ledger::close_if_done`] follows otherwise.
    pub fn confirm(
        &mut self,
        id: EntryId,
        number: u32,
        customer: Option<CustomerId>,
        stream: &str,
    ) -> Option<Confirmed> {
        let (revision, output) = self.waiting(id, number, customer)?;
        if output.stream.as_deref().is_some_and(|expected| expected != stream) {
            return None;
        }
        let (was_refused, was_offered) = (output.state == State::Refused, output.state == State::Offered);
        let is_kept = !output.frame.is_empty();
        output.state = State::Confirmed;
        let (meaning, frame) = (output.meaning, std::mem::take(&mut output.frame));
        self.refused -= usize::from(was_refused && is_kept);
        self.offer.is_taken |= was_offered;
        self.shrink(id, frame.len());
        if let Some(entry) = self.get_mut(id) {
            entry.unconfirmed = entry.unconfirmed.saturating_sub(1);
        }
        Some(Confirmed { revision, meaning })
    }

    /// A stream has refused an output. One that is kept waits for [`Ledger::resend_refused`]; for another
    /// [`Ledger::fail`] follows.
    pub fn refuse(&mut self, id: EntryId, number: u32, customer: Option<CustomerId>) -> Option<Refused> {
        let (revision, output) = self.waiting(id, number, customer)?;
        let (meaning, is_kept) = (output.meaning, !output.frame.is_empty());
        let was_refused = std::mem::replace(&mut output.state, State::Refused) == State::Refused;
        self.refused += usize::from(is_kept && !was_refused);
        let origin = self.get(id)?.origin;
        Some(Refused { revision, meaning, origin, is_kept })
    }

    /// Ends the wait for an output that was refused and is not kept: the whole input is tried again.
    pub fn fail(&mut self, id: EntryId, delay: Duration, fault: Fault) -> Option<Closed> {
        let entry = self.get_mut(id)?;
        entry.unconfirmed = entry.unconfirmed.saturating_sub(1);
        entry.note(Outcome::Retry(delay, fault));
        self.close_if_done(id)
    }

    /// Ends the wait for an output that is of no more interest, whatever its answer was.
    pub fn ignore(&mut self, id: EntryId, number: u32) {
        let Some(entry) = self.get_mut(id) else { return };
        let Some(output) = entry.outputs.get_mut(number as usize) else { return };
        if std::mem::replace(&mut output.state, State::Confirmed) != State::Confirmed {
            entry.unconfirmed = entry.unconfirmed.saturating_sub(1);
        }
    }

    fn waiting(&mut self, id: EntryId, number: u32, customer: Option<CustomerId>) -> Option<(RevisionId, &mut Output)> {
        let entry = self.get_mut(id)?;
        if customer.is_some_and(|customer| customer != entry.customer) {
            return None;
        }
        let output = entry.outputs.get_mut(number as usize)?;
        (output.state != State::Confirmed).then_some((entry.revision, output))
    }

    /// Gives the entry when no work and no output is left.
    pub fn close_if_done(&mut self, id: EntryId) -> Option<Closed> {
        let entry = self.get(id)?;
        (entry.work == 0 && entry.unconfirmed == 0).then(|| self.close(id.index()))
    }

    /// Closes whatever is left: the outputs are of no more interest.
    pub fn abandon(&mut self, id: EntryId, delay: Duration, fault: Fault) -> Option<Closed> {
        self.get_mut(id)?.note(Outcome::Retry(delay, fault));
        Some(self.close(id.index()))
    }

    fn close(&mut self, index: usize) -> Closed {
        let entry = &mut self.entries[index];
        let is_clean = !entry.resent && entry.outputs.iter().all(|output| output.state == State::Confirmed);
        entry.generation = entry.generation.wrapping_add(u32::from(!is_clean));
        let kept = |output: &&Output| output.state == State::Refused && !output.frame.is_empty();
        self.refused -= entry.outputs.iter().filter(kept).count();
        let unparked = entry.outputs.iter().find_map(|output| match output.meaning {
            Meaning::Parked(queue) if output.state != State::Confirmed => Some(queue),
            _ => None,
        });
        entry.reset();
        self.usages.remove(of(entry), entry.bytes);
        #[allow(clippy::cast_possible_truncation)] // it came from there
        self.free.push(index as u32);
        let outcome = entry.retry.take().map_or(Outcome::Ok, |retry| Outcome::Retry(retry.0, retry.1));
        Closed { origin: entry.origin, outcome, unparked }
    }

    /// The token of the entry that `id` named last. Call it right after the entry was closed, then
    /// [`Ledger::forget`] it.
    #[must_use]
    pub fn token(&self, id: EntryId) -> &[u8] {
        self.entries.get(id.index()).map_or(&[], |entry| &entry.token)
    }

    /// Puts another token in place of that of an open entry.
    pub fn set_token(&mut self, id: EntryId, token: &[u8]) {
        if let Some(entry) = self.get_mut(id) {
            entry.token.clear();
            entry.token.extend_from_slice(token);
        }
    }

    /// Empties the token of a closed entry.
    pub fn forget(&mut self, id: EntryId) {
        if let Some(entry) = self.entries.get_mut(id.index()) {
            entry.token.clear();
            entry.token.shrink_to(MAX_KEPT_TOKEN);
        }
    }

    fn shrink(&mut self, id: EntryId, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if let Some(entry) = self.get_mut(id) {
            entry.bytes -= bytes;
            let of = of(entry);
            self.usages.shrink(of, bytes);
        }
    }

    /// Where an open entry came from.
    #[must_use]
    pub fn origin(&self, id: EntryId) -> Option<Origin> {
        self.get(id).map(|entry| entry.origin)
    }

    /// Entries in hand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries but those of core NATS, which nobody has asked for: however many one customer's are, others' messages
    /// are asked for.
    #[must_use]
    pub fn asked_for(&self) -> Usage {
        self.usages.asked_for()
    }

    /// What the entries of a customer hold, of a revision.
    #[must_use]
    pub fn usage_of_customer(&self, customer: CustomerId) -> Usage {
        self.usages.of_customer(customer)
    }

    #[must_use]
    pub fn usage_of_revision(&self, revision: RevisionId) -> Usage {
        self.usages.of_revision(revision)
    }

    /// Open entries that `wanted` picks.
    pub fn pick(&self, now: u64, wanted: impl Fn(&Pick) -> bool) -> Vec<EntryId> {
        #[allow(clippy::cast_possible_truncation)]
        let ids = self.entries.iter().enumerate().filter(|(_, entry)| entry.open).filter_map(|(index, entry)| {
            let pick = Pick {
                origin: entry.origin,
                age: now.saturating_sub(entry.since),
                waits: entry.unconfirmed > 0,
                keeps_frames: entry.keeps_frames || entry.origin == Origin::Core,
            };
            wanted(&pick).then(|| EntryId::new(index as u32, entry.generation))
        });
        ids.collect()
    }

    /// Whether an output waits for [`Ledger::resend_refused`].
    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.refused > 0
    }

    /// Publishes frames once more that a stream has refused: few at first, more while they are taken.
    pub fn resend_refused(&mut self, tick: u64, wire: &mut Vec<u8>) {
        if !self.has_refused() {
            return;
        }
        let (count, next) = (self.offer.now(), self.offer.next);
        let (mut left, total) = (count, self.entries.len());
        for turn in 0..total {
            if left == 0 || self.refused == 0 {
                break;
            }
            let index = (next + turn) % total;
            let sent = self.entries[index].resend(tick, left, wire, |_, output| output.state == State::Refused);
            (left, self.refused) = (left - sent, self.refused - sent);
            self.offer.next = index + usize::from(left > 0);
        }
        (self.offer.count, self.offer.is_taken) = (count, false);
    }

    /// Publishes the kept frames once more that have waited for this many ticks.
    pub fn resend_late(&mut self, tick: u64, ticks: u64, wire: &mut Vec<u8>) {
        for entry in &mut self.entries {
            entry.resend(tick, usize::MAX, wire, |age, output| age >= ticks && output.is_asked());
        }
    }
}

fn of(entry: &Entry) -> Of {
    Of { revision: entry.revision, customer: entry.customer, is_core: entry.origin == Origin::Core }
}

/// What [`Ledger::pick`] tells of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    pub origin: Origin,
    /// In ticks.
    pub age: u64,
    /// For PubAcks.
    pub waits: bool,
    pub keeps_frames: bool,
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
