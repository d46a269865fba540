//! The ack ledger: an input is settled only when every output of it is.
//!
//! ```text
//! input ──open──► entry{origin, pending: 0} ──expect──► one more output on its way
//!                        ▲                                   │
//!                        └───────────── settle ◄─────────────┘ PubAck, or the sink's word
//!          pending back at 0 ──► Closed: ack, NAK, or the answer to the HTTP client
//! ```
//!
//! A [`Receipt`] names an entry and its generation, and is what stands in the reply subject of a
//! publish: a PubAck that comes after the entry was given up finds another generation and is ignored.
//! An entry that closes with nothing outstanding keeps its generation, so that few reply subjects are
//! used over and over: nats-server caches where about a thousand subjects lead, and looks others up.

use std::rc::Rc;
use std::time::Duration;

use message::Fault;

use super::install::Installed;
use super::queue::OutQueue;
use super::tally::Tally;

/// Names one entry, for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(u64);

impl Receipt {
    const fn new(index: u32, generation: u32) -> Receipt {
        Receipt((generation as u64) << 32 | index as u64)
    }

    #[allow(clippy::cast_possible_truncation)]
    const fn index(self) -> u32 {
        self.0 as u32
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The number that stands in a reply subject.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn from_number(number: u64) -> Receipt {
        Receipt(number)
    }
}

/// Where an input came from, and so how it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A JetStream message; the entry keeps its ack subject.
    JetStream,
    /// A core NATS message; the entry keeps the frames it published, to send them again.
    Core,
    /// A request that waits for its answer.
    Http { item: u64, binding: u32, bytes: u32 },
}

/// What one output, or a step, says of its input.
#[derive(Clone, Debug)]
pub enum Outcome {
    Ok,
    /// Try the whole input again, after this long.
    Retry(Duration, Fault),
}

/// A closed entry: what is left to do is to tell where the input came from.
#[derive(Debug)]
pub struct Closed {
    pub origin: Origin,
    pub outcome: Outcome,
    pub tally: Tally,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    open: bool,
    origin: Origin,
    pending: u32,
    retry: Option<(Duration, Fault)>,
    /// Tick at which it was opened, or at which its waiting for PubAcks began.
    since: u64,
    /// How many of what is pending are PubAcks.
    pub_acks: u32,
    /// Whether more PubAcks may come than outputs are pending.
    resent: bool,
    /// Ack subject (JetStream), frames (core), message id (HTTP). The allocation is kept.
    token: Vec<u8>,
    tally: Tally,
    /// Whose outputs wait for PubAcks.
    of: Option<Rc<Installed>>,
}

/// The inputs this shard has in hand.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    free: Vec<u32>,
    token_bytes: usize,
}

/// Kept per entry for its next use; more is given back.
const KEEP_TOKEN: usize = 1024;

impl Ledger {
    /// Enters an input with nothing pending. `token`: see [`Origin`].
    pub fn open(&mut self, origin: Origin, token: &[u8], tick: u64) -> Receipt {
        self.token_bytes += token.len();
        if let Some(index) = self.free.pop() {
            let entry = &mut self.entries[index as usize];
            entry.open = true;
            entry.origin = origin;
            entry.pending = 0;
            entry.retry = None;
            entry.since = tick;
            entry.pub_acks = 0;
            entry.resent = false;
            entry.token.extend_from_slice(token);
            return Receipt::new(index, entry.generation);
        }
        #[allow(clippy::cast_possible_truncation)] // bounded by the pull credit
        let index = self.entries.len() as u32;
        self.entries.push(Entry {
            generation: 0,
            open: true,
            origin,
            pending: 0,
            retry: None,
            since: tick,
            pub_acks: 0,
            resent: false,
            token: token.to_vec(),
            tally: Tally::Nothing,
            of: None,
        });
        Receipt::new(index, 0)
    }

    fn entry(&mut self, receipt: Receipt) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(receipt.index() as usize)?;
        (entry.open && entry.generation == receipt.generation()).then_some(entry)
    }

    /// The same, to look at.
    fn open_entry(&self, receipt: Receipt) -> Option<&Entry> {
        let entry = self.entries.get(receipt.index() as usize)?;
        (entry.open && entry.generation == receipt.generation()).then_some(entry)
    }

    /// One more output of this input is on its way; it waits for a PubAck from `tick` on.
    pub fn expect_pub_ack(&mut self, receipt: Receipt, tick: u64) {
        if let Some(entry) = self.entry(receipt) {
            entry.pending += 1;
            entry.since = tick;
            entry.pub_acks += 1;
        }
    }

    /// A PubAck has come; [`Ledger::settle`] follows.
    pub fn pub_acked(&mut self, receipt: Receipt) {
        if let Some(entry) = self.entry(receipt) {
            entry.pub_acks = entry.pub_acks.saturating_sub(1);
        }
    }

    /// Whose outputs they are: what is refused is told of this pipeline.
    pub fn attribute(&mut self, receipt: Receipt, of: &Rc<Installed>) {
        if let Some(entry) = self.entry(receipt)
            && entry.of.is_none()
        {
            entry.of = Some(Rc::clone(of));
        }
    }

    /// Whose output has no PubAck yet, and whether it is a delivery to a stream of the user's. `None` for what is
    /// not an output, and for one to our own streams that has no stream to come from again.
    #[must_use]
    pub fn publishing(&self, receipt: Receipt) -> Option<(Rc<Installed>, bool)> {
        let entry = self.open_entry(receipt)?;
        match &entry.tally {
            Tally::Deliveries { installed, .. } => Some((Rc::clone(installed), true)),
            _ if entry.origin == Origin::JetStream => Some((entry.of.clone()?, false)),
            _ => None,
        }
    }

    /// One of the outputs that wait for a PubAck is a delivery, counted when all of them have theirs.
    pub fn add_delivery(&mut self, receipt: Receipt, of: &Rc<Installed>, size: usize) {
        if let Some(entry) = self.entry(receipt) {
            entry.tally.add_delivery(of, size);
        }
    }

    /// The output that waits for a PubAck is the message itself, parked.
    pub fn add_parked(&mut self, receipt: Receipt, of: &Rc<OutQueue>) {
        if let Some(entry) = self.entry(receipt) {
            entry.tally = Tally::Parked(Rc::clone(of));
        }
    }

    /// One more piece of work on this input is in hand here: a script, a sink.
    pub fn expect(&mut self, receipt: Receipt) {
        if let Some(entry) = self.entry(receipt) {
            entry.pending += 1;
        }
    }

    /// One piece is done. Gives the entry when it was the last.
    pub fn settle(&mut self, receipt: Receipt, outcome: Outcome) -> Option<Closed> {
        let entry = self.entry(receipt)?;
        entry.pending = entry.pending.saturating_sub(1);
        if let Outcome::Retry(delay, fault) = outcome {
            entry.retry = Some((delay, fault));
        }
        if entry.pending > 0 {
            return None;
        }
        let outstanding = entry.resent;
        Some(self.close(receipt.index(), outstanding))
    }

    /// Closes whatever is pending: the outputs are of no more interest.
    pub fn abandon(&mut self, receipt: Receipt, outcome: Outcome) -> Option<Closed> {
        let entry = self.entry(receipt)?;
        if let Outcome::Retry(delay, fault) = outcome {
            entry.retry = Some((delay, fault));
        }
        Some(self.close(receipt.index(), true))
    }

    /// `outstanding`: whether a PubAck may still come, which must not be taken for the next input's.
    fn close(&mut self, index: u32, outstanding: bool) -> Closed {
        let entry = &mut self.entries[index as usize];
        entry.open = false;
        entry.of = None;
        entry.generation = entry.generation.wrapping_add(u32::from(outstanding));
        self.free.push(index);
        let outcome = entry.retry.take().map_or(Outcome::Ok, |(delay, fault)| Outcome::Retry(delay, fault));
        Closed { origin: entry.origin, outcome, tally: std::mem::take(&mut entry.tally) }
    }

    /// Where an open entry came from.
    #[must_use]
    pub fn origin(&self, receipt: Receipt) -> Option<Origin> {
        self.open_entry(receipt).map(|entry| entry.origin)
    }

    /// The token of the entry that `receipt` named last. Call it right after the entry was closed,
    /// then [`Ledger::forget`] it.
    #[must_use]
    pub fn token(&self, receipt: Receipt) -> &[u8] {
        self.entries.get(receipt.index() as usize).map_or(&[], |entry| &entry.token)
    }

    /// Adds to the token of an open entry: the frames of a core message, as they are published.
    pub fn extend_token(&mut self, receipt: Receipt, bytes: &[u8]) {
        if let Some(entry) = self.entry(receipt) {
            entry.token.extend_from_slice(bytes);
            self.token_bytes += bytes.len();
        }
    }

    /// Gives the token's room back.
    pub fn forget(&mut self, receipt: Receipt) {
        if let Some(entry) = self.entries.get_mut(receipt.index() as usize) {
            self.token_bytes -= entry.token.len();
            entry.token.clear();
            entry.token.shrink_to(KEEP_TOKEN);
        }
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

    /// Bytes that tokens hold; what bounds core NATS intake.
    #[must_use]
    pub fn token_bytes(&self) -> usize {
        self.token_bytes
    }

    /// Open entries that `wanted` picks, by origin, age in ticks, and whether they wait for PubAcks.
    pub fn pick(&self, now: u64, wanted: impl Fn(Origin, u64, bool) -> bool) -> Vec<Receipt> {
        #[allow(clippy::cast_possible_truncation)]
        let receipts = self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let age = now.saturating_sub(entry.since);
            let picked = entry.open && wanted(entry.origin, age, entry.pub_acks > 0);
            picked.then(|| Receipt::new(index as u32, entry.generation))
        });
        receipts.collect()
    }

    /// Starts the wait for PubAcks anew, after the frames were sent again.
    pub fn renew(&mut self, receipt: Receipt, tick: u64) {
        if let Some(entry) = self.entry(receipt) {
            entry.since = tick;
            entry.resent = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::Code;
    use proptest::prelude::*;

    fn retry() -> Outcome {
        Outcome::Retry(Duration::from_secs(1), Fault::new(Code::NatsTimeout, "late"))
    }

    #[test]
    fn an_input_closes_with_its_last_output() {
        let mut ledger = Ledger::default();
        let receipt = ledger.open(Origin::JetStream, b"$JS.ACK.x", 0);
        ledger.expect_pub_ack(receipt, 0);
        ledger.expect_pub_ack(receipt, 0);
        assert!(ledger.settle(receipt, Outcome::Ok).is_none());
        let closed = ledger.settle(receipt, Outcome::Ok).unwrap();
        assert!(matches!(closed, Closed { origin: Origin::JetStream, outcome: Outcome::Ok, .. }));
        assert_eq!(ledger.token(receipt), b"$JS.ACK.x");
        ledger.forget(receipt);
        assert_eq!((ledger.len(), ledger.token_bytes()), (0, 0));
    }

    #[test]
    fn one_failed_output_sends_the_whole_input_back() {
        let mut ledger = Ledger::default();
        let receipt = ledger.open(Origin::JetStream, b"", 0);
        ledger.expect(receipt);
        ledger.expect(receipt);
        assert!(ledger.settle(receipt, retry()).is_none());
        assert!(matches!(ledger.settle(receipt, Outcome::Ok).unwrap().outcome, Outcome::Retry(..)));
    }

    #[test]
    fn a_late_pub_ack_does_not_touch_the_next_input() {
        let mut ledger = Ledger::default();
        let first = ledger.open(Origin::Http { item: 1, binding: 0, bytes: 0 }, b"", 0);
        ledger.expect_pub_ack(first, 0);
        assert!(ledger.abandon(first, retry()).is_some());
        let second = ledger.open(Origin::Http { item: 2, binding: 0, bytes: 0 }, b"", 0);
        ledger.expect_pub_ack(second, 0);
        assert!(ledger.settle(first, Outcome::Ok).is_none());
        assert!(ledger.settle(second, Outcome::Ok).is_some());
    }

    #[test]
    fn the_second_pub_ack_of_frames_that_were_sent_again_does_not_touch_the_next_input() {
        let mut ledger = Ledger::default();
        let first = ledger.open(Origin::Core, b"frame", 0);
        ledger.expect_pub_ack(first, 0);
        ledger.renew(first, 5);
        assert!(ledger.settle(first, Outcome::Ok).is_some());
        let second = ledger.open(Origin::JetStream, b"", 5);
        ledger.expect_pub_ack(second, 5);
        assert!(ledger.settle(first, Outcome::Ok).is_none());
        assert!(ledger.settle(second, Outcome::Ok).is_some());
    }

    #[test]
    fn an_entry_whose_pub_acks_are_all_there_waits_for_none_while_a_script_has_a_part() {
        let mut ledger = Ledger::default();
        let receipt = ledger.open(Origin::JetStream, b"", 0);
        ledger.expect(receipt);
        ledger.expect_pub_ack(receipt, 0);
        assert_eq!(ledger.pick(9, |_, _, waits| waits), [receipt]);
        ledger.pub_acked(receipt);
        assert!(ledger.settle(receipt, Outcome::Ok).is_none());
        assert_eq!(ledger.pick(9, |_, _, waits| waits), []);
    }

    #[test]
    fn an_entry_that_has_all_its_pub_acks_keeps_its_number() {
        let mut ledger = Ledger::default();
        let first = ledger.open(Origin::JetStream, b"", 0);
        ledger.expect_pub_ack(first, 0);
        assert!(ledger.settle(first, Outcome::Ok).is_some());
        assert_eq!(ledger.open(Origin::JetStream, b"", 0), first);
    }

    proptest! {
        #[test]
        fn nothing_closes_early_late_or_twice(outputs in proptest::collection::vec(1_usize..5, 1..40), order in any::<u64>()) {
            let mut ledger = Ledger::default();
            let mut waiting = Vec::new();
            for count in &outputs {
                let receipt = ledger.open(Origin::JetStream, &[7; 40], 0);
                for _ in 0..*count {
                    ledger.expect_pub_ack(receipt, 0);
                    waiting.push(receipt);
                }
            }
            fastrand::Rng::with_seed(order).shuffle(&mut waiting);
            let mut closed = 0;
            for receipt in waiting {
                if ledger.settle(receipt, Outcome::Ok).is_some() {
                    ledger.forget(receipt);
                    closed += 1;
                }
            }
            prop_assert_eq!(closed, outputs.len());
            prop_assert!(ledger.is_empty());
            prop_assert_eq!(ledger.token_bytes(), 0);
        }
    }
}
