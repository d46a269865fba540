//! The messages of one out, in hand: what waits, what has failed, what is with the sink. Knows no other room.
//!
//! ```text
//!   push ─► fresh ───────┬─next─► with the sink ─► delivered, dead
//!   hold ─► behind ──────┘ ▲             │ failed
//!   (behind parked ones)   │             ▼
//!                        failed, each with a pause of its own; where order is kept: back in front
//! ```

mod behind;
mod next;

pub use next::{Asking, Next};

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use connectors::Health;
use message::Code;
use tokio::time::Instant;

use super::breaker::{Breaker, Phase, Place};
use super::budgets::Held;
use super::outage::Outage;
use super::parking::Parking;
use super::sinks::Outlet;
use crate::engine::ids::Id;
use crate::engine::message::{Envelope, InputRef, OwnedMessage, QueueId, Target};
use crate::engine::registry::Revision;
use behind::Behind;

/// One message on its way to a sink.
#[derive(Debug)]
pub struct Queued {
    /// Never given to another message of this shard.
    pub number: u64,
    pub input: InputRef,
    pub message: OwnedMessage,
    pub address: Option<Box<str>>,
    /// Since when it is in hand.
    pub since: Instant,
    /// How long it was in hand, or parked, before.
    pub spent: Duration,
    /// Whether it came from the parked ones.
    pub is_parked: bool,
    /// Its place in the stream of the parked ones; 0 for one of the lane.
    pub place: u64,
    pub attempts: u32,
}

impl Queued {
    /// How long it is tried for, up to now.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        self.spent + now.saturating_duration_since(self.since)
    }

    #[must_use]
    pub fn bytes(&self) -> usize {
        self.message.payload.len()
    }

    #[must_use]
    pub fn envelope<'a>(&'a self, revision: &'a Revision) -> Envelope<'a> {
        self.message.envelope(&revision.owner, self.input)
    }

    /// What the receiver can tell a repetition by: the same in every attempt, lane, revision and redrive.
    #[must_use]
    pub fn delivery_id(&self, revision: &Revision, target: &Target) -> Id {
        let customer = revision.owner.customer();
        let message = &self.message;
        Id::of_earlier_program(&message.id)
            .unwrap_or_else(|| Id::derived(customer, &target.delivery_key, &message.id, message.part, 0))
    }
}

/// The messages of one out of one revision.
pub struct Queue {
    pub id: QueueId,
    pub revision: Rc<Revision>,
    /// Position in the pipeline's outs.
    pub target: usize,
    pub outlet: Rc<Outlet>,
    pub breaker: Breaker,
    pub outage: Outage,
    pub parking: Parking,
    /// Its revision was replaced or removed, or the shard ends: it ends with what it has in hand.
    pub retired: bool,
    pub connecting: bool,
    fresh: VecDeque<Queued>,
    failed: BTreeMap<(Instant, u64), Queued>,
    behind: Behind,
    /// Of the lane, and of the parked ones; what is with the sink included.
    held: Held,
    parked_held: Held,
    /// Messages with the sink, and those of them that had failed before.
    in_flight: usize,
    retrying: usize,
    /// Messages whose URL is found elsewhere; they are in `held` as well.
    expected: Held,
    workers: usize,
    waiting_workers: usize,
    /// No message in hand is tried for the last time before this.
    expiry: Option<Instant>,
    last_outcome: Instant,
    has_answered: bool,
    /// Result of the last delivery attempt; overrides the connect result.
    last_error: Option<Code>,
    pub connect_error: Option<Code>,
    /// Whether the last probe of a server that fails came from the lane.
    probed_new: bool,
    /// There was no room for a message: what is in hand does not wait for others to share a request with.
    is_pressed: bool,
}

/// Messages in hand that failed alone; more go back to their stream.
const MAX_FAILED: usize = 1_024;
/// A sink that has not answered for so long, while messages wait, is taken to hang.
const STALLED: Duration = Duration::from_secs(5);
/// A sink that has answered nothing for so long may hang.
const SILENT: Duration = Duration::from_millis(500);
/// Parked messages are asked for while fewer than these are in hand.
const LOW_WATERMARK: Held = Held { messages: 64, bytes: 4 << 20 };

impl Queue {
    #[must_use]
    pub fn new(id: QueueId, revision: &Rc<Revision>, target: usize, outlet: Rc<Outlet>, park_after: u32) -> Queue {
        Queue {
            id,
            breaker: Breaker::new(park_after),
            outage: Outage::new(outlet.keeps_order(), Instant::now()),
            parking: Parking::new(revision, &revision.targets[target].name),
            revision: Rc::clone(revision),
            target,
            outlet,
            retired: false,
            connecting: false,
            fresh: VecDeque::new(),
            failed: BTreeMap::new(),
            behind: Behind::default(),
            held: Held::default(),
            parked_held: Held::default(),
            in_flight: 0,
            retrying: 0,
            expected: Held::default(),
            workers: 0,
            waiting_workers: 0,
            expiry: None,
            last_outcome: Instant::now(),
            has_answered: false,
            last_error: None,
            connect_error: None,
            probed_new: false,
            is_pressed: false,
        }
    }

    #[must_use]
    pub fn target(&self) -> &Target {
        &self.revision.targets[self.target]
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.target().name
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        self.breaker.phase()
    }

    /// Where a message of the lane goes. A revision that was replaced keeps nothing for a server that fails.
    #[must_use]
    pub fn place(&self) -> Place {
        if self.retired && (self.outage.is_paused() || self.phase() != Phase::Closed) {
            return Place::Parked;
        }
        self.breaker.place()
    }

    /// All messages that count in its bounds.
    #[must_use]
    pub fn held(&self) -> Held {
        self.held
    }

    /// The same without what waits behind the parked ones.
    #[must_use]
    pub fn held_ahead(&self) -> Held {
        let behind = self.behind.held();
        Held { messages: self.held.messages - behind.messages, bytes: self.held.bytes - behind.bytes }
    }

    /// What people are shown of the out: the last attempt, else the connect, else what the sink knows.
    #[must_use]
    pub fn health(&self) -> Health {
        self.last_error.or(self.connect_error).map_or_else(|| self.outlet.health(), Health::Failing)
    }

    /// The result of an attempt.
    pub fn attempted(&mut self, error: Option<Code>) {
        self.last_error = error;
        self.connect_error = None;
    }

    /// Whether nothing of the lane or the parked ones is with the sink, or will be.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.fresh.is_empty() && self.failed.is_empty() && self.in_flight == 0 && self.expected.messages == 0
    }

    /// Whether nothing waits here, or for a PubAck of the parked ones.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_idle() && self.behind.is_empty() && self.parking.is_settled()
    }

    /// Messages that wait for a server that fails, or behind such messages: a drain does not wait for them.
    #[must_use]
    pub fn deferred(&self) -> usize {
        let paused = if self.outage.is_paused() { self.fresh.len() } else { 0 };
        paused + self.failed.len() + self.behind.held().messages
    }

    /// Whether the sink has answered nothing for a while, though it has something.
    #[must_use]
    pub fn is_stalled(&self, now: Instant) -> bool {
        self.in_flight > 0 && now.saturating_duration_since(self.last_outcome) >= STALLED
    }

    /// Whether the sink works, as far as is known: it has answered, and not long ago.
    #[must_use]
    pub fn is_answering(&self, now: Instant) -> bool {
        self.has_answered && now.saturating_duration_since(self.last_outcome) < SILENT
    }

    /// Whether one more message may wait for a pause of its own.
    #[must_use]
    pub fn has_room_for_failed(&self) -> bool {
        self.failed.len() + self.retrying < MAX_FAILED
    }

    /// Whether parked messages are to be asked for.
    #[must_use]
    pub fn wants_parked(&self) -> bool {
        let has_room =
            self.parked_held.messages < LOW_WATERMARK.messages && self.parked_held.bytes < LOW_WATERMARK.bytes;
        match self.phase() {
            // A replaced revision leaves what is parked to the one after it.
            _ if self.retired => false,
            Phase::Closed => false,
            // A few that can probe, when there is none.
            Phase::Open => self.parking.stored > 0 && self.fresh.is_empty() && self.has_room_for_failed() && has_room,
            Phase::Draining | Phase::Closing => has_room,
        }
    }

    /// One message more is in hand.
    fn add(&mut self, queued: &Queued) {
        self.held.add(queued.bytes());
        if queued.is_parked {
            self.parked_held.add(queued.bytes());
        }
    }

    /// A message is in hand no more.
    pub fn remove(&mut self, queued: &Queued) {
        self.held.remove(queued.bytes());
        if queued.is_parked {
            self.parked_held.remove(queued.bytes());
            self.parking.forget(queued.place);
        }
    }

    fn expires(&mut self, queued: &Queued) {
        let retry_for = self.outlet.retry_for;
        if !retry_for.is_zero() {
            let at = queued.since + retry_for.saturating_sub(queued.spent);
            self.expiry = Some(self.expiry.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// Parked messages in hand that have failed before, and those that were not tried yet.
    #[must_use]
    pub fn tried_parked(&self) -> usize {
        self.failed.values().filter(|queued| queued.is_parked).count()
    }

    #[must_use]
    pub fn untried_parked(&self) -> u64 {
        self.fresh.iter().filter(|queued| queued.is_parked).count() as u64
    }

    /// A message that waits for the sink.
    pub fn push(&mut self, queued: Queued) {
        self.add(&queued);
        self.expires(&queued);
        if queued.attempts > 0 && !self.outage.keeps_order() {
            self.failed.insert((queued.since, queued.number), queued);
        } else if !queued.is_parked && self.wants_new_probe() {
            self.fresh.push_front(queued);
        } else {
            self.fresh.push_back(queued);
        }
        self.outlet.arrived.notify_one();
    }

    /// A message that has failed: it is tried again after `pause`, or when its time is over. Where order is kept, it
    /// is the next.
    pub fn retry(&mut self, queued: Queued, pause: Duration, now: Instant) {
        self.expires(&queued);
        if self.outage.keeps_order() {
            self.fresh.push_front(queued);
        } else {
            let left = self.outlet.retry_for.saturating_sub(queued.age(now));
            self.failed.insert((now + pause.min(left), queued.number), queued);
        }
        self.outlet.arrived.notify_one();
    }

    /// The sink has said something of a batch.
    pub fn returned(&mut self, batch: &[Queued], now: Instant) {
        if let Some(first) = batch.first() {
            self.outage.end_probe(first.number);
        }
        self.in_flight = self.in_flight.saturating_sub(batch.len());
        self.retrying = self.retrying.saturating_sub(batch.iter().filter(|queued| queued.attempts > 0).count());
        self.last_outcome = now;
        self.has_answered = true;
    }

    /// There was no room for one more.
    pub fn press(&mut self) {
        if !self.outlet.batching.wait.is_zero() {
            self.is_pressed = true;
            self.outlet.arrived.notify_one();
        }
    }

    /// One more message of so many bytes will come; its URL is found elsewhere.
    pub fn expect(&mut self, bytes: usize) {
        self.held.add(bytes);
        self.expected.add(bytes);
    }

    /// Ends the wait that `expect` began.
    pub fn arrived(&mut self, bytes: usize) {
        self.held.remove(bytes);
        self.expected.remove(bytes);
    }

    /// All that is not with the sink.
    pub fn take_all(&mut self) -> Vec<Queued> {
        let failed = std::mem::take(&mut self.failed).into_values();
        let waiting = std::mem::take(&mut self.fresh).into_iter().chain(failed);
        waiting.chain(self.behind.take()).collect()
    }

    /// The message that was placed last.
    #[cfg(test)]
    pub fn newest(&self) -> Option<&Queued> {
        self.fresh.back()
    }

    /// The test's workers ask and go.
    #[cfg(test)]
    pub fn no_worker_waits(&mut self) {
        self.waiting_workers = 0;
    }
}
