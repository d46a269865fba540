//! The messages of an out that fails for longer: to `VRSKY_PARKED`, and back when it works again.
//!
//! ```text
//! queue, lane ──publish, PubAck──► VRSKY_PARKED ──consumer of this subject──► queue ─► sink
//!     ack ◄───────────┘                 ▲
//!                                       └── polled by the parking task while the breaker is not closed
//! ```
//!
//! The consumer is shared by all shards and nodes that have this out; whoever sees it work drains. A queue has few
//! parked messages in hand at a time: the pull is open while they are below a watermark.

mod first;
mod polls;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use nats::jetstream::AckReply;
use tokio::time::Instant;

pub use first::FirstPolls;

use super::ages::Ages;
use super::breaker::{Phase, Place, Poll};
use super::budgets::Held;
use super::queue::{Queue, Queued};
use super::{Delivery, Effect, Reach};
use crate::engine::consumers::{Consumers, Feed};
use crate::engine::ids::IdKey;
use crate::engine::message::{CustomerId, Envelope, InputRef, OwnedMessage, QueueId, RevisionId};
use crate::engine::observe::{Event, EventKind, Metric};
use crate::engine::registry::Revision;
use crate::engine::settlement::{self, Outcome, ParsedHeaders, Settlement};
use crate::engine::subjects;

/// Between two polls: at least, and at most while the out works.
pub const MIN_PAUSE: Duration = Duration::from_millis(20);
pub const PAUSE: Duration = Duration::from_secs(1);
/// While it fails they become rarer, up to this.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Polls in a row that find messages of which the consumer knows nothing, before another one is made.
const MAX_IDLE_POLLS: u32 = 3;
/// The consumer outlives what may be in hand: without it, that would come a second time.
const MIN_LIFE: Duration = Duration::from_secs(3_600);
const MAX_LIFE: Duration = Duration::from_secs(86_400 * 365);
/// Parked messages that one request asks for: to probe, or without room for more; and to drain.
const PROBE_BATCH: i64 = 1;
const DRAIN_BATCH: i64 = 128;
/// Messages on their way to the parked ones at a time.
const MAX_UNCONFIRMED: usize = 256;
/// While the out is paused: parked messages in hand that have failed before, at most, and when others of them come again.
/// They stay with the server, so that there is room for those that were not tried yet.
const MAX_TRIED: usize = 32;
const TRIED_DELAY: Duration = Duration::from_secs(30);
/// What one request asks for, in bytes, by the size of those that came.
const DRAIN_BYTES: usize = 4 << 20;
/// Their size before one came.
const FIRST_BYTES: usize = 64 << 10;

/// What an out knows of its messages in `VRSKY_PARKED`.
pub struct Parking {
    subject: Box<str>,
    /// The consumer that brings them back.
    consumer: Box<str>,
    /// Of the ids under which its messages are parked.
    key: IdKey,
    /// The number of its pull, once there was something to bring; the messages of one request, none while it is closed.
    pull: Option<u64>,
    batch: Option<i64>,
    /// Messages in the stream when it was polled last.
    pub stored: u64,
    ages: Ages,
    /// How often those were tried that have failed here and were given back, by their place in the stream.
    tried: BTreeMap<u64, u32>,
    /// The size of those that came last; the larger ones weigh more.
    bytes: usize,
    /// Publishes ever, and those that wait for a PubAck.
    published: u64,
    unconfirmed: usize,
    /// What the sink said last when it failed.
    pub last_fault: Option<Fault>,
    /// Since when the out fails.
    since: Option<Instant>,
    /// Whether the parking task runs, or is about to.
    is_supervised: bool,
    idle_polls: u32,
}

/// What the parking task asks the server.
pub struct PollRequest {
    pub subject: Box<str>,
    pub consumer: Box<str>,
    /// How long the consumer stays without a pull.
    pub life: Duration,
    /// Whether the consumer brings messages now, so that nobody has to make it.
    pub in_use: bool,
    /// Whether nothing may overtake a message that fails: then all have to be gone, tried or not.
    pub keeps_order: bool,
    published: u64,
    is_settled: bool,
}

/// What the server has answered.
#[derive(Clone, Copy, Debug)]
pub struct PollResponse {
    pub stored: u64,
    /// Of the whole stream.
    pub last_sequence: u64,
    /// Messages that the consumer has given to nobody yet; all of them where it was not asked.
    pub untried: u64,
    /// Messages are stored, and the consumer has none to bring and none in hand.
    pub is_idle: bool,
}

/// What the parking task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterPoll {
    /// Polls again after this long, or when something happens.
    Wait(Duration),
    /// Deletes the consumer, then polls again. After a full disk the stream may hold messages that the consumer takes
    /// for acked, since the ack was written and the deletion was not. A new consumer brings them once more; without
    /// it they would stay, and what came later behind them.
    DeleteConsumer,
}

impl Parking {
    #[must_use]
    pub fn new(revision: &Revision, out: &str) -> Parking {
        let (customer, pipeline) = (revision.owner.customer(), revision.owner.name());
        Parking {
            subject: subjects::parked(customer, pipeline, out).into(),
            consumer: subjects::parked_consumer(customer, pipeline, out).into(),
            key: IdKey::new(&["park", pipeline, out]),
            pull: None,
            batch: None,
            stored: 0,
            ages: Ages::default(),
            tried: BTreeMap::new(),
            bytes: FIRST_BYTES,
            published: 0,
            unconfirmed: 0,
            last_fault: None,
            since: None,
            is_supervised: false,
            idle_polls: 0,
        }
    }

    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether no message is on its way to the stream.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unconfirmed == 0
    }

    /// Whether so many are on their way that the next ones wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.unconfirmed >= MAX_UNCONFIRMED
    }

    /// How many messages one request asks for.
    fn batch(&self, phase: Phase) -> i64 {
        if phase == Phase::Open {
            return PROBE_BATCH;
        }
        let batch = DRAIN_BYTES / self.bytes.max(1);
        i64::try_from(batch).unwrap_or(DRAIN_BATCH).clamp(1, DRAIN_BATCH)
    }

    /// A message has failed, and goes back to the stream.
    pub fn note_tried(&mut self, queued: &Queued) {
        if queued.is_parked {
            self.tried.insert(queued.place, queued.attempts);
        }
    }

    fn attempts_of(&self, place: u64) -> u32 {
        self.tried.get(&place).copied().unwrap_or_default()
    }

    /// A message is in hand no more.
    pub fn forget(&mut self, place: u64) {
        self.tried.remove(&place);
    }

    /// The messages of one request for parked ones, while there are such requests.
    #[cfg(test)]
    pub fn asks_for(&self) -> Option<i64> {
        self.batch
    }

    fn note_size(&mut self, bytes: usize) {
        self.bytes = bytes.max(self.bytes - self.bytes / 16);
    }

    fn pause(&self, phase: Phase, now: Instant) -> Duration {
        let Some(since) = self.since.filter(|_| phase == Phase::Open) else { return PAUSE };
        (now.saturating_duration_since(since) / 8).clamp(PAUSE, MAX_PAUSE)
    }
}

impl Delivery {
    /// Whose the parked messages of a queue are.
    #[must_use]
    pub fn owner_of(&self, queue: QueueId) -> Option<(RevisionId, CustomerId)> {
        self.queues.get(&queue).map(|queue| (queue.revision.owner.id, queue.revision.owner.customer_id))
    }

    /// A parked message has come back.
    #[allow(clippy::too_many_arguments)] // a message as the connection brings it
    pub fn on_parked(
        &mut self,
        settlement: &mut Settlement,
        consumers: &mut Consumers,
        queue: QueueId,
        input: InputRef,
        ack: &AckReply<'_>,
        headers: message::Headers<'_>,
        payload: &[u8],
    ) {
        self.next_number += 1;
        let number = self.next_number;
        let Some((queue, mut reach)) = self.reach(settlement, consumers, queue).filter(|(queue, _)| !queue.retired)
        else {
            let fault = Fault::new(Code::TenantUnknownPipeline, "its revision was replaced");
            return settlement.settle(input, Outcome::Retry(Duration::ZERO, fault));
        };
        reach.take_parked(queue, number, input, ack, headers, payload);
        reach.after(queue);
    }

    /// A message has reached the parked ones, or has not.
    pub fn on_parked_confirmed(
        &mut self,
        settlement: &mut Settlement,
        consumers: &mut Consumers,
        id: QueueId,
        stored: bool,
    ) {
        let Some((queue, mut reach)) = self.reach(settlement, consumers, id) else { return };
        let parking = &mut queue.parking;
        parking.unconfirmed = parking.unconfirmed.saturating_sub(1);
        if parking.is_settled() {
            queue.outlet.changed.notify_one();
        }
        if queue.is_done() {
            queue.outlet.released.notify_waiters();
        }
        if stored {
            queue.revision.owner.counters.add(Metric::Parked, 1);
        }
        if stored && queue.retired {
            let subject = queue.parking.subject.clone();
            return self.found(&subject);
        }
        reach.park_behind(queue);
        reach.after(queue);
    }

    /// The parked subjects of the stream, a few times a minute: what nobody brings back is looked after from here. Of a
    /// node that is gone, or stored after their publish was given up.
    pub fn on_stored<'s>(&mut self, stored: impl Iterator<Item = (&'s str, u64)>) {
        for (subject, _) in stored.filter(|(_, count)| *count > 0) {
            self.found(subject);
        }
    }

    fn found(&mut self, subject: &str) {
        let Some(queue) = self.subjects.get(subject).and_then(|id| self.queues.get_mut(id)) else { return };
        if queue.phase() == Phase::Closed {
            queue.breaker.found();
            supervise(queue, &mut self.effects);
        }
    }

    /// What the parking task of a queue asks next; `None` ends it.
    pub fn begin_poll(&mut self, queue: QueueId) -> Option<PollRequest> {
        let queue = self.queues.get_mut(&queue)?;
        if queue.retired || queue.phase() == Phase::Closed {
            queue.parking.is_supervised = false;
            return None;
        }
        let parking = &queue.parking;
        Some(PollRequest {
            subject: parking.subject.clone(),
            consumer: parking.consumer.clone(),
            life: queue.outlet.retry_for.saturating_mul(2).clamp(MIN_LIFE, MAX_LIFE),
            in_use: parking.pull.is_some() && !queue.is_idle(),
            keeps_order: queue.outage.keeps_order(),
            published: parking.published,
            is_settled: parking.is_settled(),
        })
    }

    /// The server has answered a poll.
    pub fn on_polled(
        &mut self,
        settlement: &mut Settlement,
        consumers: &mut Consumers,
        queue: QueueId,
        request: &PollRequest,
        response: PollResponse,
    ) -> AfterPoll {
        let Some((queue, mut reach)) = self.reach(settlement, consumers, queue) else { return AfterPoll::Wait(PAUSE) };
        let parking = &mut queue.parking;
        parking.idle_polls = if response.is_idle { parking.idle_polls + 1 } else { 0 };
        if parking.idle_polls > MAX_IDLE_POLLS {
            parking.idle_polls = 0;
            return AfterPoll::DeleteConsumer;
        }
        parking.stored = response.stored;
        parking.ages.note(response.last_sequence, reach.now);
        let quiet = request.is_settled && parking.published == request.published;
        let untried = if request.keeps_order { response.stored } else { response.untried + queue.untried_parked() };
        reach.polled(queue, untried, quiet);
        reach.after(queue);
        AfterPoll::Wait(queue.parking.pause(queue.phase(), reach.now))
    }
}

/// Starts the parking task of a queue, unless it runs.
pub(super) fn supervise(queue: &mut Queue, effects: &mut Vec<Effect>) {
    if !std::mem::replace(&mut queue.parking.is_supervised, true) {
        effects.push(Effect::Supervise { queue: queue.id, outlet: Rc::clone(&queue.outlet) });
    }
}
