//! What a shard measures as a whole, beside what each pipeline counts. One writer each, as for counters.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use message::Code;

/// Upper bounds of the histogram's buckets, in milliseconds: from a relay in one process to an outage of an hour.
pub const BOUNDS_MS: [u64; 16] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000, 600_000, 3_600_000];

/// How many took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last one: longer than every bound.
    counts: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_ms: AtomicU64,
}

impl Histogram {
    pub fn add(&self, ms: u64) {
        let bucket = BOUNDS_MS.partition_point(|bound| *bound < ms);
        raise(&self.counts[bucket], 1);
        raise(&self.sum_ms, ms);
    }

    /// By bucket, each without those below; and the sum of all times in milliseconds.
    #[must_use]
    pub fn read(&self) -> ([u64; BOUNDS_MS.len() + 1], u64) {
        (std::array::from_fn(|bucket| self.counts[bucket].load(Relaxed)), self.sum_ms.load(Relaxed))
    }
}

/// Of one shard.
#[derive(Debug)]
pub struct Meters {
    /// Seconds that its loop has lived through: one that does not move is stuck.
    ticks: AtomicU64,
    connected: AtomicBool,
    messages: AtomicU64,
    bytes: AtomicU64,
    /// From the intake of a message to its delivery by an out.
    pub delivery: Histogram,
    /// Dead letters, by the place of their code in `Code::ALL`.
    dead: Box<[AtomicU64]>,
}

impl Default for Meters {
    fn default() -> Meters {
        Meters {
            ticks: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            delivery: Histogram::default(),
            dead: Code::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Meters {
    /// Whether the server is there, from now on.
    pub fn set_connected(&self, is_connected: bool) {
        self.connected.store(is_connected, Relaxed);
    }

    /// Once a second: what was asked of the server or is in hand.
    pub fn tick(&self, messages: u64, bytes: u64) {
        raise(&self.ticks, 1);
        self.messages.store(messages, Relaxed);
        self.bytes.store(bytes, Relaxed);
    }

    pub fn dead(&self, code: Code) {
        raise(&self.dead[code as usize], 1);
    }

    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Relaxed)
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Messages and bytes.
    #[must_use]
    pub fn in_hand(&self) -> (u64, u64) {
        (self.messages.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Those that there are.
    pub fn dead_by_code(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        let counts = self.dead.iter().map(|count| count.load(Relaxed));
        Code::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0)
    }
}

fn raise(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for ms in [0, 1, 2, 3, 3_600_000, 3_600_001] {
            histogram.add(ms);
        }
        let (counts, sum) = histogram.read();
        assert_eq!((&counts[..4], counts[15], counts[16], sum), (&[2, 1, 1, 0][..], 1, 1, 7_200_007));
    }

    #[test]
    fn dead_letters_are_counted_by_their_code() {
        let meters = Meters::default();
        for code in [Code::XmlNotWellFormed, Code::LimitBacklog, Code::XmlNotWellFormed] {
            meters.dead(code);
        }
        let mut found: Vec<(&str, u64)> = meters.dead_by_code().map(|(code, count)| (code.as_str(), count)).collect();
        found.sort_unstable();
        assert_eq!(found, [("limit/backlog", 1), ("xml/not-well-formed", 2)]);
    }
}
