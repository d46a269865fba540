//! What a shard sees of the workers.

use std::sync::Arc;
use std::time::Duration;

use message::Fault;
use script::{Done, Executor, Program, ProgramId, Submitter, Task};

use super::ProcessOptions;
use super::workers::{Mailbox, Workers, lock};
use crate::launch::Launch;

/// An executor whose scripts run in processes of their customers. What is dropped with tasks in hand never gets their
/// results.
pub struct ProcessExecutor {
    workers: Arc<Workers>,
    submitter: Submitter,
    mailbox: Arc<Mailbox>,
}

impl ProcessExecutor {
    /// One with workers of its own.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn new(launch: Arc<dyn Launch>, options: ProcessOptions) -> std::io::Result<ProcessExecutor> {
        Workers::new(launch, options).map(|workers| workers.executor())
    }

    pub(super) fn of(workers: Arc<Workers>, submitter: Submitter, mailbox: Arc<Mailbox>) -> ProcessExecutor {
        ProcessExecutor { workers, submitter, mailbox }
    }

    /// Tasks that wait or run, of all executors of the same workers.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.workers.shared.queue).tasks()
    }

    /// Programs that are loaded, or of which tasks wait or run.
    #[must_use]
    pub fn programs(&self) -> usize {
        lock(&self.workers.shared.queue).programs()
    }

    /// Workers, and customers whose turn it is.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.state().workers
    }
}

impl Executor for ProcessExecutor {
    fn load(&self, program: &Arc<Program>) {
        lock(&self.workers.shared.queue).load(program);
        // A spare worker has a use now.
        self.workers.shared.arrived.notify_one();
    }

    /// Workers forget the program before their next task; one that has no other ends.
    fn unload(&self, program: ProgramId) {
        lock(&self.workers.shared.queue).unload(program);
        self.workers.shared.arrived.notify_one();
    }

    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.workers.is_over() {
            return Err(batch);
        }
        let shared = &self.workers.shared;
        lock(&shared.queue).submit_from(self.submitter, batch, shared.options().room())?;
        shared.arrived.notify_one();
        Ok(())
    }

    fn completed(&self, into: &mut Vec<Done>) {
        into.append(&mut lock(&self.mailbox.done));
    }

    /// Called on one of the executor's threads, after every turn of a customer.
    fn on_completed(&self, wake: Box<dyn Fn() + Send>) {
        *lock(&self.mailbox.wake) = Some(wake);
    }

    /// The turn that has lasted longest.
    fn turn(&self) -> Option<(Box<str>, Duration)> {
        let turns = lock(&self.workers.shared.turns);
        turns.iter().min_by_key(|(_, since)| *since).map(|(customer, since)| (customer.clone(), since.elapsed()))
    }

    fn warning(&self) -> Option<Fault> {
        self.workers.shared.take_warning()
    }
}

impl Drop for ProcessExecutor {
    fn drop(&mut self) {
        self.workers.shared.remove_mailbox(self.submitter);
    }
}
