//! What every message ends in: an output, a dead letter, an ack. Knows entries and ids, no pipelines and no queues.
//!
//! ```text
//! open ─► begin_work ─► emit / dead_letter / park ─► wire ─► NATS
//!                            │ entry and output stand in the reply subject
//! on_pub_ack ◄───────────────┘ PubAck
//!     └─► Effect: delivered, refused, parked ... for the shard to route
//! settle ─► all done: ack or NAK on the wire, or Effect::Answer for the source
//! ```
//!
//! `letters.rs` writes dead letters, `publish.rs` outputs, `core.rs` knows which of those to core NATS are
//! delivered, `headers.rs` writes headers; `ledger.rs` knows what waits
//! for what; `reply.rs` how an answer finds it. `tapped.rs` shows messages to whoever watches.

mod core;
mod effect;
mod entry;
mod handover;
mod headers;
mod hearing;
mod hop;
mod ledger;
mod letters;
mod offer;
mod parked;
mod plain;
mod publish;
mod random;
mod reply;
mod tapped;
mod ticks;
mod told;
mod trials;
mod usage;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Fault};
use nats::jetstream::{self, PubAck};

pub use effect::Effect;
pub use handover::{HandOver, HandedOver, VERSION as HANDOVER_VERSION};
pub use headers::{Block, PUBLISH_ID, ParsedHeaders, REVISION, URL};
pub use ledger::{Input, Ledger, Meaning, Origin, Outcome, Pick};
pub use letters::{Letter, Original};
pub use parked::Parking;
pub use publish::{Forward, MAX_HEADERS, Stored};

use super::message::{EntryId, Envelope, InputRef};
use super::observe::{Event, EventKind, Events, Meters, Metric, age_ms};
use super::tap::Taps;
use ledger::Closed;
use reply::Replies;
use told::{answer, growing};

/// The subscription of PubAcks to our own reply subjects, and of those to users' subjects.
pub const PUB_ACKS: [u64; 2] = [1, 2];

/// How long after a failed publish the input is tried again.
pub const RETRY_PUBLISH: Duration = Duration::from_millis(500);
/// A PubAck that has not come for so many ticks is taken for lost.
const PUB_ACK_TICKS: u64 = 5;
/// After so many the server is asked for a sign of life: where it hangs, another one of its cluster takes its place.
const SUSPECT_TICKS: u64 = 2;
/// `ack_wait` is 10 s; everything in hand says in time that it is still worked on.
const WPI_TICKS: u64 = 4;
/// Delivered events that wait for their PubAcks: as few as anybody will read, so that under load none is kept.
const MAX_ANNOUNCED: usize = 256;

/// Everything that waits for an answer of the server, and what is said to it.
pub struct Settlement {
    ledger: Ledger,
    replies: Replies,
    /// The payload of the next handover.
    handover: Vec<u8>,
    /// The header block of the next publish, and its reply subject.
    block: Block,
    reply: Vec<u8>,
    /// Frames for the server: taken at the end of a burst, kept while there is no connection.
    pub wire: Vec<u8>,
    effects: Vec<Effect>,
    core: core::CorePublishes,
    events: Arc<Events>,
    meters: Arc<Meters>,
    /// Delivered events, held until their PubAcks arrive.
    announced: Vec<(EntryId, u32, Event)>,
    keys_stream: Rc<str>,
    dead_stream: Rc<str>,
    parked_stream: Rc<str>,
    /// Of the server, bytes.
    max_payload: usize,
    /// Counts seconds on a clock that only goes forward.
    tick: u64,
    /// The wall clock, milliseconds since the Unix epoch: for stamps that people read.
    now_ms: u64,
    connected: bool,
    deaf: Option<hearing::Deaf>,
    /// A PubAck is late.
    is_late: bool,
    taps: Taps,
    random: fastrand::Rng,
}

impl Settlement {
    /// `name` is the shard's, unique among all that use the server; `secret`: random bytes; `random`: of what nobody
    /// has to be kept from guessing.
    #[must_use]
    pub fn new(name: &str, secret: [u8; 32], random: fastrand::Rng, events: Arc<Events>, now_ms: u64) -> Settlement {
        Settlement {
            ledger: Ledger::default(),
            replies: Replies::new(name, secret),
            handover: Vec::new(),
            block: Block::default(),
            reply: Vec::with_capacity(128),
            wire: Vec::new(),
            effects: Vec::new(),
            core: core::CorePublishes::default(),
            events,
            meters: Arc::default(),
            announced: Vec::new(),
            keys_stream: super::subjects::KEYS.into(),
            dead_stream: super::subjects::DEAD.into(),
            parked_stream: super::subjects::PARKED.into(),
            max_payload: 1 << 20,
            tick: 0,
            now_ms,
            connected: false,
            deaf: None,
            is_late: false,
            taps: Taps::default(),
            random,
        }
    }

    /// Measures into these.
    #[must_use]
    pub fn with_meters(self, meters: Arc<Meters>) -> Settlement {
        Settlement { meters, ..self }
    }

    /// Opens an input with one piece of work: what is done with it here.
    pub fn open(&mut self, input: &Input<'_>) -> InputRef {
        let id = self.ledger.open(input, self.tick);
        self.ledger.begin_work(id);
        InputRef::Entry(id)
    }

    /// The input will have several outputs: what a stream refuses of them is published again, and no other.
    pub fn keep_frames(&mut self, input: InputRef) {
        if let InputRef::Entry(id) = input {
            self.ledger.keep_frames(id);
        }
    }

    /// One piece of work on the input is done.
    pub fn settle(&mut self, input: InputRef, outcome: Outcome) {
        if let InputRef::Entry(id) = input
            && let Some(closed) = self.ledger.end_work(id, outcome)
        {
            self.close(id, closed);
        }
    }

    /// Tells the origin of a closed input: ack, NAK, or the source's answer.
    fn close(&mut self, id: EntryId, closed: Closed) {
        if let Some(queue) = closed.unparked {
            self.effects.push(Effect::Parked { queue, stored: false });
        }
        if !self.announced.is_empty() {
            self.announced.retain(|(of, _, _)| *of != id);
        }
        let token = self.ledger.token(id);
        match (closed.origin, closed.outcome) {
            (Origin::JetStream, Outcome::Ok) => jetstream::encode_ack(&mut self.wire, token),
            (Origin::JetStream, Outcome::Retry(delay, _)) => {
                jetstream::encode_nak(&mut self.wire, token, Some(growing(delay, token)));
            }
            (Origin::Source { item, binding, bytes }, outcome) => {
                let settled = answer(token, outcome);
                self.effects.push(Effect::Answer { item, binding, bytes, settled });
            }
            (Origin::Core, _) => {}
        }
        self.ledger.forget(id);
    }

    /// An answer to a publish, or what somebody else has sent to where one is expected.
    pub fn on_pub_ack(&mut self, subject: &[u8], headers: &[u8], payload: &[u8]) {
        let Some(address) = self.replies.read(subject) else {
            if self.replies.is_marker(subject) {
                self.on_marker();
            }
            return;
        };
        let (id, output, customer) = (address.entry, address.output, address.customer);
        match PubAck::parse(headers, payload) {
            Ok(ack) => {
                let Some(confirmed) = self.ledger.confirm(id, output, customer, &ack.stream) else { return };
                self.note_confirmed(confirmed, id, output, ack.duplicate);
                if let Some(closed) = self.ledger.close_if_done(id) {
                    self.close(id, closed);
                }
            }
            Err(fault) if fault.code() == Code::NatsProtocol => {}
            Err(fault) => self.on_refused(id, output, customer, fault),
        }
    }

    fn note_confirmed(&mut self, confirmed: ledger::Confirmed, id: EntryId, output: u32, duplicate: bool) {
        let revision = confirmed.revision;
        match confirmed.meaning {
            Meaning::Stored if duplicate => self.effects.push(Effect::Duplicate { revision }),
            Meaning::Stored => {}
            Meaning::Delivered { bytes, since, .. } => {
                let took = publish::lower_half(self.now_ms).wrapping_sub(since);
                // A clock that was set back is ahead by nearly a whole round.
                self.note_end(if took > u32::MAX / 2 { Some(0) } else { age_ms(0, took.into()) });
                self.effects.push(Effect::Delivered { revision, bytes, duplicate });
                self.announce(id, output, duplicate);
            }
            Meaning::Parked(queue) => self.effects.push(Effect::Parked { queue, stored: true }),
            Meaning::Key => self.note_key(id, Ok(())),
        }
    }

    /// A message was delivered, so long after it was accepted.
    fn note_end(&self, took_ms: Option<u64>) {
        if let Some(took) = took_ms {
            self.meters.end_to_end.add(took);
        }
    }

    fn note_key(&mut self, input: EntryId, recorded: Result<(), Fault>) {
        if let Some(Origin::Source { item, .. }) = self.ledger.origin(input) {
            self.effects.push(Effect::Key { input, item, recorded });
        }
    }

    fn announce(&mut self, id: EntryId, output: u32, duplicate: bool) {
        let now_ms = self.now_ms;
        for (_, _, event) in self.announced.extract_if(.., |(of, number, _)| *of == id && *number == output) {
            if !duplicate {
                self.events.push(|| Event { time_ms: now_ms, ..event });
            }
        }
    }

    fn on_refused(&mut self, id: EntryId, output: u32, customer: Option<super::message::CustomerId>, fault: Fault) {
        let Some(refused) = self.ledger.refuse(id, output, customer) else { return };
        let revision = refused.revision;
        match refused.meaning {
            Meaning::Key => {
                self.ledger.ignore(id, output);
                return self.note_key(id, Err(fault));
            }
            Meaning::Delivered { target, .. } => {
                self.effects.push(Effect::Refused { revision, target: Some(target), fault: fault.clone() });
            }
            // A source is told itself; what could not be parked stays in its lane.
            Meaning::Stored if !matches!(refused.origin, Origin::Source { .. }) => {
                self.effects.push(Effect::Refused { revision, target: None, fault: fault.clone() });
            }
            Meaning::Stored | Meaning::Parked(_) => {}
        }
        if !refused.is_kept
            && let Some(closed) = self.ledger.fail(id, RETRY_PUBLISH, fault)
        {
            self.close(id, closed);
        }
    }

    /// Moves what the shard has to route to the end of `into`.
    pub fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }

    /// Subscribes to the answers of the server. Call it first on a new connection.
    pub fn subscribe(&mut self, max_payload: usize, out: &mut Vec<u8>) {
        self.max_payload = max_payload;
        self.connected = true;
        self.meters.set_connected(true);
        self.deaf = None;
        hearing::subscribe(&self.replies, out);
        Taps::subscribe(out);
    }

    /// Publishes once more what only this program has, after a reconnect.
    pub fn resend_all(&mut self) {
        self.ledger.resend_late(self.tick, 0, &mut self.wire);
        self.ledger.resend_refused(self.tick, &mut self.wire);
    }

    /// PubAcks that were on their way are lost: their inputs come again, their clients are told.
    pub fn on_disconnected(&mut self, fault: &Fault) {
        self.connected = false;
        self.meters.set_connected(false);
        self.forget_core();
        self.abandon(fault, |pick| pick.waits && pick.origin != Origin::Core);
    }

    /// Closes the picked entries as failed.
    pub fn abandon(&mut self, fault: &Fault, wanted: impl Fn(&Pick) -> bool) {
        for id in self.ledger.pick(self.tick, wanted) {
            if let Some(closed) = self.ledger.abandon(id, Duration::ZERO, fault.clone()) {
                self.close(id, closed);
            }
        }
    }

    /// Counts and says that it is tried again, and why.
    pub fn note_retry(&self, envelope: &Envelope<'_>, step: &str, fault: &Fault) {
        envelope.owner.counters.add(Metric::Retried, 1);
        self.meters.retried(fault.code());
        self.event(EventKind::Retried, envelope, step, Some(fault), 0);
    }

    /// Says what happened to a message, when somebody watches.
    pub fn event(&self, kind: EventKind, envelope: &Envelope<'_>, step: &str, fault: Option<&Fault>, bytes: usize) {
        self.events.push(|| {
            let event = Event::about(kind, self.now_ms, &envelope.owner.pipeline, envelope.id).at(step, bytes);
            match fault {
                Some(fault) => event.with_fault(fault),
                None => event,
            }
        });
    }

    #[must_use]
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    #[must_use]
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The reply subject of a pull.
    #[must_use]
    pub fn pull_reply(&self, number: u64) -> String {
        self.replies.pull(number)
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether the server is late with an answer: it may hang.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.is_late
    }

    #[must_use]
    pub fn tick(&self) -> u64 {
        self.tick
    }

    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Tells the time of the wall clock, at the start of a burst.
    pub fn set_now(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }
}
