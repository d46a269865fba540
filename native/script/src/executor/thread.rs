//! A thread that runs scripts, so that a shard's reactor never waits for one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use message::Code;

use super::engines::{Engines, Keep};
use super::queue::{Job, Queue, Ran, Room, Work};
use super::runner::lock;
use super::{Done, Executor, Task};
use crate::program::{Program, ProgramId};
use crate::runtime::thread_cpu;

/// The thread's stack: what scripts may use at most, and room for the engine and for conversions.
const STACK: usize = 32 << 20;

/// A customer's turn ends with the task in which this much CPU time is over, and after every overrun of a limit. Time
/// in which the machine ran something else does not count: who has little to do would lose its turn.
const TURN: Duration = Duration::from_millis(2);

/// Results that room is made for at the start of a turn; most turns have fewer.
const TURN_RESULTS: usize = 256;

/// Bounds of a [`ThreadExecutor`].
#[derive(Clone, Copy, Debug)]
pub struct ThreadOptions {
    /// Tasks that may wait or run.
    pub tasks: usize,
    /// Bytes of documents that may wait or run, about.
    pub bytes: usize,
    pub keep: Keep,
}

impl Default for ThreadOptions {
    fn default() -> ThreadOptions {
        ThreadOptions { tasks: 4096, bytes: 64 << 20, keep: Keep::default() }
    }
}

struct Shared {
    stopping: AtomicBool,
    queue: Mutex<Queue>,
    arrived: Condvar,
    done: Mutex<Vec<Done>>,
    memory: AtomicUsize,
    wake: Mutex<Option<Box<dyn Fn() + Send>>>,
    turn: Mutex<Option<(Box<str>, Instant)>>,
}

/// An executor with a thread of its own. Dropping it lets the thread end after the task it runs;
/// what still waits is dropped unanswered, as in a crash.
pub struct ThreadExecutor {
    shared: Arc<Shared>,
    options: ThreadOptions,
    thread: Option<JoinHandle<()>>,
}

impl ThreadExecutor {
    /// # Errors
    /// When the operating system gives no thread.
    pub fn new(options: ThreadOptions) -> std::io::Result<ThreadExecutor> {
        let shared = Arc::new(Shared {
            stopping: AtomicBool::new(false),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            done: Mutex::default(),
            memory: AtomicUsize::new(0),
            wake: Mutex::default(),
            turn: Mutex::default(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scripts".into())
            .stack_size(STACK)
            .spawn(move || work(&theirs, options.keep))?;
        Ok(ThreadExecutor { shared, options, thread: Some(thread) })
    }

    /// Tasks that wait or run.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.shared.queue).tasks()
    }

    /// Bytes of all script heaps, after the last turn.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.shared.memory.load(Ordering::Relaxed)
    }

    /// Programs that are loaded, or of which tasks wait or run.
    #[must_use]
    pub fn programs(&self) -> usize {
        lock(&self.shared.queue).programs()
    }
}

impl Executor for ThreadExecutor {
    fn load(&self, program: &Arc<Program>) {
        lock(&self.shared.queue).load(program);
    }

    /// The thread frees the program's memory between two turns.
    fn unload(&self, program: ProgramId) {
        lock(&self.shared.queue).unload(program);
        self.shared.arrived.notify_one();
    }

    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(batch);
        }
        lock(&self.shared.queue).submit(batch, Room { tasks: self.options.tasks, bytes: self.options.bytes })?;
        self.shared.arrived.notify_one();
        Ok(())
    }

    fn completed(&self, into: &mut Vec<Done>) {
        into.append(&mut lock(&self.shared.done));
    }

    /// Called on the executor's thread, after every turn of a customer.
    fn on_completed(&self, wake: Box<dyn Fn() + Send>) {
        *lock(&self.shared.wake) = Some(wake);
    }

    fn turn(&self) -> Option<(Box<str>, Duration)> {
        lock(&self.shared.turn).as_ref().map(|(customer, since)| (customer.clone(), since.elapsed()))
    }
}

impl Drop for ThreadExecutor {
    fn drop(&mut self) {
        // Under the queue's lock, or the thread could miss it between looking and waiting.
        let queue = lock(&self.shared.queue);
        self.shared.stopping.store(true, Ordering::Relaxed);
        drop(queue);
        self.shared.arrived.notify_one();
        // Not joined: a script inside a built-in that does not stop would hold up the shutdown.
        drop(self.thread.take());
    }
}

fn work(shared: &Shared, keep: Keep) {
    let mut engines = Engines::new(keep);
    while let Some(work) = next(shared) {
        match work {
            Work::Forget(programs) => programs.into_iter().for_each(|program| engines.forget(program)),
            Work::Turn(jobs) => turn(shared, &mut engines, jobs),
        }
    }
}

/// One customer's turn.
fn turn(shared: &Shared, engines: &mut Engines, mut jobs: VecDeque<Job>) {
    let (started, cpu) = (Instant::now(), thread_cpu());
    let owner = jobs.front().map(|job| Arc::clone(&job.task.context.owner)).unwrap_or_default();
    *lock(&shared.turn) = Some((owner.customer.clone(), started));
    let mut done = Vec::with_capacity(jobs.len().min(TURN_RESULTS));
    let mut ran = Ran::default();
    while let Some(job) = jobs.pop_front() {
        if shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        ran.count(&job);
        let Job { task, program, .. } = job;
        let one = engines.run_task(program.as_deref(), task);
        // The clock is cheap to read, the CPU time is not.
        let is_over = is_overrun(&one) || started.elapsed() >= TURN && thread_cpu() - cpu >= TURN;
        done.push(one);
        if is_over {
            break;
        }
    }
    *lock(&shared.turn) = None;
    share_cpu(&mut done, cpu);
    shared.memory.store(engines.memory(), Ordering::Relaxed);
    // In this order: whoever sees the results may count on the room.
    lock(&shared.queue).ran(&owner.customer, &ran, jobs);
    lock(&shared.done).append(&mut done);
    if let Some(wake) = &*lock(&shared.wake) {
        wake();
    }
}

/// The times of a turn are of a clock that goes on while the machine runs something else: where that was long, each
/// gets its part of the CPU time. `began`: at the start of the turn.
fn share_cpu(done: &mut [Done], began: Duration) {
    let all: Duration = done.iter().map(|one| one.used).sum();
    if all < TURN / 4 {
        return;
    }
    let used = thread_cpu().saturating_sub(began);
    if used < all {
        let share = used.as_secs_f64() / all.as_secs_f64();
        done.iter_mut().for_each(|one| one.used = one.used.mul_f64(share));
    }
}

fn is_overrun(done: &Done) -> bool {
    matches!(&done.outcome, Err(fault) if matches!(fault.code(), Code::ScriptTimeout | Code::ScriptOutOfMemory))
}

/// What is to be done; waits for something; none when the executor was dropped.
fn next(shared: &Shared) -> Option<Work> {
    let mut queue = lock(&shared.queue);
    loop {
        if shared.stopping.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(work) = queue.next_work() {
            return Some(work);
        }
        queue = shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}
