//! A consumer's state as the server's store has it: what `CONSUMER.INFO` reports, and what a restart leaves.
//!
//! It is kept beside the consumer's own state and differs in places: a skipped message moves only the latter.

use std::collections::BTreeMap;

/// A consumer sequence and a stream sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub consumer: u64,
    pub stream: u64,
}

/// A delivery whose ack has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The consumer sequence of the first delivery.
    pub delivery: u64,
    /// From when `ack_wait` counts, nanoseconds.
    pub time_ns: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    pub delivered: Position,
    pub floor: Position,
    pub pending: BTreeMap<u64, Pending>,
    pub redelivered: BTreeMap<u64, u64>,
}

impl Saved {
    /// Of a new consumer that begins after `sequence`.
    #[must_use]
    pub fn starting(sequence: u64) -> Saved {
        let start = Position { consumer: 0, stream: sequence };
        Saved { delivered: start, floor: start, ..Saved::default() }
    }

    /// A delivery, or a new time of one. `count`: deliveries of this message.
    pub fn on_delivered(&mut self, delivery: u64, sequence: u64, count: u64, time_ns: u64, max_deliver: i64) {
        if delivery <= self.floor.consumer {
            return;
        }
        if sequence > self.delivered.stream {
            self.pending.insert(sequence, Pending { delivery, time_ns });
        } else if let Some(pending) = self.pending.get_mut(&sequence) {
            pending.time_ns = time_ns;
        }
        self.delivered.consumer = self.delivered.consumer.max(delivery);
        self.delivered.stream = self.delivered.stream.max(sequence);
        if count > 1 {
            if max_deliver > 0 && count > max_deliver as u64 {
                self.pending.remove(&sequence);
            }
            let known = self.redelivered.entry(sequence).or_default();
            *known = (*known).max(count - 1);
        }
    }

    /// A delivery is settled.
    pub fn on_acked(&mut self, delivery: u64, sequence: u64) {
        self.redelivered.remove(&sequence);
        if delivery <= self.floor.consumer {
            return;
        }
        let Some(pending) = self.pending.remove(&sequence) else { return };
        let delivery = if pending.delivery > 0 { delivery.min(pending.delivery) } else { delivery };
        if self.pending.is_empty() {
            self.floor = self.delivered;
        } else if delivery == self.floor.consumer + 1 {
            self.raise_floor(delivery, sequence);
        }
    }

    fn raise_floor(&mut self, delivery: u64, sequence: u64) {
        self.floor = Position { consumer: delivery, stream: sequence };
        if self.delivered.consumer <= delivery {
            return;
        }
        let later = self.pending.range(sequence + 1..=self.delivered.stream.max(sequence + 1)).next();
        if let Some((next, pending)) = later.filter(|(_, pending)| pending.delivery > 0) {
            self.floor = Position { consumer: pending.delivery - 1, stream: next - 1 };
        }
    }

    /// The whole state, after a purge; refused when it would go back or does not fit together.
    pub fn replace(&mut self, state: Saved) {
        let fits = |sequence: &u64| *sequence > state.floor.stream && *sequence <= state.delivered.stream;
        let is_sound = state.floor.consumer <= state.delivered.consumer
            && state.floor.stream <= state.delivered.stream
            && state.pending.keys().all(fits);
        let goes_back = state.delivered.consumer < self.delivered.consumer || state.floor.stream < self.floor.stream;
        if is_sound && !goes_back {
            *self = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rises_to_the_first_pending_delivery() {
        let mut saved = Saved::default();
        for sequence in 1..=3 {
            saved.on_delivered(sequence, sequence, 1, 0, -1);
        }
        saved.on_acked(2, 2);
        assert_eq!(saved.floor, Position::default());
        saved.on_acked(1, 1);
        assert_eq!(saved.floor, Position { consumer: 2, stream: 2 });
        saved.on_acked(3, 3);
        assert_eq!(saved.floor, saved.delivered);
    }

    #[test]
    fn redeliveries_are_counted_until_the_ack() {
        let mut saved = Saved::default();
        saved.on_delivered(1, 1, 1, 0, -1);
        saved.on_delivered(2, 1, 2, 5, -1);
        assert_eq!(saved.pending[&1], Pending { delivery: 1, time_ns: 5 });
        assert_eq!((saved.redelivered[&1], saved.delivered.consumer), (1, 2));
        saved.on_acked(2, 1);
        assert!(saved.redelivered.is_empty() && saved.pending.is_empty());
    }
}
