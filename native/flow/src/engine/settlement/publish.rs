//! Publishes with a window of PubAcks: outputs, what sources bring, what is parked.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault, Headers};
use nats::protocol;

use super::core::CoreOut;
use super::headers;
use super::ledger::{Input, Meaning, Origin, Outcome};
use super::{MAX_ANNOUNCED, RETRY_PUBLISH, Settlement};
use crate::engine::ids::{Id, IdKey};
use crate::engine::message::{Body, CustomerId, EntryId, Envelope, InputRef, Owner, QueueId, Route, Target};
use crate::engine::observe::{Event, EventKind, Metric};

/// Of the server's `max_payload`, kept for a request's headers, 16 KiB of them at most, and for ours.
const HEADER_BYTES: usize = 32 << 10;
/// A core message waits in memory until its stream has taken it; what a customer has in hand beyond this is lost.
const MAX_CORE_BYTES: usize = 64 << 20;

/// Where a publish goes.
struct Destination<'a> {
    subject: &'a str,
    /// The stream that has to confirm it, where it is known.
    stream: Option<Rc<str>>,
    /// Whether others may listen on the subject.
    is_users: bool,
    meaning: Meaning,
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

/// What parking a message needs to know of its out.
pub struct Parking<'a> {
    pub queue: QueueId,
    pub subject: &'a str,
    pub key: &'a IdKey,
    /// How long the message has been tried for.
    pub spent: Duration,
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
        let id = Id::derived(owner.customer(), &target.publish_key, envelope.id, envelope.part, envelope.redrive);
        let block = self.block.start(owner.customer());
        block.put(headers::PUBLISH_ID, id.as_bytes());
        if !body.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, body.content_type.as_bytes());
        }
        match &target.route {
            Route::Lane { .. } => block.put_identity(envelope),
            Route::Stream { expected: Some(stream), .. } => block.put(headers::EXPECTED_STREAM, stream.as_bytes()),
            Route::Stream { .. } | Route::Core { .. } => block,
        };
        if let Some(url) = url {
            self.block.put(headers::URL, url.as_bytes());
        }
        self.block.put_number(headers::TIME, envelope.time_ms).pass(envelope.headers).end();
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
                if let Err(fault) = self.publish_core(envelope, target, subject, body.bytes) {
                    self.retry(envelope, fault);
                }
                Ok(())
            }
            Route::Lane { subject, stream } => {
                let stream = Some(Rc::clone(stream));
                let to = Destination { subject, stream, is_users: false, meaning: Meaning::Stored };
                self.publish(envelope.input, envelope.owner, &to, body.bytes).map(drop)
            }
            Route::Stream { subject, stream, .. } => {
                let stream = stream.borrow().clone();
                let meaning = delivered(target.number, body.bytes);
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
    /// The message has to come again.
    pub fn forward(&mut self, envelope: &Envelope<'_>, forward: &Forward<'_>, payload: &[u8]) -> Result<(), Fault> {
        let (owner, target) = (envelope.owner, forward.target);
        let id = Id::derived(owner.customer(), &target.delivery_key, envelope.id, envelope.part, envelope.redrive);
        let block = self.block.start(owner.customer());
        block.put(headers::PUBLISH_ID, id.as_bytes()).put(headers::CONTENT_TYPE, envelope.content_type.as_bytes());
        if let Some(stream) = forward.expected {
            block.put(headers::EXPECTED_STREAM, stream.as_bytes());
        }
        block.put_number(headers::TIME, envelope.time_ms).pass(envelope.headers).end();
        if !forward.is_confirmed {
            return self.publish_core(envelope, target, forward.subject, payload);
        }
        let to = Destination {
            subject: forward.subject,
            stream: forward.stream.clone(),
            is_users: true,
            meaning: delivered(target.number, payload),
        };
        let (id, output) = self.publish(envelope.input, owner, &to, payload)?;
        self.announce_later(envelope, &target.name, id, output, payload.len());
        Ok(())
    }

    /// Moves a message to the parked ones of its out; its input is acked with the PubAck. `false` when that cannot
    /// be done now.
    pub fn park(&mut self, envelope: &Envelope<'_>, parking: &Parking<'_>, payload: &[u8]) -> bool {
        if !self.connected || envelope.input == InputRef::Core {
            return false;
        }
        let owner = envelope.owner;
        let id = Id::derived(owner.customer(), parking.key, envelope.id, envelope.part, envelope.redrive);
        let spent = u64::try_from(parking.spent.as_millis()).unwrap_or(u64::MAX);
        let block = self.block.start(owner.customer());
        block.put(headers::PUBLISH_ID, id.as_bytes()).put_identity(envelope);
        if !envelope.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, envelope.content_type.as_bytes());
        }
        for name in [headers::URL, headers::RESUME] {
            if let Some(value) = envelope.headers.get(name) {
                block.put(name, value);
            }
        }
        block.put_number(headers::TIME, envelope.time_ms).put_number(headers::SPENT, spent);
        block.pass(envelope.headers).end();
        let to = Destination {
            subject: parking.subject,
            stream: Some(Rc::clone(&self.parked_stream)),
            is_users: false,
            meaning: Meaning::Parked(parking.queue),
        };
        let published = self.check_size(payload).and_then(|()| self.publish(envelope.input, owner, &to, payload));
        if published.is_err() {
            return false;
        }
        self.settle(envelope.input, Outcome::Ok);
        true
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
        block.put_number(headers::TIME, self.now_ms).pass_lines(stored.lines).end();
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

    /// To the dead letters' stream. The block is ready.
    pub(super) fn publish_dead(&mut self, envelope: &Envelope<'_>, subject: &str, payload: &[u8]) -> Result<(), Fault> {
        let stream = Some(Rc::clone(&self.dead_stream));
        let to = Destination { subject, stream, is_users: false, meaning: Meaning::Stored };
        self.publish(envelope.input, envelope.owner, &to, payload).map(drop)
    }

    /// Whether the block and `payload` fit the server.
    fn check_size(&self, payload: &[u8]) -> Result<(), Fault> {
        let bytes = self.block.bytes().len() + payload.len();
        if bytes <= self.max_payload {
            return Ok(());
        }
        let reason = format!("{bytes} bytes with headers, the server takes {}", self.max_payload);
        Err(Fault::new(Code::NatsMaxPayload, reason))
    }

    /// To a subject nobody confirms; delivered when its marker comes back. While the server refuses the subject, a
    /// message that can come again waits.
    fn publish_core(
        &mut self,
        envelope: &Envelope<'_>,
        target: &Target,
        subject: &str,
        payload: &[u8],
    ) -> Result<(), Fault> {
        if envelope.input != InputRef::Core && self.core.must_wait(subject, self.tick) {
            envelope.owner.counters.add(Metric::Retried, 1);
            return Err(Fault::new(Code::NatsAuthorization, "the server refuses the subject"));
        }
        protocol::encode_hpub(&mut self.wire, subject.as_bytes(), b"", self.block.bytes(), payload);
        let out = CoreOut { revision: envelope.owner.id, target: target.number, subject };
        let (now_ms, has_room) = (self.now_ms, self.events.has_room());
        self.core.add(out, payload.len(), || {
            let event = || Event::about(EventKind::Delivered, now_ms, &envelope.owner.pipeline, envelope.id);
            has_room.then(|| event().at(&target.name, payload.len()))
        });
        Ok(())
    }

    /// Has the whole input tried again, beside the work that is done with it.
    fn retry(&mut self, envelope: &Envelope<'_>, fault: Fault) {
        if let InputRef::Entry(id) = envelope.input {
            self.ledger.begin_work(id);
            self.settle(envelope.input, Outcome::Retry(RETRY_PUBLISH, fault));
        }
    }

    /// To a stream: the input waits for the PubAck. Gives the entry that does, and the output's number in it.
    fn publish(
        &mut self,
        input: InputRef,
        owner: &Owner,
        to: &Destination<'_>,
        payload: &[u8],
    ) -> Result<(EntryId, u32), Fault> {
        let id = match input {
            InputRef::Entry(id) => id,
            InputRef::Core => self.open_core(owner)?,
        };
        let output = self.publish_entry(id, to, to.is_users.then_some(owner.customer_id), payload)?;
        Ok((id, output))
    }

    fn publish_entry(
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

    /// Moves a message whose pipeline or out is not here to the parked ones, as it is; its input is acked with the
    /// PubAck. `place` distinguishes it where it has no id. `false` when that cannot be done now.
    pub fn set_aside(
        &mut self,
        input: InputRef,
        subject: &str,
        headers: Headers<'_>,
        place: &str,
        payload: &[u8],
    ) -> bool {
        let InputRef::Entry(entry) = input else { return false };
        if !self.connected {
            return false;
        }
        let parsed = headers::ParsedHeaders::of(headers);
        let customer = parsed.customer.unwrap_or_default();
        let message = parsed.publish_id.unwrap_or(place);
        let id = Id::derived(customer, &IdKey::new(&["aside", subject]), message, 0, parsed.redrive);
        let is_passed = |name: &[u8]| {
            !name.eq_ignore_ascii_case(headers::CUSTOMER.as_bytes())
                && !name.eq_ignore_ascii_case(headers::PUBLISH_ID.as_bytes())
                && !name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"nats-"))
        };
        let block = self.block.start(customer).put(headers::PUBLISH_ID, id.as_bytes());
        if parsed.id.is_none() && parsed.part.is_none() {
            block.put(headers::ID, message.as_bytes());
        }
        block.pass_if(headers, is_passed).end();
        let stream = Some(Rc::clone(&self.parked_stream));
        let to = Destination { subject, stream, is_users: false, meaning: Meaning::Stored };
        let published = self.check_size(payload).and_then(|()| self.publish_entry(entry, &to, None, payload));
        if published.is_ok() {
            self.settle(input, Outcome::Ok);
        }
        published.is_ok()
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
        self.event(EventKind::Delivered, envelope, name, None, bytes);
    }

    /// Core NATS only, where nothing upstream could send it again: counted and shown, since there
    /// is nowhere left to put it.
    pub fn lose(&self, envelope: &Envelope<'_>, fault: &Fault) {
        envelope.owner.counters.add(Metric::Lost, 1);
        self.event(EventKind::Lost, envelope, "in", Some(fault), 0);
    }
}

fn delivered(target: u32, payload: &[u8]) -> Meaning {
    Meaning::Delivered { target, bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX) }
}
