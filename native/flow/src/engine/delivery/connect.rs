//! Sinks when their revision comes and goes: connected when it is installed, closed when it was replaced and nothing of
//! it is in hand, or when the shard ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::kind::{Fence, SourceTask};
use connectors::{Health, Source};
use message::Fault;

use super::queue::Queue;
use super::{Delivery, Effect, Outlet};
use crate::compile::Pipeline;
use crate::engine::consumers::{Consumers, Feed};
use crate::engine::message::{QueueId, Route, StreamName, Target};
use crate::engine::observe::{Event, EventKind};
use crate::engine::registry::{Revision, Secrets};
use crate::engine::settlement::Settlement;

/// What is left of a drain for writes that are ending, and for the closing itself.
const CLOSING: Duration = Duration::from_secs(1);
/// A sink that could not be reached, and has had no message since, is tried again so often, in ticks.
const CONNECT_TICKS: u64 = 5;

impl Delivery {
    /// Opens the sinks of a revision, and connects them. What cannot be reached is reported, by the shard that
    /// `reports`, and tried again, also with every message: it never holds up the start.
    pub fn install(&mut self, settlement: &mut Settlement, revision: &Rc<Revision>, reports: bool) {
        for (number, target) in (0_u32..).zip(&revision.targets) {
            if let Some(publish) = revision.pipeline().outs()[number as usize].publish() {
                let stream = StreamName::new(publish.stream.as_deref().map(Into::into).into());
                self.streams.insert((revision.owner.id, number), stream);
                continue;
            }
            match self.open(revision, target) {
                Ok(queue) => self.connect(queue, reports),
                Err(fault) => {
                    let health = Health::Failing(fault.code());
                    revision.health.set_out(number as usize, health, settlement.now_ms());
                    if reports {
                        report(settlement, revision, &target.name, &fault);
                    }
                }
            }
        }
    }

    /// The streams of NATS outs beside others, to be learnt when the pipeline file does not name them.
    #[must_use]
    pub fn streams_to_learn(&self, revision: &Revision) -> Vec<(String, StreamName)> {
        let unknown = revision.targets.iter().filter_map(|target| {
            let stream = self.streams.get(&(revision.owner.id, target.number))?;
            let subject = &revision.pipeline().outs()[target.number as usize].publish()?.subject;
            let is_unknown = matches!(target.route, Route::Lane { .. }) && stream.borrow().is_none();
            is_unknown.then(|| (subject.clone(), Rc::clone(stream)))
        });
        unknown.collect()
    }

    /// Makes the source of an in that has a task of its own.
    ///
    /// # Errors
    /// It cannot be used as it is.
    pub fn open_source(
        &self,
        pipeline: &Pipeline,
        task: &dyn SourceTask,
        secrets: &Secrets,
        fence: Option<Arc<dyn Fence>>,
    ) -> Result<Rc<dyn Source>, Fault> {
        self.sinks.open_source(pipeline, task, secrets, fence)
    }

    /// The queue of a revision's out, with its sink; made when the revision is installed.
    pub(super) fn open(&mut self, revision: &Rc<Revision>, target: &Target) -> Result<QueueId, Fault> {
        let key = (revision.owner.id, target.number);
        if let Some(id) = self.outs.get(&key) {
            return Ok(*id);
        }
        let outlet = self.sinks.open(revision.pipeline(), &revision.secrets, target.number as usize)?;
        self.next_queue += 1;
        let id = QueueId(self.next_queue);
        let mut queue = Queue::new(id, revision, target.number as usize, Rc::new(outlet), self.park_after);
        self.first_polls.open(&mut queue, &mut self.effects);
        self.subjects.insert(queue.parking.subject().into(), id);
        self.queues.insert(id, queue);
        self.outs.insert(key, id);
        Ok(id)
    }

    fn connect(&mut self, id: QueueId, reports: bool) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if !std::mem::replace(&mut queue.connecting, true) {
            let outlet = Rc::clone(&queue.outlet);
            self.effects.push(Effect::Connect { queue: id, outlet, reports });
        }
    }

    /// A sink was connected, or was not.
    pub fn on_connected(
        &mut self,
        settlement: &Settlement,
        queue: QueueId,
        connected: Result<(), Fault>,
        reports: bool,
    ) {
        let Some(queue) = self.queues.get_mut(&queue) else { return };
        queue.connecting = false;
        queue.connect_error = connected.as_ref().err().map(Fault::code);
        if let (Err(fault), true) = (&connected, reports) {
            report(settlement, &queue.revision, queue.name(), fault);
        }
    }

    /// Once a second: sinks that could not be reached, and have had no message since, are tried again.
    pub fn on_tick(&mut self, settlement: &Settlement) {
        if settlement.tick().is_multiple_of(CONNECT_TICKS) {
            let failed = self.queues.values().filter(|queue| queue.connect_error.is_some() && !queue.retired);
            for id in failed.map(|queue| queue.id).collect::<Vec<_>>() {
                self.connect(id, false);
            }
        }
    }

    /// A revision was replaced or removed: what its queues have in hand is still delivered. What waits for a server that
    /// fails goes to the parked ones, and so to the revision that takes its place.
    pub fn retire(&mut self, settlement: &mut Settlement, consumers: &mut Consumers, revision: &Rc<Revision>) {
        for target in &revision.targets {
            let key = (revision.owner.id, target.number);
            self.streams.remove(&key);
            if let Some(id) = self.outs.remove(&key) {
                self.retire_queue(settlement, consumers, id);
            }
        }
    }

    fn retire_queue(&mut self, settlement: &mut Settlement, consumers: &mut Consumers, id: QueueId) {
        let tick = settlement.tick();
        consumers.close_pulls(Feed::Parked(id), tick, &mut settlement.wire);
        let Some((queue, mut reach)) = self.reach(settlement, consumers, id) else { return };
        queue.retired = true;
        queue.outlet.unwanted.set(true);
        let waits = queue.place() == super::breaker::Place::Parked;
        let left = if waits { queue.take_all() } else { queue.take_behind() };
        for queued in left {
            reach.hand_over(queue, &queued);
        }
        let outlet = Rc::clone(&queue.outlet);
        for notify in [&outlet.arrived, &outlet.changed] {
            notify.notify_waiters();
            notify.notify_one();
        }
        let subject: Box<str> = queue.parking.subject().into();
        if self.subjects.get(&subject) == Some(&id) {
            self.subjects.remove(&subject);
        }
        self.effects.push(Effect::Close { queue: id, outlet });
    }

    /// Whether nothing of a queue is in hand, so that its sink may be closed.
    #[must_use]
    pub fn is_done(&self, queue: QueueId) -> bool {
        self.queues.get(&queue).is_none_or(Queue::is_done)
    }

    /// The sink of a queue is closed: nothing is left of it.
    pub fn forget(&mut self, queue: QueueId) {
        self.queues.remove(&queue);
    }

    /// All queues, at the end of a drain, when what could not be finished was given back. The future waits until every
    /// sink is closed, or for a second.
    pub fn close_all(&mut self) -> impl Future<Output = ()> + use<> {
        let queues = std::mem::take(&mut self.queues);
        (self.outs, self.subjects, self.budgets) = Default::default();
        let outlets: Vec<Rc<Outlet>> = queues.into_values().map(|queue| queue.outlet).collect();
        for outlet in &outlets {
            outlet.unwanted.set(true);
            outlet.arrived.notify_waiters();
            outlet.released.notify_waiters();
        }
        async move {
            let all = async {
                for outlet in outlets {
                    outlet.close().await;
                }
            };
            let _ = tokio::time::timeout(CLOSING, all).await;
        }
    }
}

fn report(settlement: &Settlement, revision: &Revision, out: &str, fault: &Fault) {
    let now_ms = settlement.now_ms();
    let pipeline = &revision.owner.pipeline;
    settlement.events().push(|| Event::about(EventKind::Node, now_ms, pipeline, "").at(out, 0).with_fault(fault));
}
