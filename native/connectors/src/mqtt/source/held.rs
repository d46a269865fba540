//! The messages of an inbox until the host has settled them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use message::{Code, Fault};
use tokio::time::Instant;

use super::answers::{Answers, Meaning, Owed, Ticket};
use super::pause;
use crate::contract::Incoming;
use crate::mqtt::broker::Qos;

#[derive(Default)]
pub(super) struct Held {
    /// By number, in the order of arrival.
    pub(super) messages: BTreeMap<u64, Message>,
    next: u64,
    /// To be read, in the order of arrival.
    pub(super) ready: BTreeSet<u64>,
    /// What is offered again has a new number for the host: an odd one, in the order in which they are given.
    renamed: HashMap<u64, u64>,
    next_name: u64,
    /// Nothing is read until then: the host has refused something that comes first.
    paused_until: Option<Instant>,
    /// Refused for a reason that may be its own.
    pub(super) later: Vec<(Instant, u64)>,
    pub(super) bytes: usize,
    pub(super) answers: Answers,
    pub(super) is_connected: bool,
    is_resumed: bool,
    pub(super) failing: Option<Code>,
    pub(super) is_closing: bool,
    pub(super) has_ended: bool,
}

pub(super) struct Message {
    owed: Owed,
    incoming: Incoming,
    bytes: usize,
    pub(super) state: State,
    /// Its number for the host, since it was read.
    name: Option<u64>,
    tries: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// The host has it.
    Read,
    Later,
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

impl Held {
    pub(super) fn on_connected(&mut self, is_resumed: bool) {
        (self.is_connected, self.is_resumed, self.failing) = (true, is_resumed, None);
        self.answers.on_connected(is_resumed);
        for (item, message) in &mut self.messages {
            message.owed = self.answers.after_connect(*item, message.owed, is_resumed);
        }
    }

    /// Of a message that the host has, by what the host calls it.
    pub(super) fn number_of(&mut self, name: u64) -> Option<u64> {
        let item = if name.is_multiple_of(2) { name / 2 } else { self.renamed.remove(&name)? };
        let message = self.messages.get(&item)?;
        (message.state == State::Read && message.name == Some(name)).then_some(item)
    }

    fn rename(&mut self, item: u64) -> u64 {
        let name = 2 * self.next_name + 1;
        self.next_name += 1;
        self.renamed.insert(name, item);
        name
    }

    /// Whether it is a message that is not here yet.
    pub(super) fn on_publish(&mut self, arrival: Arrival, incoming: impl FnOnce() -> Incoming) -> bool {
        let Arrival { packet_id, qos, digest, is_duplicate } = arrival;
        let Some(packet_id) = packet_id else {
            self.push(None, incoming());
            return true;
        };
        let ticket = Ticket { packet_id, qos, digest };
        match self.answers.meaning(ticket, self.is_resumed && is_duplicate) {
            Meaning::Settled { refused } => self.answers.settled(ticket, refused),
            Meaning::Held(item) => {
                if let Some(message) = self.messages.get_mut(&item) {
                    let was_refused = message.tries > 0;
                    message.owed = if was_refused { Owed::Late(ticket) } else { self.answers.wait(ticket, item) };
                }
            }
            Meaning::New => {
                self.push(Some(ticket), incoming());
                return true;
            }
        }
        false
    }

    fn push(&mut self, ticket: Option<Ticket>, incoming: Incoming) {
        let item = self.next;
        self.next += 1;
        let bytes = incoming.payload.len() + incoming.headers.len();
        self.bytes += bytes;
        let owed = ticket.map_or(Owed::Nothing, |ticket| self.answers.wait(ticket, item));
        self.messages.insert(item, Message { owed, incoming, bytes, state: State::Ready, name: None, tries: 0 });
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
            let Some(message) = self.messages.get(&item) else { break };
            if !batch.is_empty() && bytes + message.bytes > max_bytes {
                break;
            }
            let was_read = message.name.is_some();
            let name = if was_read { self.rename(item) } else { 2 * item };
            self.ready.remove(&item);
            if let Some(message) = self.messages.get_mut(&item) {
                bytes += message.bytes;
                (message.state, message.name) = (State::Read, Some(name));
                batch.push(Incoming { item: name, ..message.incoming.clone() });
            }
        }
        batch
    }

    /// Those whose time has come are read again.
    fn wake_up(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
        let due: Vec<u64> = self.later.extract_if(.., |(at, _)| *at <= now).map(|(_, item)| item).collect();
        for item in due {
            self.make_ready(item);
        }
    }

    fn make_ready(&mut self, item: u64) {
        if let Some(message) = self.messages.get_mut(&item) {
            message.state = State::Ready;
            self.ready.insert(item);
        }
    }

    pub(super) fn next_turn(&self) -> Option<Instant> {
        let paused = self.paused_until.filter(|_| !self.ready.is_empty());
        self.later.iter().map(|(at, _)| *at).chain(paused).min()
    }

    pub(super) fn finish(&mut self, item: u64, refused: bool) {
        let Some(message) = self.messages.remove(&item) else { return };
        self.bytes -= message.bytes;
        self.answers.settle(item, message.owed, refused);
    }

    pub(super) fn again(&mut self, item: u64, fault: &Fault, retry_after: Option<Duration>) {
        if fault.code().retryable() {
            return self.again_after(item, retry_after.unwrap_or(Duration::from_secs(1)));
        }
        self.failing = Some(fault.code());
        let Some(message) = self.messages.get_mut(&item) else { return };
        message.owed = self.answers.let_others_pass(message.owed);
        message.tries += 1;
        message.state = State::Later;
        let at = Instant::now() + retry_after.unwrap_or(pause(message.tries));
        self.later.push((at, item));
    }

    /// What comes behind it waits, too: it would come before it.
    pub(super) fn again_after(&mut self, item: u64, after: Duration) {
        self.make_ready(item);
        let until = Instant::now() + after;
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
    }

    /// What is not read stays with the broker, where it has it: of all else this is the only copy.
    pub(super) fn leave_unread(&mut self) {
        let Held { messages, answers, ready, later, bytes, .. } = self;
        messages.retain(|item, message| {
            let is_kept = message.state == State::Read || !answers.leave(*item, message.owed);
            if !is_kept {
                *bytes -= message.bytes;
                ready.remove(item);
                later.retain(|(_, other)| other != item);
            }
            is_kept
        });
    }
}
