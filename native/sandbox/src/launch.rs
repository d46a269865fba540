//! The border between the host, which needs workers, and the zygote, which forks them.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

/// Starts workers. The real one asks the zygote; tests may fork by themselves.
pub trait Launch: Send + Sync {
    /// A new worker that runs `worker::serve` on this memory. It is locked down before it reads a byte of it.
    ///
    /// Called when a customer has work and no worker, on a thread that may block: the call takes about a
    /// millisecond.
    ///
    /// # Errors
    /// The system's error, when no process is to be had or a required layer is missing. No worker is left then.
    fn launch(&self, memory: BorrowedFd<'_>, limits: &WorkerLimits) -> io::Result<Worker>;

    /// Whether a worker may be started for nobody yet. Never blocks.
    fn is_started(&self) -> bool {
        true
    }
}

/// What a worker may use. The kernel holds it to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Address space above what the zygote has (`RLIMIT_AS`), in bytes.
    pub memory_bytes: u64,
    /// CPU time over the whole life of the worker (`RLIMIT_CPU`, which counts whole seconds: rounded up).
    pub cpu: Option<Duration>,
}

/// A worker process. Dropping it kills the process.
pub struct Worker {
    /// As this process sees it. For messages and `/proc`; signals go through [`Worker::pidfd`].
    pub pid: u32,
    /// Readable once the process is over.
    pub pidfd: OwnedFd,
}

impl Worker {
    /// Sends SIGKILL. Without effect on a worker that is over. Never blocks.
    pub fn kill(&self) {
        // The only error left for a pidfd of one's own: the process is over.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Whether the process has ended, by itself or killed. Never blocks.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        // An error of poll is not an end: the watchdog asks again.
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Worker").field("pid", &self.pid).finish_non_exhaustive()
    }
}
