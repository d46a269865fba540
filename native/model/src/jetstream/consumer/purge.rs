//! A purge of the stream, as a consumer takes it.

use super::{Consumer, Position, Saved};
use crate::jetstream::store::Store;
use crate::subject::covers;

/// What was purged: messages below `first`, or those of a subject.
#[derive(Clone, Copy, Debug)]
pub struct Purged {
    /// Zero: everything is gone.
    pub first: u64,
    pub last: u64,
    /// Whether the consumer wants other subjects, too.
    pub is_wider: bool,
}

impl Consumer {
    /// Whether all that it wants lies under `subject`.
    #[must_use]
    pub fn is_within(&self, subject: &str) -> bool {
        !self.filters.is_empty() && self.filters.iter().all(|filter| covers(subject, filter))
    }

    pub fn on_purged(&mut self, purged: Purged, store: &Store, now: u64) {
        self.written.catch_up(&self.saved, now);
        let first = if purged.first == 0 && !purged.is_wider { purged.last + 1 } else { purged.first };
        self.next_sequence = self.next_sequence.max(first);
        if self.floor.stream < first {
            self.floor.stream = first - 1;
            self.drop_purged(purged.is_wider, store, now);
        }
        if self.pending.is_empty() {
            self.redelivered.clear();
            self.floor = Position { consumer: self.next_delivery - 1, stream: self.next_sequence - 1 };
        }
        self.queue.retain(|sequence| *sequence >= self.next_sequence);
        self.queued = self.queue.iter().copied().collect();
        self.save();
    }

    fn drop_purged(&mut self, is_wider: bool, store: &Store, now: u64) {
        let floor = self.floor.stream;
        let is_gone = |sequence: &u64| *sequence <= floor || is_wider && store.get(*sequence).is_none();
        let gone: Vec<u64> = self.pending.keys().copied().filter(is_gone).collect();
        for sequence in gone {
            let Some(pending) = self.pending.remove(&sequence) else { continue };
            self.floor.consumer = self.floor.consumer.max(pending.delivery);
            self.next_delivery = self.next_delivery.max(self.floor.consumer);
            self.redelivered.remove(&sequence);
            self.saved.on_acked(pending.delivery, sequence);
            self.last_acked_ns = Some(now);
        }
    }

    /// Writes its own state over the stored one.
    pub(super) fn save(&mut self) {
        self.saved.replace(Saved {
            delivered: Position { consumer: self.next_delivery - 1, stream: self.next_sequence - 1 },
            floor: self.floor,
            pending: self.pending.clone(),
            redelivered: self.redelivered.clone(),
        });
    }
}
