//! From the outgoing lane to a sink: a bounded queue per out, workers that retry, and a pause of the out while its
//! server fails.
//!
//! ```text
//!                     attempts.rs
//! lane ─► accept ─► queue ─► worker ─► Sink::write_batch ─┬─► delivered: ack
//!           │         ▲ ▲                                 ├─► permanent: dead letter, then ack
//!           │         │ └─── failed: a pause of its own ◄─┘
//!           │         └───────────────┐
//!           └─ fails for longer, ─► VRSKY_PARKED ─► back when it works         parking.rs
//!              or hangs
//! ```
//!
//! | file | what it knows |
//! |---|---|
//! | `queue.rs` | the messages of one out, and which of them is next |
//! | `batching.rs` | what goes into one batch, and how long it waits |
//! | `outage.rs` | when an out as a whole pauses |
//! | `breaker.rs` | when its messages are parked, and when they come back |
//! | `ages.rs` | how long a parked message has been parked |
//! | `budgets.rs` | what a customer's queues may hold |
//! | `sinks.rs`, `connect.rs` | sinks: opened, connected, closed |
//!
//! Retry, pause and window stand here, round every connector; a connector's author writes none. A worker asks with
//! [`Delivery::next`], writes, and reports with [`Delivery::on_delivered`].

mod ages;
mod attempts;
mod batching;
mod breaker;
mod budgets;
mod connect;
mod outage;
mod parking;
mod queue;
mod sinks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;

use connectors::Health;
use connectors::nats::{NatsMode, Publish};
use message::{Code, Fault};
use nats::Outbox;
use tokio::time::Instant;

pub use parking::{AfterPoll, MIN_PAUSE, PAUSE, PollRequest, PollResponse};
pub use queue::{Asking, Next, Queued};
pub use sinks::{Hosting, Outlet, Sinks, check_outs};

use super::consumers::Consumers;
use super::message::{Envelope, InputRef, OwnedMessage, QueueId, RevisionId, Route, StreamName, Target};
use super::registry::Revision;
use super::settings::Settings;
use super::settlement::{Forward, Outcome, RETRY_PUBLISH, Settlement};
use super::world::World;
use budgets::Budgets;
use parking::FirstPolls;
use queue::Queue;

/// What is left to be done outside of the room.
pub enum Effect {
    /// Start so many workers of a queue.
    StartWorkers { queue: QueueId, count: usize, outlet: Rc<Outlet> },
    /// Start the task that looks after the parked messages of a queue.
    Supervise { queue: QueueId, outlet: Rc<Outlet> },
    /// Start the task that learns what is parked of new queues.
    PollNew,
    /// Connect a sink.
    Connect { queue: QueueId, outlet: Rc<Outlet>, reports: bool },
    /// Close a sink when nothing of its queue is in hand.
    Close { queue: QueueId, outlet: Rc<Outlet> },
    /// Find the URL of a large payload on another thread; [`Delivery::on_address`] follows.
    FindUrl { revision: Rc<Revision>, target: usize, input: InputRef, message: OwnedMessage },
    /// More parked messages may be asked for.
    TopUp,
}

/// How the tasks of a queue reach the shard.
pub trait Host: Clone + 'static {
    /// Runs `work`, then routes what it has left to be done.
    fn with<T>(&self, work: impl FnOnce(&mut Delivery, &mut Settlement, &mut Consumers) -> T) -> T;

    fn outbox(&self) -> &Outbox;
}

/// The queues of a shard.
pub struct Delivery {
    sinks: Sinks,
    /// Failures in a row after which an out's messages are parked.
    park_after: u32,
    queues: BTreeMap<QueueId, Queue>,
    /// Those of revisions that were not replaced, by out, and by the subject of their parked messages.
    outs: BTreeMap<(RevisionId, u32), QueueId>,
    subjects: BTreeMap<Box<str>, QueueId>,
    /// The streams of NATS outs.
    streams: BTreeMap<(RevisionId, u32), StreamName>,
    budgets: Budgets,
    first_polls: FirstPolls,
    effects: Vec<Effect>,
    next_queue: u32,
    next_number: u64,
    draining: bool,
}

/// What the work on one queue reaches beside it.
struct Reach<'a> {
    settlement: &'a mut Settlement,
    consumers: &'a mut Consumers,
    budgets: &'a mut Budgets,
    effects: &'a mut Vec<Effect>,
    draining: bool,
    now: Instant,
}

impl Delivery {
    /// # Errors
    /// `config/invalid-value` for a network that is none.
    pub fn new(settings: &Settings, world: Rc<dyn World>) -> Result<Delivery, Fault> {
        Ok(Delivery {
            sinks: Sinks::new(settings, world)?,
            park_after: settings.park_after,
            queues: BTreeMap::new(),
            outs: BTreeMap::new(),
            subjects: BTreeMap::new(),
            streams: BTreeMap::new(),
            budgets: Budgets::default(),
            first_polls: FirstPolls::default(),
            effects: Vec::new(),
            next_queue: 0,
            next_number: 0,
            draining: false,
        })
    }

    fn reach<'a>(
        &'a mut self,
        settlement: &'a mut Settlement,
        consumers: &'a mut Consumers,
        queue: QueueId,
    ) -> Option<(&'a mut Queue, Reach<'a>)> {
        let Delivery { queues, budgets, effects, draining, .. } = self;
        let reach = Reach { settlement, consumers, budgets, effects, draining: *draining, now: Instant::now() };
        Some((queues.get_mut(&queue)?, reach))
    }

    /// A message of the outgoing lane.
    pub fn accept(
        &mut self,
        settlement: &mut Settlement,
        consumers: &mut Consumers,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        target: &Target,
        payload: &[u8],
    ) {
        if let Some(publish) = revision.pipeline().outs()[target.number as usize].publish() {
            return self.forward(settlement, envelope, target, publish, payload);
        }
        let opened = self.open(revision, target);
        self.next_number += 1;
        let number = self.next_number;
        match opened.map(|queue| self.reach(settlement, consumers, queue)) {
            Ok(Some((queue, mut reach))) => {
                reach.accept(queue, number, envelope, payload);
                reach.after(queue);
            }
            Ok(None) => {}
            Err(fault) => end_with_letter(settlement, envelope, target, &fault, payload),
        }
    }

    /// A NATS out beside others: published from here.
    fn forward(
        &self,
        settlement: &mut Settlement,
        envelope: &Envelope<'_>,
        target: &Target,
        publish: &Publish,
        payload: &[u8],
    ) {
        let stream = self.streams.get(&(envelope.owner.id, target.number)).and_then(|stream| stream.borrow().clone());
        let is_confirmed = publish.mode == NatsMode::Jetstream;
        let (subject, expected) = (publish.subject.as_str(), publish.stream.as_deref());
        let forward = Forward { target, subject, is_confirmed, expected, stream };
        match settlement.forward(envelope, &forward, payload) {
            Ok(()) => settlement.settle(envelope.input, Outcome::Ok),
            Err(fault) if matches!(fault.code(), Code::NatsMaxPayload | Code::NatsMaxHeaders) => {
                end_with_letter(settlement, envelope, target, &fault, payload);
            }
            Err(fault) => settlement.settle(envelope.input, Outcome::Retry(RETRY_PUBLISH, fault)),
        }
    }

    /// The URL of a large payload was found, or was not. `limit/memory`: there was no room to look for it, and the
    /// message comes again.
    pub fn on_address(
        &mut self,
        settlement: &mut Settlement,
        consumers: &mut Consumers,
        (revision, target): (RevisionId, usize),
        message: (InputRef, OwnedMessage),
        address: Result<Option<String>, Fault>,
    ) {
        self.next_number += 1;
        let number = self.next_number;
        let mut queues = self.queues.values();
        let queue = queues.find(|queue| queue.revision.owner.id == revision && queue.target == target);
        let Some(id) = queue.map(|queue| queue.id) else { return };
        if let Some((queue, mut reach)) = self.reach(settlement, consumers, id) {
            reach.on_address(queue, number, message, address);
            reach.after(queue);
        }
    }

    /// What the worker of a queue does next.
    pub fn next(&mut self, queue: QueueId, asking: Asking) -> Next {
        let draining = self.draining;
        self.queues.get_mut(&queue).map_or(Next::End, |queue| queue.next(asking, draining, Instant::now()))
    }

    /// What a sink said of a batch, one outcome per message.
    pub fn on_delivered(
        &mut self,
        settlement: &mut Settlement,
        consumers: &mut Consumers,
        queue: QueueId,
        batch: Vec<Queued>,
        outcomes: Vec<connectors::Outcome>,
    ) {
        if let Some((queue, mut reach)) = self.reach(settlement, consumers, queue) {
            reach.on_delivered(queue, batch, outcomes);
            reach.after(queue);
        }
    }

    /// The revision and the target of a queue, for its workers.
    #[must_use]
    pub fn destination(&self, queue: QueueId) -> Option<(Rc<Revision>, usize)> {
        self.queues.get(&queue).map(|queue| (Rc::clone(&queue.revision), queue.target))
    }

    /// Says what every out with a sink is like. `lane_fault`: why nothing comes from a lane, or
    /// comes again and again, or does not get there.
    pub fn note_health(&self, now_ms: u64, lane_fault: impl Fn(&Revision, u32, &str) -> Option<Code>) -> bool {
        let mut is_new = false;
        for queue in self.queues.values().filter(|queue| !queue.retired) {
            let lane = queue.revision.targets.get(queue.target).and_then(|target| match &target.route {
                Route::Lane { stream, .. } => lane_fault(&queue.revision, target.number, stream),
                Route::Core { .. } | Route::Stream { .. } => None,
            });
            let health = match (queue.health(), lane) {
                (Health::Up, Some(code)) => Health::Failing(code),
                (health, _) => health,
            };
            is_new |= queue.revision.health.set_out(queue.target, health, now_ms);
        }
        is_new
    }

    /// The shard takes nothing more in: a server that fails is not waited for any more.
    pub fn begin_drain(&mut self) {
        self.draining = true;
        // What waits for others to share a request with waits no more.
        self.queues.values().for_each(|queue| queue.outlet.arrived.notify_waiters());
    }

    /// Messages that wait for a server that fails, or behind such messages: a drain gives them back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queues.values().map(Queue::deferred).sum()
    }

    /// Moves what the shard has to do to the end of `into`.
    pub fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }
}

fn end_with_letter(
    settlement: &mut Settlement,
    envelope: &Envelope<'_>,
    target: &Target,
    fault: &Fault,
    payload: &[u8],
) {
    use super::message::Body;
    use super::settlement::Letter;
    let body = Body { bytes: payload, content_type: envelope.content_type };
    settlement.note_refused(envelope);
    settlement.dead_letter(envelope, &Letter::new(&format!("out:{}", target.name), fault, body));
    settlement.settle(envelope.input, Outcome::Ok);
}
