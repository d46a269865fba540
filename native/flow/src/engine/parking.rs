//! The messages of an out that fails for longer: to `VRSKY_PARKED`, and back when it works again.
//!
//! ```text
//! queue, lane ──publish, PubAck──► VRSKY_PARKED ──consumer of this subject──► queue ─► sink
//!     ack ◄───────────┘                 ▲
//!                                       └── looked at while the breaker is not closed, and at times
//! ```
//!
//! The consumer is shared by all shards and nodes that have this out; whoever sees it work drains.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use nats::{Message, Outbox};
use serde::Deserialize;
use tokio::sync::Notify;

use super::backlog::stored;
use super::breaker::{Look, Phase, Place};
use super::core::{Core, Envelope};
use super::events::{Event, EventKind};
use super::headers::{self, Known};
use super::install::Installed;
use super::intake::FIRST_PULL;
use super::ledger::Outcome;
use super::outgoing::exhausted;
use super::publish::Parent;
use super::pulls::Feed;
use super::queue::{OutQueue, Queued};
use super::shard::Shard;
use super::subjects;

/// When a parked message was first in hand, milliseconds since the Unix epoch.
const SINCE: &str = "Vrsky-Since";
const ASK: Duration = Duration::from_secs(1);
/// Between two looks, however fast messages come and go.
const SHORTEST: Duration = Duration::from_millis(20);
/// Looks in a row at messages of which the consumer knows nothing, before another one is made.
const IDLE_LOOKS: u32 = 3;
/// The consumer outlives what may be in hand: without it, that would come a second time.
const SHORTEST_LIFE: Duration = Duration::from_secs(3600);

/// What an out knows of its messages in `VRSKY_PARKED`.
pub(super) struct Parking {
    subject: String,
    /// The consumer that brings them back.
    consumer: String,
    /// The number of its pull, once there was something to bring.
    pull: Cell<Option<usize>>,
    /// Publishes ever, and those that wait for a PubAck.
    published: Cell<u64>,
    unconfirmed: Cell<usize>,
    /// What the sink said last when it failed.
    pub last: RefCell<Option<Fault>>,
    /// Something happened that the task which looks after them waits for.
    pub turned: Notify,
    /// Whether that task runs, or is about to.
    tended: Cell<bool>,
    idle_looks: Cell<u32>,
}

impl Parking {
    pub fn new(installed: &Installed, out: &str) -> Parking {
        let (customer, pipeline) = (installed.customer(), installed.name());
        Parking {
            subject: subjects::parked(customer, pipeline, out),
            consumer: subjects::parked_consumer(customer, pipeline, out),
            pull: Cell::new(None),
            published: Cell::new(0),
            unconfirmed: Cell::new(0),
            last: RefCell::default(),
            turned: Notify::new(),
            tended: Cell::new(false),
            idle_looks: Cell::new(0),
        }
    }

    /// A publish has its PubAck, or will not get one.
    pub fn confirmed(&self) {
        self.unconfirmed.set(self.unconfirmed.get().saturating_sub(1));
        if self.unconfirmed.get() == 0 {
            self.turned.notify_one();
        }
    }
}

impl Core {
    /// Sees to it that somebody looks after the parked messages until there are none.
    pub(super) fn tend(&mut self, queue: &Rc<OutQueue>) {
        if !queue.parking.tended.replace(true) {
            self.untended.push(Rc::clone(queue));
        }
    }

    /// Publishes a message to the parked ones; its input is acked with the PubAck. `false` when that
    /// cannot be done now.
    pub(super) fn park(
        &mut self,
        queue: &Rc<OutQueue>,
        envelope: &Envelope<'_>,
        since_ms: u64,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let Parent::Entry(receipt) = envelope.parent else { return false };
        if !self.connected {
            return false;
        }
        let block = self.publisher.block.start(envelope.installed.customer());
        block.put(headers::MESSAGE_ID, envelope.id.as_bytes());
        if !envelope.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, envelope.content_type.as_bytes());
        }
        block.put(headers::ROOT, envelope.root.as_bytes()).put_number(headers::TIME, envelope.time_ms);
        if let Some(url) = envelope.headers.get(headers::URL) {
            block.put(headers::URL, url);
        }
        block.put_number(SINCE, since_ms).pass(envelope.headers).end();
        let parking = &queue.parking;
        let published = self
            .publisher
            .check_size(payload)
            .and_then(|()| self.publisher.publish_stream(envelope.parent, &parking.subject, payload, out));
        if published.is_err() {
            return false;
        }
        self.publisher.ledger.add_parked(receipt, queue);
        parking.published.set(parking.published.get() + 1);
        parking.unconfirmed.set(parking.unconfirmed.get() + 1);
        self.settle(envelope.parent, Outcome::Ok, out);
        true
    }

    /// The breaker parks from now on: so does what waits behind the batch that probes.
    pub(super) fn opened(&mut self, queue: &Rc<OutQueue>, out: &mut Vec<u8>) {
        if queue.breaker.borrow_mut().tell() {
            let event = || Event::about(EventKind::Parking, self.now_ms, &queue.installed, "").at(&queue.name, 0);
            self.events.push_rare(|| match &*queue.parking.last.borrow() {
                Some(fault) => event().with_fault(fault),
                None => event(),
            });
        }
        self.steer(queue, 0);
        self.tend(queue);
        queue.parking.turned.notify_one();
        // At the end of a run everything goes back to the lane.
        if self.draining || !self.connected {
            return;
        }
        self.park_all(queue, queue.take_surplus(), out);
    }

    /// Pulls parked messages when there is use for them.
    fn steer(&mut self, queue: &OutQueue, stored: u64) {
        let Some(number) = queue.parking.pull.get() else { return };
        let wanted = match queue.phase() {
            // A replaced revision leaves what is parked to the one after it.
            _ if queue.sink.unwanted.get() => false,
            Phase::Closed => false,
            // One that could probe; those that are too old are dead letters at once.
            Phase::Open => stored > 0 && queue.is_idle(),
            Phase::Draining | Phase::Closing => true,
        };
        self.pulls.set_open(number, wanted);
    }

    /// A parked message that came back.
    pub(super) fn on_parked(&mut self, queue: &Rc<OutQueue>, parent: Parent, message: &Message<'_>, out: &mut Vec<u8>) {
        let headers = message::Headers::new(message.headers);
        let known = Known::of(headers);
        let id = known.id.unwrap_or_default();
        let envelope = Envelope {
            installed: &queue.installed,
            parent,
            id,
            root: known.root.unwrap_or(id),
            headers,
            content_type: known.content_type.unwrap_or_default(),
            time_ms: known.time_ms.unwrap_or(self.now_ms),
        };
        let owned = (known.customer == Some(queue.installed.customer()))
            .then_some(())
            .ok_or_else(|| Fault::new(Code::TenantMismatch, "a parked message of another customer"));
        let mut queued = match owned.and_then(|()| self.queued(&envelope, queue, message.payload)) {
            Ok(queued) => queued,
            Err(fault) => return self.not_queued(&envelope, &queue.name, fault, message.payload, out),
        };
        queued.was_parked = true;
        queued.since_ms = headers.get_str(SINCE).and_then(|text| text.parse().ok()).unwrap_or(self.now_ms);
        let last = queue.parking.last.borrow().clone();
        match last {
            Some(last) if queue.phase() == Phase::Open && queue.is_expired(&queued, self.now_ms) => {
                self.bury(queue, &queued, &exhausted(&queued, self.now_ms, &last), out);
            }
            _ => self.push(queue, queued),
        }
    }

    fn on_look(&mut self, queue: &Rc<OutQueue>, stored: u64, quiet: bool, out: &mut Vec<u8>) {
        let look = Look { stored, quiet, idle: queue.is_idle() };
        let closed = queue.breaker.borrow_mut().looked(look);
        if let Some(tell) = closed {
            queue.release();
            self.hungry.push(Rc::clone(queue));
            if tell {
                self.events.push_rare(|| {
                    Event::about(EventKind::Resumed, self.now_ms, &queue.installed, "").at(&queue.name, 0)
                });
            }
        }
        if queue.breaker.borrow().place() == Place::Parked {
            self.park_all(queue, queue.take_behind(), out);
        }
        if stored > 0 && queue.parking.pull.get().is_none() {
            let feed = Feed::Parked(Rc::clone(queue));
            let number = self.pulls.add(feed, subjects::PARKED, &queue.parking.consumer, &self.publisher.inbox);
            queue.parking.pull.set(Some(number));
            if self.connected {
                self.pulls.subscribe_one(number, FIRST_PULL, out);
            }
        }
        self.steer(queue, stored);
        self.top_up(out);
    }

    fn park_all(&mut self, queue: &Rc<OutQueue>, all: Vec<Queued>, out: &mut Vec<u8>) {
        for queued in all {
            let envelope = queued.envelope(&queue.installed);
            if !self.park(queue, &envelope, queued.since_ms, &queued.delivery.payload, out) {
                queue.push(queued);
            }
        }
    }
}

/// Looks after an out's parked messages until its breaker is closed.
pub async fn tend(shard: Rc<Shard>, queue: Rc<OutQueue>) {
    while queue.phase() != Phase::Closed {
        if queue.phase() == Phase::Open && !queue.is_idle() {
            queue.parking.turned.notified().await;
            continue;
        }
        if !look(&shard, &queue).await {
            tokio::time::sleep(ASK).await;
            continue;
        }
        tokio::time::sleep(SHORTEST).await;
        // Nothing turns when another shard has the last ones in hand.
        let _ = tokio::time::timeout(ASK, queue.parking.turned.notified()).await;
    }
    queue.parking.tended.set(false);
}

/// Whether the server answered.
async fn look(shard: &Rc<Shard>, queue: &Rc<OutQueue>) -> bool {
    let parking = &queue.parking;
    let (published, settled) = (parking.published.get(), parking.unconfirmed.get() == 0);
    let Ok(stored) = stored(&shard.outbox, subjects::PARKED, &parking.subject).await else { return false };
    let in_use = parking.pull.get().is_some() && !queue.is_idle();
    let mut knows_nothing = false;
    if stored > 0 && !in_use {
        let Some(has_work) = make_consumer(&shard.outbox, queue).await else { return false };
        knows_nothing = !has_work;
    }
    parking.idle_looks.set(if knows_nothing { parking.idle_looks.get() + 1 } else { 0 });
    if parking.idle_looks.get() > IDLE_LOOKS {
        parking.idle_looks.set(0);
        return forget_consumer(&shard.outbox, queue).await;
    }
    let quiet = settled && parking.published.get() == published;
    shard.with_core(|core, out| core.on_look(queue, stored, quiet, out));
    true
}

/// Out of the queues that are closed, those that have parked messages after all: of a node that is
/// gone, or stored after their publish was given up.
pub async fn look_again(shard: &Rc<Shard>) {
    let queues: Vec<Rc<OutQueue>> = shard.core.borrow().queues.values().map(Rc::clone).collect();
    for queue in queues {
        if queue.phase() != Phase::Closed {
            continue;
        }
        // All are in one stream.
        let Ok(stored) = stored(&shard.outbox, subjects::PARKED, &queue.parking.subject).await else { return };
        if stored > 0 {
            shard.with_core(|core, _| {
                queue.breaker.borrow_mut().found();
                core.tend(&queue);
            });
        }
    }
}

#[derive(Deserialize)]
struct Made {
    error: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    num_pending: u64,
    #[serde(default)]
    num_ack_pending: u64,
}

/// Makes the consumer, or finds it as it is. Whether it has messages to bring, or has brought some that wait
/// for their ack; `None` when there is none.
async fn make_consumer(outbox: &Outbox, queue: &OutQueue) -> Option<bool> {
    let Parking { subject, consumer, .. } = &queue.parking;
    let life = queue.sink.retry_for.saturating_mul(2).clamp(SHORTEST_LIFE, Duration::from_secs(86_400 * 365));
    let request = format!(
        "{{\"stream_name\":\"{stream}\",\"config\":{{\"durable_name\":\"{consumer}\",\"name\":\"{consumer}\",\
         \"ack_policy\":\"explicit\",\"ack_wait\":10000000000,\"max_deliver\":-1,\"max_ack_pending\":-1,\
         \"filter_subject\":\"{subject}\",\"inactive_threshold\":{life}}}}}",
        stream = subjects::PARKED,
        life = life.as_nanos(),
    );
    let api = format!("$JS.API.CONSUMER.CREATE.{}.{consumer}.{subject}", subjects::PARKED);
    let reply = outbox.request(&api, request.as_bytes(), ASK).await.ok()?;
    let made: Made = serde_json::from_slice(&reply.payload).ok().filter(|made: &Made| made.error.is_none())?;
    Some(made.num_pending + made.num_ack_pending > 0)
}

/// After a full disk the stream may hold messages that the consumer takes for acked, since the ack was written
/// and the deletion was not. A new consumer brings them once more; without it they would stay, and what came
/// later behind them.
async fn forget_consumer(outbox: &Outbox, queue: &OutQueue) -> bool {
    let api = format!("$JS.API.CONSUMER.DELETE.{}.{}", subjects::PARKED, queue.parking.consumer);
    outbox.request(&api, b"", ASK).await.is_ok()
}
