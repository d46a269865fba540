//! How many took how long. One writer, as for counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::meters::raise;

/// Upper bounds of the buckets, and how many of their unit make a second.
#[derive(Debug)]
pub struct Scale {
    pub bounds: &'static [u64],
    pub per_second: u64,
}

/// Milliseconds: from a relay in one process to an outage of an hour.
pub const MILLISECONDS: Scale = Scale {
    bounds: &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000, 600_000, 3_600_000],
    per_second: 1_000,
};

/// Nanoseconds: from a filter of one field to a script at its limit.
pub const NANOSECONDS: Scale = Scale {
    bounds: &[
        250,
        500,
        1_000,
        2_500,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        1_000_000,
        10_000_000,
        100_000_000,
        1_000_000_000,
    ],
    per_second: 1_000_000_000,
};

/// Longer than this, a time is a clock's that was wrong, and none is counted: a server that begins in 1970 would be
/// worth more than all messages together. Milliseconds.
const MAX_AGE_MS: u64 = 24 * 24 * 3_600_000;

#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    /// The last one: longer than every bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    #[must_use]
    pub fn new(scale: &'static Scale) -> Histogram {
        let counts = (0..=scale.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { scale, counts, sum: AtomicU64::new(0) }
    }

    /// `time`: in the scale's unit.
    pub fn add(&self, time: u64) {
        let bucket = self.scale.bounds.partition_point(|bound| *bound < time);
        raise(&self.counts[bucket], 1);
        raise(&self.sum, time);
    }

    /// By bucket, each without those below; and the sum of all times.
    #[must_use]
    pub fn read(&self) -> (Vec<u64>, u64) {
        (self.counts.iter().map(|count| count.load(Relaxed)).collect(), self.sum.load(Relaxed))
    }

    #[must_use]
    pub fn scale(&self) -> &'static Scale {
        self.scale
    }
}

/// How old something is by two wall clocks, which may be two machines'. Milliseconds; 0 where the one that reads it is
/// behind, `None` where one of them must be wrong.
#[must_use]
pub fn age_ms(then_ms: u64, now_ms: u64) -> Option<u64> {
    Some(now_ms.saturating_sub(then_ms)).filter(|age| *age <= MAX_AGE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&MILLISECONDS);
        for ms in [0, 1, 2, 3, 3_600_000, 3_600_001] {
            histogram.add(ms);
        }
        let (counts, sum) = histogram.read();
        assert_eq!((&counts[..4], counts[15], counts[16], sum), (&[2, 1, 1, 0][..], 1, 1, 7_200_007));
    }

    #[test]
    fn an_age_is_never_negative_and_never_that_of_a_wrong_clock() {
        const NOW: u64 = 1_800_000_000_000;
        assert_eq!(age_ms(NOW - 250, NOW), Some(250));
        assert_eq!(age_ms(NOW + 3_600_000, NOW), Some(0), "the other clock is ahead");
        assert_eq!(age_ms(0, NOW), None, "the other clock began in 1970");
        assert_eq!(age_ms(NOW, 0), Some(0), "this one did");
    }
}
