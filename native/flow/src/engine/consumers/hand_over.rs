//! A revision in place of another: what both of them read is read on, without a moment in between.
//!
//! An UNSUB loses what the server has matched with the subscription but not delivered: a message of core NATS is gone,
//! one of a stream comes again only after its `ack_wait`. So the server learns nothing of a reload.

use super::{Consumers, Feed, Subject};
use crate::engine::message::RevisionId;

impl Consumers {
    /// Gives the core NATS in of `from` to `to`. `false`: it has none of this subject and group that the server permits, or
    /// that is being tried again.
    pub fn hand_over_subject(&mut self, from: RevisionId, to: RevisionId, subject: &str, group: &str) -> bool {
        let mut open = self.subjects.iter_mut().filter(|(_, one)| one.revision == from && one.closed.is_none());
        let is_same =
            |number, one: &Subject| one.subject == subject && one.group == group && !self.permits.is_without(number);
        let Some((_, same)) = open.find(|(number, one)| is_same(**number, one)) else { return false };
        same.revision = to;
        true
    }

    /// Gives the JetStream in of `from` to `to`, with the messages that were asked for. `false`: it reads another
    /// consumer.
    pub fn hand_over_pull(&mut self, from: RevisionId, to: RevisionId, stream: &str, consumer: &str) -> bool {
        let mut open = self.pulls.values_mut().filter(|pull| pull.feed == Feed::Source(from) && pull.closed.is_none());
        let Some(same) = open.find(|pull| *pull.stream == *stream && *pull.consumer == *consumer) else {
            return false;
        };
        same.feed = Feed::Source(to);
        true
    }

    /// Gives the set-aside messages of the pipeline, which every revision reads by the same consumer, to `to`.
    pub fn hand_over_aside(&mut self, from: RevisionId, to: RevisionId) {
        let open = self.pulls.values_mut().filter(|pull| pull.feed == Feed::Aside(from) && pull.closed.is_none());
        open.for_each(|pull| pull.feed = Feed::Aside(to));
    }
}
