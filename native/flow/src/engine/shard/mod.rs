//! One shard: one thread, one current-thread runtime, one NATS connection, and the rooms of the engine on it.
//! Nothing crosses shards.
//!
//! ```text
//! commands (install, remove, drain) ─┐
//! NATS connection ───────────────────┤                        ┌─► wire: one write a burst
//! HTTP source ───────────────────────┼─► Parts, borrowed ─────┤
//! script executor, large payloads ───┤   for one burst        └─► effects: scripts, workers, answers
//! sinks' workers, clocks ────────────┘
//! ```
//!
//! The rooms return effects; only `parts.rs` knows where they go. `arrivals.rs` takes what the connection brings,
//! `pipelines.rs` installs and removes, `turn.rs` is the connection's handler, `drain.rs` the end. Every spawned
//! task is in `tasks/`.

mod arrivals;
mod cpu;
mod drain;
mod handed_over;
mod leases;
mod parts;
mod pipelines;
mod refusals;
mod start;
mod tasks;
mod turn;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use nats::{Connection, Outbox};
use script::Executor;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::registry::Prepared;
use super::settings::Settings;
use super::world::World;
pub use parts::Parts;
pub use start::{Start, run_in, run_shard};
use turn::Turn;

/// What the node asks of a shard. `done` is told when the shard has done it.
pub enum Command {
    /// Takes nothing more in for some pipelines, whose messages in hand are finished, and puts revisions in place of
    /// those before them: all of it between two bursts. `remove`: customer and name of each.
    Change { install: Arc<[Arc<Prepared>]>, remove: Arc<[(Box<str>, Box<str>)]>, done: Sender<()> },
    /// Takes messages from the lanes that these settings name; see [`Parts::serve`].
    Serve { settings: Arc<Settings>, done: Sender<()> },
    /// Sources that one node alone may read are read here, or no more.
    Lease(LeaseChange),
    /// Takes nothing more in, finishes what is in hand until the deadline, sends the rest back.
    Drain(Duration),
}

/// Customer and name of pipelines whose sources are read from now on, and of those that are not; `done` is told when the
/// last of these is over.
pub struct LeaseChange {
    pub grant: Arc<[(Box<str>, Box<str>)]>,
    pub revoke: Arc<[(Box<str>, Box<str>)]>,
    pub done: Sender<()>,
}

/// What the tasks of a shard share.
pub struct Shard {
    world: Rc<dyn World>,
    parts: RefCell<Parts>,
    outbox: Outbox,
    executor: Rc<dyn Executor>,
    scripts_done: Arc<Notify>,
    /// A draining shard has come further.
    progress: Notify,
}

impl Shard {
    fn new(world: Rc<dyn World>, parts: Parts, outbox: Outbox, executor: Rc<dyn Executor>) -> Rc<Shard> {
        let scripts_done = Arc::new(Notify::new());
        let wake = Arc::clone(&scripts_done);
        executor.on_completed(Box::new(move || wake.notify_one()));
        Rc::new(Shard { world, parts: RefCell::new(parts), outbox, executor, scripts_done, progress: Notify::new() })
    }

    /// Runs `work`, routes what it has left to be done elsewhere, and sends what it has written.
    pub(super) fn with<T>(self: &Rc<Self>, work: impl FnOnce(&mut Parts) -> T) -> T {
        let done = self.with_unnoted(work);
        self.parts.borrow().settlement.meters().note_activity();
        done
    }

    /// The same for what comes every second: it says itself whether it has counted something.
    pub(super) fn with_unnoted<T>(self: &Rc<Self>, work: impl FnOnce(&mut Parts) -> T) -> T {
        let mut parts = self.parts.borrow_mut();
        parts.settlement.set_now(self.world.now_ms());
        if parts.leases.have_lapsed() {
            parts.on_lapse();
            self.outbox.revoke();
        }
        let done = work(&mut parts);
        self.route(&mut parts);
        let wire = &mut parts.settlement.wire;
        if !wire.is_empty() {
            // Without a connection it waits for the next one.
            let _ = self.outbox.write(|out| append(out, wire));
        }
        done
    }

    /// Runs the shard until it is drained; `true` when everything in hand was finished. In a local set.
    async fn run(self: Rc<Self>, mut connection: Connection, commands: mpsc::UnboundedReceiver<Command>) -> bool {
        let mut tasks = JoinSet::new();
        tasks::spawn_all(&self, &mut tasks);
        let shard = Rc::clone(&self);
        let connected = async move {
            let mut turn = Turn::new(shard);
            loop {
                if connection.turn(&mut turn).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            finished = self.obey(commands) => finished,
            () = connected => false,
            () = panicked(tasks) => false,
        }
    }

    /// Does what the node asks, until it asks for a drain.
    async fn obey(self: &Rc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) -> bool {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Change { install, remove, done } => {
                    self.change(&install, &remove);
                    // The node does not wait any more when it is gone.
                    let _ = done.send(());
                }
                Command::Serve { settings, done } => {
                    self.with(|parts| parts.serve(settings));
                    let _ = done.send(());
                }
                Command::Lease(change) => self.on_lease(change),
                Command::Drain(deadline) => return self.drain(deadline).await,
            }
        }
        false
    }

    fn change(self: &Rc<Self>, install: &[Arc<Prepared>], remove: &[(Box<str>, Box<str>)]) {
        let loaded: Vec<_> = install.iter().map(|prepared| (prepared, prepared.load(&self.executor))).collect();
        self.with(|parts| {
            for (customer, pipeline) in remove {
                parts.remove(customer, pipeline);
            }
            for (prepared, scripts) in loaded {
                parts.install(prepared, scripts);
            }
        });
    }
}

/// Panics with the first of the tasks that does: a shard without one of them would go on and do nothing.
async fn panicked(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
    std::future::pending().await
}

/// Moves `wire` to the end of `out`, without a copy where nothing is there yet.
fn append(out: &mut Vec<u8>, wire: &mut Vec<u8>) {
    if out.is_empty() {
        std::mem::swap(out, wire);
    } else {
        out.append(wire);
    }
}
