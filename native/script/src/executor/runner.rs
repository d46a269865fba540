//! Runs tasks on the calling thread, with one runtime for each customer.
#![allow(unsafe_code)] // One `Send`, for a reason that stands beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use message::{Code, Fault, Limits};

use super::{Done, Executor, Task};
use crate::runtime::Engine;

/// How many runtimes are kept, and how much memory in all of them.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub runtimes: usize,
    pub bytes: usize,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep { runtimes: 256, bytes: 512 << 20 }
    }
}

/// Runs tasks one by one, here and now, on whichever thread asks; callers take turns.
#[derive(Default)]
pub struct Runner {
    engines: Mutex<Engines>,
    done: Mutex<Vec<Done>>,
}

/// Customers' runtimes; the one used last comes last.
#[derive(Default)]
struct Engines {
    kept: Vec<(Box<str>, Engine)>,
    keep: Keep,
}

// SAFETY: everything in an engine (reference counts that are not atomic, raw pointers of the engine)
// is reached only through `Engines`, which is used by one thread at a time (`&mut self`, behind the
// runner's lock) and hands nothing of it out. The engine has no thread-local state, and is told its
// stack on every entry.
unsafe impl Send for Engines {}

impl Runner {
    #[must_use]
    pub fn new() -> Runner {
        Runner::default()
    }

    #[must_use]
    pub fn with_keep(keep: Keep) -> Runner {
        Runner { engines: Mutex::new(Engines { kept: Vec::new(), keep }), done: Mutex::default() }
    }

    /// Runs one task to its end, at most for its CPU limit (see the crate's notes for built-ins that
    /// do not stop in time). Blocks while another thread uses the runner. Never panics.
    pub fn run(&self, task: Task) -> Done {
        lock(&self.engines).run(task)
    }
}

impl Executor for Runner {
    /// Runs the batch before it returns; never gives it back.
    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>> {
        let mut done: Vec<Done> = batch.into_iter().map(|task| self.run(task)).collect();
        lock(&self.done).append(&mut done);
        Ok(())
    }

    fn completed(&self, into: &mut Vec<Done>) {
        into.append(&mut lock(&self.done));
    }
}

impl Engines {
    fn run(&mut self, task: Task) -> Done {
        let Task { token, program, mut document, context, limits } = task;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.engine(&context.customer, &limits)?.run(&program, &mut document, &context, &limits)
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            // What the engine was doing is unknown: let it go with the message.
            self.kept.pop();
            Err(Fault::new(Code::InternalPanic, "the script executor failed on this message"))
        });
        self.retire();
        Done { token, document, outcome }
    }

    /// The customer's runtime, brought to the end of the list.
    fn engine(&mut self, customer: &str, limits: &Limits) -> Result<&mut Engine, Fault> {
        match self.kept.iter().rposition(|(name, _)| **name == *customer) {
            Some(index) => self.kept[index..].rotate_left(1),
            None => self.kept.push((customer.into(), Engine::new(limits)?)),
        }
        match self.kept.last_mut() {
            Some((_, engine)) => Ok(engine),
            None => Err(Fault::new(Code::InternalPanic, "no runtime after one was made")),
        }
    }

    /// Throws away the runtime just used if it met a limit, then those used longest ago while there
    /// are too many or they hold too much.
    fn retire(&mut self) {
        if self.kept.last().is_some_and(|(_, engine)| engine.is_spent()) {
            self.kept.pop();
        }
        let mut bytes: usize = self.kept.iter().map(|(_, engine)| engine.memory()).sum();
        while self.kept.len() > 1 && (self.kept.len() > self.keep.runtimes || bytes > self.keep.bytes) {
            bytes -= self.kept.remove(0).1.memory();
        }
    }
}

/// A panic while a lock is held leaves nothing half changed: what runs scripts catches its own.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
