//! The executor: its queue, its threads, and what a shard sees of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use message::{Code, Fault, Limits};
use script::{Done, Executor, Job, Program, ProgramId, Queue, Task, Work};

use super::ProcessOptions;
use super::pool::Pool;
use super::seat::Seat;
use super::strikes::Strikes;
use super::turn::{self, TurnTasks};
use crate::launch::Launch;

/// How often workers without work are looked for.
const SWEEP: Duration = Duration::from_secs(1);

pub struct Shared {
    options: ProcessOptions,
    launch: Arc<dyn Launch>,
    stopping: AtomicBool,
    queue: Mutex<Queue>,
    arrived: Condvar,
    pool: Mutex<Pool>,
    swept: Mutex<Instant>,
    done: Mutex<Vec<Done>>,
    wake: Mutex<Option<Box<dyn Fn() + Send>>>,
    turns: Mutex<Vec<(Box<str>, Instant)>>,
    strikes: Mutex<Strikes>,
}

/// An executor whose scripts run in processes of their customers. Dropping it ends them; what still waits is dropped
/// unanswered, as in a crash.
pub struct ProcessExecutor {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl ProcessExecutor {
    /// Starts the threads; a worker is started at the first task of its customer.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn new(launch: Arc<dyn Launch>, options: ProcessOptions) -> std::io::Result<ProcessExecutor> {
        let shared = Arc::new(Shared {
            options,
            launch,
            stopping: AtomicBool::new(false),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            pool: Mutex::default(),
            swept: Mutex::new(Instant::now()),
            done: Mutex::default(),
            wake: Mutex::default(),
            turns: Mutex::default(),
            strikes: Mutex::default(),
        });
        let mut executor = ProcessExecutor { shared, threads: Vec::new() };
        for _ in 0..options.threads.max(1) {
            let shared = Arc::clone(&executor.shared);
            executor.threads.push(Builder::new().name("sandbox".into()).spawn(move || shared.work())?);
        }
        Ok(executor)
    }

    /// Tasks that wait or run.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.shared.queue).tasks()
    }

    /// Programs that are loaded, or of which tasks wait or run.
    #[must_use]
    pub fn programs(&self) -> usize {
        lock(&self.shared.queue).programs()
    }

    /// Workers, and customers whose turn it is.
    #[must_use]
    pub fn workers(&self) -> usize {
        lock(&self.shared.pool).len()
    }
}

impl Executor for ProcessExecutor {
    fn load(&self, program: &Arc<Program>) {
        lock(&self.shared.queue).load(program);
    }

    /// Workers forget the program before their next task; one that has no other ends.
    fn unload(&self, program: ProgramId) {
        lock(&self.shared.queue).unload(program);
        self.shared.arrived.notify_one();
    }

    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.threads.iter().all(JoinHandle::is_finished) {
            return Err(batch);
        }
        lock(&self.shared.queue).submit(batch, self.shared.options.room())?;
        self.shared.arrived.notify_one();
        Ok(())
    }

    fn completed(&self, into: &mut Vec<Done>) {
        into.append(&mut lock(&self.shared.done));
    }

    /// Called on one of the executor's threads, after every turn of a customer.
    fn on_completed(&self, wake: Box<dyn Fn() + Send>) {
        *lock(&self.shared.wake) = Some(wake);
    }

    /// The turn that has lasted longest.
    fn turn(&self) -> Option<(Box<str>, Duration)> {
        let turns = lock(&self.shared.turns);
        turns.iter().min_by_key(|(_, since)| *since).map(|(customer, since)| (customer.clone(), since.elapsed()))
    }
}

impl Drop for ProcessExecutor {
    fn drop(&mut self) {
        // Under the queue's lock, or a thread could miss it between looking and waiting.
        let queue = lock(&self.shared.queue);
        self.shared.stopping.store(true, Ordering::Relaxed);
        drop(queue);
        self.shared.arrived.notify_all();
        // Not joined: a thread may be starting a worker. The last one drops the workers.
        self.threads.clear();
    }
}

impl Shared {
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub fn launch(&self, limits: &Limits) -> std::io::Result<Seat> {
        Seat::launch(&*self.launch, limits)
    }

    /// A worker was lost to a program.
    pub fn strike(&self, program: ProgramId) {
        lock(&self.strikes).count(program, Instant::now());
    }

    /// How long a program still rests, if it does.
    pub fn rest(&self, program: ProgramId) -> Option<Duration> {
        lock(&self.strikes).rest(program, Instant::now())
    }

    /// What each thread does.
    fn work(&self) {
        while let Some(work) = self.next() {
            match work {
                Work::Forget(programs) => {
                    for program in programs {
                        lock(&self.strikes).remove(program);
                        let dropped = lock(&self.pool).forget(program);
                        drop(dropped);
                    }
                }
                Work::Turn(jobs) => self.turn(jobs),
            }
            self.sweep();
        }
    }

    /// What is to be done; waits for something; none when the executor was dropped.
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

    fn turn(&self, jobs: std::collections::VecDeque<Job>) {
        let Some(owner) = jobs.front().map(|job| Arc::clone(&job.task.context.owner)) else { return };
        let customer = &*owner.customer;
        lock(&self.turns).push((customer.into(), Instant::now()));
        let seat = lock(&self.pool).begin_turn(customer);
        let mut tasks = TurnTasks::new(jobs);
        let run = AssertUnwindSafe(|| turn::run(self, seat, &mut tasks));
        let mut seat = catch_unwind(run).unwrap_or_else(|_| {
            // What the turn was doing is unknown: let the worker go with it, but no task.
            tasks.refuse(&Fault::new(Code::InternalPanic, "the executor of script workers failed on this message"));
            None
        });
        if let Some(seat) = &mut seat {
            seat.measure();
        }
        let dropped = lock(&self.pool).end_turn(customer, seat, &self.options);
        lock(&self.turns).retain(|(running, _)| **running != *customer);
        // At once: whoever sees the results may count on the room, and the customer's next turn, on any thread, puts its
        // results behind these.
        let mut queue = lock(&self.queue);
        queue.ran(customer, &tasks.ran, tasks.waiting);
        lock(&self.done).append(&mut tasks.done);
        drop(queue);
        self.arrived.notify_one();
        if let Some(wake) = &*lock(&self.wake) {
            wake();
        }
        drop(dropped);
    }

    /// Ends workers that have had no work for long.
    fn sweep(&self) {
        let Ok(mut swept) = self.swept.try_lock() else { return };
        let now = Instant::now();
        if now.saturating_duration_since(*swept) < SWEEP.min(self.options.idle) {
            return;
        }
        *swept = now;
        let dropped = lock(&self.pool).end_idle(now, &self.options);
        drop(dropped);
    }
}

/// A panic while a lock is held leaves nothing half changed.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
