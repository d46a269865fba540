//! Where messages come from: pull consumers with their credit, and subscriptions of core NATS.
//!
//! Two requests are kept open per consumer, so that the next messages are on their way while these
//! are worked on. The credit is what bounds what a shard has in hand: there is no `max_ack_pending`,
//! since with a limit one customer's delayed NAKs would block the lane. All consumers share that
//! bound: the more there are, the smaller their requests, down to one message. A consumer that brings nothing is asked
//! for a few messages, so that thousands can be added one after the other without a wait for earlier requests to end.
//!
//! Credit is counted in bytes, too: nats-server disconnects a client that has left 64 MiB unread. A request brings at
//! most as much as the largest message, or 4 MiB; what it is likely to bring is reserved until it has come.
//!
//! ```text
//! add ─► open ─top_up─► requests ─► messages: on_message ─► credit falls ─► top_up
//!         │ └─ hand_over ─► open, of the next revision
//!         └─ close ─► UNSUB, messages that are on their way still come ─► forgotten
//! ```
//!
//! A pull is forgotten two ticks later: what comes after that comes again. A core NATS in is forgotten when a marker
//! behind its UNSUB is back: the server answers in order, so nothing can come after that.

mod hand_over;
mod losses;
mod permits;
mod pull;
mod requests;

use std::collections::BTreeMap;

use nats::jetstream::{Api, PullEnd, PullStatus};
use nats::protocol;

use super::message::{QueueId, RevisionId};
use super::subjects::LaneType;
use losses::Losses;
pub use losses::LostConsumer;
use permits::Permits;
use pull::{CLOSED_TICKS, MAX_BATCH, MAX_PARKED_BATCH, MIN_WINDOW, Pull, REQUESTS, SILENCE_TICKS, request_bytes};
pub use pull::{EXPIRES_SECONDS as PULL_EXPIRES_SECONDS, MAX_BATCH as PULL_BATCH};

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
    /// The parked messages of a NATS out, by its number: it has no queue that parks, but another out of this name may
    /// have had one, or its pipeline may have been away.
    ParkedNats(RevisionId, u32),
}

impl Feed {
    /// Whose messages it brings, where these are of one revision.
    #[must_use]
    pub fn revision(self) -> Option<RevisionId> {
        match self {
            Feed::Source(revision) | Feed::Aside(revision) | Feed::ParkedNats(revision, _) => Some(revision),
            Feed::Lane(_) | Feed::Parked(_) => None,
        }
    }
}

/// Subscription ids of pulls and of core subjects count from here. None is used twice on a connection.
const FIRST_PULL: u64 = 1 << 10;
const FIRST_SUBJECT: u64 = 1 << 40;

/// Messages, and the bytes that they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub messages: i64,
    pub bytes: i64,
}

/// What was asked for and has not come is this at most, in bytes, as far as it is known: the server keeps 64 MiB.
const MAX_UNREAD: i64 = 40 << 20;

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
    /// The marker behind its UNSUB, once it was closed.
    closed: Option<u64>,
}

/// All subscriptions of a shard.
#[derive(Default)]
pub struct Consumers {
    pulls: BTreeMap<u64, Pull>,
    subjects: BTreeMap<u64, Subject>,
    next_pull: u64,
    next_subject: u64,
    /// Of the server, bytes.
    max_payload: usize,
    /// Messages of one request, as it was reckoned last.
    share: i64,
    /// Whether something may have to be asked for; looked at once a tick otherwise.
    is_short: bool,
    last_tick: u64,
    /// Who is asked first when there is not room for all; another one every time.
    next_index: usize,
    draining: bool,
    losses: Losses,
    permits: Permits,
    api: Api,
}

impl Consumers {
    /// A pull consumer; `reply` gives the reply subject by the pull's number. Gives the number. Parked messages are
    /// asked for when [`Consumers::set_pull`] says so.
    pub fn add_pull(&mut self, feed: Feed, stream: &str, consumer: &str, reply: impl FnOnce(u64) -> String) -> u64 {
        let number = self.next_pull;
        self.next_pull += 1;
        let (open, max_batch) = match feed {
            Feed::Parked(_) => (false, MAX_PARKED_BATCH),
            Feed::Aside(_) | Feed::ParkedNats(..) => (true, MAX_PARKED_BATCH),
            Feed::Lane(_) | Feed::Source(_) => (true, MAX_BATCH),
        };
        let pull = Pull {
            feed,
            stream: stream.into(),
            consumer: consumer.into(),
            next: self.api.next_subject(stream, consumer),
            reply: reply(number),
            open,
            closed: None,
            max_batch,
            window: MIN_WINDOW,
            credit: 0,
            reserved: 0,
            largest: 0,
            last_activity: 0,
            not_before: 0,
        };
        self.pulls.insert(number, pull);
        self.is_short = true;
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

    /// Whether a revision has an open core NATS in, whose UNSUB needs a marker behind it.
    #[must_use]
    pub fn has_subject(&self, revision: RevisionId) -> bool {
        self.subjects.values().any(|subject| subject.revision == revision && subject.closed.is_none())
    }

    /// Takes nothing more in for a revision. `marker`: the number of the next one.
    pub fn close_source(&mut self, revision: RevisionId, tick: u64, marker: u64, out: &mut Vec<u8>) {
        for (number, subject) in &mut self.subjects {
            if subject.revision == revision && subject.closed.is_none() {
                subject.closed = Some(marker);
                protocol::encode_unsub(out, FIRST_SUBJECT + number, None);
            }
        }
        self.close_where(|feed| feed.revision() == Some(revision), tick, out);
    }

    /// Asks for no more of what a feed brings, and forgets it.
    pub fn close_pulls(&mut self, feed: Feed, tick: u64, out: &mut Vec<u8>) {
        self.close_where(|one| one == feed, tick, out);
    }

    fn close_where(&mut self, closes: impl Fn(Feed) -> bool, tick: u64, out: &mut Vec<u8>) {
        for (number, pull) in &mut self.pulls {
            if closes(pull.feed) && pull.closed.is_none() {
                (pull.open, pull.closed) = (false, Some(tick));
                protocol::encode_unsub(out, FIRST_PULL + number, None);
            }
        }
    }

    /// Whether more is asked for.
    pub fn set_pull(&mut self, number: u64, open: bool) {
        if let Some(pull) = self.pulls.get_mut(&number).filter(|pull| pull.closed.is_none()) {
            pull.open = open && !self.draining;
            self.is_short = true;
        }
    }

    /// Takes nothing more in at all. What is on its way comes before a marker behind this.
    pub fn close_all(&mut self, out: &mut Vec<u8>) {
        self.draining = true;
        for (number, pull) in self.pulls.iter_mut().filter(|(_, pull)| pull.closed.is_none()) {
            pull.open = false;
            protocol::encode_unsub(out, FIRST_PULL + number, None);
        }
        for (number, _) in self.subjects.iter().filter(|(_, subject)| subject.closed.is_none()) {
            protocol::encode_unsub(out, FIRST_SUBJECT + number, None);
        }
    }

    /// Whether messages of a revision may still come.
    #[must_use]
    pub fn serves(&self, revision: RevisionId) -> bool {
        self.subjects.values().any(|subject| subject.revision == revision)
            || self.pulls.values().any(|pull| pull.feed.revision() == Some(revision))
    }

    /// Forgets what was closed a while ago, and what is permitted again. `marker`: the last one that is back.
    pub fn on_tick(&mut self, tick: u64, marker: u64) {
        self.pulls.retain(|_, pull| pull.closed.is_none_or(|closed| tick <= closed + CLOSED_TICKS));
        self.subjects.retain(|_, subject| subject.closed.is_none_or(|closed| marker < closed));
        self.note_permits(tick, marker);
    }

    /// A message came.
    #[inline]
    pub fn on_message(&mut self, number: u64, bytes: usize, tick: u64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.on_message(bytes, tick);
            self.is_short |= pull.credit <= pull.batch(self.share) * (REQUESTS - 1);
        }
    }

    /// A request ended without its messages, or the server refused it.
    pub fn on_status(&mut self, number: u64, status: &PullStatus, tick: u64) {
        let Some(pull) = self.pulls.get_mut(&number) else { return };
        pull.last_activity = tick;
        self.is_short = true;
        match status {
            PullStatus::Heartbeat => {}
            PullStatus::Ended { reason, pending_messages, .. } => match reason {
                PullEnd::Expired | PullEnd::NoMessages | PullEnd::BatchCompleted | PullEnd::MaxBytes => {
                    let messages = i64::try_from(*pending_messages).unwrap_or(MAX_BATCH);
                    pull.take(messages, pull.reserve(messages, request_bytes(self.max_payload)));
                    if *reason == PullEnd::Expired {
                        pull.window = MIN_WINDOW;
                    }
                }
                // The consumer is gone, has moved, or is not ours to ask: all its requests are void.
                _ => {
                    pull.void();
                    pull.not_before = tick + 2;
                    self.losses.on_end(number, pull.feed, *reason);
                }
            },
        }
    }

    /// Subscribes to everything on a new connection. What was asked for is gone with the last one.
    pub fn on_connected(&mut self, max_payload: usize, tick: u64, out: &mut Vec<u8>) {
        self.max_payload = max_payload;
        self.pulls.retain(|_, pull| pull.closed.is_none());
        self.subjects.retain(|_, subject| subject.closed.is_none());
        for pull in self.pulls.values_mut() {
            pull.void();
            (pull.last_activity, pull.not_before) = (tick, 0);
        }
        self.permit_all();
        self.is_short = true;
        if !self.draining {
            self.pulls.keys().for_each(|number| self.subscribe_pull(*number, out));
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

    /// Asks for more where the credit has run down. `in_hand`: what the shard has. With the messages that were asked
    /// for these are never more than `bound`; above the bytes of the bound nothing is asked for. `may_ask`: whether
    /// there is room for what a revision's own in brings.
    pub fn top_up(
        &mut self,
        tick: u64,
        in_hand: Load,
        bound: Load,
        may_ask: impl Fn(RevisionId) -> bool,
        out: &mut Vec<u8>,
    ) {
        if !self.is_short && tick == self.last_tick {
            return;
        }
        (self.is_short, self.last_tick) = (false, tick);
        for pull in self.pulls.values_mut() {
            if pull.credit > 0 && tick.saturating_sub(pull.last_activity) > SILENCE_TICKS {
                pull.void();
            }
        }
        self.share = self.batch(bound.messages);
        let mut room = Load {
            messages: bound.messages - in_hand.messages - self.credit(),
            bytes: (bound.bytes - in_hand.bytes).min(MAX_UNREAD) - self.reserved(),
        };
        let max_bytes = request_bytes(self.max_payload);
        let permitted = self.pulls.iter_mut().filter(|(number, _)| !self.permits.denies_requests(**number));
        let mut pulls: Vec<&mut Pull> = permitted.map(|(_, pull)| pull).collect();
        let start = self.next_index % pulls.len().max(1);
        let (before, after) = (0..start, start..pulls.len());
        for index in after.chain(before) {
            let pull = &mut *pulls[index];
            if let Feed::Source(revision) = pull.feed
                && !may_ask(revision)
            {
                self.is_short = true;
                continue;
            }
            if pull.open && tick >= pull.not_before && !ask(pull, self.share, max_bytes, tick, &mut room, out) {
                (self.next_index, self.is_short) = (index, true);
                return;
            }
        }
    }

    /// Bytes that may still come of what was asked for, of all pulls.
    fn reserved(&self) -> i64 {
        self.pulls.values().map(|pull| pull.reserved).sum()
    }
}

/// Asks for what one pull is short of; `false` when there is no room for it.
fn ask(pull: &mut Pull, share: i64, max_bytes: i64, tick: u64, room: &mut Load, out: &mut Vec<u8>) -> bool {
    let batch = pull.batch(share);
    while pull.credit <= batch * (REQUESTS - 1) {
        let bytes = pull.reserve(batch, max_bytes);
        if room.messages < batch || room.bytes < bytes {
            return false;
        }
        pull.request(batch, max_bytes, tick, out);
        *room = Load { messages: room.messages - batch, bytes: room.bytes - bytes };
    }
    true
}

#[cfg(test)]
mod permit_tests;
#[cfg(test)]
mod tests;
