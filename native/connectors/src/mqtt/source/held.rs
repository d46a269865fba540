//! The messages of an inbox, from the first that is not acked to the last that came, and what is known of their
//! packet ids.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use message::{Code, Fault};
use tokio::time::Instant;

use super::pause;
use crate::contract::Incoming;
use crate::mqtt::broker::Qos;

#[derive(Default)]
pub(super) struct Held {
    /// In the order of arrival; the first is number `base`.
    pub(super) entries: VecDeque<Entry>,
    pub(super) base: u64,
    /// To be read, in the order of arrival.
    pub(super) ready: BTreeSet<u64>,
    /// What is offered again has a new number for the host: an odd one, in the order in which they are given.
    pub(super) renamed: HashMap<u64, u64>,
    pub(super) next_name: u64,
    /// Nothing is read until then: the host has refused something that comes first.
    pub(super) paused_until: Option<Instant>,
    /// Refused for a reason that may be its own.
    pub(super) later: Vec<(Instant, u64)>,
    pub(super) bytes: usize,
    pub(super) acks: Vec<Ack>,
    /// Numbers of the former connection whose messages wait here for their ack.
    pub(super) stale: HashMap<u16, u64>,
    /// QoS 2: stored and said so, not yet released by the broker.
    pub(super) recorded: HashMap<u16, u64>,
    pub(super) is_connected: bool,
    pub(super) is_resumed: bool,
    pub(super) failing: Option<Code>,
    pub(super) is_closing: bool,
    pub(super) has_ended: bool,
}

pub(super) struct Entry {
    /// `None` with QoS 0, or when the broker has forgotten the session.
    pub(super) packet_id: Option<u16>,
    /// The broker is going to repeat it, and then to be acked.
    pub(super) is_stale: bool,
    pub(super) qos: Qos,
    pub(super) digest: u64,
    /// Until it is settled.
    pub(super) incoming: Option<Incoming>,
    pub(super) bytes: usize,
    pub(super) state: State,
    /// Its number for the host, since it was read.
    pub(super) name: Option<u64>,
    pub(super) tries: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// The host has it.
    Read,
    Later,
    Done {
        refused: bool,
    },
    Acked,
}

/// What is to be sent for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) packet_id: u16,
    pub(super) qos: Qos,
    pub(super) refused: bool,
}

/// What the connection knows of a message beside what goes to the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) packet_id: Option<u16>,
    pub(super) qos: Qos,
    pub(super) is_duplicate: bool,
    pub(super) digest: u64,
}

/// Of a message that the broker may repeat.
pub(super) fn digest(topic: &str, payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, payload).hash(&mut hasher);
    hasher.finish()
}

pub(super) enum Repetition {
    None,
    /// It is here, and the host has not settled it.
    Held,
    Stored,
}

impl Held {
    pub(super) fn entry(&mut self, item: u64) -> Option<&mut Entry> {
        let index = usize::try_from(item.checked_sub(self.base)?).ok()?;
        self.entries.get_mut(index)
    }

    /// Of an entry that the host has, by what the host calls it.
    pub(super) fn number_of(&mut self, name: u64) -> Option<u64> {
        let item = if name.is_multiple_of(2) { name / 2 } else { self.renamed.remove(&name)? };
        self.entry(item).filter(|entry| entry.state == State::Read && entry.name == Some(name)).map(|_| item)
    }

    pub(super) fn rename(&mut self, item: u64) -> u64 {
        let name = 2 * self.next_name + 1;
        self.next_name += 1;
        self.renamed.insert(name, item);
        name
    }

    pub(super) fn on_repetition(&mut self, packet_id: u16, arrival: Arrival) -> Repetition {
        if !(self.is_resumed && arrival.is_duplicate) {
            self.recorded.remove(&packet_id);
            self.expect_no_more_repetitions();
            return Repetition::None;
        }
        let stale = self.stale.remove(&packet_id);
        if arrival.qos == Qos::ExactlyOnce && self.recorded.get(&packet_id) == Some(&arrival.digest) {
            return Repetition::Stored;
        }
        let known = stale.and_then(|item| self.entry(item)).filter(|entry| entry.digest == arrival.digest);
        let is_known = known.map(|entry| entry.is_stale = false).is_some();
        if is_known {
            return Repetition::Held;
        }
        if let Some(entry) = stale.and_then(|item| self.entry(item)) {
            (entry.is_stale, entry.packet_id) = (false, None);
        }
        Repetition::None
    }

    /// They come before anything new; what did not come, the broker holds no longer.
    pub(super) fn expect_no_more_repetitions(&mut self) {
        if self.stale.is_empty() {
            return;
        }
        for item in std::mem::take(&mut self.stale).into_values() {
            if let Some(entry) = self.entry(item) {
                (entry.is_stale, entry.packet_id) = (false, None);
            }
        }
        self.release();
    }

    pub(super) fn push(&mut self, arrival: Arrival, incoming: Incoming) {
        let item = self.base + self.entries.len() as u64;
        let bytes = incoming.payload.len() + incoming.headers.len();
        self.bytes += bytes;
        let Arrival { packet_id, qos, digest, .. } = arrival;
        let incoming = Some(incoming);
        let state = State::Ready;
        self.entries.push_back(Entry {
            packet_id,
            is_stale: false,
            qos,
            digest,
            incoming,
            bytes,
            state,
            name: None,
            tries: 0,
        });
        self.ready.insert(item);
    }

    pub(super) fn take(&mut self, messages: usize, max_bytes: usize) -> Vec<Incoming> {
        let now = Instant::now();
        self.wake_up(now);
        let mut batch = Vec::new();
        if self.paused_until.is_some() {
            return batch;
        }
        let mut bytes = 0;
        while batch.len() < messages
            && let Some(item) = self.ready.first().copied()
        {
            let Some(entry) = self.entry(item) else { break };
            if !batch.is_empty() && bytes + entry.bytes > max_bytes {
                break;
            }
            bytes += entry.bytes;
            entry.state = State::Read;
            let (incoming, was_read) = (entry.incoming.clone(), entry.name.is_some());
            self.ready.remove(&item);
            let name = if was_read { self.rename(item) } else { 2 * item };
            if let Some(entry) = self.entry(item) {
                entry.name = Some(name);
            }
            batch.extend(incoming.map(|incoming| Incoming { item: name, ..incoming }));
        }
        batch
    }

    /// Those whose time has come are read again.
    pub(super) fn wake_up(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
        let due: Vec<u64> = self.later.extract_if(.., |(at, _)| *at <= now).map(|(_, item)| item).collect();
        for item in due {
            self.make_ready(item);
        }
    }

    pub(super) fn make_ready(&mut self, item: u64) {
        if let Some(entry) = self.entry(item) {
            entry.state = State::Ready;
            self.ready.insert(item);
        }
    }

    pub(super) fn next_turn(&self) -> Option<Instant> {
        let paused = self.paused_until.filter(|_| !self.ready.is_empty());
        self.later.iter().map(|(at, _)| *at).chain(paused).min()
    }

    pub(super) fn finish(&mut self, item: u64, refused: bool) {
        let Some(entry) = self.entry(item) else { return };
        entry.state = State::Done { refused };
        entry.incoming = None;
        let bytes = std::mem::take(&mut entry.bytes);
        self.bytes -= bytes;
    }

    pub(super) fn again(&mut self, item: u64, fault: &Fault, retry_after: Option<Duration>) {
        if fault.code().retryable() {
            return self.again_after(item, retry_after.unwrap_or(Duration::from_secs(1)));
        }
        self.failing = Some(fault.code());
        let Some(entry) = self.entry(item) else { return };
        entry.tries += 1;
        entry.state = State::Later;
        let at = Instant::now() + retry_after.unwrap_or(pause(entry.tries));
        self.later.push((at, item));
    }

    /// What comes behind it waits, too: it would come before it.
    pub(super) fn again_after(&mut self, item: u64, after: Duration) {
        self.make_ready(item);
        let until = Instant::now() + after;
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
    }

    /// Acks what is settled, up to the first that is not.
    pub(super) fn release(&mut self) {
        let Held { entries, acks, recorded, is_connected, .. } = self;
        for entry in entries.iter_mut() {
            match entry.state {
                // The broker repeats it, when it is here again.
                State::Done { .. } if entry.packet_id.is_some() && (entry.is_stale || !*is_connected) => {}
                State::Done { refused } => {
                    if let Some(packet_id) = entry.packet_id {
                        acks.push(Ack { packet_id, qos: entry.qos, refused });
                        if entry.qos == Qos::ExactlyOnce && !refused {
                            recorded.insert(packet_id, entry.digest);
                        }
                    }
                    entry.state = State::Acked;
                }
                State::Later | State::Acked => {}
                State::Ready | State::Read => break,
            }
        }
        while self.entries.front().is_some_and(|entry| entry.state == State::Acked) {
            self.entries.pop_front();
            self.base += 1;
        }
    }

    pub(super) fn leave_unread(&mut self) {
        let (base, mut left) = (self.base, Vec::new());
        for (entry, item) in self.entries.iter_mut().zip(base..) {
            let is_unread = matches!(entry.state, State::Ready | State::Later);
            if is_unread && entry.qos != Qos::AtMostOnce {
                (entry.packet_id, entry.is_stale) = (None, false);
                left.push(item);
            }
        }
        for item in left {
            self.finish(item, false);
            self.ready.remove(&item);
            self.later.retain(|(_, other)| *other != item);
        }
    }
}
