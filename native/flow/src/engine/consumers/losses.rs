//! Pulls that nobody serves: their consumer is gone, or the stream with it. A task makes the consumer again.

use std::collections::BTreeMap;

use message::Code;
use nats::jetstream::PullEnd;

use super::{Consumers, Feed};

/// Which pulls are lost, and why they still are.
#[derive(Default)]
pub(super) struct Losses {
    /// Not given to anybody yet.
    found: Vec<u64>,
    /// Being repaired; the code once it is known.
    open: BTreeMap<u64, Option<Code>>,
}

/// A consumer to be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostConsumer {
    pub feed: Feed,
    pub stream: Box<str>,
    pub consumer: Box<str>,
}

impl Losses {
    /// A request has ended. Parked messages have a task that looks after their consumer.
    pub(super) fn on_end(&mut self, number: u64, feed: Feed, reason: PullEnd) {
        let passes = matches!(reason, PullEnd::LeadershipChange | PullEnd::ServerShutdown | PullEnd::LimitExceeded);
        if passes || matches!(feed, Feed::Parked(_)) || self.open.contains_key(&number) {
            return;
        }
        self.open.insert(number, None);
        self.found.push(number);
    }
}

impl Consumers {
    /// The pulls that were lost since the last call.
    pub fn take_lost(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.losses.found)
    }

    /// What a lost pull needs; `None` when nobody wants its messages any more.
    pub fn lost(&mut self, number: u64) -> Option<LostConsumer> {
        let wanted = self.pulls.get(&number).filter(|pull| pull.closed.is_none() && !self.draining);
        let lost = wanted.map(|pull| LostConsumer {
            feed: pull.feed,
            stream: pull.stream.clone(),
            consumer: pull.consumer.clone(),
        });
        if lost.is_none() {
            self.losses.open.remove(&number);
        }
        lost
    }

    /// A lost pull cannot be repaired yet. `true` when that is news.
    pub fn on_unrepaired(&mut self, number: u64, code: Code) -> bool {
        self.losses.open.insert(number, Some(code)) != Some(Some(code))
    }

    /// The consumer is there again.
    pub fn on_repaired(&mut self, number: u64) {
        self.losses.open.remove(&number);
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.void();
            pull.not_before = 0;
        }
        self.is_short = true;
    }

    /// Why messages of a feed, or of a stream, cannot be asked for.
    #[must_use]
    pub fn fault(&self, feed: Feed, stream: &str) -> Option<Code> {
        let mut open = self.losses.open.iter();
        let lost = open.find_map(|(number, code)| {
            let pull = self.pulls.get(number)?;
            code.filter(|_| pull.feed == feed || *pull.stream == *stream)
        });
        self.denial(Some(feed), stream).or(lost)
    }
}
