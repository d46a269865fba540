//! One shard: one thread, one current-thread runtime, one NATS connection, and everything on it.
//! Nothing crosses shards.
//!
//! ```text
//! commands (install, drain) ─┐
//! NATS connection ───────────┤                       ┌─► outbox: one write a burst
//! HTTP source ───────────────┼─► Core, borrowed ─────┤
//! script executor ───────────┤   for one burst       └─► executor, sinks, large
//! large payloads' thread ────┤
//! sinks' workers ────────────┤
//! clock, once a second ──────┘
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connectors::{Incoming, Source as _};
use message::{Code, Fault};
use nats::{Connection, Handler, Message, Outbox, Pace, ServerError, ServerInfo};
use script::Executor;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::core::Core;
use super::events::EventKind;
use super::install::Prepared;
use super::queue::{OutQueue, Queued};
use super::{clock, crowd, ingress, large, parking};

/// What the node asks of a shard.
pub enum Command {
    Install(Arc<Prepared>),
    /// Take nothing more in, finish what is in hand until the deadline, send the rest back.
    Drain(Duration),
}

/// What the tasks of a shard share.
pub struct Shard {
    pub core: RefCell<Core>,
    pub outbox: Outbox,
    executor: Rc<dyn Executor>,
    scripts_done: Arc<Notify>,
    collected: Notify,
    progress: Notify,
}

/// A turn ends after this much work, so that the reactor, and other customers, get theirs.
const TURN_MESSAGES: u32 = 64;
const TURN: Duration = Duration::from_millis(2);
/// A turn of the executor that lasts as long is stuck in a built-in, or in a script that may take this long.
const STUCK: Duration = Duration::from_secs(2);

impl Shard {
    pub fn new(core: Core, outbox: Outbox, executor: Rc<dyn Executor>) -> Rc<Shard> {
        let scripts_done = Arc::new(Notify::new());
        let wake = Arc::clone(&scripts_done);
        executor.on_completed(Box::new(move || wake.notify_one()));
        Rc::new(Shard {
            core: RefCell::new(core),
            outbox,
            executor,
            scripts_done,
            collected: Notify::new(),
            progress: Notify::new(),
        })
    }

    /// Runs `work` with the connection's output; while there is none, what it writes waits.
    pub fn with_core(self: &Rc<Self>, work: impl FnOnce(&mut Core, &mut Vec<u8>)) {
        let mut core = self.core.borrow_mut();
        core.now_ms = now_ms();
        let mut late = std::mem::take(&mut core.late);
        let mut work = Some(work);
        let written = self.outbox.write(|out| {
            out.append(&mut late);
            if let Some(work) = work.take() {
                work(&mut core, out);
            }
        });
        if !written && let Some(work) = work.take() {
            work(&mut core, &mut late);
        }
        late.append(&mut core.late);
        core.late = late;
        self.after_burst(&mut core);
    }

    /// What a burst has left to be done elsewhere: scripts to run, workers to start.
    fn after_burst(self: &Rc<Self>, core: &mut Core) {
        if !core.waiting.tasks.is_empty() {
            let batch = std::mem::take(&mut core.waiting.tasks);
            if let Err(refused) = self.executor.submit(batch) {
                let mut late = std::mem::take(&mut core.late);
                core.refuse_tasks(refused, &mut late);
                core.late = late;
            }
        }
        for queue in std::mem::take(&mut core.hungry) {
            queue.staff(self);
        }
        for queue in std::mem::take(&mut core.untended) {
            tokio::task::spawn_local(parking::tend(Rc::clone(self), queue));
        }
        for installed in std::mem::take(&mut core.crowded) {
            tokio::task::spawn_local(crowd::watch(Rc::clone(self), installed));
        }
        if core.draining {
            self.progress.notify_one();
        }
    }

    /// A batch of HTTP requests.
    pub fn incoming(self: &Rc<Self>, batch: Vec<Incoming>) {
        self.with_core(|core, out| core.on_incoming(batch, out));
    }

    /// A sink's word on a batch.
    pub fn delivered(self: &Rc<Self>, queue: &Rc<OutQueue>, batch: Vec<Queued>, outcomes: Vec<connectors::Outcome>) {
        self.with_core(|core, out| core.on_delivered(queue, batch, outcomes, out));
    }

    /// Core NATS cannot be asked to wait, but its socket can: while scripts or the thread for large
    /// payloads have more than enough, nothing is read.
    async fn have_room(&self) {
        while self.core.borrow().has_too_much() {
            self.collected.notified().await;
        }
    }

    /// Whether a script does not end, though its time is over.
    pub fn look_at_scripts(self: &Rc<Self>) {
        let turn = self.executor.turn().filter(|(_, lasted)| *lasted >= STUCK);
        self.with_core(|core, _| core.on_scripts(turn));
        self.has_collected();
    }

    /// Something that was elsewhere has come back.
    pub fn has_collected(&self) {
        self.collected.notify_one();
    }

    /// Scripts that are done, as often as the executor says so.
    async fn collect_scripts(self: Rc<Self>) {
        let mut done = Vec::new();
        loop {
            self.scripts_done.notified().await;
            self.executor.completed(&mut done);
            self.with_core(|core, out| {
                for one in done.drain(..) {
                    core.on_script(one, out);
                }
            });
            self.has_collected();
        }
    }

    /// Runs the shard until it is drained; `true` when everything in hand was finished. In a local set.
    pub async fn run(
        self: Rc<Self>,
        mut connection: Connection,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) -> bool {
        let mut tasks = JoinSet::new();
        tasks.spawn_local(Rc::clone(&self).collect_scripts());
        tasks.spawn_local(large::collect(Rc::clone(&self)));
        tasks.spawn_local(clock::run(Rc::clone(&self)));
        tasks.spawn_local(clock::look(Rc::clone(&self)));
        let source = self.core.borrow().source.clone();
        if let Some(source) = source {
            tasks.spawn_local(ingress::run(Rc::clone(&self), source));
        }
        let shard = Rc::clone(&self);
        let drained = async move {
            while let Some(command) = commands.recv().await {
                match command {
                    Command::Install(prepared) => {
                        let scripts = prepared.load(&shard.executor);
                        shard.with_core(|core, out| core.install(&prepared, scripts, out));
                    }
                    Command::Drain(deadline) => return shard.drain(deadline).await,
                }
            }
            false
        };
        let shard = Rc::clone(&self);
        let connected = async move {
            let mut turn = Turn { shard, started: std::time::Instant::now(), messages: 0, told: None };
            loop {
                turn.shard.have_room().await;
                if connection.turn(&mut turn).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            finished = drained => finished,
            () = connected => false,
            () = panicked(tasks) => false,
        }
    }

    /// Stops intake, waits for what is in hand, sends the rest back, flushes, closes the sinks.
    async fn drain(self: &Rc<Self>, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        let source = self.core.borrow().source.clone();
        self.with_core(|core, out| core.stop_intake(out));
        if let Some(source) = &source {
            source.close(deadline).await;
        }
        while !self.core.borrow().is_idle() {
            if tokio::time::timeout_at(end, self.progress.notified()).await.is_err() {
                break;
            }
        }
        let mut finished = false;
        self.with_core(|core, out| finished = core.give_back(out));
        let flushed = self.outbox.request("$SYS.REQ.USER.INFO", b"", Duration::from_secs(1));
        // The answer does not matter: it comes after everything written before it.
        let _ = flushed.await;
        let closed = self.core.borrow_mut().close_all_sinks();
        closed.await;
        finished
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

/// One turn of the connection at a time.
struct Turn {
    shard: Rc<Shard>,
    started: std::time::Instant,
    messages: u32,
    /// Why there is no connection, as it was told last.
    told: Option<Code>,
}

impl Handler for Turn {
    fn on_connected(&mut self, info: &ServerInfo, out: &mut Vec<u8>) {
        self.told = None;
        let mut core = self.shard.core.borrow_mut();
        core.now_ms = now_ms();
        core.on_connected(info.max_payload, out);
    }

    fn on_message(&mut self, message: Message<'_>, out: &mut Vec<u8>) -> Pace {
        let mut core = self.shard.core.borrow_mut();
        if self.messages == 0 {
            self.started = std::time::Instant::now();
            core.now_ms = now_ms();
        }
        core.on_message(&message, out);
        self.messages += 1;
        // After a large one, the next turn asks first whether there is room for more of them.
        let large = message.payload.len() > large::LARGE;
        let enough =
            large || self.messages >= TURN_MESSAGES || self.messages.is_multiple_of(8) && self.started.elapsed() > TURN;
        if enough { Pace::Yield } else { Pace::Continue }
    }

    fn on_burst_end(&mut self, out: &mut Vec<u8>) {
        self.messages = 0;
        let mut core = self.shard.core.borrow_mut();
        core.top_up(out);
        self.shard.after_burst(&mut core);
        out.append(&mut core.late);
    }

    fn on_disconnected(&mut self, fault: &Fault, _dropped: usize) {
        let mut core = self.shard.core.borrow_mut();
        core.on_disconnected(fault);
    }

    /// Told once, not every other second, and again when it is for another reason.
    fn on_reconnect_failed(&mut self, fault: &Fault, _attempt: u32) {
        if self.told.replace(fault.code()) != Some(fault.code()) {
            self.shard.core.borrow().node_event(EventKind::Node, fault);
        }
    }

    fn on_server_error(&mut self, error: &ServerError) {
        let core = self.shard.core.borrow();
        core.node_event(EventKind::Node, &error.fault());
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
