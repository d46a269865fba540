//! Payloads that take long to read: one thread per shard, so that other customers' messages go on
//! meanwhile.
//!
//! ```text
//! run, enqueue ──Job──► thread: parse ─► advance ─► render ──Done──► on_large ─┬─► publish
//!      └─ no room: JetStream sent back; core NATS taken, and reading stops     ├─► script executor
//!                                                                              ├─► dead letter
//!                                                                              └─► an out's queue
//! ```

mod jobs;
mod work;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use message::{Code, Fault};

pub use self::jobs::Large;
use self::jobs::{Done, Held};
use self::work::{Job, Wanted, Worked};
use super::core::{Core, Envelope};
use super::kept::Kept;
use super::ledger::Outcome;
use super::publish::Parent;
use super::queue::OutQueue;
use super::scripted::Share;
use super::shard::Shard;

/// A payload above this is read on the thread.
pub const LARGE: usize = 1 << 20;
/// While there is no room, a JetStream message is offered again after this.
const FULL_DELAY: Duration = Duration::from_secs(1);

/// Brings back what the thread has done, for as long as the shard lives.
pub async fn collect(shard: Rc<Shard>) {
    let Some(mut arrived) = shard.core.borrow_mut().large.arrived.take() else { return };
    while let Some(done) = arrived.recv().await {
        shard.with_core(|core, out| {
            core.on_large(done, out);
            core.top_up(out);
        });
        shard.has_collected();
    }
}

impl Core {
    /// The steps of a large payload, elsewhere.
    pub(super) fn run_large(&mut self, envelope: &Envelope<'_>, payload: &[u8], out: &mut Vec<u8>) {
        if let Err(fault) = self.hand_over(envelope, Wanted::Steps, None, payload) {
            self.settle(envelope.parent, Outcome::Retry(FULL_DELAY, fault), out);
        }
    }

    /// The URL of a large payload, elsewhere; then it goes to the queue.
    ///
    /// # Errors
    /// `limit/memory`: it has to come again.
    pub(super) fn url_large(
        &mut self,
        envelope: &Envelope<'_>,
        queue: Rc<OutQueue>,
        target: usize,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.hand_over(envelope, Wanted::Url(target), Some(Rc::clone(&queue)), payload)?;
        queue.expect();
        Ok(())
    }

    fn hand_over(
        &mut self,
        envelope: &Envelope<'_>,
        wanted: Wanted,
        queue: Option<Rc<OutQueue>>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        // Nobody could send a core message again: it is taken, and nothing more is read.
        if envelope.parent != Parent::Core && !self.large.has_room(payload.len()) {
            return Err(Fault::new(Code::LimitMemory, "too many large payloads wait"));
        }
        let job = Job {
            token: 0,
            wanted,
            pipeline: Arc::clone(&envelope.installed.pipeline),
            payload: Bytes::copy_from_slice(payload),
            kept: Kept::of(envelope),
        };
        let held = Held { installed: Rc::clone(envelope.installed), parent: envelope.parent, queue };
        self.large.submit(held, job);
        Ok(())
    }

    /// The thread is done with a payload: it goes on as a small one does.
    fn on_large(&mut self, done: Done, out: &mut Vec<u8>) {
        let Done { job, worked } = done;
        let Some(held) = self.large.release(&job) else { return };
        let envelope = job.kept.envelope(&held.installed, held.parent);
        match worked {
            Ok(Worked::Script(stage, document)) => {
                self.submit(&envelope, stage, document, Share::whole(&held.installed.pipeline));
                return;
            }
            Ok(Worked::Url(url)) => {
                if let (Some(queue), Ok(queued)) = (&held.queue, self.addressed(&envelope, job.payload.clone(), url)) {
                    self.place(queue, queued);
                    queue.came();
                }
                return;
            }
            Ok(Worked::Dropped(stage)) => self.filtered(&envelope, stage),
            Ok(Worked::Through(part, mut bytes)) => {
                // They stand in for the arena, instead of being copied into it.
                std::mem::swap(&mut self.arena, &mut bytes);
                self.publish_part(&envelope, &job.payload, &part, out);
                std::mem::swap(&mut self.arena, &mut bytes);
            }
            Err(fault) => match &held.queue {
                Some(queue) => {
                    self.dead_letter(&envelope, &format!("out:{}", queue.name), &fault, 0, &job.payload, out);
                    queue.came();
                }
                None => self.fail(&envelope, &fault, 0, &job.payload, out),
            },
        }
        self.settle(held.parent, Outcome::Ok, out);
    }
}
