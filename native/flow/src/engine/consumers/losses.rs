//! Pulls that nobody serves: their consumer is gone, or the stream with it. A task makes the consumer again.

use std::collections::{BTreeMap, BTreeSet};

use message::Code;
use nats::jetstream::PullEnd;

use super::{Consumers, Feed};
use crate::engine::message::RevisionId;

/// Which pulls are lost, and why they still are.
#[derive(Default)]
pub(super) struct Losses {
    /// Not given to anybody yet.
    found: Vec<u64>,
    /// Being repaired; the code once it is known.
    open: BTreeMap<u64, Option<Code>>,
    /// Those whose requests the server does not permit.
    denied: BTreeSet<u64>,
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
        self.denied.remove(&number);
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

    /// The server does not permit a subscription. `true` when it is one of ours.
    pub fn refuse_subject(&mut self, subject: &str) -> bool {
        let mut refused = self.subjects.values_mut().filter(|one| one.subject == subject).peekable();
        let is_ours = refused.peek().is_some();
        refused.for_each(|one| one.refused = true);
        is_ours
    }

    /// The server does not permit requests of a pull.
    pub fn refuse_requests(&mut self, subject: &str) {
        let denied = self.pulls.iter().filter(|(_, pull)| pull.next == subject);
        self.losses.denied.extend(denied.map(|(number, _)| *number));
    }

    /// A new connection may have other permissions.
    pub(super) fn permit_all(&mut self) {
        self.losses.denied.clear();
        self.subjects.values_mut().for_each(|subject| subject.refused = false);
    }

    /// Whether the server does not permit the subscription of a revision.
    #[must_use]
    pub fn is_refused(&self, revision: RevisionId) -> bool {
        self.subjects.values().any(|one| one.revision == revision && one.refused)
    }

    /// Why messages of a feed, or of a stream, cannot be asked for.
    #[must_use]
    pub fn fault(&self, feed: Feed, stream: &str) -> Option<Code> {
        let denied = self.losses.denied.iter().map(|number| (number, Some(Code::NatsAuthorization)));
        let mut all = denied.chain(self.losses.open.iter().map(|(number, code)| (number, *code)));
        all.find_map(|(number, code)| {
            let pull = self.pulls.get(number)?;
            code.filter(|_| pull.feed == feed || *pull.stream == *stream)
        })
    }
}
