//! How long to wait before the next try.

use std::time::Duration;

/// Doubles from `min` to `max`; each wait is a random part of it, at least half, so that clients of
/// a server that was restarted do not all come back at once. `attempt` counts from 1.
pub fn delay(attempt: u32, min: Duration, max: Duration, random: u64) -> Duration {
    let doubled = min.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(max).mul_f64(0.5 + fastrand::Rng::with_seed(random).f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_differ() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(2));
        for attempt in 1..100 {
            let whole = min.saturating_mul(1 << (attempt - 1).min(20)).min(max);
            let delay = delay(attempt, min, max, u64::from(attempt));
            assert!(delay >= whole / 2 && delay <= whole, "{attempt}: {delay:?}");
        }
        assert!(delay(u32::MAX, min, max, u64::MAX) <= max);
        let delays: std::collections::HashSet<_> = (0..20).map(|random| delay(9, min, max, random)).collect();
        assert!(delays.len() > 10);
    }
}
