//! A seed that takes no virtual time would never end: it is named, and ends the run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Of real time, for one seed; most take some hundredths of a second.
const LONGEST: Duration = Duration::from_secs(60);
/// No seed runs.
const NONE: u64 = u64::MAX;

/// Which seed each thread is at, and since when, in milliseconds.
pub struct Watchdog {
    started: Instant,
    threads: Vec<(AtomicU64, AtomicU64)>,
    over: AtomicBool,
}

impl Watchdog {
    pub fn new(threads: u64) -> Watchdog {
        let threads = (0..threads).map(|_| (AtomicU64::new(NONE), AtomicU64::new(0))).collect();
        Watchdog { started: Instant::now(), threads, over: AtomicBool::new(false) }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn begins(&self, thread: usize, seed: u64) {
        self.threads[thread].1.store(self.now_ms(), Ordering::Relaxed);
        self.threads[thread].0.store(seed, Ordering::Release);
    }

    pub fn ends(&self, thread: usize) {
        self.threads[thread].0.store(NONE, Ordering::Release);
    }

    /// All seeds have ended.
    pub fn is_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Waits until all seeds have ended, or gives one that does not.
    pub fn watch(&self) -> Option<u64> {
        let longest = u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX);
        while !self.over.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(200));
            let now = self.now_ms();
            let stuck = self.threads.iter().find_map(|(seed, since)| {
                let seed = seed.load(Ordering::Acquire);
                (seed != NONE && now.saturating_sub(since.load(Ordering::Relaxed)) > longest).then_some(seed)
            });
            if stuck.is_some() {
                return stuck;
            }
        }
        None
    }
}
