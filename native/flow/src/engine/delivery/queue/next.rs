//! What a worker of the queue does next.

use super::*;

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
            self.fresh.len().div_ceil(self.outlet.batch.max(1)) + self.failed.len().min(1)
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
        let batch = if self.outage.is_paused() { self.take_probe(now) } else { self.take(now) };
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

    /// The next batch while the out works: one that has failed before, when its pause is over, else new ones.
    fn take(&mut self, now: Instant) -> Vec<Queued> {
        // Most workers are for messages that were not tried yet: one that always fails may take the sink's timeout.
        let may_retry = self.fresh.is_empty() || self.retrying < (self.outlet.workers / 4).max(1);
        if may_retry && let Some(queued) = self.take_failed(now) {
            return vec![queued];
        }
        self.take_fresh()
    }

    fn take_fresh(&mut self) -> Vec<Queued> {
        let count = self.fresh.len().min(self.outlet.batch);
        self.fresh.drain(..count).collect()
    }

    /// The one whose pause has been over for the longest time.
    fn take_failed(&mut self, now: Instant) -> Option<Queued> {
        let first = self.failed.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// The next batch while the out is paused: one whose time is over has its last attempt, others probe.
    fn take_probe(&mut self, now: Instant) -> Vec<Queued> {
        let last = self.take_expired(now);
        if !last.is_empty() || self.outage.is_probing() {
            return last;
        }
        let mut batch = Vec::new();
        if self.outage.not_before(true, now).is_none() {
            batch = self.take_fresh();
        }
        if batch.is_empty() && self.outage.not_before(false, now).is_none() {
            batch.extend(self.take_failed(now));
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
            let count = self.fresh.iter().take(self.outlet.batch).take_while(|queued| is_expired(queued)).count();
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
            return failed.filter(|due| *due > now);
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
