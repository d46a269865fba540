//! A thread that runs scripts, so that a shard's reactor never waits for one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use message::Code;

use super::queue::Queue;
use super::runner::{Keep, Runner, lock};
use super::{Done, Executor, Task};

/// The thread's stack: what scripts may use at most, and room for the engine and for conversions.
const STACK: usize = 32 << 20;

/// A customer's turn ends with the task in which this is over, and after every overrun of a limit.
const TURN: Duration = Duration::from_millis(2);

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
    /// `wake` is called on the executor's thread after every turn of a customer, when its results can
    /// be fetched; it must be quick and must not panic.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn new(wake: Box<dyn Fn() + Send>, options: ThreadOptions) -> std::io::Result<ThreadExecutor> {
        let shared = Arc::new(Shared {
            stopping: AtomicBool::new(false),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            done: Mutex::default(),
            turn: Mutex::default(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scripts".into())
            .stack_size(STACK)
            .spawn(move || work(&theirs, &*wake, options.keep))?;
        Ok(ThreadExecutor { shared, options, thread: Some(thread) })
    }

    /// Whose turn it is, and for how long it has been: long after a turn's end inside a built-in that does
    /// not stop.
    #[must_use]
    pub fn turn(&self) -> Option<(Box<str>, Duration)> {
        lock(&self.shared.turn).as_ref().map(|(customer, since)| (customer.clone(), since.elapsed()))
    }

    /// Tasks that wait or run.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.shared.queue).tasks()
    }
}

impl Executor for ThreadExecutor {
    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(batch);
        }
        lock(&self.shared.queue).submit(batch, &self.options)?;
        self.shared.arrived.notify_one();
        Ok(())
    }

    fn completed(&self, into: &mut Vec<Done>) {
        into.append(&mut lock(&self.shared.done));
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

fn work(shared: &Shared, wake: &dyn Fn(), keep: Keep) {
    let runner = Runner::with_keep(keep);
    while let Some(mut tasks) = next(shared) {
        let started = Instant::now();
        *lock(&shared.turn) = tasks.front().map(|task| (task.context.customer.clone(), started));
        let mut done = Vec::with_capacity(tasks.len());
        let mut bytes = 0;
        while let Some(task) = tasks.pop_front() {
            if shared.stopping.load(Ordering::Relaxed) {
                return;
            }
            bytes += task.size();
            let one = runner.run(task);
            let is_over = is_overrun(&one) || started.elapsed() >= TURN;
            done.push(one);
            if is_over {
                break;
            }
        }
        *lock(&shared.turn) = None;
        let count = done.len();
        // In this order: whoever sees the results may count on the room.
        lock(&shared.queue).ran(count, bytes, tasks);
        lock(&shared.done).append(&mut done);
        wake();
    }
}

fn is_overrun(done: &Done) -> bool {
    matches!(&done.outcome, Err(fault) if matches!(fault.code(), Code::ScriptTimeout | Code::ScriptOutOfMemory))
}

/// What the customer whose turn it is has; waits for something; none when the executor was dropped.
fn next(shared: &Shared) -> Option<VecDeque<Task>> {
    let mut queue = lock(&shared.queue);
    loop {
        if shared.stopping.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(tasks) = queue.next() {
            return Some(tasks);
        }
        queue = shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}
