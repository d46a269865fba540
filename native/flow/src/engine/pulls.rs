//! Pull consumers and their credit: how much was asked for and has not come yet.
//!
//! Two requests are kept open per consumer, so that the next messages are on their way while these
//! are worked on. The credit is what bounds what a shard has in hand: there is no `max_ack_pending`,
//! since with a limit one customer's delayed NAKs would block the lane.

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
    /// Messages of one request.
    batch: u16,
    /// Messages asked for and not come.
    credit: i64,
    /// Tick of the last sign of life.
    heard: u64,
    /// Tick before which nothing is asked for, after a refusal.
    not_before: u64,
}

/// All pull consumers of a shard, by the number in their reply subject.
#[derive(Default)]
pub struct Pulls {
    pulls: Vec<Pull>,
}

/// Messages of one request. Below 128 the server's rate falls (measured).
const BATCH: u16 = 512;
/// What an out that fails again has in hand at most is twice this.
const PARKED_BATCH: u16 = 128;
const REQUESTS: i64 = 2;
const REQUEST: PullRequest = PullRequest {
    batch: 512,
    expires: Duration::from_secs(EXPIRES_SECONDS),
    max_bytes: None,
    idle_heartbeat: None,
    no_wait: false,
};
const EXPIRES_SECONDS: u64 = 30;
/// Without a sign of life for this long, the credit is taken for lost.
const SILENCE_TICKS: u64 = EXPIRES_SECONDS + 5;

impl Pulls {
    pub fn add(&mut self, feed: Feed, stream: &str, consumer: &str, inbox: &Inbox) -> usize {
        let number = self.pulls.len();
        let reply = inbox.subject('p', number);
        let (open, batch) = match feed {
            Feed::Parked(_) => (false, PARKED_BATCH),
            _ => (true, BATCH),
        };
        self.pulls.push(Pull {
            feed,
            next: jetstream::next_subject(stream, consumer),
            reply,
            open,
            batch,
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
                    pull.credit -= i64::try_from(*pending_messages).unwrap_or(pull.batch.into());
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

    /// Asks for more where the credit has run down. `room`: messages the shard may still take.
    pub fn top_up(&mut self, tick: u64, mut room: i64, out: &mut Vec<u8>) {
        for pull in self.pulls.iter_mut().filter(|pull| pull.open && tick >= pull.not_before) {
            if pull.credit > 0 && tick.saturating_sub(pull.heard) > SILENCE_TICKS {
                pull.credit = 0;
            }
            let batch = i64::from(pull.batch);
            let request = PullRequest { batch: pull.batch.into(), ..REQUEST };
            while pull.credit <= batch * (REQUESTS - 1) && room >= batch {
                jetstream::encode_pull(out, pull.next.as_bytes(), pull.reply.as_bytes(), &request);
                pull.credit += batch;
                pull.heard = pull.heard.max(tick);
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
