//! Where messages come from: pull consumers with their credit, and subscriptions of core NATS.
//!
//! Two requests are kept open per consumer, so that the next messages are on their way while these
//! are worked on. The credit is what bounds what a shard has in hand: there is no `max_ack_pending`,
//! since with a limit one customer's delayed NAKs would block the lane. All consumers share that
//! bound: the more there are, the smaller their requests, down to one message.
//!
//! ```text
//! add ─► open ─top_up─► requests ─► messages: on_message ─► credit falls ─► top_up
//!          └─ close ─► UNSUB, messages that are on their way still come ─► forgotten two ticks later
//! ```

mod pull;

use std::collections::BTreeMap;

use nats::jetstream::{self, PullEnd, PullStatus};
use nats::protocol;

use super::message::{QueueId, RevisionId};
use super::subjects::LaneType;
use pull::{CLOSED_TICKS, MAX_BATCH, MAX_PARKED_BATCH, Pull, REQUESTS, SILENCE_TICKS};

/// What a pull consumer's messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// A lane: the subject says whose they are.
    Lane(LaneType),
    /// A pipeline's own NATS in.
    Source(RevisionId),
    /// The parked messages of one out.
    Parked(QueueId),
    /// Messages that have waited for a revision of their pipeline.
    Aside(RevisionId),
}

/// Subscription ids of pulls and of core subjects count from here. None is used twice on a connection.
const FIRST_PULL: u64 = 1 << 10;
const FIRST_SUBJECT: u64 = 1 << 40;

/// What a subscription id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// The number of a pull.
    Pull(u64),
    /// The subject of a revision's core NATS in.
    Core(RevisionId),
}

/// A core NATS in of a revision.
struct Subject {
    revision: RevisionId,
    subject: String,
    /// Shards and nodes of a pipeline share its messages.
    group: String,
    closed: Option<u64>,
}

/// All subscriptions of a shard.
#[derive(Default)]
pub struct Consumers {
    pulls: BTreeMap<u64, Pull>,
    subjects: BTreeMap<u64, Subject>,
    next_pull: u64,
    next_subject: u64,
    /// Who is asked first when there is not room for all; another one every time.
    next_index: usize,
    draining: bool,
}

impl Consumers {
    /// A pull consumer; `reply` gives the reply subject by the pull's number. Gives the number. Parked messages are
    /// asked for when [`Consumers::set_pull`] says so.
    pub fn add_pull(&mut self, feed: Feed, stream: &str, consumer: &str, reply: impl FnOnce(u64) -> String) -> u64 {
        let number = self.next_pull;
        self.next_pull += 1;
        let (open, max_batch) = match feed {
            Feed::Parked(_) => (false, MAX_PARKED_BATCH),
            Feed::Aside(_) => (true, MAX_PARKED_BATCH),
            Feed::Lane(_) | Feed::Source(_) => (true, MAX_BATCH),
        };
        let pull = Pull {
            feed,
            next: jetstream::next_subject(stream, consumer),
            reply: reply(number),
            open,
            closed: None,
            max_batch,
            credit: 0,
            last_activity: 0,
            not_before: 0,
        };
        self.pulls.insert(number, pull);
        number
    }

    /// A core NATS in. Gives its number.
    pub fn add_subject(&mut self, revision: RevisionId, subject: &str, group: &str) -> u64 {
        let number = self.next_subject;
        self.next_subject += 1;
        let (subject, group) = (subject.to_owned(), group.to_owned());
        self.subjects.insert(number, Subject { revision, subject, group, closed: None });
        number
    }

    /// What a subscription id stands for; `None` for one that was ended a while ago.
    #[must_use]
    #[inline]
    pub fn subscription(&self, sid: u64) -> Option<Subscription> {
        if let Some(number) = sid.checked_sub(FIRST_SUBJECT) {
            return self.subjects.get(&number).map(|subject| Subscription::Core(subject.revision));
        }
        sid.checked_sub(FIRST_PULL).map(Subscription::Pull)
    }

    #[must_use]
    pub fn feed(&self, number: u64) -> Option<Feed> {
        self.pulls.get(&number).map(|pull| pull.feed)
    }

    /// Whether a pull of this feed is open.
    #[must_use]
    pub fn has_pull(&self, feed: Feed) -> bool {
        self.pulls.values().any(|pull| pull.feed == feed && pull.closed.is_none())
    }

    /// Takes nothing more in for a revision.
    pub fn close_source(&mut self, revision: RevisionId, tick: u64, out: &mut Vec<u8>) {
        for (number, subject) in &mut self.subjects {
            if subject.revision == revision && subject.closed.is_none() {
                subject.closed = Some(tick);
                protocol::encode_unsub(out, FIRST_SUBJECT + number, None);
            }
        }
        self.close_pulls(Feed::Source(revision), tick, out);
        self.close_pulls(Feed::Aside(revision), tick, out);
    }

    /// Asks for no more of what a feed brings, and forgets it.
    pub fn close_pulls(&mut self, feed: Feed, tick: u64, out: &mut Vec<u8>) {
        for (number, pull) in &mut self.pulls {
            if pull.feed == feed && pull.closed.is_none() {
                (pull.open, pull.closed) = (false, Some(tick));
                protocol::encode_unsub(out, FIRST_PULL + number, None);
            }
        }
    }

    /// Whether more is asked for.
    pub fn set_pull(&mut self, number: u64, open: bool) {
        if let Some(pull) = self.pulls.get_mut(&number).filter(|pull| pull.closed.is_none()) {
            pull.open = open && !self.draining;
        }
    }

    /// Messages of one request at most.
    pub fn set_batch(&mut self, number: u64, batch: i64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.max_batch = batch.max(1);
        }
    }

    /// Takes nothing more in at all.
    pub fn close_all(&mut self, out: &mut Vec<u8>) {
        self.draining = true;
        self.pulls.values_mut().for_each(|pull| pull.open = false);
        for number in self.subjects.keys() {
            protocol::encode_unsub(out, FIRST_SUBJECT + number, None);
        }
    }

    /// Whether messages of a revision may still come.
    #[must_use]
    pub fn serves(&self, revision: RevisionId) -> bool {
        self.subjects.values().any(|subject| subject.revision == revision)
            || self.pulls.values().any(|pull| [Feed::Source(revision), Feed::Aside(revision)].contains(&pull.feed))
    }

    /// Forgets what was closed a while ago.
    pub fn on_tick(&mut self, tick: u64) {
        let is_over = |closed: Option<u64>| closed.is_some_and(|closed| tick > closed + CLOSED_TICKS);
        self.pulls.retain(|_, pull| !is_over(pull.closed));
        self.subjects.retain(|_, subject| !is_over(subject.closed));
    }

    /// A message came.
    #[inline]
    pub fn on_message(&mut self, number: u64, tick: u64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.credit -= 1;
            pull.last_activity = tick;
        }
    }

    /// A request ended without its messages, or the server refused it.
    pub fn on_status(&mut self, number: u64, status: &PullStatus, tick: u64) {
        let Some(pull) = self.pulls.get_mut(&number) else { return };
        pull.last_activity = tick;
        match status {
            PullStatus::Heartbeat => {}
            PullStatus::Ended { reason, pending_messages, .. } => match reason {
                PullEnd::Expired | PullEnd::NoMessages | PullEnd::BatchCompleted | PullEnd::MaxBytes => {
                    pull.credit -= i64::try_from(*pending_messages).unwrap_or(MAX_BATCH);
                }
                // The consumer is gone, has moved, or is not ours to ask: all its requests are void.
                _ => {
                    pull.credit = 0;
                    pull.not_before = tick + 2;
                }
            },
        }
        pull.credit = pull.credit.max(0);
    }

    /// Subscribes to everything on a new connection. What was asked for is gone with the last one.
    pub fn on_connected(&mut self, tick: u64, out: &mut Vec<u8>) {
        self.pulls.retain(|_, pull| pull.closed.is_none());
        self.subjects.retain(|_, subject| subject.closed.is_none());
        for pull in self.pulls.values_mut() {
            (pull.credit, pull.last_activity, pull.not_before) = (0, tick, 0);
        }
        self.pulls.keys().for_each(|number| self.subscribe_pull(*number, out));
        if !self.draining {
            self.subjects.keys().for_each(|number| self.subscribe_subject(*number, out));
        }
    }

    /// Subscribes to the reply subject of a pull, with a subscription id of its own: a message
    /// from a stream comes under the subject it was published to, so only the id tells the pull.
    pub fn subscribe_pull(&self, number: u64, out: &mut Vec<u8>) {
        if let Some(pull) = self.pulls.get(&number) {
            protocol::encode_sub(out, pull.reply.as_bytes(), b"", FIRST_PULL + number);
        }
    }

    pub fn subscribe_subject(&self, number: u64, out: &mut Vec<u8>) {
        if let Some(Subject { subject, group, .. }) = self.subjects.get(&number) {
            protocol::encode_sub(out, subject.as_bytes(), group.as_bytes(), FIRST_SUBJECT + number);
        }
    }

    /// Messages of one request, so that all open pulls together ask for half of `bound` at most: the
    /// other half is for what has come, and for pulls that are opened later.
    fn batch(&self, bound: i64) -> i64 {
        let open = self.pulls.values().filter(|pull| pull.open).count();
        let open = i64::try_from(open).unwrap_or(i64::MAX / REQUESTS).max(1);
        (bound / 2 / (REQUESTS * open)).clamp(1, MAX_BATCH)
    }

    /// Messages asked for and not come, of all pulls.
    fn credit(&self) -> i64 {
        self.pulls.values().map(|pull| pull.credit).sum()
    }

    /// Asks for more where the credit has run down. `in_hand`: messages the shard has; with what was
    /// asked for they are never more than `bound`.
    pub fn top_up(&mut self, tick: u64, in_hand: i64, bound: i64, out: &mut Vec<u8>) {
        for pull in self.pulls.values_mut() {
            if pull.credit > 0 && tick.saturating_sub(pull.last_activity) > SILENCE_TICKS {
                pull.credit = 0;
            }
        }
        let share = self.batch(bound);
        let mut room = bound - in_hand - self.credit();
        let start = self.next_index % self.pulls.len().max(1);
        let (before, after) = (0..start, start..self.pulls.len());
        let mut pulls: Vec<(usize, &mut Pull)> = self.pulls.values_mut().enumerate().collect();
        for index in after.chain(before) {
            let pull = &mut *pulls[index].1;
            if !pull.open || tick < pull.not_before {
                continue;
            }
            let batch = share.min(pull.max_batch);
            while pull.credit <= batch * (REQUESTS - 1) {
                if room < batch {
                    self.next_index = index;
                    return;
                }
                pull.request(batch, tick, out);
                room -= batch;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: i64 = 16_384;

    fn pulls(count: usize) -> Consumers {
        let mut pulls = Consumers::default();
        for number in 0..count {
            add(&mut pulls, &format!("S{number}"));
        }
        pulls
    }

    fn add(pulls: &mut Consumers, stream: &str) -> u64 {
        pulls.add_pull(Feed::Lane(LaneType::Logic), stream, "c", |number| format!("_INBOX.test.p.{number}"))
    }

    fn credits(pulls: &Consumers) -> Vec<i64> {
        pulls.pulls.values().map(|pull| pull.credit).collect()
    }

    fn asked(pulls: &Consumers) -> (i64, i64) {
        let credits = || pulls.pulls.values().map(|pull| pull.credit);
        (credits().min().unwrap_or(0), credits().max().unwrap_or(0))
    }

    #[test]
    fn however_many_there_are_all_get_a_share_and_the_bound_holds() {
        for count in [1, 4, 8, 9, 32, 300, 1_000, 4_096] {
            let mut pulls = pulls(count);
            pulls.top_up(1, 0, BOUND, &mut Vec::new());
            let (least, most) = asked(&pulls);
            assert!(least >= 1 && least == most, "{count}: {least} to {most}");
            assert!(pulls.credit() <= BOUND / 2, "{count}: {}", pulls.credit());
        }
        let mut few = pulls(8);
        few.top_up(1, 0, BOUND, &mut Vec::new());
        assert_eq!(asked(&few), (MAX_BATCH * REQUESTS, MAX_BATCH * REQUESTS));
    }

    #[test]
    fn more_pulls_than_messages_in_the_bound_take_turns() {
        let count = 20_000;
        let mut pulls = pulls(count);
        let mut served = vec![false; count];
        for tick in 1..=3 {
            pulls.top_up(tick, 0, BOUND, &mut Vec::new());
            assert!(pulls.credit() <= BOUND);
            for (number, served) in (0..).zip(served.iter_mut()) {
                while pulls.pulls[&number].credit > 0 {
                    *served = true;
                    pulls.on_message(number, tick);
                }
            }
        }
        assert!(served.iter().all(|one| *one));
    }

    #[test]
    fn a_pull_that_is_opened_later_finds_room() {
        let mut pulls = pulls(100);
        pulls.top_up(1, 0, BOUND, &mut Vec::new());
        let late = add(&mut pulls, "LATE");
        pulls.top_up(1, BOUND / 4, BOUND, &mut Vec::new());
        assert!(pulls.pulls[&late].credit > 0);
    }

    #[test]
    fn what_is_in_hand_counts_and_those_left_out_are_first_the_next_time() {
        let mut pulls = pulls(4);
        let room_for_one = BOUND - MAX_BATCH * REQUESTS;
        pulls.top_up(1, room_for_one, BOUND, &mut Vec::new());
        assert_eq!(credits(&pulls), [1_024, 0, 0, 0]);
        for _ in 0..1_024 {
            pulls.on_message(0, 1);
        }
        pulls.top_up(1, room_for_one, BOUND, &mut Vec::new());
        assert_eq!(credits(&pulls), [0, 1_024, 0, 0]);
    }

    #[test]
    fn a_closed_source_is_forgotten_when_nothing_of_it_can_come_any_more() {
        let mut consumers = Consumers::default();
        let (gone, stays) = (RevisionId(1), RevisionId(2));
        for revision in [gone, stays] {
            consumers.add_subject(revision, "in.orders", "g");
            consumers.add_pull(Feed::Source(revision), "S", "c", |_| String::new());
        }
        let mut wire = Vec::new();
        consumers.close_source(gone, 5, &mut wire);
        assert_eq!(wire.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"UNSUB")).count(), 2);
        consumers.on_tick(5 + CLOSED_TICKS);
        assert!(consumers.serves(gone));
        assert_eq!(consumers.subscription(FIRST_SUBJECT), Some(Subscription::Core(gone)));
        consumers.on_tick(6 + CLOSED_TICKS);
        assert!(!consumers.serves(gone) && consumers.serves(stays));
        assert_eq!(consumers.subscription(FIRST_SUBJECT), None);
    }
}
