//! What the server does not permit, and how it is noticed that it does again: its permissions may change while the
//! connection stays, and it tells only what it refuses.
//!
//! ```text
//! refused ─10 ticks─► tried again, a marker behind it ─► refused again: before the marker
//!                                                     └► the marker is back: permitted
//! ```
//!
//! What comes for a pull proves nothing about its requests: it may belong to an older one. Acks are not tried, since
//! every delivery repeats them: they are permitted when none was refused for a while.

use std::collections::{BTreeMap, BTreeSet};

use message::Code;
use nats::jetstream::AckReply;
use nats::protocol;

use super::{Consumers, FIRST_PULL, FIRST_SUBJECT, Feed, RevisionId, Subject, request_bytes};

/// Between two tries of what is refused.
pub(super) const RETRY_TICKS: u64 = 10;
/// A message whose ack was refused comes again after `ack_wait`, 10 s, and its ack is refused again.
pub(super) const ACK_TICKS: u64 = 30;

/// A subscription, or the requests of a pull or where their messages come.
#[derive(Clone, Copy)]
struct Refused {
    /// The tick of the next try.
    retry: u64,
    /// The marker behind the last try, until the server has refused that, too.
    tried: Option<u64>,
}

impl Refused {
    fn is_due(self, tick: u64) -> bool {
        self.tried.is_none() && tick >= self.retry
    }
}

/// What is not here is permitted.
#[derive(Default)]
pub(super) struct Permits {
    /// By the number of the core NATS in.
    subjects: BTreeMap<u64, Refused>,
    /// By the number of the pull whose requests are refused.
    requests: BTreeMap<u64, Refused>,
    /// Consumers whose acks are refused, by the subject of their requests, and until when that is believed.
    acks: BTreeMap<String, u64>,
    /// The pulls of those consumers.
    unacked: BTreeSet<u64>,
}

impl Permits {
    /// Whether a core NATS in has no subscription, as far as anybody knows.
    pub(super) fn is_without(&self, subject: u64) -> bool {
        self.subjects.get(&subject).is_some_and(|refused| refused.tried.is_none())
    }

    /// Whether nothing but a try is asked for.
    #[inline]
    pub(super) fn denies_requests(&self, pull: u64) -> bool {
        self.requests.contains_key(&pull)
    }
}

/// `true`: it was permitted until now.
fn refuse(all: &mut BTreeMap<u64, Refused>, number: u64, tick: u64) -> bool {
    all.insert(number, Refused { retry: tick + RETRY_TICKS, tried: None }).is_none()
}

impl Consumers {
    /// The server does not permit a subscription. `true` when that is news.
    pub fn refuse_subject(&mut self, subject: &str, tick: u64) -> bool {
        let (mut is_ours, mut is_news) = (false, false);
        for (number, _) in self.subjects.iter().filter(|(_, one)| one.subject == subject) {
            is_ours = true;
            is_news |= refuse(&mut self.permits.subjects, *number, tick);
        }
        for (number, pull) in self.pulls.iter_mut().filter(|(_, pull)| pull.reply == subject) {
            is_ours = true;
            is_news |= refuse(&mut self.permits.requests, *number, tick);
            pull.void();
        }
        is_news || !is_ours
    }

    /// The server does not permit a publish. `None`: it is neither a request nor an ack; `true`: it is news.
    pub fn refuse_publish(&mut self, subject: &str, tick: u64) -> Option<bool> {
        if subject.starts_with("$JS.ACK.") {
            return Some(self.refuse_ack(subject, tick));
        }
        if !self.api.has(subject) {
            return None;
        }
        let (mut is_ours, mut is_news) = (false, false);
        for (number, pull) in self.pulls.iter_mut().filter(|(_, pull)| pull.next == subject) {
            is_ours = true;
            is_news |= refuse(&mut self.permits.requests, *number, tick);
            pull.void();
        }
        is_ours.then_some(is_news)
    }

    /// An ack's subject is another one every time: what counts is its consumer.
    fn refuse_ack(&mut self, subject: &str, tick: u64) -> bool {
        let text = String::from_utf8_lossy;
        // The server's words are cut where they are too long.
        let consumer = AckReply::parse(subject.as_bytes())
            .map_or_else(String::new, |ack| self.api.next_subject(&text(ack.stream), &text(ack.consumer)));
        let is_news = self.permits.acks.insert(consumer, tick + ACK_TICKS).is_none();
        if is_news {
            self.note_unacked();
        }
        is_news
    }

    fn note_unacked(&mut self) {
        let acks = &self.permits.acks;
        let unacked = self.pulls.iter().filter(|(_, pull)| acks.contains_key(&pull.next)).map(|(number, _)| *number);
        self.permits.unacked = if acks.is_empty() { BTreeSet::new() } else { unacked.collect() };
    }

    /// Whether something that was refused has to be tried again.
    #[must_use]
    pub fn has_to_try(&self, tick: u64) -> bool {
        let subject = || self.permits.subjects.iter().any(|(number, one)| one.is_due(tick) && self.is_read(*number));
        let request = || self.permits.requests.iter().any(|(number, one)| one.is_due(tick) && self.is_asked(*number));
        !self.draining && (subject() || request())
    }

    fn is_read(&self, subject: u64) -> bool {
        self.subjects.get(&subject).is_some_and(|subject| subject.closed.is_none())
    }

    fn is_asked(&self, pull: u64) -> bool {
        self.pulls.get(&pull).is_some_and(|pull| pull.open)
    }

    /// Tries again what was refused a while ago: a SUB with the same id, a request for one message. `marker`: the
    /// number of the one that is written behind this.
    pub fn try_refused(&mut self, tick: u64, marker: u64, out: &mut Vec<u8>) {
        if self.draining {
            return;
        }
        for (number, refused) in self.permits.subjects.iter_mut().filter(|(_, refused)| refused.is_due(tick)) {
            let open = self.subjects.get(number).filter(|subject| subject.closed.is_none());
            let Some(Subject { subject, group, .. }) = open else { continue };
            protocol::encode_sub(out, subject.as_bytes(), group.as_bytes(), FIRST_SUBJECT + number);
            refused.tried = Some(marker);
        }
        let max_bytes = request_bytes(self.max_payload);
        for (number, refused) in self.permits.requests.iter_mut().filter(|(_, refused)| refused.is_due(tick)) {
            let Some(pull) = self.pulls.get_mut(number).filter(|pull| pull.open) else { continue };
            // What is subscribed already stays as it is.
            protocol::encode_sub(out, pull.reply.as_bytes(), b"", FIRST_PULL + number);
            pull.request(1, max_bytes, tick, out);
            refused.tried = Some(marker);
        }
    }

    /// `marker`: the last one that is back. What was tried before it is permitted.
    pub(super) fn note_permits(&mut self, tick: u64, marker: u64) {
        let is_refused = |refused: &Refused| refused.tried.is_none_or(|tried| marker < tried);
        let (subjects, pulls) = (&self.subjects, &self.pulls);
        let Permits { subjects: refused, requests, acks, .. } = &mut self.permits;
        refused.retain(|number, one| is_refused(one) && subjects.contains_key(number));
        requests.retain(|number, one| is_refused(one) && pulls.contains_key(number));
        acks.retain(|_, until| tick < *until);
        self.note_unacked();
    }

    /// A new connection may have other permissions.
    pub(super) fn permit_all(&mut self) {
        self.permits = Permits::default();
    }

    /// Whether the server does not permit the subscription of a revision.
    #[must_use]
    pub fn is_refused(&self, revision: RevisionId) -> bool {
        let mut refused = self.permits.subjects.keys().filter_map(|number| self.subjects.get(number));
        refused.any(|subject| subject.revision == revision)
    }

    /// Whether the server permits no requests or acks of a feed, or of a stream.
    #[must_use]
    pub fn denial(&self, feed: Option<Feed>, stream: &str) -> Option<Code> {
        let mut denied = self.permits.requests.keys().chain(&self.permits.unacked);
        let is_concerned =
            |number| self.pulls.get(number).is_some_and(|pull| Some(pull.feed) == feed || *pull.stream == *stream);
        denied.any(is_concerned).then_some(Code::NatsAuthorization)
    }
}
