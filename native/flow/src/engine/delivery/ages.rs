//! How long a parked message has been in its stream, by this program's own clock. A state machine without I/O.
//!
//! The stream's last sequence is noted at times. A message with a lower sequence was there by then. So nothing is
//! compared with a clock of another machine, or with one that somebody sets.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// More are thinned out: of two neighbours the later one goes.
const MAX_NOTES: usize = 64;

#[derive(Debug, Default)]
pub struct Ages(VecDeque<(u64, Instant)>);

impl Ages {
    /// The stream's last sequence is this one now.
    pub fn note(&mut self, last_sequence: u64, now: Instant) {
        if self.0.back().is_some_and(|(noted, _)| last_sequence <= *noted) {
            return;
        }
        self.0.push_back((last_sequence, now));
        if self.0.len() > MAX_NOTES {
            let mut place = 0;
            self.0.retain(|_| {
                place += 1;
                place % 2 == 1 || place > MAX_NOTES
            });
        }
    }

    /// How long the message has been there at least.
    #[must_use]
    pub fn of(&self, sequence: u64, now: Instant) -> Duration {
        let at = self.0.partition_point(|(noted, _)| *noted < sequence);
        self.0.get(at).map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }

    /// Nothing is in the stream.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_as_old_as_the_first_note_that_includes_it() {
        let (mut ages, now) = (Ages::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        ages.note(10, after(0));
        ages.note(10, after(1));
        ages.note(20, after(5));
        assert_eq!([3, 10, 11, 20, 21].map(|sequence| ages.of(sequence, after(7)).as_secs()), [7, 7, 2, 2, 0]);
        ages.clear();
        assert_eq!(ages.of(3, after(7)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_message_is_ever_taken_for_older_than_it_is_and_memory_is_bounded(
            stored in proptest::collection::vec((1_u64..50, 1_u64..5_000), 1..500)
        ) {
            let (mut ages, mut now) = (Ages::default(), Instant::now());
            let (mut last, mut arrivals) = (0, Vec::new());
            for (count, millis) in stored {
                arrivals.push((last + 1, now));
                last += count;
                now += Duration::from_millis(millis);
                ages.note(last, now);
            }
            prop_assert!(ages.0.len() <= MAX_NOTES);
            for (sequence, since) in arrivals {
                prop_assert!(ages.of(sequence, now) <= now - since);
            }
        }
    }
}
