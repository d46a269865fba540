//! Publishes with a window of PubAcks: outputs, what sources bring, what is parked.

use std::collections::BTreeSet;
use std::rc::Rc;

use message::{Code, Fault};
use nats::protocol;

use super::core::CoreOut;
use super::headers;
use super::ledger::{Input, Meaning, Origin, Outcome};
use super::{MAX_ANNOUNCED, RETRY_PUBLISH, Settlement};
use crate::engine::ids::Id;
use crate::engine::message::{Body, CustomerId, EntryId, Envelope, InputRef, Owner, Route, Target};
use crate::engine::observe::{Event, EventKind, Metric, age_ms};

/// Of the server's `max_payload`, kept for a request's headers, 16 KiB of them at most, and for ours.
const HEADER_BYTES: usize = 32 << 10;
/// What a stream takes of headers, bytes (nats-server's `MaxUint16`); core NATS takes more.
pub const MAX_HEADERS: usize = 65_535;
/// A core message waits in memory until its stream has taken it; what a customer has in hand beyond this is lost.
const MAX_CORE_BYTES: usize = 64 << 20;

const REFUSED: &str = "the server refuses the subject";

/// Where a publish goes.
pub(super) struct Destination<'a> {
    pub subject: &'a str,
    /// The stream that has to confirm it, where it is known.
    pub stream: Option<Rc<str>>,
    /// Whether others may listen on the subject.
    pub is_users: bool,
    pub meaning: Meaning,
}

/// A NATS out beside others: the outgoing lane's message goes on under the id of its delivery.
pub struct Forward<'a> {
    pub target: &'a Target,
    pub subject: &'a str,
    /// Whether a stream has to confirm it.
    pub is_confirmed: bool,
    /// The stream that the pipeline file names.
    pub expected: Option<&'a str>,
    /// The stream that has to confirm it, where it is known.
    pub stream: Option<Rc<str>>,
}

/// What a source has brought, and where it goes.
pub struct Stored<'a> {
    pub owner: &'a Owner,
    pub id: &'a Id,
    pub subject: &'a str,
    pub stream: &'a Rc<str>,
    pub body: Body<'a>,
    /// `Name: value\r\n`, checked already.
    pub lines: &'a [u8],
}

impl Settlement {
    /// The largest body of a request that is sure to fit the server with its headers.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.max_payload.saturating_sub(HEADER_BYTES.min(self.max_payload / 16))
    }

    /// Tells what the server takes, before there is a connection.
    pub fn set_max_payload(&mut self, bytes: usize) {
        self.max_payload = bytes;
    }

    /// Of the server, headers and payload together.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// Publishes one output.
    ///
    /// # Errors
    /// It cannot be published, whoever tries: the caller makes it a dead letter.
    pub fn emit(
        &mut self,
        envelope: &Envelope<'_>,
        target: &Target,
        body: Body<'_>,
        url: Option<&str>,
    ) -> Result<(), Fault> {
        let owner = envelope.owner;
        let own;
        let id = if target.is_only && envelope.input == InputRef::Core && envelope.part == 0 {
            // Nothing else is published under it, and nobody can send the message again.
            envelope.id.as_bytes()
        } else if envelope.redrive == 0 {
            own = Id::derived(owner.customer(), &target.publish_key, envelope.id, envelope.part, 0);
            own.as_bytes()
        } else {
            // This revision now runs what others may have made.
            own = headers::next_id(envelope, &target.publish_key);
            own.as_bytes()
        };
        let block = self.block.start(owner.customer()).put(headers::PUBLISH_ID, id);
        if !body.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, body.content_type.as_bytes());
        }
        match &target.route {
            Route::Lane { .. } => block.put_identity(envelope).put_maker(owner),
            Route::Stream { expected: Some(stream), .. } => block.put(headers::EXPECTED_STREAM, stream.as_bytes()),
            Route::Stream { .. } | Route::Core { .. } => block,
        };
        if let Some(url) = url {
            self.block.put(headers::URL, url.as_bytes());
        }
        let block = self.block.put_time(envelope.time_ms);
        match target.route {
            Route::Lane { .. } => block.pass(envelope).end(),
            Route::Stream { .. } | Route::Core { .. } => block.pass_on(envelope, id).end(),
        };
        let published = self.check_size(body.bytes).and_then(|()| self.publish_output(envelope, target, body));
        match published {
            Ok(()) => owner.counters.add(Metric::Emitted, 1),
            Err(fault) if fault.code() == Code::LimitMemory => self.lose(envelope, &fault),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    fn publish_output(&mut self, envelope: &Envelope<'_>, target: &Target, body: Body<'_>) -> Result<(), Fault> {
        match &target.route {
            Route::Core { subject } => {
                self.publish_core(envelope, target, subject, body.bytes);
                Ok(())
            }
            Route::Lane { subject, stream } => {
                let stream = Some(Rc::clone(stream));
                let to = Destination { subject, stream, is_users: false, meaning: Meaning::Stored };
                self.publish(envelope.input, envelope.owner, &to, body.bytes).map(drop)
            }
            Route::Stream { subject, stream, .. } => {
                let stream = stream.borrow().clone();
                let meaning = delivered(target.number, envelope, body.bytes);
                let to = Destination { subject, stream, is_users: true, meaning };
                let (id, output) = self.publish(envelope.input, envelope.owner, &to, body.bytes)?;
                self.announce_later(envelope, &target.name, id, output, body.bytes.len());
                Ok(())
            }
        }
    }

    /// Publishes a message of the outgoing lane to a NATS out.
    ///
    /// # Errors
    /// `nats/max-payload`, `nats/max-headers`: never, whoever tries. Else the message has to come again.
    pub fn forward(&mut self, envelope: &Envelope<'_>, forward: &Forward<'_>, payload: &[u8]) -> Result<(), Fault> {
        let (owner, target) = (envelope.owner, forward.target);
        let id = headers::next_id(envelope, &target.delivery_key);
        let block = self.block.start(owner.customer());
        block.put(headers::PUBLISH_ID, id.as_bytes()).put(headers::CONTENT_TYPE, envelope.content_type.as_bytes());
        if let Some(stream) = forward.expected {
            block.put(headers::EXPECTED_STREAM, stream.as_bytes());
        }
        block.put_time(envelope.time_ms).pass_on(envelope, id.as_bytes()).end();
        self.check_size(payload)?;
        if !forward.is_confirmed {
            if envelope.input != InputRef::Core && self.core.must_wait(forward.subject, self.tick) {
                envelope.owner.counters.add(Metric::Retried, 1);
                self.meters.retried(Code::NatsAuthorization);
                return Err(Fault::new(Code::NatsAuthorization, REFUSED));
            }
            self.publish_core(envelope, target, forward.subject, payload);
            return Ok(());
        }
        let to = Destination {
            subject: forward.subject,
            stream: forward.stream.clone(),
            is_users: true,
            meaning: delivered(target.number, envelope, payload),
        };
        let (id, output) = self.publish(envelope.input, owner, &to, payload)?;
        self.announce_later(envelope, &target.name, id, output, payload.len());
        Ok(())
    }

    /// Enters a message of a source. Its work ends with [`Settlement::settle`].
    pub fn open_source(&mut self, owner: &Owner, origin: Origin, id: &Id, bytes: usize) -> InputRef {
        let (revision, customer) = (owner.id, owner.customer_id);
        self.open(&Input { origin, revision, customer, bytes, token: id.as_bytes() })
    }

    /// Publishes a message of a source, under its message id. `lines` are headers that are checked already.
    ///
    /// # Errors
    /// `nats/max-payload`.
    pub fn store(&mut self, input: InputRef, stored: &Stored<'_>) -> Result<(), Fault> {
        let owner = stored.owner;
        let block = self.block.start(owner.customer());
        block.put(headers::PUBLISH_ID, stored.id.as_bytes());
        if !stored.body.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, stored.body.content_type.as_bytes());
        }
        block.put_time(self.now_ms).pass_lines(stored.lines).end();
        self.check_size(stored.body.bytes)?;
        let (subject, stream) = (stored.subject, Some(Rc::clone(stored.stream)));
        let to = Destination { subject, stream, is_users: false, meaning: Meaning::Stored };
        self.publish(input, owner, &to, stored.body.bytes).map(drop)
    }

    /// A message of a source is answered with this id.
    pub fn rename(&mut self, input: InputRef, id: &Id) {
        if let InputRef::Entry(entry) = input {
            self.ledger.set_token(entry, id.as_bytes());
        }
    }

    /// Records a client's key, with what stands for its message. The answer is an [`super::Effect::Key`].
    ///
    /// # Errors
    /// When it cannot be published.
    pub fn record_key(&mut self, input: InputRef, owner: &Owner, subject: &str, record: &[u8]) -> Result<(), Fault> {
        self.block.start(owner.customer()).end();
        let stream = Some(Rc::clone(&self.keys_stream));
        let to = Destination { subject, stream, is_users: false, meaning: Meaning::Key };
        self.publish(input, owner, &to, record).map(drop)
    }

    /// Notes at a key's subject that its message is stored. Nobody waits for it: without the note, a repetition is stored
    /// once more under the same id.
    pub fn mark_key(&mut self, owner: &Owner, subject: &str) {
        self.block.start(owner.customer()).end();
        protocol::encode_hpub(&mut self.wire, subject.as_bytes(), b"", self.block.bytes(), b"");
    }

    /// To the dead letters' stream. The block is ready.
    pub(super) fn publish_dead(&mut self, envelope: &Envelope<'_>, subject: &str, payload: &[u8]) -> Result<(), Fault> {
        let stream = Some(Rc::clone(&self.dead_stream));
        let to = Destination { subject, stream, is_users: false, meaning: Meaning::Stored };
        self.publish(envelope.input, envelope.owner, &to, payload).map(drop)
    }

    /// Whether the block and `payload` fit the server.
    pub(super) fn check_size(&self, payload: &[u8]) -> Result<(), Fault> {
        let bytes = self.block.bytes().len() + payload.len();
        if bytes <= self.max_payload {
            return Ok(());
        }
        let reason = format!("{bytes} bytes with headers, the server takes {}", self.max_payload);
        Err(Fault::new(Code::NatsMaxPayload, reason))
    }

    /// Whether a stream takes the block.
    pub(super) fn check_headers(&self) -> Result<(), Fault> {
        let bytes = self.block.bytes().len();
        if bytes <= MAX_HEADERS {
            return Ok(());
        }
        Err(Fault::new(Code::NatsMaxHeaders, format!("{bytes} bytes of headers, a stream takes {MAX_HEADERS}")))
    }

    /// While the server refuses the subject of one of these outs, an input that can come again waits as a whole: were
    /// the other outs served meanwhile, they would get their messages once more with each try. `true`: it does.
    pub fn waits_for_core<'t>(&mut self, envelope: &Envelope<'_>, outs: impl Iterator<Item = &'t Target>) -> bool {
        if envelope.input == InputRef::Core || !self.core.refuses_any() {
            return false;
        }
        let subject = |target: &'t Target| match &target.route {
            Route::Core { subject } => Some(&**subject),
            _ => None,
        };
        let subjects: BTreeSet<&str> = outs.filter_map(subject).collect();
        let waits = subjects.into_iter().any(|subject| self.core.must_wait(subject, self.tick));
        if waits {
            envelope.owner.counters.add(Metric::Retried, 1);
            self.meters.retried(Code::NatsAuthorization);
            self.retry(envelope, Fault::new(Code::NatsAuthorization, REFUSED));
        }
        waits
    }

    /// To a subject nobody confirms; delivered when its marker comes back.
    fn publish_core(&mut self, envelope: &Envelope<'_>, target: &Target, subject: &str, payload: &[u8]) {
        protocol::encode_hpub(&mut self.wire, subject.as_bytes(), b"", self.block.bytes(), payload);
        let out = CoreOut { revision: envelope.owner.id, target: target.number, subject };
        let (now_ms, has_room) = (self.now_ms, self.events.has_room());
        self.core.add(out, payload.len(), || {
            let event = || Event::about(EventKind::Delivered, now_ms, &envelope.owner.pipeline, envelope.id);
            has_room.then(|| event().at(&target.name, payload.len()))
        });
    }

    /// Has the whole input tried again, beside the work that is done with it.
    fn retry(&mut self, envelope: &Envelope<'_>, fault: Fault) {
        if let InputRef::Entry(id) = envelope.input {
            self.ledger.begin_work(id);
            self.settle(envelope.input, Outcome::Retry(RETRY_PUBLISH, fault));
        }
    }

    /// To a stream: the input waits for the PubAck. Gives the entry that does, and the output's number in it.
    pub(super) fn publish(
        &mut self,
        input: InputRef,
        owner: &Owner,
        to: &Destination<'_>,
        payload: &[u8],
    ) -> Result<(EntryId, u32), Fault> {
        self.check_headers()?;
        let id = match input {
            InputRef::Entry(id) => id,
            InputRef::Core => self.open_core(owner)?,
        };
        let output = self.publish_entry(id, to, to.is_users.then_some(owner.customer_id), payload)?;
        Ok((id, output))
    }

    pub(super) fn publish_entry(
        &mut self,
        id: EntryId,
        to: &Destination<'_>,
        customer: Option<CustomerId>,
        payload: &[u8],
    ) -> Result<u32, Fault> {
        let added = self.ledger.add_output(id, to.meaning, to.stream.clone(), self.tick);
        let output = added.ok_or_else(|| Fault::new(Code::InternalPanic, "an output of an input that is closed"))?;
        self.replies.write(&mut self.reply, id, output, customer);
        let start = self.wire.len();
        protocol::encode_hpub(&mut self.wire, to.subject.as_bytes(), &self.reply, self.block.bytes(), payload);
        self.ledger.published(id, &self.wire[start..]);
        Ok(output)
    }

    /// An entry for one publish of a core message.
    fn open_core(&mut self, owner: &Owner) -> Result<EntryId, Fault> {
        if self.ledger.usage_of_customer(owner.customer_id).bytes > MAX_CORE_BYTES {
            return Err(Fault::new(Code::LimitMemory, "too many core NATS messages wait for a stream"));
        }
        let (revision, customer) = (owner.id, owner.customer_id);
        let input = Input { origin: Origin::Core, revision, customer, bytes: 0, token: b"" };
        Ok(self.ledger.open(&input, self.tick))
    }

    fn announce_later(&mut self, envelope: &Envelope<'_>, name: &str, id: EntryId, output: u32, bytes: usize) {
        if self.announced.len() < MAX_ANNOUNCED && self.events.has_room() {
            let pipeline = &envelope.owner.pipeline;
            let event = Event::about(EventKind::Delivered, self.now_ms, pipeline, envelope.id).at(name, bytes);
            self.announced.push((id, output, event));
        }
    }

    /// An out has taken a message.
    pub fn count_delivered(&self, envelope: &Envelope<'_>, name: &str, bytes: usize) {
        let counters = &envelope.owner.counters;
        counters.add(Metric::Delivered, 1);
        counters.add(Metric::DeliveredBytes, bytes as u64);
        self.note_end(age_ms(envelope.time_ms, self.now_ms));
        self.event(EventKind::Delivered, envelope, name, None, bytes);
    }

    /// Core NATS only, where nothing upstream could send it again: counted and shown, since there
    /// is nowhere left to put it.
    pub fn lose(&self, envelope: &Envelope<'_>, fault: &Fault) {
        envelope.owner.counters.add(Metric::Lost, 1);
        self.event(EventKind::Lost, envelope, "in", Some(fault), 0);
    }
}

fn delivered(target: u32, envelope: &Envelope<'_>, payload: &[u8]) -> Meaning {
    let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    Meaning::Delivered { target, bytes, since: lower_half(envelope.time_ms) }
}

/// Of milliseconds: they begin anew every 49 days.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn lower_half(ms: u64) -> u32 {
    ms as u32
}
