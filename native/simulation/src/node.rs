//! The process under test: its shards, its pipelines, its deaths.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use flow::engine::one_shard::{Command, Counters, Prepared, Start, run_in};
use flow::engine::{Metric, Secrets, Settings, Topology};
use message::Fault;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::sleep;

use crate::catalogue::{CANARY_MILLIONTHS, Catalogue};
use crate::network::Wires;
use crate::sink::Receivers;
use crate::source::{Answer, ModelSource, Request};
use crate::story::Story;
use crate::timeline::{CUT_OFF, KILLED};
use crate::world::SimulatedWorld;

/// How long a stopped node waits for what is in hand.
const DRAIN: Duration = Duration::from_secs(20);

/// A shard that runs.
struct Shard {
    source: Rc<ModelSource>,
    commands: mpsc::UnboundedSender<Command>,
    task: AbortHandle,
}

impl Shard {
    fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }
}

/// What is served: position in the catalogue, and which revision.
type Served = BTreeMap<usize, usize>;

pub struct Node {
    story: Rc<Story>,
    wires: Rc<Wires>,
    receivers: Rc<Receivers>,
    catalogue: Rc<Catalogue>,
    settings: Arc<Settings>,
    shards: RefCell<Vec<Shard>>,
    served: RefCell<Served>,
    prepared: RefCell<BTreeMap<usize, Arc<Prepared>>>,
    stopping: Cell<bool>,
    draining: Cell<bool>,
    /// What processes before this one have counted.
    counted: RefCell<BTreeSet<&'static str>>,
}

impl Node {
    /// # Errors
    /// The settings cannot be read.
    pub fn new(
        story: &Rc<Story>,
        wires: &Rc<Wires>,
        receivers: &Rc<Receivers>,
        catalogue: &Rc<Catalogue>,
        (threads, topology): (u64, Topology),
    ) -> Result<Rc<Node>, Fault> {
        let settings = json!({"nats": {"url": "nats://127.0.0.1:4222"}, "files": ".", "threads": threads,
            "topology": topology, "tiers": ["t1000"], "set_aside_after": 5});
        let settings = serde_json::from_value(settings)
            .map_err(|error| Fault::new(message::Code::InternalPanic, format!("settings: {error}")))?;
        Ok(Rc::new(Node {
            story: Rc::clone(story),
            wires: Rc::clone(wires),
            receivers: Rc::clone(receivers),
            catalogue: Rc::clone(catalogue),
            settings: Arc::new(settings),
            shards: RefCell::default(),
            served: RefCell::default(),
            prepared: RefCell::default(),
            stopping: Cell::new(false),
            draining: Cell::new(false),
            counted: RefCell::default(),
        }))
    }

    fn prepare(&self, entry: usize, revision: usize) -> Option<Arc<Prepared>> {
        let pipeline = Arc::clone(&self.catalogue.entries[entry].revisions[revision]);
        let earlier = self.prepared.borrow().get(&entry).map(|prepared| prepared.counters.clone());
        let counters =
            earlier.unwrap_or_else(|| (0..self.settings.threads).map(|_| Arc::new(Counters::default())).collect());
        let prepared = Prepared::new(pipeline, Secrets::default(), counters, &self.settings).ok()?;
        let prepared = Arc::new(match self.story.canaries.borrow().contains(&entry) {
            true => prepared.with_canary(self.catalogue.canary(entry), CANARY_MILLIONTHS, None).ok()?,
            false => prepared,
        });
        self.prepared.borrow_mut().insert(entry, Arc::clone(&prepared));
        Some(prepared)
    }

    /// Serves these pipelines from now on, whether it runs or not.
    pub fn serve(&self, served: Served) {
        let before = self.served.replace(served.clone());
        let changed = served.iter().filter(|(entry, revision)| before.get(entry) != Some(revision));
        let install: Arc<[Arc<Prepared>]> =
            changed.filter_map(|(entry, revision)| self.prepare(*entry, *revision)).collect();
        let gone = before.keys().filter(|entry| !served.contains_key(entry));
        let remove: Arc<[(Box<str>, Box<str>)]> = gone.map(|entry| self.key(*entry)).collect();
        for shard in self.shards.borrow().iter() {
            let (done, _) = channel();
            let (install, remove) = (Arc::clone(&install), Arc::clone(&remove));
            // A shard that has just died knows it when it is started again.
            let _ = shard.commands.send(Command::Change { install, remove, done });
        }
    }

    #[must_use]
    pub fn served(&self) -> Served {
        self.served.borrow().clone()
    }

    fn note_counters(&self) {
        for prepared in self.prepared.borrow().values() {
            let is_counted = |metric: &Metric| prepared.counters.iter().any(|counters| counters.get(*metric) > 0);
            self.counted
                .borrow_mut()
                .extend(Metric::ALL.iter().filter(|metric| is_counted(metric)).map(|one| one.as_str()));
        }
    }

    /// The metrics that have counted something.
    #[must_use]
    pub fn counted(&self) -> BTreeSet<&'static str> {
        self.note_counters();
        self.counted.borrow().clone()
    }

    fn key(&self, entry: usize) -> (Box<str>, Box<str>) {
        let entry = &self.catalogue.entries[entry];
        (entry.customer.into(), entry.name.into())
    }

    /// Whether each run of steps has lanes of its own.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.settings.topology == Topology::Split
    }

    #[must_use]
    pub fn shards(&self) -> u32 {
        self.settings.threads
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.shards.borrow().is_empty()
    }

    /// Starts the process.
    pub fn start(self: &Rc<Node>) {
        self.stopping.set(false);
        let served = self.served();
        self.note_counters();
        self.prepared.borrow_mut().clear();
        let pipelines: Vec<Arc<Prepared>> =
            served.iter().filter_map(|(entry, revision)| self.prepare(*entry, *revision)).collect();
        let shards = (0..self.settings.threads as usize).map(|number| self.spawn(number, pipelines.clone()));
        let shards = shards.collect();
        *self.shards.borrow_mut() = shards;
    }

    fn spawn(self: &Rc<Node>, number: usize, pipelines: Vec<Arc<Prepared>>) -> Shard {
        let source = Rc::new(ModelSource::default());
        let world = Rc::new(SimulatedWorld {
            story: Rc::clone(&self.story),
            wires: Rc::clone(&self.wires),
            receivers: Rc::clone(&self.receivers),
            source: Rc::clone(&source),
            runner: Rc::clone(&self.catalogue.runner),
            disk: "disk",
        });
        let (commands, commands_there) = mpsc::unbounded_channel();
        let start = Start {
            number,
            settings: Arc::clone(&self.settings),
            events: Arc::default(),
            meters: Arc::default(),
            lease: Arc::default(),
            pipelines,
            commands: commands_there,
            started: channel().0,
        };
        let node = Rc::clone(self);
        let task = spawn_local(async move {
            // All tasks of the shard are in a set of its own: they die with it.
            let finished = LocalSet::new().run_until(run_in(world, start)).await;
            node.story.tell(|| format!("shard {number} ends, {}", if finished { "drained" } else { "not drained" }));
            if node.draining.get() && !finished {
                node.story.note(CUT_OFF);
            }
            if !node.stopping.get() {
                // As its host would: a process that cannot start, or whose shard dies, is started again.
                // In a task of its own, since this one dies with the process.
                spawn_local(node.die_and_revive());
            }
        });
        Shard { source, commands, task: task.abort_handle() }
    }

    /// Kills one shard at whichever await it is. Whether others go on.
    pub fn kill_shard(&self, number: usize) -> bool {
        let shards = self.shards.borrow();
        let Some(shard) = shards.get(number).filter(|shard| shard.is_alive()) else { return false };
        self.story.note(KILLED);
        shard.task.abort();
        shards.iter().enumerate().any(|(other, shard)| other != number && shard.is_alive())
    }

    /// Starts a shard that was killed, unless the process was, or is to end.
    pub fn restart_shard(self: &Rc<Node>, number: usize) {
        let is_dead = self.shards.borrow().get(number).is_some_and(|shard| !shard.is_alive());
        if is_dead && !self.stopping.get() {
            let pipelines = self.prepared.borrow();
            let served = self.served();
            let pipelines = served.keys().filter_map(|entry| pipelines.get(entry).cloned()).collect();
            let shard = self.spawn(number, pipelines);
            self.shards.borrow_mut()[number] = shard;
        }
    }

    async fn die_and_revive(self: Rc<Node>) {
        self.story.note(KILLED);
        self.die();
        sleep(Duration::from_secs(1)).await;
        if !self.stopping.get() && self.shards.borrow().is_empty() {
            self.start();
        }
    }

    /// The process is killed, at whichever await its shards are.
    pub fn kill(&self) {
        self.stopping.set(true);
        self.die();
    }

    fn die(&self) {
        for shard in self.shards.borrow_mut().drain(..) {
            if shard.is_alive() {
                self.story.note(KILLED);
            }
            shard.task.abort();
        }
    }

    /// The process is stopped, and has ended.
    pub async fn stop(&self) {
        self.stopping.set(true);
        self.draining.set(true);
        let tasks: Vec<AbortHandle> = self.shards.borrow().iter().map(|shard| shard.task.clone()).collect();
        for shard in self.shards.borrow().iter() {
            let _ = shard.commands.send(Command::Drain(DRAIN));
        }
        for _ in 0..400 {
            if tasks.iter().all(AbortHandle::is_finished) {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        self.draining.set(false);
        self.die();
    }

    /// Posts to one of the shards; nothing answers when none is there.
    pub fn post(&self, request: Request) -> Option<oneshot::Receiver<Answer>> {
        let shards = self.shards.borrow();
        let alive: Vec<&Shard> = shards.iter().filter(|shard| shard.is_alive()).collect();
        (!alive.is_empty()).then(|| self.story.pick(&alive).source.post(request))
    }
}
