//! Runs tasks on the calling thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use message::{Document, Limits};

use super::engines::{Engines, Keep};
use super::programs::Programs;
use super::{Done, Executor, Task, TaskContext};
use crate::program::{Program, ProgramId};

/// Runs tasks one by one, here and now, on whichever thread asks; callers take turns.
#[derive(Default)]
pub struct Runner {
    engines: Mutex<Engines>,
    programs: Mutex<Programs>,
    done: Mutex<Vec<Done>>,
    wake: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Runner {
    #[must_use]
    pub fn new() -> Runner {
        Runner::default()
    }

    #[must_use]
    pub fn with_keep(keep: Keep) -> Runner {
        Runner { engines: Mutex::new(Engines::new(keep)), ..Runner::default() }
    }

    /// Runs a program that need not be loaded on one document, at most for its CPU limit (see the crate's
    /// notes for built-ins that do not stop in time). Blocks while another thread uses the runner. Never
    /// panics.
    pub fn run(&self, program: &Program, mut document: Document, context: &TaskContext, limits: &Limits) -> Done {
        let began = Instant::now();
        let mut engines = lock(&self.engines);
        let outcome = engines.run(program, &mut document, context, limits);
        Done { token: 0, document, outcome, used: began.elapsed(), said: engines.take_said() }
    }

    /// Bytes of all script heaps.
    #[must_use]
    pub fn memory(&self) -> usize {
        lock(&self.engines).memory()
    }

    fn run_task(&self, task: Task) -> Done {
        let program = lock(&self.programs).begin(task.program);
        let done = lock(&self.engines).run_task(program.as_deref(), task);
        if let Some(program) = program
            && lock(&self.programs).end(program.id())
        {
            lock(&self.engines).forget(program.id());
        }
        done
    }
}

impl Executor for Runner {
    fn load(&self, program: &Arc<Program>) {
        lock(&self.programs).load(program);
    }

    /// Blocks while another thread uses the runner.
    fn unload(&self, program: ProgramId) {
        if lock(&self.programs).unload(program) {
            lock(&self.engines).forget(program);
        }
    }

    /// Runs the batch before it returns; never gives it back.
    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut done: Vec<Done> = batch.into_iter().map(|task| self.run_task(task)).collect();
        lock(&self.done).append(&mut done);
        if let Some(wake) = &*lock(&self.wake) {
            wake();
        }
        Ok(())
    }

    fn completed(&self, into: &mut Vec<Done>) {
        into.append(&mut lock(&self.done));
    }

    fn on_completed(&self, wake: Box<dyn Fn() + Send>) {
        *lock(&self.wake) = Some(wake);
    }

    /// None: whoever could ask is running it.
    fn turn(&self) -> Option<(Box<str>, Duration)> {
        None
    }
}

/// A panic while a lock is held leaves nothing half changed: what runs scripts catches its own.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
