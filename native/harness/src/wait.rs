//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Longest wait for something that has to happen; no test depends on how long it takes.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Polls until `done` gives something.
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + WAIT_TIMEOUT;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
