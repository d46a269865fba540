//! Sinks when their pipeline comes and goes: connected when it is installed, closed when it is
//! replaced and nothing of it is in hand, or when the node is drained.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::Health;
use message::Fault;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::core::Core;
use super::events::{Event, EventKind, Events};
use super::install::Installed;
use super::queue::OutQueue;
use crate::compile::OutKind;

/// Sinks that connect at the same time: a node with thousands of them starts without a flood.
const AT_A_TIME: usize = 64;
/// What is left of a drain for writes that are ending, and for the closing itself.
const CLOSING: Duration = Duration::from_secs(1);

/// What comes and goes with pipelines.
pub struct Connects {
    turns: Rc<Semaphore>,
    /// Queues that nobody fills any more, until their sinks are closed.
    closing: Vec<(Rc<OutQueue>, JoinHandle<()>)>,
}

impl Connects {
    #[must_use]
    pub fn new() -> Connects {
        Connects { turns: Rc::new(Semaphore::new(AT_A_TIME)), closing: Vec::new() }
    }

    /// Closes the queue's sink as soon as nothing of it is in hand.
    fn close(&mut self, queue: Rc<OutQueue>) {
        self.closing.retain(|(_, closing)| !closing.is_finished());
        queue.sink.unwanted.set(true);
        let closing = tokio::task::spawn_local(close(Rc::clone(&queue)));
        self.closing.push((queue, closing));
    }

    /// Messages of replaced revisions that wait because their out fails.
    #[must_use]
    pub fn held(&self) -> usize {
        self.closing.iter().map(|(queue, _)| queue.held()).sum()
    }
}

impl Core {
    /// Connects every sink of a pipeline. What cannot be reached is said, by one of the shards, and
    /// tried again, also with every message: it never holds up the start.
    pub(super) fn connect_sinks(&mut self, installed: &Rc<Installed>) {
        let says = self.shard_number == 0;
        for target in 0..installed.targets.len() {
            if matches!(installed.pipeline.outs()[target].kind, OutKind::Nats { .. }) {
                continue;
            }
            match self.queue(installed, target) {
                Ok(queue) => self.connect(queue, says),
                Err(fault) => {
                    installed.health.set_out(target, Health::Failing(fault.code()), self.now_ms);
                    if says {
                        say(&self.events, self.now_ms, installed, &installed.targets[target].name, &fault);
                    }
                }
            }
        }
    }

    fn connect(&self, queue: Rc<OutQueue>, says: bool) {
        if queue.connecting.replace(true) {
            return;
        }
        let (events, now_ms, turns) = (Arc::clone(&self.events), self.now_ms, Rc::clone(&self.connects.turns));
        tokio::task::spawn_local(async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            let connected = queue.sink.connect().await;
            queue.connecting.set(false);
            queue.unreached.set(connected.as_ref().err().map(Fault::code));
            if let (Err(fault), true) = (&connected, says) {
                say(&events, now_ms, &queue.installed, &queue.name, fault);
            }
        });
    }

    /// Tries again what could not be reached and has had no message since, which would have told.
    pub(super) fn connect_again(&self) {
        for queue in self.queues.values() {
            if queue.unreached.get().is_some() {
                self.connect(Rc::clone(queue), false);
            }
        }
    }

    /// The queues of a revision that was replaced: what they hold is still delivered.
    pub(super) fn close_sinks(&mut self, old: &Installed) {
        for target in &old.targets {
            if let Some(queue) = self.queues.remove(&*super::outgoing::key(old, &target.name)) {
                self.connects.close(queue);
            }
        }
    }

    /// All queues, at the end of a drain, when what could not be finished was given back. The future
    /// waits until every sink is closed, or for a second.
    pub(super) fn close_all_sinks(&mut self) -> impl Future<Output = ()> + use<> {
        for (_, queue) in std::mem::take(&mut self.queues) {
            self.connects.close(queue);
        }
        let closing = std::mem::take(&mut self.connects.closing);
        closing.iter().for_each(|(queue, _)| queue.clear());
        async move {
            let all = async {
                for (_, closing) in closing {
                    // A task that failed has closed what it could.
                    let _ = closing.await;
                }
            };
            let _ = tokio::time::timeout(CLOSING, all).await;
        }
    }
}

fn say(events: &Events, now_ms: u64, installed: &Installed, out: &str, fault: &Fault) {
    events.push(|| Event::about(EventKind::Node, now_ms, installed, "").at(out, 0).with_fault(fault));
}

/// Waits until nothing of the out is in hand, then closes its sink.
async fn close(queue: Rc<OutQueue>) {
    while !queue.is_done() || !queue.sink.is_unused() {
        queue.sink.left.notified().await;
    }
    queue.sink.sink.close().await;
}
