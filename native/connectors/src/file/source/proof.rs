//! When a file that was written to is read again from its start, up to where it is read on, to prove that nothing before was
//! written over.
//!
//! A log grows all the time, and reading all of it for each line would cost more and more. So the bytes that are read again
//! have a rate: who has grown beyond it is read on at once, and is proven later.

use std::time::Duration;

use tokio::time::Instant;

/// Of all files of an in, read again in a second.
const RATE: u64 = 16 << 20;
/// What may be read again at once, in seconds of the rate.
const BURST: Duration = Duration::from_secs(4);

#[derive(Default)]
pub(super) struct Proofs {
    /// By then all that was read again is within the rate.
    paid_by: Option<Instant>,
}

impl Proofs {
    /// Whether another file may be read again, which can wait.
    pub(super) fn may_begin(&self, now: Instant) -> bool {
        self.paid_by.is_none_or(|paid_by| paid_by <= now + BURST)
    }

    pub(super) fn on_begun(&mut self, now: Instant, bytes: u64) {
        let cost = Duration::from_micros(bytes.saturating_mul(1_000_000) / RATE);
        let from = self.paid_by.map_or(now, |paid_by| paid_by.max(now));
        // A file of more than a year's reading is none.
        self.paid_by = Some(from.checked_add(cost).unwrap_or(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_proven_at_once_and_a_log_no_oftener_than_the_rate_allows() {
        let (mut proofs, start) = (Proofs::default(), Instant::now());
        for _ in 0..1_000 {
            assert!(proofs.may_begin(start));
            proofs.on_begun(start, 64 << 10);
        }
        proofs.on_begun(start, 10 << 30);
        let second = |number| start + Duration::from_secs(number);
        assert!(!proofs.may_begin(start) && !proofs.may_begin(second(638)));
        assert!(proofs.may_begin(second(641)));
        // What was not read again meanwhile may not be caught up with.
        proofs.on_begun(second(10_000), 160 << 20);
        assert!(!proofs.may_begin(second(10_005)) && proofs.may_begin(second(10_006)));
    }
}
