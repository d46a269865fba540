//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Longest wait for something that has to happen; no test depends on how long it takes.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for something that is known not to happen.
const KNOWN_FAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Polls until `done` gives something.
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let timeout = if crate::known_fault::is_inside() { KNOWN_FAULT_TIMEOUT } else { WAIT_TIMEOUT };
    let end = Instant::now() + timeout;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Runs an async test on one thread, as a shard runs.
pub fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async { tokio::time::timeout(2 * WAIT_TIMEOUT, test).await.expect("the test hangs") };
    tokio::task::LocalSet::new().block_on(&runtime, test)
}
