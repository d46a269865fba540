//! The node as its host sees it: configure, install, start, watch, remove, drain. One per process.
//!
//! ```text
//! Node::new ─► install ... ─► start ─► install, remove, stats, events ... ─► drain
//!                                 └─► shards, one thread each: every change is confirmed by all of them
//! ```

mod check;
mod claims;
mod install;
mod leases;
mod listeners;
mod metrics;
mod state;
mod stats;
mod topology;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use connectors::http::source::spread;
use connectors::tls::Tls;
use message::{Code, Fault};
use script::{Executors, ScriptsReady};
use tokio::sync::mpsc;

pub use check::Finding;
pub use install::{CanaryInstall, Install, Installs};
pub use metrics::Metrics;
pub use stats::{Changes, PipelineCanary, PipelineStats};

use super::delivery::Hosting;
use super::observe::{Event, Events, Meters};
use super::registry::{Prepared, Secrets};
use super::settings::{NodeType, Settings};
use super::shard::{Command, Start, run_shard};
use super::world::{Lease, SystemWorld, on_threads};
use crate::compile::Pipeline;
use crate::model::Ceilings;
use claims::Claims;
use state::State;
use stats::Seen;

/// The most shards of a node.
pub const MAX_THREADS: u32 = 64;

/// The most lanes that a node type has in each tier.
pub const MAX_LANES: u32 = 8;

/// Customer and name of a pipeline.
pub type Key = (Box<str>, Box<str>);

/// A running node. `Send + Sync`: its shards are reached by messages only.
pub struct Node {
    /// Replaced as a whole, by [`Node::serve_as`].
    settings: Mutex<Arc<Settings>>,
    /// To look whether outs can be used; each shard has its own to open them.
    hosting: Hosting,
    events: Arc<Events>,
    /// One for each shard.
    meters: Vec<Arc<Meters>>,
    lease: Arc<Lease>,
    executors: Executors,
    scripts_ready: ScriptsReady,
    /// Held while something is installed, removed, started or drained: one at a time.
    change: Mutex<()>,
    state: Mutex<State>,
    /// What the last call of [`Node::changes`] has told.
    seen: Mutex<Seen>,
}

struct Shard {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// A node that does nothing yet.
    ///
    /// # Errors
    /// `config/invalid-value`.
    pub fn new(settings: Settings) -> Result<Node, Fault> {
        Node::with_executors(settings, on_threads(), Arc::new(|| Ok(())))
    }

    /// The same, whose scripts are run by other executors, one for each shard, when those are ready for it.
    ///
    /// # Errors
    /// `config/invalid-value`.
    pub fn with_executors(
        settings: Settings,
        executors: Executors,
        scripts_ready: ScriptsReady,
    ) -> Result<Node, Fault> {
        let invalid = |reason: String| Err(Fault::new(Code::ConfigInvalidValue, reason));
        if settings.threads == 0 || settings.threads > MAX_THREADS {
            return invalid(format!("threads has to be 1 to {MAX_THREADS}"));
        }
        if settings.lanes == 0 || settings.lanes > MAX_LANES {
            return invalid(format!("lanes has to be 1 to {MAX_LANES}"));
        }
        let (ceilings, least) = (settings.ceilings, Ceilings::least());
        if ceilings.cpu_ms < least.cpu_ms || ceilings.memory_mb < least.memory_mb || ceilings.fuel < least.fuel {
            return invalid(format!("ceilings have to be at least what pipelines get that ask for nothing: {least:?}"));
        }
        if settings.types.is_empty() {
            return invalid("types has to name what the node serves".to_owned());
        }
        let hosting = Hosting::new(&settings, None, Tls::new(None)?)?;
        let state = State { max_payload: settings.max_payload, ..State::default() };
        Ok(Node {
            lease: Arc::default(),
            executors,
            scripts_ready,
            meters: (0..settings.threads).map(|_| Arc::default()).collect(),
            settings: Mutex::new(Arc::new(settings)),
            hosting,
            events: Arc::default(),
            change: Mutex::default(),
            state: Mutex::new(state),
            seen: Mutex::default(),
        })
    }

    /// Puts a compiled pipeline in place of its earlier revision. Returns when every shard has done so; what is in
    /// hand finishes under the revision it began with.
    ///
    /// # Errors
    /// `secret/not-found`; `config/conflict` for a path or a durable that another pipeline has; `config/file-outside`;
    /// `config/invalid-value` for limits that the server does not allow. The earlier revision goes on then.
    pub fn install(&self, pipeline: Arc<Pipeline>, secrets: Secrets) -> Result<(), Fault> {
        self.change(vec![(pipeline, secrets).into()], &[]).map_err(|(_, fault)| fault)
    }

    /// Takes a pipeline out. Returns when no shard takes anything more in for it; what is in hand is finished.
    /// `false` when it is not installed.
    pub fn remove(&self, customer: &str, pipeline: &str) -> bool {
        let key: Key = (customer.into(), pipeline.into());
        let is_here = lock(&self.state).installed.contains_key(&key);
        is_here && self.change(Vec::new(), &[key]).is_ok()
    }

    /// Installs some and removes some in one step: each shard serves all of it from one moment on, so that addresses
    /// and durables pass from one pipeline to another without a gap. All of it is done, or nothing.
    ///
    /// # Errors
    /// As [`Node::install`], with the place of the pipeline in `installs`.
    pub fn change(&self, installs: Installs, removes: &[Key]) -> Result<(), (usize, Fault)> {
        let _change = lock(&self.change);
        let install = self.prepare(installs, removes)?;
        let remove: Arc<[Key]> = removes.into();
        self.on_all_shards(|done| Command::Change { install: Arc::clone(&install), remove: Arc::clone(&remove), done });
        lock(&self.state).change(&install, removes);
        Ok(())
    }

    /// Whether [`Node::change`] would be done.
    ///
    /// # Errors
    /// As it.
    pub fn try_change(&self, installs: Installs, removes: &[Key]) -> Result<(), (usize, Fault)> {
        let _change = lock(&self.change);
        self.prepare(installs, removes).map(drop)
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.settings))
    }

    fn prepare(&self, installs: Installs, removes: &[Key]) -> Result<Arc<[Arc<Prepared>]>, (usize, Fault)> {
        let settings = self.settings();
        let has_scripts = |one: &Install| {
            let canary = one.canary.iter().flat_map(|canary| canary.pipeline.programs());
            settings.serves_steps() && one.pipeline.programs().chain(canary).next().is_some()
        };
        // Not under the lock of the state: it may start a process.
        let ready = if installs.iter().any(has_scripts) { (self.scripts_ready)() } else { Ok(()) };
        let state = lock(&self.state);
        let leaving = removes.iter().cloned().chain(installs.iter().map(|one| key(&one.pipeline))).collect();
        let mut own = Claims::default();
        let prepared = installs.into_iter().enumerate().map(|(place, one)| {
            let prepare = || {
                let key = key(&one.pipeline);
                if has_scripts(&one) {
                    ready.clone()?;
                }
                state.claims.check(&key, &one.pipeline, &leaving)?;
                own.check(&key, &one.pipeline, &BTreeSet::new())?;
                own.put(&key, &one.pipeline);
                state.prepare(&key, one, (&settings, &self.hosting))
            };
            prepare().map(Arc::new).map_err(|fault| (place, fault))
        });
        prepared.collect()
    }

    /// Sends a command to every shard, and waits until all have done it. A shard that has ended does nothing more;
    /// [`Node::check_shards`] says so.
    fn on_all_shards(&self, command: impl Fn(Sender<()>) -> Command) {
        let (done, all_done) = channel();
        for shard in &lock(&self.state).shards {
            let _ = shard.commands.send(command(done.clone()));
        }
        drop(done);
        while all_done.recv().is_ok() {}
    }

    /// Binds, connects, and starts the shards; returns when all of them run.
    ///
    /// # Errors
    /// `config/cannot-listen`, `nats/...`, `config/conflict` when it runs already.
    pub fn start(&self) -> Result<(), Fault> {
        let _change = lock(&self.change);
        let mut state = lock(&self.state);
        if !state.shards.is_empty() {
            return Err(Fault::new(Code::ConfigConflict, "the node runs already"));
        }
        let spawned = self.spawn(&mut state);
        if spawned.is_err() {
            state.listeners.clear();
        }
        let (shards, ready) = spawned?;
        state.shards = shards;
        let ended = || Err(Fault::new(Code::InternalPanic, "a shard ended while it started"));
        // All of them have answered, whatever the first one says.
        let results: Vec<Result<usize, Fault>> =
            ready.into_iter().map(|one| one.recv().unwrap_or_else(|_| ended())).collect();
        match results.into_iter().collect::<Result<Vec<usize>, Fault>>() {
            Ok(sizes) => {
                state.max_payload = sizes.into_iter().min();
                Ok(())
            }
            Err(fault) => {
                state.listeners.clear();
                end(std::mem::take(&mut state.shards), Duration::ZERO);
                Err(fault)
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn spawn(&self, state: &mut State) -> Result<(Vec<Shard>, Vec<Receiver<Result<usize, Fault>>>), Fault> {
        let settings = self.settings();
        let threads = settings.threads as usize;
        let listeners = listeners::bind(&settings)?;
        state.address = listeners.first().and_then(|listener| listener.local_addr().ok());
        state.listeners = listeners::copies(&listeners)?;
        let mut listeners = spread(listeners, threads)?;
        let tls = Tls::new(None)?;
        let (mut shards, mut ready) = (Vec::new(), Vec::new());
        for number in 0..threads {
            let (started, started_here): (Sender<_>, _) = channel();
            let (commands, commands_there) = mpsc::unbounded_channel();
            let start = Start {
                number,
                settings: Arc::clone(&settings),
                events: Arc::clone(&self.events),
                meters: Arc::clone(&self.meters[number]),
                lease: Arc::clone(&self.lease),
                pipelines: state.installed.values().cloned().collect(),
                commands: commands_there,
                started,
            };
            let (tls, here) = (tls.clone(), listeners.pop().unwrap_or_default());
            let executors = Arc::clone(&self.executors);
            let thread = std::thread::Builder::new()
                .name(format!("vrsky-shard-{number}"))
                .spawn(move || run_shard(start, move || Rc::new(SystemWorld::new(tls, here).with(executors))))
                .map_err(|error| Fault::new(Code::ConfigInvalidValue, format!("no thread: {error}")))?;
            shards.push(Shard { commands, thread });
            ready.push(started_here);
        }
        Ok((shards, ready))
    }

    /// Whether the connectors of a pipeline would work here, with whatever secrets there are. Installs
    /// and starts nothing; blocks for some seconds at most.
    ///
    /// # Errors
    /// `config/invalid-value` for settings that no node could start with.
    pub fn check(&self, pipeline: &Arc<Pipeline>, secrets: &Secrets) -> Result<Vec<Finding>, Fault> {
        check::check(pipeline, secrets, &self.settings())
    }

    /// Where HTTP pipelines are served.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        lock(&self.state).address
    }

    /// What a scrape is told; `most`: how many customers are named, those with the most messages. Without it, what a
    /// probe is told: of the shards alone, whatever the number of pipelines.
    #[must_use]
    pub fn metrics(&self, most: Option<usize>) -> Metrics {
        let Some(most) = most else { return Metrics::of_shards(&self.meters) };
        let state = &mut *lock(&self.state);
        Metrics::of(state.installed.values(), &mut state.retired, &self.meters, most)
    }

    /// Whether every shard runs.
    ///
    /// # Errors
    /// `internal/panic` when a shard has ended by itself: what it had in hand comes again elsewhere, and the
    /// process had better begin anew.
    pub fn check_shards(&self) -> Result<(), Fault> {
        match lock(&self.state).shards.iter().position(|shard| shard.thread.is_finished()) {
            None => Ok(()),
            Some(number) => Err(Fault::new(Code::InternalPanic, format!("shard {number} has ended"))),
        }
    }

    /// Everything that was noted since the last call; see [`Events`].
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// Stops intake, finishes what is in hand until the deadline, sends the rest back to its
    /// stream. Blocks until every shard has ended; `true` when nothing had to be sent back.
    pub fn drain(&self, deadline: Duration) -> bool {
        let _change = lock(&self.change);
        let shards = {
            let state = &mut *lock(&self.state);
            // Connections would wait in them for nobody.
            state.listeners.clear();
            std::mem::take(&mut state.shards)
        };
        end(shards, deadline)
    }
}

fn key(pipeline: &Pipeline) -> Key {
    (pipeline.customer().into(), pipeline.name().into())
}

fn end(shards: Vec<Shard>, deadline: Duration) -> bool {
    for shard in &shards {
        let _ = shard.commands.send(Command::Drain(deadline));
    }
    // All are joined, whatever the first one says.
    let ended: Vec<bool> = shards.into_iter().map(|shard| shard.thread.join().unwrap_or(false)).collect();
    ended.into_iter().all(|ok| ok)
}

impl Drop for Node {
    fn drop(&mut self) {
        self.drain(Duration::ZERO);
    }
}
