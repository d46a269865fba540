//! All workers of a node: their threads, what waits for them, and how each shard's results come back to it.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use message::{Code, Fault, Limits};
use script::{Done, Job, ProgramId, Queue, Submitter, Work};

use super::ProcessOptions;
use super::counts::{Counts, Reason};
use super::executor::ProcessExecutor;
use super::pool::Pool;
use super::seat::Seat;
use super::strikes::Strikes;
use super::turn::{self, TurnTasks};
use super::verdict::full;
use crate::launch::Launch;

/// How often workers without work are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// How often it is said that turns wait for a place.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// The workers of a node. [`Workers::executor`] gives each shard its handle. Dropping it, and the last handle, ends the
/// workers; what still waits is dropped unanswered, as in a crash.
pub struct Workers {
    pub(super) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What there is, and what has become of what there was.
#[derive(Clone, Copy, Debug)]
pub struct WorkersState {
    /// Workers, and customers whose turn it is.
    pub workers: usize,
    /// Memory that idle workers hold and that running ones may use, and what it may be together.
    pub bytes: u64,
    pub budget: u64,
    pub counts: Counts,
}

pub struct Shared {
    options: ProcessOptions,
    launch: Arc<dyn Launch>,
    stopping: AtomicBool,
    pub queue: Mutex<Queue>,
    pub arrived: Condvar,
    pub pool: Mutex<Pool>,
    /// A turn has ended.
    left: Condvar,
    swept: Mutex<Instant>,
    mailboxes: Mutex<(Submitter, HashMap<Submitter, Arc<Mailbox>>)>,
    pub turns: Mutex<Vec<(Box<str>, Instant)>>,
    strikes: Mutex<Strikes>,
    warning: Mutex<Warning>,
}

/// Where the results of a shard's tasks go.
#[derive(Default)]
pub struct Mailbox {
    pub done: Mutex<Vec<Done>>,
    pub wake: Mutex<Option<Box<dyn Fn() + Send>>>,
}

#[derive(Default)]
struct Warning {
    given: Option<Instant>,
    next: Option<Fault>,
}

impl Workers {
    /// Starts the threads; a worker is started at the first task of its customer.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn new(launch: Arc<dyn Launch>, options: ProcessOptions) -> std::io::Result<Arc<Workers>> {
        let shared = Arc::new(Shared {
            options,
            launch,
            stopping: AtomicBool::new(false),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            pool: Mutex::default(),
            left: Condvar::new(),
            swept: Mutex::new(Instant::now()),
            mailboxes: Mutex::default(),
            turns: Mutex::default(),
            strikes: Mutex::default(),
            warning: Mutex::default(),
        });
        let mut workers = Workers { shared, threads: Vec::new() };
        for _ in 0..options.threads.max(1) {
            let shared = Arc::clone(&workers.shared);
            workers.threads.push(Builder::new().name("sandbox".into()).spawn(move || shared.work())?);
        }
        Ok(Arc::new(workers))
    }

    /// A handle for one shard. A customer has one worker for all of them.
    #[must_use]
    pub fn executor(self: &Arc<Self>) -> ProcessExecutor {
        let mut mailboxes = lock(&self.shared.mailboxes);
        mailboxes.0 += 1;
        let submitter = mailboxes.0;
        let mailbox = Arc::<Mailbox>::default();
        mailboxes.1.insert(submitter, Arc::clone(&mailbox));
        ProcessExecutor::of(Arc::clone(self), submitter, mailbox)
    }

    #[must_use]
    pub fn state(&self) -> WorkersState {
        let pool = lock(&self.shared.pool);
        let budget = self.shared.options.workers_bytes;
        WorkersState { workers: pool.len(), bytes: pool.used_bytes(), budget, counts: pool.counts }
    }

    pub(super) fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Under the locks, or a thread could miss it between looking and waiting.
        let (queue, pool) = (lock(&self.shared.queue), lock(&self.shared.pool));
        self.shared.stopping.store(true, Ordering::Relaxed);
        drop((queue, pool));
        self.shared.arrived.notify_all();
        self.shared.left.notify_all();
        // Not joined: a thread may be starting a worker. The last one drops the workers.
        self.threads.clear();
    }
}

impl Shared {
    pub fn options(&self) -> &ProcessOptions {
        &self.options
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub fn launch(&self, heap_mb: u32) -> std::io::Result<Seat> {
        let seat = Seat::launch(&*self.launch, heap_mb)?;
        lock(&self.pool).counts.starts += 1;
        Ok(seat)
    }

    /// A worker has ended in its turn.
    pub fn count_end(&self, reason: Reason) {
        lock(&self.pool).counts.end(reason);
    }

    /// A worker was lost to a program.
    pub fn strike(&self, program: ProgramId) {
        lock(&self.strikes).count(program, Instant::now());
    }

    /// How long a program still rests, if it does.
    pub fn rest(&self, program: ProgramId) -> Option<Duration> {
        lock(&self.strikes).rest(program, Instant::now())
    }

    /// What whoever runs the node should know; given once.
    pub fn take_warning(&self) -> Option<Fault> {
        lock(&self.warning).next.take()
    }

    pub fn remove_mailbox(&self, submitter: Submitter) {
        lock(&self.mailboxes).1.remove(&submitter);
    }

    /// What each thread does.
    fn work(&self) {
        while let Some(work) = self.next() {
            match work {
                Work::Forget(programs) => {
                    for program in programs {
                        lock(&self.strikes).remove(program);
                        let mut dropped = Vec::new();
                        lock(&self.pool).forget(program, &mut dropped);
                    }
                }
                Work::Turn(jobs) => self.turn(jobs),
            }
            self.sweep();
        }
    }

    /// What is to be done; waits for something; none when the workers were dropped.
    fn next(&self) -> Option<Work> {
        let mut queue = lock(&self.queue);
        loop {
            if self.is_stopping() {
                return None;
            }
            if let Some(work) = queue.next_work() {
                if queue.turns() > 0 {
                    // For the next thread that waits.
                    self.arrived.notify_one();
                }
                return Some(work);
            }
            let has_use = queue.programs() > 0 && self.launch.is_started();
            if has_use && lock(&self.pool).wants_spare(&self.options) {
                drop(queue);
                self.start_spare();
                queue = lock(&self.queue);
                continue;
            }
            let waited = self.arrived.wait_timeout(queue, SWEEP).unwrap_or_else(PoisonError::into_inner);
            if waited.1.timed_out() {
                drop(waited);
                self.sweep();
                queue = lock(&self.queue);
            } else {
                queue = waited.0;
            }
        }
    }

    /// While there is nothing else to do. When it fails, the first message that needs a worker is told why.
    fn start_spare(&self) {
        let heap_mb = Limits::default().script_memory_mb;
        let started = catch_unwind(AssertUnwindSafe(|| self.launch(heap_mb).ok())).unwrap_or_default();
        lock(&self.pool).put_spare(started);
    }

    fn turn(&self, jobs: VecDeque<Job>) {
        let Some(owner) = jobs.front().map(|job| Arc::clone(&job.task.context.owner)) else { return };
        let customer = &*owner.customer;
        let mut tasks = TurnTasks::new(jobs);
        let heap_mb = tasks.heap_mb();
        let mut dropped = Vec::new();
        let Some(seat) = self.begin_turn(customer, heap_mb, &mut dropped) else { return };
        drop(std::mem::take(&mut dropped));
        lock(&self.turns).push((customer.into(), Instant::now()));
        let run = AssertUnwindSafe(|| turn::run(self, seat, heap_mb, &mut tasks));
        let mut seat = catch_unwind(run).unwrap_or_else(|_| {
            // What the turn was doing is unknown: let the worker go with it, but no task.
            tasks.refuse(&Fault::new(Code::InternalPanic, "the executor of script workers failed on this message"));
            None
        });
        if let Some(seat) = &mut seat {
            seat.measure();
        }
        lock(&self.pool).end_turn(customer, seat, &self.options, &mut dropped);
        self.left.notify_all();
        lock(&self.turns).retain(|(running, _)| **running != *customer);
        // At once: whoever sees the results may count on the room, and the customer's next turn, on any thread, puts its
        // results behind these.
        let mut queue = lock(&self.queue);
        queue.ran(customer, &tasks.ran, std::mem::take(&mut tasks.waiting));
        let woken = self.deliver(&mut tasks);
        drop(queue);
        self.arrived.notify_one();
        for mailbox in woken {
            if let Some(wake) = &*lock(&mailbox.wake) {
                wake();
            }
        }
        drop(dropped);
    }

    /// Waits for a place; none when the workers were dropped.
    fn begin_turn(&self, customer: &str, heap_mb: u32, dropped: &mut Vec<Seat>) -> Option<Option<Seat>> {
        let mut pool = lock(&self.pool);
        let mut has_waited = false;
        loop {
            if let Some(seat) = pool.begin_turn(customer, heap_mb, &self.options, dropped) {
                return Some(seat);
            }
            if self.is_stopping() {
                return None;
            }
            if !std::mem::replace(&mut has_waited, true) {
                pool.counts.waits += 1;
                self.warn(pool.len());
            }
            pool = self.left.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn warn(&self, workers: usize) {
        let (mut warning, now) = (lock(&self.warning), Instant::now());
        if warning.given.is_none_or(|given| now.saturating_duration_since(given) >= WARN_EVERY) {
            warning.given = Some(now);
            warning.next = Some(full(workers, &self.options));
        }
    }

    /// Puts each result where its task came from; gives those places.
    fn deliver(&self, tasks: &mut TurnTasks) -> Vec<Arc<Mailbox>> {
        let mailboxes = lock(&self.mailboxes);
        let mut woken: Vec<(Submitter, Arc<Mailbox>)> = Vec::new();
        let mut submitters = tasks.submitters.drain(..).peekable();
        let mut done = tasks.done.drain(..);
        while let Some(submitter) = submitters.next() {
            let mut count = 1;
            while submitters.next_if_eq(&submitter).is_some() {
                count += 1;
            }
            let of_one = done.by_ref().take(count);
            // A shard that has ended has nobody who waits.
            let Some(mailbox) = mailboxes.1.get(&submitter) else {
                of_one.for_each(drop);
                continue;
            };
            lock(&mailbox.done).extend(of_one);
            if woken.iter().all(|(known, _)| *known != submitter) {
                woken.push((submitter, Arc::clone(mailbox)));
            }
        }
        woken.into_iter().map(|(_, mailbox)| mailbox).collect()
    }

    /// Ends workers that have had no work for long.
    fn sweep(&self) {
        let Ok(mut swept) = self.swept.try_lock() else { return };
        let now = Instant::now();
        if now.saturating_duration_since(*swept) < SWEEP.min(self.options.idle) {
            return;
        }
        *swept = now;
        let mut dropped = Vec::new();
        lock(&self.pool).sweep(now, &self.options, &mut dropped);
    }
}

/// A panic while a lock is held leaves nothing half changed.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
