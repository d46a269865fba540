//! The file in: the files of a folder, whole or message by message.
//!
//! ```text
//! options.rs   what is told, checked
//!    ▼
//! worker.rs    on a thread beside the shard, one turn after the other:
//!    │           folder.rs   what is there, and has settled
//!    │           reader.rs   chunks ─► records ─► messages
//!    │           trail.rs    what stands before a place
//!    │           proof.rs    when all of that is read again
//!    │           same.rs     whether a file is the one that is known
//!    │           progress.rs which messages of a file are stored
//!    │           known.rs    what is known of files that are there, or were
//!    │           state.rs    how far each file has come, on disk, under a lock
//!    │           holder.rs   whose word on that counts, where nodes hold leases
//!    │           finish.rs   what becomes of a file that is stored
//!    │           overlap.rs  that no other in reads the same files
//!    │           broken.rs   which files cannot be read on, and why
//!    ▼
//! inbox.rs     the queue that `read_batch` empties, and the messages that wait for `settle`
//! ```
//!
//! A message counts once it is stored: the progress that is written down is where the first message begins that is not, and
//! which ones behind it are. A restart goes on there, and what comes again has the same place. The folder is looked into once in a
//! while; nothing tells of changes, since not every file system does.

mod broken;
mod finish;
mod folder;
mod holder;
mod inbox;
mod known;
mod options;
mod overlap;
mod progress;
mod proof;
mod reader;
mod same;
mod spec;
mod state;
mod trail;
mod worker;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Fault};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::contract::{ConnectorError, Health, LocalFuture, Read, Settled, Source};
use inbox::Inbox;
use options::Plan;
use worker::{Report, Turn, Worker};

pub use options::{Done, Rows, SourceOptions};
pub use overlap::patterns_meet;
pub use spec::FileSourceKind;

/// One shard of one node has it: a second one waits for the lock, and is failing with `file/in-use` meanwhile. Holders of
/// leases do not wait for each other.
pub struct FileSource {
    shared: Rc<Shared>,
}

struct Shared {
    plan: Arc<Plan>,
    inbox: RefCell<Inbox>,
    /// For `read_batch`: there are messages, or the end.
    ready: Notify,
    /// For the feed: there is room, or something to write down.
    wake: Notify,
    ended: Notify,
    failure: Cell<Option<Code>>,
    /// Of single files, for the host's next question.
    reports: RefCell<Vec<Fault>>,
    broken: RefCell<broken::Summary>,
    phase: Cell<Phase>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Serving,
    /// What the host has in hand is waited for.
    Closing,
    /// And now it is not.
    Aborting,
}

impl FileSource {
    /// Looks at the options alone: `file/outside` when a path leaves the customer's folder, `config/invalid-value` and
    /// `config/invalid-name`.
    pub fn new(options: SourceOptions) -> Result<FileSource, Fault> {
        let shared = Shared {
            plan: Arc::new(Plan::new(options)?),
            inbox: RefCell::default(),
            ready: Notify::new(),
            wake: Notify::new(),
            ended: Notify::new(),
            failure: Cell::new(None),
            reports: RefCell::default(),
            broken: RefCell::default(),
            phase: Cell::new(Phase::New),
        };
        Ok(FileSource { shared: Rc::new(shared) })
    }
}

impl Source for FileSource {
    /// Never fails: a folder that cannot be read, or that another node reads, is tried again at every look.
    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        if self.shared.phase.get() == Phase::New {
            self.shared.phase.set(Phase::Serving);
            tokio::task::spawn_local(feed(Rc::clone(&self.shared)));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn health(&self) -> Health {
        let failure = self.shared.failure.get().or_else(|| self.shared.inbox.borrow().refusal());
        failure.map_or(Health::Up, Health::Failing)
    }

    fn take_item_faults(&self) -> Vec<Fault> {
        self.shared.reports.take()
    }

    fn broken_items(&self) -> Option<(usize, Fault)> {
        self.shared.broken.borrow().clone()
    }

    fn read_batch(&self, messages: usize, bytes: usize, wait: Duration) -> LocalFuture<'_, Read> {
        Box::pin(self.shared.read_batch(messages, bytes, wait))
    }

    fn settle(&self, item: u64, outcome: Settled) {
        self.shared.settle(item, outcome);
    }

    fn close(&self, deadline: Duration) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            if self.shared.phase.replace(Phase::Closing) == Phase::New {
                return self.shared.end();
            }
            self.shared.inbox.borrow_mut().close();
            self.shared.wake.notify_one();
            if timeout(deadline, self.shared.is_over()).await.is_err() {
                self.shared.phase.set(Phase::Aborting);
                self.shared.wake.notify_one();
                self.shared.is_over().await;
            }
        })
    }
}

/// A source that is dropped without `close` writes down what it knows, and gives its lock back.
impl Drop for FileSource {
    fn drop(&mut self) {
        self.shared.phase.set(Phase::Aborting);
        self.shared.wake.notify_one();
    }
}

impl Shared {
    async fn read_batch(&self, messages: usize, bytes: usize, wait: Duration) -> Read {
        let deadline = Instant::now() + wait;
        loop {
            let (batch, due) = {
                let mut inbox = self.inbox.borrow_mut();
                (inbox.take(messages, bytes), inbox.next_retry())
            };
            if !batch.is_empty() {
                return Ok(batch);
            }
            if self.inbox.borrow().ended {
                return Err(ConnectorError::EndOfInput);
            }
            let until = due.map_or(deadline, |due| due.min(deadline));
            if timeout_at(until, self.ready.notified()).await.is_err() && until == deadline {
                return Ok(Vec::new());
            }
        }
    }

    fn settle(&self, item: u64, outcome: Settled) {
        let mut inbox = self.inbox.borrow_mut();
        inbox.settle(item, outcome);
        let is_idle = inbox.lent() == 0;
        drop(inbox);
        if is_idle || self.has_room() {
            self.wake.notify_one();
        }
    }

    /// Reads on below half of what it may hold, and so not a message at a time.
    fn has_room(&self) -> bool {
        let options = &self.plan.options;
        self.phase.get() == Phase::Serving
            && !self.inbox.borrow().is_full(options.max_messages.div_ceil(2), options.max_bytes.div_ceil(2))
    }

    fn turn(&self) -> Turn {
        let (inbox, options) = (self.inbox.borrow(), &self.plan.options);
        let is_last = match self.phase.get() {
            Phase::New | Phase::Serving => false,
            Phase::Closing => inbox.lent() == 0,
            Phase::Aborting => true,
        };
        let serves = self.phase.get() == Phase::Serving;
        let room = |max: usize, held: usize| if serves { max.saturating_sub(held) } else { 0 };
        Turn {
            now: Instant::now(),
            progress: inbox.progress(),
            messages: room(options.max_messages, inbox.messages()),
            bytes: room(options.max_bytes, inbox.bytes()),
            is_last,
        }
    }

    fn on_report(&self, report: Report) {
        let mut inbox = self.inbox.borrow_mut();
        for read in report.read {
            inbox.on_read(read);
        }
        for id in report.forgotten {
            inbox.forget(id);
        }
        self.failure.set(report.failure);
        let mut reports = self.reports.borrow_mut();
        let room = broken::MAX_REPORTS.saturating_sub(reports.len());
        reports.extend(report.faults.into_iter().take(room));
        if let Some(broken) = report.broken {
            self.broken.replace(broken);
        }
        self.ready.notify_one();
    }

    fn end(&self) {
        self.inbox.borrow_mut().ended = true;
        self.ready.notify_one();
        self.ended.notify_waiters();
    }

    async fn is_over(&self) {
        while !self.inbox.borrow().ended {
            self.ended.notified().await;
        }
    }
}

/// Turn after turn, until the source is closed.
async fn feed(shared: Rc<Shared>) {
    let mut worker = Worker::new(Arc::clone(&shared.plan));
    loop {
        let turn = shared.turn();
        let (is_last, next_look) = (turn.is_last, turn.now + shared.plan.options.poll);
        // A disk may take seconds; the shard must not wait for it.
        let worked = tokio::task::spawn_blocking(move || {
            let report = worker.turn(&turn);
            (worker, report)
        });
        let Ok((back, report)) = worked.await else {
            shared.failure.set(Some(Code::InternalPanic));
            break;
        };
        worker = back;
        let is_busy = report.is_busy;
        shared.on_report(report);
        if is_last {
            // Its lock is free when the source has ended.
            drop(worker);
            break;
        }
        if !is_busy || !shared.has_room() {
            tokio::select! {
                biased;
                () = shared.wake.notified() => {}
                () = sleep_until(next_look) => {}
            }
        }
    }
    shared.end();
}
