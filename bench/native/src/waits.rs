//! How long each message took, from when it was sent to when it was delivered.

use std::ops::Range;
use std::time::Instant;

/// In microseconds since the start of the run, by number; and the waits so far.
pub struct Waits {
    sent_at: Vec<u32>,
    waits: Vec<u32>,
}

impl Waits {
    pub fn new(total: usize) -> Waits {
        Waits { sent_at: vec![0; total], waits: Vec::with_capacity(total) }
    }

    pub fn sent(&mut self, numbers: Range<usize>, now: u32) {
        self.sent_at[numbers].fill(now);
    }

    pub fn delivered(&mut self, number: usize, now: u32) {
        self.waits.push(now.saturating_sub(self.sent_at[number]));
    }

    pub fn clear(&mut self) {
        self.waits.clear();
    }

    /// The median, and what one in a hundred exceeds.
    pub fn json(&mut self) -> String {
        format!("\"p50_us\":{},\"p99_us\":{}", self.at(50), self.at(99))
    }

    fn at(&mut self, hundredths: usize) -> u32 {
        let place = self.waits.len() * hundredths / 100;
        if self.waits.is_empty() { 0 } else { *self.waits.select_nth_unstable(place).1 }
    }
}

pub fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_longest_but_one_in_a_hundred() {
        let mut waits = Waits::new(200);
        waits.sent(0..200, 1_000);
        (0..200).for_each(|number| waits.delivered(number, 1_000 + number as u32));
        assert_eq!(waits.json(), "\"p50_us\":100,\"p99_us\":198");
        assert_eq!(Waits::new(0).json(), "\"p50_us\":0,\"p99_us\":0");
    }
}
