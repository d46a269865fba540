//! What ends a script that will not end: the CPU deadline and the refused allocation.
//!
//! The engine asks only at every 10,000th jump or call. A loop whose steps are few but costly (long
//! strings, large bigints) allocates in each of them, so the allocator asks too; and once the answer
//! was yes, nothing is allocated any more, so the steps become cheap and the next poll is near.

use std::cell::Cell;
use std::rc::Rc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Reading the thread's CPU clock is a system call; a reading this old is still used, and what may
/// have passed since is given to the script on top.
const STALE: Duration = Duration::from_micros(100);

/// Why the engine was told to stop. Both are final: the runtime is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Timeout,
    OutOfMemory,
}

/// An allocation of this size is worth a look at the clock, bytes.
const LARGE: usize = 1024;

/// For an error with its trace, bytes.
const LAST_WORDS: usize = 8 << 10;

/// Asked by the engine every 10,000 jumps and calls, and inside regular expressions and sorts.
pub struct Guard {
    used: Cell<usize>,
    memory: Cell<usize>,
    running: Cell<bool>,
    stop: Cell<Option<Stop>>,
    thread: Cell<Option<ThreadId>>,
    read_at: Cell<Instant>,
    read: Cell<Duration>,
    wall_deadline: Cell<Instant>,
    cpu_deadline: Cell<Duration>,
    limit: Cell<Duration>,
    /// Bytes that are given although the script has to end.
    last_words: Cell<usize>,
}

impl Guard {
    /// Allows `memory` bytes.
    pub fn new(memory: usize) -> Rc<Guard> {
        let now = Instant::now();
        Rc::new(Guard {
            used: Cell::new(0),
            memory: Cell::new(memory),
            running: Cell::new(false),
            stop: Cell::new(None),
            thread: Cell::new(None),
            read_at: Cell::new(now),
            read: Cell::new(Duration::ZERO),
            wall_deadline: Cell::new(now),
            cpu_deadline: Cell::new(Duration::ZERO),
            limit: Cell::new(Duration::ZERO),
            last_words: Cell::new(0),
        })
    }

    /// From now on `limit` of this thread's CPU time may be used; never less, at most 0.1 ms more.
    pub fn start(&self, limit: Duration) {
        let now = Instant::now();
        let thread = std::thread::current().id();
        if self.thread.get() != Some(thread) || now.duration_since(self.read_at.get()) > STALE {
            self.thread.set(Some(thread));
            self.read_at.set(now);
            self.read.set(thread_cpu());
        }
        let since = now.duration_since(self.read_at.get());
        self.limit.set(limit);
        self.wall_deadline.set(now + limit);
        self.cpu_deadline.set(self.read.get() + since + limit);
        self.running.set(true);
    }

    /// No script runs; the clock stands still until the next `start`.
    pub fn pause(&self) {
        self.running.set(false);
    }

    /// What the last `start` allowed.
    pub fn limit(&self) -> Duration {
        self.limit.get()
    }

    /// Whether the script has to end. Once it has to, it always has to.
    pub fn must_stop(&self) -> bool {
        if self.stop.get().is_none() && self.running.get() && self.is_late() {
            self.stop.set(Some(Stop::Timeout));
        }
        self.stop.get().is_some()
    }

    /// The interrupt handler: `must_stop`, with room for the engine's error. Only that one cannot be caught; without it
    /// the script gets a plain exception, and one that catches at every level of a deep recursion goes on.
    pub fn interrupts(&self) -> bool {
        let stops = self.must_stop();
        self.last_words.set(if stops { LAST_WORDS } else { 0 });
        stops
    }

    pub fn stopped(&self) -> Option<Stop> {
        self.stop.get()
    }

    /// CPU time never runs faster than the wall clock, which is much cheaper to read.
    fn is_late(&self) -> bool {
        Instant::now() >= self.wall_deadline.get() && thread_cpu() >= self.cpu_deadline.get()
    }

    // -- memory --------------------------------------------------------------------------------

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.get()
    }

    /// Bytes allowed.
    pub fn memory(&self) -> usize {
        self.memory.get()
    }

    pub fn set_memory(&self, bytes: usize) {
        self.memory.set(bytes);
    }

    /// Counts `more` bytes in, or refuses them and everything after.
    pub fn take(&self, more: usize) -> bool {
        let wanted = self.used.get().saturating_add(more);
        if let Some(rest) = self.last_words.get().checked_sub(more)
            && self.stop.get().is_some()
        {
            self.last_words.set(rest);
            self.used.set(wanted);
            return true;
        }
        if self.stop.get().is_some() || (more >= LARGE && self.must_stop()) {
            return false;
        }
        if wanted > self.memory.get() {
            self.stop.set(Some(Stop::OutOfMemory));
            return false;
        }
        self.used.set(wanted);
        true
    }

    pub fn give_back(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_sub(bytes));
    }
}

/// What the calling thread has used so far.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
