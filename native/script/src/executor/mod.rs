//! Who runs scripts: the contract, and two that keep it. A third, in worker processes, is the crate `sandbox`; it is built
//! of the queue and the engines here.
//!
//! ```text
//!       ──load, unload─────────► programs, by id
//! shard ──submit(batch)────────► ThreadExecutor: queue ─► its thread ─► one runtime a customer
//!       ◄──wake, once a turn─────┘   │               in turns of customers
//!       ──completed()────────────────┘               Runner: the same, on the calling thread
//! ```

mod engines;
mod loaded;
mod programs;
mod queue;
mod runner;
mod thread;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::{Document, Fault, Limits, Tables};

pub use engines::{Engines, Keep};
pub use loaded::Loaded;
pub use queue::{Job, Queue, Ran, Room, Submitter, Work};
pub use runner::Runner;
pub use thread::{ThreadExecutor, ThreadOptions};

use crate::program::{Program, ProgramId};
use crate::said::Said;

/// Whose a task is. One for all tasks of a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskOwner {
    pub customer: Box<str>,
    pub pipeline: Box<str>,
    pub revision: Box<str>,
    /// What `ctx.lookup` looks into.
    pub tables: Tables,
}

/// What a script sees as `ctx`.
#[derive(Clone, Debug, Default)]
pub struct TaskContext {
    pub id: Arc<str>,
    pub owner: Arc<TaskOwner>,
    /// When the message was accepted, milliseconds since the Unix epoch: `ctx.now` and `Date.now()`.
    pub time_ms: u64,
    /// A NATS header block.
    pub headers: Arc<[u8]>,
    /// Random numbers follow from it, the id and the time: it tells the calls for one message apart.
    pub seed: u64,
}

/// One message for one script.
pub struct Task {
    /// Comes back unchanged in [`Done`].
    pub token: u64,
    pub program: ProgramId,
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
    /// CPU time that it has taken, about.
    pub used: Duration,
    /// What it has said to its `console`.
    pub said: Said,
}

/// Runs scripts, somewhere else: on a thread, or in a process that gets ids and bytes and no pointers.
pub trait Executor {
    /// Makes a program known under its id, before the first task that names it. Loads are counted:
    /// each needs one [`Executor::unload`]. The script's own top level runs at its first task.
    fn load(&self, program: &Arc<Program>);

    /// Takes one load back. With the last one the executor frees what it holds of the program, after
    /// the tasks that it has taken; a later task that names it fails. An id that is not loaded is ignored.
    fn unload(&self, program: ProgramId);

    /// Takes a batch, which may hold tasks of several customers, or gives it back whole when the
    /// queue has no room for it. Never blocks. Every task that was taken comes back once, from
    /// [`Executor::completed`]; those of one customer in their order. A task whose program is not loaded
    /// comes back as `script/unavailable`.
    ///
    /// # Errors
    /// The batch, when it was not taken: try again after the next completion.
    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>>;

    /// Moves what is done to the end of `into`. Never blocks.
    fn completed(&self, into: &mut Vec<Done>);

    /// From now on `wake` is called whenever there is something new to fetch by [`Executor::completed`],
    /// at least once for all of it. It is called on any thread, must be quick and must not panic. Set it before
    /// the first batch.
    fn on_completed(&self, wake: Box<dyn Fn() + Send>);

    /// Whose turn it is, and for how long it has been: long after a turn's end inside a built-in that does
    /// not stop. Never blocks.
    fn turn(&self) -> Option<(Box<str>, Duration)>;

    /// What whoever runs the node should know, given once. Never blocks.
    fn warning(&self) -> Option<Fault> {
        None
    }
}

/// Whether scripts can run at all; asked, and perhaps made so, before a pipeline with scripts is taken on. May block for
/// a second. `script/unavailable` refuses that pipeline.
pub type ScriptsReady = Arc<dyn Fn() -> Result<(), Fault> + Send + Sync>;

/// Makes the executor of a shard; called on the shard's thread.
pub type Executors = Arc<dyn Fn() -> Result<Rc<dyn Executor>, Fault> + Send + Sync>;

impl Task {
    /// What the task holds on to, in bytes, about.
    fn size(&self) -> usize {
        self.document.source().len() + self.document.node_count() * size_of::<message::Node>() + 256
    }
}
