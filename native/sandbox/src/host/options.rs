//! Bounds of an executor.

use std::time::Duration;

use script::Room;

/// Bounds of a [`super::ProcessExecutor`].
#[derive(Clone, Copy, Debug)]
pub struct ProcessOptions {
    /// Tasks that may wait or run.
    pub tasks: usize,
    /// Bytes of documents that may wait or run, about.
    pub bytes: usize,
    /// Workers that run at the same time: a thread of this process waits for each.
    pub threads: usize,
    /// Workers that are kept, running or idle. One more takes the place of the one that was used longest ago.
    pub workers: usize,
    /// Memory of all workers together, bytes, beyond what they share with the process they were forked from. Measured
    /// now and then, so that it may be exceeded for a while; what one worker may use is bounded by the kernel.
    pub workers_bytes: u64,
    /// A worker without work ends after so long.
    pub idle: Duration,
}

impl Default for ProcessOptions {
    fn default() -> ProcessOptions {
        ProcessOptions {
            tasks: 4096,
            bytes: 64 << 20,
            threads: 2,
            workers: 1024,
            workers_bytes: 512 << 20,
            idle: Duration::from_mins(1),
        }
    }
}

impl ProcessOptions {
    pub(super) fn room(&self) -> Room {
        Room { tasks: self.tasks, bytes: self.bytes }
    }
}
