//! Bounds of an executor.

use std::time::Duration;

use script::Room;

/// Workers of a node that run at the same time, less two: more would only wait for processors.
const MAX_CPUS: usize = 14;

/// Bounds of [`super::Workers`].
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
    /// Memory of all workers together, bytes, beyond what they share with the process they were forked from: what idle
    /// ones hold, and what those that run may use at most. A turn for which there is none left waits; one alone runs.
    pub workers_bytes: u64,
    /// Whether a worker is kept ready for the next customer's first message.
    pub spare: bool,
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
            workers_bytes: 1 << 30,
            spare: false,
            idle: Duration::from_mins(1),
        }
    }
}

impl ProcessOptions {
    /// Of a node: how much may wait is for its shards to say.
    #[must_use]
    pub fn of_node(workers: usize, workers_bytes: u64) -> ProcessOptions {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        ProcessOptions {
            tasks: usize::MAX,
            bytes: usize::MAX,
            // A worker that hangs keeps its thread until its deadline.
            threads: cpus.min(MAX_CPUS) + 2,
            workers,
            workers_bytes,
            spare: true,
            ..ProcessOptions::default()
        }
    }

    pub(super) fn room(&self) -> Room {
        Room { tasks: self.tasks, bytes: self.bytes }
    }
}
