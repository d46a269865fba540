//! The steps of one message: parse once, decide and edit on the tape, emit once.
//!
//! ```text
//! payload ─► larger than 1 MiB ──► large/, on a thread, and back by on_large
//!        └─► no document needed ─────────────────────────────────► emit the bytes as they came
//!        └─► parse ─► fan-out ─┬─► outputs ───────────────────────► emit to every out
//!                  ▲           ├─► drops: counted                        publish.rs
//!        a part that resumes   ├─► failures: dead letters
//!        begins at its step    └─► script ─► take_tasks ─► executor ─► on_script ─► fan-out
//! ```
//!
//! Where the topology is split, the way ends with the run of steps that begins here, and what the message is by then is
//! handed over to the lane of the next run (`handover.rs`). That is one message, however many parts there are.
//!
//! An input brings one piece of work, which ends here when all of its parts are through: nothing is published before
//! (`fan_out/`). An input over its limits is one dead letter, with its own bytes.

mod budget;
mod document_pool;
mod handover;
mod large;
mod publish;
mod run;
mod sampled;
mod scripted;
mod slab;
#[cfg(test)]
mod tests;
mod voices;
mod watched;

use std::rc::Rc;
use std::time::Duration;

use message::Fault;
use script::Task;

use super::message::{InputRef, OwnedMessage};
use super::registry::Revision;
use super::world::Elsewhere;
use crate::fan_out::FanOut;
use budget::Budget;
use document_pool::DocumentPool;
pub use handover::Handed;
use large::Large;
use sampled::Sampler;
use scripted::Scripted;

/// A payload above this is read on the thread.
pub const LARGE: usize = 1 << 20;

/// While a script does not end, messages that need one are offered again after this.
const STUCK_DELAY: Duration = Duration::from_secs(10);
/// What the executor has no room for is offered again after this.
const REFUSED_DELAY: Duration = Duration::from_millis(250);

/// A message whose script rests comes again after this, and later each time: settlement lets delays grow.
const NOT_RUN_DELAY: Duration = Duration::from_secs(1);
/// While there is no room for large payloads, a message is offered again after this.
const FULL_DELAY: Duration = Duration::from_secs(1);

/// What other rooms have to be told; the shard routes it.
#[derive(Debug)]
pub enum Effect {
    /// The URL of a large payload for an out, or why there is none. The input's piece of work goes on.
    Addressed {
        revision: Rc<Revision>,
        input: InputRef,
        /// With its payload.
        message: OwnedMessage,
        /// Position in the pipeline's outs.
        target: usize,
        address: Result<Option<String>, Fault>,
    },
}

/// The messages between their payload and their outputs.
pub struct Steps {
    documents: DocumentPool,
    /// The allocations of the fan-out of the message at hand.
    spare: FanOut,
    scripted: Scripted,
    /// A script does not end: others cannot begin.
    is_stuck: bool,
    large: Large,
    budget: Budget,
    sampler: Sampler,
    effects: Vec<Effect>,
}

impl Steps {
    /// `elsewhere`: where large payloads are read.
    #[must_use]
    pub fn new(elsewhere: Box<dyn Elsewhere>) -> Steps {
        Steps {
            documents: DocumentPool::default(),
            spare: FanOut::default(),
            scripted: Scripted::default(),
            is_stuck: false,
            large: Large::new(elsewhere),
            budget: Budget::default(),
            sampler: Sampler::default(),
            effects: Vec::new(),
        }
    }

    /// Moves the tasks for the executor to the end of `into`.
    pub fn take_tasks(&mut self, into: &mut Vec<Task>) {
        into.append(&mut self.scripted.tasks);
    }

    /// Says whether a script does not end: until it does, no message of a stream begins one. Gives what was said last.
    pub fn set_stuck(&mut self, is_stuck: bool) -> bool {
        std::mem::replace(&mut self.is_stuck, is_stuck)
    }

    /// Moves what the shard has to route to the end of `into`.
    pub fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }

    /// Messages, and parts of some, that are with a script or wait for it.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.scripted.waiting()
    }

    /// Whether no more messages should be asked for. Only those that were asked for count: core NATS brings its own
    /// whatever is said here, and one customer's would keep everybody waiting.
    pub fn is_full(&mut self, tick: u64) -> bool {
        self.budget.is_full(tick) || self.large.is_full()
    }

    /// Whether messages of a revision's own stream may wait here for its scripts; else they would go back to it.
    #[must_use]
    pub fn has_room(&self, revision: &Revision) -> bool {
        self.budget.admits(revision.owner.customer_id) || revision.pipeline().programs().next().is_none()
    }

    /// Whether no message is here.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.scripted.is_idle() && self.large.is_idle()
    }
}
