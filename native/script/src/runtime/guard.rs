//! What ends a script that will not end: the CPU deadline and the refused allocation.

use std::cell::Cell;
use std::rc::Rc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::allocator::Heap;

/// Reading the thread's CPU clock is a system call; a reading this old is still used, and what may
/// have passed since is given to the script on top.
const STALE: Duration = Duration::from_micros(100);

/// Why the engine was told to stop. Both are final: the runtime is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Timeout,
    OutOfMemory,
}

/// Asked by the engine every 10,000 jumps and calls, and inside regular expressions and sorts.
pub struct Guard {
    pub heap: Rc<Heap>,
    thread: Cell<Option<ThreadId>>,
    read_at: Cell<Instant>,
    read: Cell<Duration>,
    wall_deadline: Cell<Instant>,
    cpu_deadline: Cell<Duration>,
    timed_out: Cell<bool>,
    limit: Cell<Duration>,
}

impl Guard {
    pub fn new(heap: Rc<Heap>) -> Rc<Guard> {
        let now = Instant::now();
        Rc::new(Guard {
            heap,
            thread: Cell::new(None),
            read_at: Cell::new(now),
            read: Cell::new(Duration::ZERO),
            wall_deadline: Cell::new(now),
            cpu_deadline: Cell::new(Duration::ZERO),
            timed_out: Cell::new(false),
            limit: Cell::new(Duration::ZERO),
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
        self.limit.set(limit);
        let since = now.duration_since(self.read_at.get());
        self.wall_deadline.set(now + limit);
        self.cpu_deadline.set(self.read.get() + since + limit);
    }

    /// What the last `start` allowed.
    pub fn limit(&self) -> Duration {
        self.limit.get()
    }

    /// The interrupt handler: whether the script has to end. Once it has to, it always has to.
    pub fn must_stop(&self) -> bool {
        if self.stopped().is_some() {
            return true;
        }
        // CPU time never runs faster than the wall clock, which is much cheaper to read.
        if Instant::now() < self.wall_deadline.get() || thread_cpu() < self.cpu_deadline.get() {
            return false;
        }
        self.timed_out.set(true);
        true
    }

    pub fn stopped(&self) -> Option<Stop> {
        if self.heap.has_refused() { Some(Stop::OutOfMemory) } else { self.timed_out.get().then_some(Stop::Timeout) }
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
