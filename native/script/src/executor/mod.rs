//! Who runs scripts: the contract, and two that keep it.
//!
//! ```text
//! shard ──submit(batch)──► ThreadExecutor: queue ─► its thread ─► Runner ─► one runtime a customer
//!       ◄──wake, once a turn───┘   │               in turns of customers
//!       ──completed()──────────────┘                 Runner alone: the same, on the calling thread
//! ```

mod queue;
mod runner;
mod thread;

use std::sync::Arc;

use message::{Document, Fault, Limits};

pub use runner::{Keep, Runner};
pub use thread::{ThreadExecutor, ThreadOptions};

use crate::program::Program;

/// What a script sees as `ctx`.
#[derive(Clone, Debug, Default)]
pub struct TaskContext {
    pub id: Box<str>,
    pub customer: Box<str>,
    pub pipeline: Box<str>,
    pub revision: Box<str>,
    /// When the message was accepted, milliseconds since the Unix epoch: `ctx.now` and `Date.now()`.
    pub time_ms: u64,
    /// A NATS header block.
    pub headers: Box<[u8]>,
    /// Random numbers follow from it, the id and the time: it tells the calls for one message apart.
    pub seed: u64,
}

/// One message for one script.
pub struct Task {
    /// Comes back unchanged in [`Done`].
    pub token: u64,
    pub program: Arc<Program>,
    pub document: Document,
    pub context: TaskContext,
    pub limits: Arc<Limits>,
}

/// What became of a task.
pub struct Done {
    pub token: u64,
    /// The document that came with the task. On an error it reads as it did then.
    pub document: Document,
    /// The roots, in `document`, of what the script returned; none when it dropped the message.
    pub outcome: Result<Vec<u32>, Fault>,
}

/// Runs scripts, somewhere else.
pub trait Executor {
    /// Takes a batch, which may hold tasks of several customers, or gives it back whole when the
    /// queue has no room for it. Never blocks. Every task that was taken comes back once, from
    /// [`Executor::completed`]; those of one customer in their order.
    ///
    /// # Errors
    /// The batch, when it was not taken: try again after the next completion.
    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>>;

    /// Moves what is done to the end of `into`. Never blocks.
    fn completed(&self, into: &mut Vec<Done>);
}

impl Task {
    /// What the task holds on to, in bytes, about.
    fn size(&self) -> usize {
        self.document.source().len() + self.document.node_count() * size_of::<message::Node>() + 256
    }
}
