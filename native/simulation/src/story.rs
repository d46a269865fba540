//! What happens, in virtual time: told line by line when somebody reads it, and always as one hash.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use tokio::time::Instant;

use crate::timeline::{Row, Timeline};

/// One run of one seed: its randomness, its clock, and what has happened.
pub struct Story {
    random: RefCell<fastrand::Rng>,
    start: Instant,
    /// What a person has set the wall clock ahead, or back.
    clock_offset_ms: Cell<i64>,
    lines: RefCell<Option<Vec<String>>>,
    trace: RefCell<DefaultHasher>,
    /// What was reached that nothing counts.
    reached: RefCell<BTreeSet<&'static str>>,
    pub timeline: Timeline,
    /// When nobody listens to core NATS, or what outs publish there is refused.
    pub losses: Timeline,
    /// Pipelines that have a canary from the beginning to the end, by their position in the catalogue.
    pub canaries: RefCell<BTreeSet<usize>>,
}

/// The wall clock's milliseconds when a simulation begins: 2026-01-01.
pub const EPOCH_MS: u64 = 1_767_225_600_000;

impl Story {
    /// `readable`: lines are kept. In a runtime.
    #[must_use]
    pub fn new(seed: u64, readable: bool) -> Story {
        Story {
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            start: Instant::now(),
            clock_offset_ms: Cell::new(0),
            lines: RefCell::new(readable.then(Vec::new)),
            // Its keys are fixed, unlike a `RandomState`'s.
            trace: RefCell::new(DefaultHasher::new()),
            reached: RefCell::default(),
            timeline: Timeline::default(),
            losses: Timeline::default(),
            canaries: RefCell::default(),
        }
    }

    pub fn random(&self, range: Range<u64>) -> u64 {
        self.random.borrow_mut().u64(range)
    }

    /// Whether something that happens once in so many times happens.
    pub fn one_in(&self, many: u64) -> bool {
        self.random(0..many) == 0
    }

    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.random.borrow_mut().usize(..of.len())]
    }

    pub fn u64(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    #[must_use]
    pub fn fork(&self) -> fastrand::Rng {
        self.random.borrow_mut().fork()
    }

    /// Milliseconds since the simulation began, on a clock that only goes forward.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Nanoseconds since the Unix epoch, on the server's clock, which nobody sets.
    #[must_use]
    pub fn server_ns(&self) -> u64 {
        EPOCH_MS * 1_000_000 + u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The node's wall clock.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        (EPOCH_MS + self.elapsed_ms()).saturating_add_signed(self.clock_offset_ms.get())
    }

    pub fn set_clock(&self, offset_ms: i64) {
        self.clock_offset_ms.set(offset_ms);
    }

    /// Adds a line.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        let line = format!("{:>10.3} {}", self.start.elapsed().as_secs_f64(), line());
        self.trace.borrow_mut().write(line.as_bytes());
        if let Some(lines) = &mut *self.lines.borrow_mut() {
            lines.push(line);
        }
    }

    /// Something was reached that nothing counts.
    pub fn reach(&self, limit: &'static str) {
        self.reached.borrow_mut().insert(limit);
    }

    #[must_use]
    pub fn reached(&self) -> BTreeSet<&'static str> {
        self.reached.borrow().clone()
    }

    /// Something happens now that lets outputs be delivered twice.
    pub fn note(&self, row: Row) {
        self.timeline.at(row, self.elapsed_ms());
    }

    /// The same for the same seed.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.trace.borrow().finish()
    }

    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone().unwrap_or_default()
    }
}
