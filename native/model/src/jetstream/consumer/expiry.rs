//! What time brings about: redeliveries after `ack_wait`, the end of requests, and of an idle consumer.

use super::super::Context;
use super::{ACK_WAIT_DELAY, Consumer, Pending, Position};
use crate::jetstream::store::Store;

impl Consumer {
    /// A message is on its way to a client.
    pub(super) fn on_pending(&mut self, sequence: u64, delivery: u64, now: u64) {
        // A redelivery keeps the consumer sequence of the first.
        let pending = self.pending.entry(sequence).or_insert(Pending { delivery, time_ns: now });
        pending.time_ns = now;
        let at = now + self.ack_wait() + ACK_WAIT_DELAY;
        self.check_at = Some(self.check_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// `false` when the consumer has been idle for too long and is to be deleted.
    pub fn advance(&mut self, store: &Store, context: &mut Context<'_>) -> bool {
        self.written.catch_up(&self.saved, context.now);
        if self.check_at.is_some_and(|at| at <= context.now) {
            self.check_pending(store, context.now);
        }
        if self.pulls.check_at.is_some_and(|at| at <= context.now) {
            self.check_pulls(true, context);
            self.signalled = true;
        }
        self.inactive_at.is_none_or(|at| at > context.now || self.stays(context))
    }

    /// Queues what was not acked in time.
    fn check_pending(&mut self, store: &Store, now: u64) {
        let (wait, floor) = (self.ack_wait(), self.floor.stream);
        self.drop_settled(store.first.max(floor + 1));
        let mut next = now + wait + ACK_WAIT_DELAY;
        let mut expired = Vec::new();
        for (sequence, pending) in &self.pending {
            let deadline = pending.time_ns + wait;
            if deadline > now {
                // The server's delay comes on top of what is left.
                next = next.min(deadline);
            } else if !self.queued.contains(sequence) {
                expired.push(*sequence);
            }
        }
        expired.retain(|sequence| !self.gives_up(*sequence));
        self.queue_expired(&expired, now);
        self.check_at = (!self.pending.is_empty()).then_some(next);
        if self.pending.is_empty() {
            self.queue.clear();
            self.queued.clear();
            self.floor = Position { consumer: self.next_delivery - 1, stream: self.next_sequence - 1 };
        }
    }

    /// Forgets deliveries below `first`.
    fn drop_settled(&mut self, first: u64) {
        let gone: Vec<u64> = self.pending.range(..first).map(|(sequence, _)| *sequence).collect();
        for sequence in &gone {
            let pending = self.pending.remove(sequence);
            self.redelivered.remove(sequence);
            self.unqueue(*sequence);
            self.floor.stream = self.floor.stream.max(*sequence);
            self.floor.consumer = self.floor.consumer.max(pending.map_or(0, |pending| pending.delivery));
        }
        if !gone.is_empty() {
            self.save();
        }
    }

    fn queue_expired(&mut self, expired: &[u64], now: u64) {
        let Some(first) = expired.first().and_then(|sequence| self.pending.get(sequence)) else { return };
        let later = now.saturating_sub(first.time_ns);
        for sequence in expired {
            self.enqueue(*sequence);
            if let Some(pending) = self.pending.get_mut(sequence) {
                pending.time_ns += later;
            }
        }
        self.signalled = true;
    }

    /// Whether a message has been delivered as often as it may be; it is no longer pending then, and stays in the
    /// stream. The server's count is one short here after the second delivery: such a message is queued once more, and
    /// given up when its turn comes.
    fn gives_up(&mut self, sequence: u64) -> bool {
        let count = self.redelivered.get(&sequence).copied().unwrap_or(0).max(1);
        if self.config.max_deliver <= 0 || count < self.config.max_deliver as u64 {
            return false;
        }
        let max_pending = self.config.max_ack_pending;
        self.signalled |= max_pending > 0 && self.pending.len() as i64 >= max_pending;
        self.give_up(sequence, count + 1);
        self.redelivered.insert(sequence, count);
        true
    }

    /// Not pending any more, after `count` deliveries.
    pub(super) fn give_up(&mut self, sequence: u64, count: u64) {
        let Some(pending) = self.pending.remove(&sequence) else { return };
        self.saved.on_delivered(pending.delivery, sequence, count, pending.time_ns, self.config.max_deliver);
        self.raise_floor(pending.delivery, sequence);
    }

    /// Whether an idle consumer stays for now.
    fn stays(&mut self, context: &mut Context<'_>) -> bool {
        let (now, after) = (context.now, self.inactive_after);
        let idle = now.saturating_sub(self.pulls.last_ns);
        if idle < after {
            self.inactive_at = Some(now + after - idle);
            return true;
        }
        self.check_pulls(true, context);
        if !self.pulls.is_empty() {
            self.inactive_at = Some(now + after);
            return true;
        }
        let wait = self.ack_wait() + ACK_WAIT_DELAY;
        let last = self.pending.values().map(|pending| pending.time_ns + wait + after).max();
        self.inactive_at = last.filter(|at| *at > now);
        self.inactive_at.is_some()
    }
}
