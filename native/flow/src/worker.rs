//! For callers outside a shard, who may wait: a thread whose stack is large enough for any script,
//! where a panic is a fault.

use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel, sync_channel};

use message::{Code, Fault};
use script::Runner;

use crate::catch_panic::catch_panic;

/// The stack of scripts and of their engine; a caller's own may be much smaller.
const STACK: usize = 32 << 20;

type Job = Box<dyn FnOnce(&mut Runner) + Send>;

/// A thread with a script runtime, started by the first call. Its jobs run one after the other;
/// dropping it lets the thread end after the last one.
#[derive(Default)]
pub struct Worker {
    started: OnceLock<Started>,
}

struct Started {
    jobs: Sender<Job>,
    process: u32,
}

impl Worker {
    fn started(&self) -> Result<&Started, Fault> {
        match self.started.get() {
            Some(started) => Ok(started),
            // Of two first calls at once, one thread ends as soon as it has begun.
            None => start().map(|started| self.started.get_or_init(|| started)),
        }
    }

    /// Runs `job` on the thread and waits for what it gives.
    ///
    /// # Errors
    /// Those of `job`; `internal/panic` when it panicked; `script/unavailable` when the operating
    /// system gives no thread.
    pub fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Runner) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |runner| {
            // The caller waits, so there is always somebody to answer.
            let _ = answer.send(catch_panic(|| job(runner)));
        });
        let gone = || Fault::new(Code::ScriptUnavailable, "the script thread has ended");
        self.started()?.jobs.send(job).map_err(|_| gone())?;
        answered.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn start() -> Result<Started, Fault> {
    let (jobs, waiting) = channel::<Job>();
    let thread = std::thread::Builder::new().name("vrsky-scripts".into()).stack_size(STACK);
    let work = move || {
        let mut runner = Runner::new();
        while let Ok(job) = waiting.recv() {
            job(&mut runner);
        }
    };
    thread.spawn(work).map_err(|error| Fault::new(Code::ScriptUnavailable, format!("no thread: {error}")))?;
    Ok(Started { jobs, process: std::process::id() })
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.started.get().is_some_and(|started| started.process != std::process::id()) {
            // In the child of a fork the thread does not exist, and the channel's locks may be held
            // by it for ever.
            std::mem::forget(self.started.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_fault_and_the_worker_goes_on() {
        let worker = Worker::default();
        let fault = worker.call::<()>(|_| panic!("a defect, number {}", 7)).unwrap_err();
        assert_eq!((fault.code(), fault.reason()), (Code::InternalPanic, "a defect, number 7"));
        assert_eq!(worker.call(|_| Ok(1)).unwrap(), 1);
        assert_eq!(catch_panic::<()>(|| panic!("plain")).unwrap_err().reason(), "plain");
    }

    #[test]
    fn callers_on_many_threads_each_get_their_own_answer() {
        let worker = Worker::default();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let worker = &worker;
                scope.spawn(move || {
                    (0..100).for_each(|n| assert_eq!(worker.call(move |_| Ok(n + number)).unwrap(), n + number))
                });
            }
        });
    }
}
