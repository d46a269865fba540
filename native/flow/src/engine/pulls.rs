//! Pull consumers and their credit: how much was asked for and has not come yet.
//!
//! Two requests are kept open per consumer, so that the next messages are on their way while these
//! are worked on. The credit is what bounds what a shard has in hand: there is no `max_ack_pending`,
//! since with a limit one customer's delayed NAKs would block the lane. All consumers share that
//! bound: the more there are, the smaller their requests, down to one message.

use std::rc::Rc;
use std::time::Duration;

use nats::jetstream::{self, PullEnd, PullRequest, PullStatus};
use nats::protocol;

use super::install::Installed;
use super::publish::Inbox;
use super::queue::OutQueue;
use super::subjects::LaneType;

/// What a pull consumer's messages are.
#[derive(Clone)]
pub enum Feed {
    /// A lane: the subject says whose they are.
    Lane(LaneType),
    /// A pipeline's own NATS in.
    Binding(Rc<Installed>),
    /// The parked messages of one out.
    Parked(Rc<OutQueue>),
}

struct Pull {
    feed: Feed,
    /// Where requests go.
    next: String,
    reply: String,
    open: bool,
    /// Messages of one request at most.
    most: i64,
    /// Messages asked for and not come.
    credit: i64,
    /// Tick of the last sign of life.
    heard: u64,
    /// Tick before which nothing is asked for, after a refusal.
    not_before: u64,
}

impl Pull {
    fn ask(&mut self, batch: i64, tick: u64, out: &mut Vec<u8>) {
        let request = PullRequest {
            batch: u32::try_from(batch).unwrap_or(1),
            expires: Duration::from_secs(EXPIRES_SECONDS),
            max_bytes: None,
            idle_heartbeat: None,
            no_wait: false,
        };
        jetstream::encode_pull(out, self.next.as_bytes(), self.reply.as_bytes(), &request);
        self.credit += batch;
        self.heard = self.heard.max(tick);
    }
}

/// All pull consumers of a shard, by the number in their reply subject.
#[derive(Default)]
pub struct Pulls {
    pulls: Vec<Pull>,
    /// Who is asked for first when there is not room for all; another one every time.
    first: usize,
}

/// Messages of one request at most. Below 128 the server's rate falls (measured).
const MOST_BATCH: i64 = 512;
/// What an out that fails again has in hand at most is twice this.
const PARKED_BATCH: i64 = 128;
const REQUESTS: i64 = 2;
const EXPIRES_SECONDS: u64 = 30;
/// Without a sign of life for this long, the credit is taken for lost.
const SILENCE_TICKS: u64 = EXPIRES_SECONDS + 5;

impl Pulls {
    pub fn add(&mut self, feed: Feed, stream: &str, consumer: &str, inbox: &Inbox) -> usize {
        let number = self.pulls.len();
        let reply = inbox.subject('p', number);
        let (open, most) = match feed {
            Feed::Parked(_) => (false, PARKED_BATCH),
            _ => (true, MOST_BATCH),
        };
        self.pulls.push(Pull {
            feed,
            next: jetstream::next_subject(stream, consumer),
            reply,
            open,
            most,
            credit: 0,
            heard: 0,
            not_before: 0,
        });
        number
    }

    #[must_use]
    pub fn feed(&self, number: usize) -> Option<&Feed> {
        self.pulls.get(number).map(|pull| &pull.feed)
    }

    /// Asks for no more for this revision of a pipeline.
    pub fn close_binding(&mut self, gone: &Rc<Installed>) {
        for pull in &mut self.pulls {
            if let Feed::Binding(installed) = &pull.feed {
                pull.open &= !Rc::ptr_eq(installed, gone);
            }
        }
    }

    /// Whether more is asked for.
    pub fn set_open(&mut self, number: usize, open: bool) {
        if let Some(pull) = self.pulls.get_mut(number) {
            pull.open = open;
        }
    }

    pub fn close_all(&mut self) {
        self.pulls.iter_mut().for_each(|pull| pull.open = false);
    }

    #[inline]
    pub fn on_message(&mut self, number: usize, tick: u64) {
        if let Some(pull) = self.pulls.get_mut(number) {
            pull.credit -= 1;
            pull.heard = tick;
        }
    }

    /// A request ended without its messages, or the server refused it.
    pub fn on_status(&mut self, number: usize, status: &PullStatus, tick: u64) {
        let Some(pull) = self.pulls.get_mut(number) else { return };
        pull.heard = tick;
        match status {
            PullStatus::Heartbeat => {}
            PullStatus::Ended { reason, pending_messages, .. } => match reason {
                PullEnd::Expired | PullEnd::NoMessages | PullEnd::BatchCompleted | PullEnd::MaxBytes => {
                    pull.credit -= i64::try_from(*pending_messages).unwrap_or(MOST_BATCH);
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

    /// Everything asked for is gone with the connection.
    pub fn on_connected(&mut self, tick: u64) {
        for pull in &mut self.pulls {
            (pull.credit, pull.heard, pull.not_before) = (0, tick, 0);
        }
    }

    /// Messages of one request, so that all open pulls together ask for half of `bound` at most: the
    /// other half is for what has come, and for pulls that are opened later.
    fn batch(&self, bound: i64) -> i64 {
        let open = self.pulls.iter().filter(|pull| pull.open).count();
        let open = i64::try_from(open).unwrap_or(i64::MAX / REQUESTS).max(1);
        (bound / 2 / (REQUESTS * open)).clamp(1, MOST_BATCH)
    }

    /// Messages asked for and not come, of all pulls.
    fn credit(&self) -> i64 {
        self.pulls.iter().map(|pull| pull.credit).sum()
    }

    /// Asks for more where the credit has run down. `in_hand`: messages the shard has; with what was
    /// asked for they are never more than `bound`.
    pub fn top_up(&mut self, tick: u64, in_hand: i64, bound: i64, out: &mut Vec<u8>) {
        for pull in &mut self.pulls {
            if pull.credit > 0 && tick.saturating_sub(pull.heard) > SILENCE_TICKS {
                pull.credit = 0;
            }
        }
        let share = self.batch(bound);
        let mut room = bound - in_hand - self.credit();
        let count = self.pulls.len();
        for turn in 0..count {
            let number = (self.first + turn) % count;
            let pull = &mut self.pulls[number];
            if !pull.open || tick < pull.not_before {
                continue;
            }
            let batch = share.min(pull.most);
            while pull.credit <= batch * (REQUESTS - 1) {
                if room < batch {
                    self.first = number;
                    return;
                }
                pull.ask(batch, tick, out);
                room -= batch;
            }
        }
    }

    /// Subscribes to the reply subject of each pull, with a subscription id of its own: a message
    /// from a stream comes under the subject it was published to, so only the id tells the pull.
    pub fn subscribe(&self, first_sid: u64, out: &mut Vec<u8>) {
        for number in 0..self.pulls.len() {
            self.subscribe_one(number, first_sid, out);
        }
    }

    pub fn subscribe_one(&self, number: usize, first_sid: u64, out: &mut Vec<u8>) {
        protocol::encode_sub(out, self.pulls[number].reply.as_bytes(), b"", first_sid + number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: i64 = 16_384;

    fn pulls(count: usize) -> Pulls {
        let inbox = Inbox::new("test");
        let mut pulls = Pulls::default();
        for number in 0..count {
            pulls.add(Feed::Lane(LaneType::Logic), &format!("S{number}"), "c", &inbox);
        }
        pulls
    }

    fn asked(pulls: &Pulls) -> (i64, i64) {
        let credits = || pulls.pulls.iter().map(|pull| pull.credit);
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
        assert_eq!(asked(&few), (MOST_BATCH * REQUESTS, MOST_BATCH * REQUESTS));
    }

    #[test]
    fn more_pulls_than_messages_in_the_bound_take_turns() {
        let count = 20_000;
        let mut pulls = pulls(count);
        let mut served = vec![false; count];
        for tick in 1..=3 {
            pulls.top_up(tick, 0, BOUND, &mut Vec::new());
            assert!(pulls.credit() <= BOUND);
            for (number, served) in served.iter_mut().enumerate() {
                while pulls.pulls[number].credit > 0 {
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
        let late = pulls.add(Feed::Lane(LaneType::Logic), "LATE", "c", &Inbox::new("test"));
        pulls.top_up(1, BOUND / 4, BOUND, &mut Vec::new());
        assert!(pulls.pulls[late].credit > 0);
    }

    #[test]
    fn what_is_in_hand_counts_and_those_left_out_are_first_the_next_time() {
        let mut pulls = pulls(4);
        let room_for_one = BOUND - MOST_BATCH * REQUESTS;
        pulls.top_up(1, room_for_one, BOUND, &mut Vec::new());
        assert_eq!(pulls.pulls.iter().map(|pull| pull.credit).collect::<Vec<_>>(), [1_024, 0, 0, 0]);
        for _ in 0..1_024 {
            pulls.on_message(0, 1);
        }
        pulls.top_up(1, room_for_one, BOUND, &mut Vec::new());
        assert_eq!(pulls.pulls.iter().map(|pull| pull.credit).collect::<Vec<_>>(), [0, 1_024, 0, 0]);
    }
}
