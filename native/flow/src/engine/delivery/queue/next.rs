//! What a worker of the queue does next.

use super::*;
use crate::engine::delivery::batching::Filled;

/// What a worker does next.
#[derive(Debug)]
pub enum Next {
    /// Writes these to the sink.
    Write(Vec<Queued>),
    /// Waits until something arrives, or until then.
    Wait(Option<Instant>),
    /// Ends.
    End,
}

/// How a worker comes to ask for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It was just started, or has written a batch.
    Busy,
    /// It has waited, and something happened.
    Woken,
    /// It has waited for long, and nothing happened.
    Idle,
}

impl Queue {
    /// How many more workers would find something to do.
    pub fn start_workers(&mut self) -> usize {
        let waiting = if self.outage.is_paused() {
            usize::from(!self.fresh.is_empty() || !self.failed.is_empty())
        } else {
            let batches = self.outlet.batching.batches(self.fresh.len(), self.held.bytes);
            batches + self.failed.len().min(1)
        };
        let wanted = waiting.saturating_sub(self.waiting_workers).min(self.outlet.workers.saturating_sub(self.workers));
        self.workers += wanted;
        wanted
    }

    /// What the worker that asks does.
    pub fn next(&mut self, asking: Asking, draining: bool, now: Instant) -> Next {
        if asking != Asking::Busy {
            self.waiting_workers = self.waiting_workers.saturating_sub(1);
        }
        let is_over = self.retired && self.is_idle() || self.outage.is_paused() && draining;
        let has_nothing = self.fresh.is_empty() && self.failed.is_empty();
        if is_over || asking == Asking::Idle && (has_nothing || self.waiting_workers > 0) {
            self.workers = self.workers.saturating_sub(1);
            return Next::End;
        }
        let batch = if self.outage.is_paused() { self.take_probe(now) } else { self.take(draining, now) };
        if batch.is_empty() {
            self.waiting_workers += 1;
            return Next::Wait(self.next_due(now));
        }
        if self.in_flight == 0 {
            self.last_outcome = now;
        }
        self.in_flight += batch.len();
        self.retrying += batch.iter().filter(|queued| queued.attempts > 0).count();
        Next::Write(batch)
    }

    /// The next batch while the out works: what has failed before, when its pause is over, else new ones.
    fn take(&mut self, draining: bool, now: Instant) -> Vec<Queued> {
        // Most workers are for messages that were not tried yet: one that always fails may take the sink's timeout.
        let retries = (self.outlet.workers * self.outlet.batching.messages / 4).max(1);
        if self.fresh.is_empty() || self.retrying < retries {
            let failed = self.take_failed(usize::MAX, now);
            if !failed.is_empty() {
                return failed;
            }
        }
        let is_last = draining || self.retired || self.is_pressed;
        if !is_last && self.fresh_due().is_some_and(|due| due > now) {
            return Vec::new();
        }
        self.is_pressed = false;
        self.take_fresh(usize::MAX)
    }

    /// The batch that the new messages make; `most`: of so many at most.
    fn take_fresh(&mut self, most: usize) -> Vec<Queued> {
        let count = self.filled(self.fresh.iter()).messages.min(most);
        self.fresh.drain(..count).collect()
    }

    /// Where order is kept, a batch is one request: what goes elsewhere is the next one.
    fn filled<'q>(&self, waiting: impl Iterator<Item = &'q Queued>) -> Filled {
        let batching = &self.outlet.batching;
        batching.fill(waiting, batching.is_request && self.outage.keeps_order())
    }

    /// When the new messages go, though others may still join them; `None`: at once, as what was parked, which has
    /// waited, and of which few are in hand at a time.
    fn fresh_due(&self) -> Option<Instant> {
        let wait = self.outlet.batching.wait;
        let first = self.fresh.front().filter(|first| !wait.is_zero() && first.attempts == 0 && !first.is_parked)?;
        (!self.filled(self.fresh.iter()).is_full).then(|| first.since + wait)
    }

    /// Those whose pauses have been over for the longest time.
    fn take_failed(&mut self, most: usize, now: Instant) -> Vec<Queued> {
        let due = self.failed.range(..=(now, u64::MAX)).map(|(_, queued)| queued);
        let count = self.filled(due).messages.min(most);
        (0..count).filter_map(|_| self.failed.pop_first()).map(|(_, queued)| queued).collect()
    }

    /// The next batch while the out is paused: one whose time is over has its last attempt, others probe.
    fn take_probe(&mut self, now: Instant) -> Vec<Queued> {
        let last = self.take_expired(now);
        if !last.is_empty() || self.outage.is_probing() {
            return last;
        }
        let mut batch = Vec::new();
        if self.outage.not_before(true, now).is_none() {
            batch = self.take_fresh(self.outlet.batching.probe());
        }
        if batch.is_empty() && self.outage.not_before(false, now).is_none() {
            batch = self.take_failed(1, now);
        }
        if let Some(first) = batch.first() {
            self.probed_new = !first.is_parked;
            self.outage.begin_probe(first.number);
        }
        batch
    }

    /// Whether the next message of the lane probes a server that fails, in turn with those that are parked: it may be
    /// these that the server does not take.
    #[must_use]
    pub fn wants_new_probe(&self) -> bool {
        let is_turn = !self.probed_new && self.fresh.iter().all(|queued| queued.is_parked);
        let may_overtake = !self.outage.keeps_order() && !self.retired;
        self.phase() == Phase::Open && may_overtake && (is_turn || self.fresh.is_empty())
    }

    /// Messages that have been tried, and have waited, for long enough. Where order is kept, only the first ones.
    fn take_expired(&mut self, now: Instant) -> Vec<Queued> {
        let retry_for = self.outlet.retry_for;
        let is_expired = |queued: &Queued| !retry_for.is_zero() && queued.age(now) >= retry_for;
        if self.outage.keeps_order() {
            let expired = self.fresh.iter().take_while(|queued| is_expired(queued));
            let count = self.filled(expired).messages.min(self.outlet.batching.probe());
            return self.fresh.drain(..count).collect();
        }
        if self.expiry.is_none_or(|expiry| expiry > now) {
            return Vec::new();
        }
        if let Some(at) = self.fresh.iter().position(is_expired) {
            return self.fresh.remove(at).into_iter().collect();
        }
        let due = self.failed.range(..=(now, u64::MAX));
        if let Some(key) = due.filter(|(_, queued)| is_expired(queued)).map(|(key, _)| *key).next() {
            return self.failed.remove(&key).into_iter().collect();
        }
        self.expiry = self.first_expiry();
        Vec::new()
    }

    fn first_expiry(&self) -> Option<Instant> {
        let retry_for = self.outlet.retry_for;
        let all = self.fresh.iter().chain(self.failed.values());
        let expiry = all.map(|queued| queued.since + retry_for.saturating_sub(queued.spent)).min();
        expiry.filter(|_| !retry_for.is_zero())
    }

    /// When a worker that found nothing has to look again.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        let failed = self.failed.first_key_value().map(|((due, _), _)| *due);
        if !self.outage.is_paused() {
            // One that is due waits for those that are tried again already.
            let failed = failed.filter(|due| *due > now);
            return [failed, self.fresh_due()].into_iter().flatten().min();
        }
        let retry_for = self.outlet.retry_for;
        let first = self.fresh.front().filter(|_| !retry_for.is_zero());
        let expiry = if self.outage.keeps_order() {
            first.map(|queued| queued.since + retry_for.saturating_sub(queued.spent))
        } else {
            self.expiry
        };
        if self.outage.is_probing() {
            return expiry;
        }
        let fresh = self.fresh.front().and_then(|_| self.outage.not_before(true, now));
        let failed = failed.map(|due| self.outage.not_before(false, now).map_or(due, |until| until.max(due)));
        [expiry, fresh, failed].into_iter().flatten().min()
    }
}
