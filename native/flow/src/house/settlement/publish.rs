//! Publishes with a window of PubAcks: outputs, what sources bring, what is parked.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use nats::protocol;

use super::headers;
use super::ledger::{Input, Meaning, Origin, Outcome};
use super::letters::Letter;
use super::{MAX_ANNOUNCED, Settlement};
use crate::house::ids::{Id, IdKey};
use crate::house::message::{Body, CustomerId, EntryId, Envelope, InputRef, Owner, QueueId, Route, Target};
use crate::house::observe::{Event, EventKind, Metric};

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

    /// Of the server, headers and payload together.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// Publishes one output. What cannot be published is a dead letter.
    pub fn emit(&mut self, envelope: &Envelope<'_>, target: &Target, body: Body<'_>, url: Option<&str>) {
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
            Err(fault) => {
                let step = format!("out:{}", target.name);
                self.dead_letter(envelope, &Letter { url, ..Letter::new(&step, &fault, body) });
            }
        }
    }

    fn publish_output(&mut self, envelope: &Envelope<'_>, target: &Target, body: Body<'_>) -> Result<(), Fault> {
        match &target.route {
            Route::Core { subject } => {
                self.publish_core(subject, body.bytes);
                self.count_delivered(envelope, &target.name, body.bytes.len());
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
            self.publish_core(forward.subject, payload);
            self.count_delivered(envelope, &target.name, payload.len());
            return Ok(());
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

    /// Publishes what a source has brought, under its message id. `lines` are headers that are checked already.
    ///
    /// # Errors
    /// The source refuses it with this.
    pub fn store(
        &mut self,
        owner: &Owner,
        origin: Origin,
        id: &Id,
        to: (&str, &Rc<str>),
        body: Body<'_>,
        lines: &[u8],
    ) -> Result<(), Fault> {
        let block = self.block.start(owner.customer());
        block.put(headers::PUBLISH_ID, id.as_bytes());
        if !body.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, body.content_type.as_bytes());
        }
        block.put_number(headers::TIME, self.now_ms).pass_lines(lines).end();
        self.check_size(body.bytes)?;
        let (revision, customer) = (owner.id, owner.customer_id);
        let input = Input { origin, revision, customer, bytes: body.bytes.len(), token: id.as_bytes() };
        let input = self.open(&input);
        let (subject, stream) = (to.0, Some(Rc::clone(to.1)));
        let to = Destination { subject, stream, is_users: false, meaning: Meaning::Stored };
        let published = self.publish(input, owner, &to, body.bytes);
        let outcome = published.map_or_else(|fault| Outcome::Retry(Duration::from_secs(1), fault), |_| Outcome::Ok);
        self.settle(input, outcome);
        Ok(())
    }

    /// To the dead letters' stream. The block is ready.
    pub(super) fn publish_dead(
        &mut self,
        envelope: &Envelope<'_>,
        subject: &str,
        payload: &[u8],
    ) -> Result<(), Fault> {
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

    /// To a subject nobody confirms.
    fn publish_core(&mut self, subject: &str, payload: &[u8]) {
        protocol::encode_hpub(&mut self.wire, subject.as_bytes(), b"", self.block.bytes(), payload);
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
        let added = self.ledger.add_output(id, to.meaning, to.stream.clone(), self.tick);
        let output = added.ok_or_else(|| Fault::new(Code::InternalPanic, "an output of an input that is closed"))?;
        let customer: Option<CustomerId> = to.is_users.then_some(owner.customer_id);
        self.replies.write(&mut self.reply, id, output, customer);
        let start = self.wire.len();
        protocol::encode_hpub(&mut self.wire, to.subject.as_bytes(), &self.reply, self.block.bytes(), payload);
        self.ledger.published(id, &self.wire[start..]);
        Ok((id, output))
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
    pub(super) fn lose(&self, envelope: &Envelope<'_>, fault: &Fault) {
        envelope.owner.counters.add(Metric::Lost, 1);
        self.event(EventKind::Dead, envelope, "in", Some(fault), 0);
    }
}

fn delivered(target: u32, payload: &[u8]) -> Meaning {
    Meaning::Delivered { target, bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX) }
}
