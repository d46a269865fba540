//! What a message of the lane meets on its way to the sink, and what the sink's word on it means.
//!
//! ```text
//! delivered ─► ack
//! permanent ─► dead letter, then ack
//! retry     ─► its time is over: dead letter `deliver/retries-exhausted`
//!           ─► it fails alone: a pause of its own; different messages in a row: a pause of the out (outage.rs)
//!           ─► for longer: parked (breaker.rs, parking.rs)
//! ```
//!
//! Nothing is given up without an attempt of its own.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use message::{Code, Document, Fault};

use super::breaker::Place;
use super::outage::{Failure, pause};
use super::queue::{Queue, Queued};
use super::{Effect, Reach};
use crate::engine::message::{Body, Envelope, InputRef, OwnedMessage};
use crate::engine::settlement::{self, Letter, Outcome};

/// Without room for it, a message is offered again after this, at first.
const FULL_DELAY: Duration = Duration::from_secs(1);
/// The same while the sink answers nothing: what would come again sooner stands in the way of other customers.
const SILENT_DELAY: Duration = Duration::from_secs(10);
/// No message would get through: the server was not reached, or there is no token for it.
const UNREACHED: [Code; 4] =
    [Code::HttpConnect, Code::HttpOauthRefused, Code::HttpOauthUnavailable, Code::HttpOauthBadAnswer];
/// The URL of a larger payload is found on another thread.
const LARGE: usize = 1 << 20;

impl Reach<'_> {
    /// A message of the lane: into the queue, to the parked ones, or back.
    pub(super) fn accept(&mut self, queue: &mut Queue, number: u64, envelope: &Envelope<'_>, payload: &[u8]) {
        let has_room = self.budgets.admits(envelope.owner.customer_id, queue.held());
        if !has_room && queue.breaker.filled(queue.is_stalled(self.now)) {
            self.opened(queue);
        }
        // Without room to hold it, it is parked though many are on their way: unless it would overtake others.
        let waits = if has_room { queue.parks_behind() } else { queue.holds_any() };
        let is_probe = has_room && queue.wants_new_probe();
        let is_parked = queue.place() == Place::Parked && !waits && !is_probe;
        if is_parked && self.park(queue, envelope, Duration::ZERO, payload) {
            return;
        }
        if !has_room {
            queue.press();
            let fault = Fault::new(Code::LimitMemory, format!("the queue of out `{}` is full", queue.name()));
            let delay = if queue.is_answering(self.now) { FULL_DELAY } else { SILENT_DELAY };
            return self.settlement.settle(envelope.input, Outcome::Retry(delay, fault));
        }
        if queue.outlet.has_placeholders && payload.len() > LARGE && carried(queue, envelope).is_none() {
            queue.expect(payload.len());
            self.budgets.add(envelope.owner.customer_id, payload.len());
            let message = OwnedMessage::of(envelope, Bytes::copy_from_slice(payload));
            let (revision, target) = (Rc::clone(&queue.revision), queue.target);
            self.effects.push(Effect::FindUrl { revision, target, input: envelope.input, message });
            return;
        }
        match self.address(queue, envelope, payload) {
            Ok(address) => {
                let message = OwnedMessage::of(envelope, Bytes::copy_from_slice(payload));
                self.place(queue, self.queued(number, envelope.input, message, address));
            }
            Err(fault) => self.dead_letter(queue, envelope, &fault, payload),
        }
    }

    /// The URL of a large payload was found, or was not.
    pub(super) fn on_address(
        &mut self,
        queue: &mut Queue,
        number: u64,
        (input, message): (InputRef, OwnedMessage),
        address: Result<Option<String>, Fault>,
    ) {
        queue.arrived(message.payload.len());
        self.budgets.remove(queue.revision.owner.customer_id, message.payload.len());
        match address {
            Ok(address) => self.place(queue, self.queued(number, input, message, address.map(Into::into))),
            Err(fault) if fault.code() == Code::LimitMemory => {
                self.settlement.settle(input, Outcome::Retry(FULL_DELAY, fault));
            }
            Err(fault) => {
                let revision = Rc::clone(&queue.revision);
                let envelope = message.envelope(&revision.owner, input);
                self.dead_letter(queue, &envelope, &fault, &message.payload);
            }
        }
    }

    fn queued(&self, number: u64, input: InputRef, message: OwnedMessage, address: Option<Box<str>>) -> Queued {
        let (since, spent) = (self.now, Duration::ZERO);
        Queued { number, input, message, address, since, spent, is_parked: false, place: 0, attempts: 0 }
    }

    /// Into the queue, or behind the parked messages that are coming back.
    fn place(&mut self, queue: &mut Queue, queued: Queued) {
        match queue.place() {
            Place::Parked if !queue.parks_behind() => self.push(queue, queued),
            Place::Behind | Place::Parked => {
                self.budgets.add(queue.revision.owner.customer_id, queued.bytes());
                queue.hold(queued);
                // Nobody would look after them.
                if queue.retired {
                    queue.take_behind().iter().for_each(|queued| self.hand_over(queue, queued));
                }
            }
            Place::Queue => self.push(queue, queued),
        }
    }

    pub(super) fn push(&mut self, queue: &mut Queue, queued: Queued) {
        self.budgets.add(queue.revision.owner.customer_id, queued.bytes());
        queue.push(queued);
    }

    /// The URL with its placeholders filled, as it came, else from the payload, which is parsed only then.
    pub(super) fn address(
        &self,
        queue: &Queue,
        envelope: &Envelope<'_>,
        payload: &[u8],
    ) -> Result<Option<Box<str>>, Fault> {
        if !queue.outlet.has_placeholders {
            return Ok(None);
        }
        if let Some(address) = carried(queue, envelope) {
            return Ok(Some(address.into()));
        }
        // Rare: another template has made the URL that came.
        let (pipeline, mut document) = (queue.revision.pipeline(), Document::default());
        pipeline.parse_output(payload, envelope.content_type, &mut document)?;
        Ok(pipeline.outs()[queue.target].address(&document)?.map(Into::into))
    }

    /// What a sink said of a batch, one outcome per message.
    pub(super) fn on_delivered(&mut self, queue: &mut Queue, batch: Vec<Queued>, outcomes: Vec<connectors::Outcome>) {
        debug_assert_eq!(batch.len(), outcomes.len());
        queue.returned(&batch, self.now);
        let (first, mut jitter) = (batch.first().map(|queued| queued.number).unwrap_or_default(), None);
        let mut opens = false;
        // Last first: what goes back to the front of the queue keeps its order.
        for (queued, outcome) in batch.into_iter().zip(outcomes).rev() {
            match outcome {
                connectors::Outcome::Delivered => self.delivered(queue, &queued),
                connectors::Outcome::Permanent(fault) => {
                    self.succeeded(queue);
                    self.give_up(queue, &queued, &fault);
                }
                connectors::Outcome::Retry { fault, after } => {
                    let jitter = *jitter.get_or_insert_with(|| self.settlement.jitter());
                    opens |= self.failed(queue, queued, (first, jitter), fault, after);
                }
            }
        }
        if opens {
            self.opened(queue);
        }
        if queue.is_idle() || queue.wants_parked() {
            queue.outlet.changed.notify_one();
        }
    }

    fn delivered(&mut self, queue: &mut Queue, queued: &Queued) {
        self.succeeded(queue);
        let revision = Rc::clone(&queue.revision);
        self.settlement.count_delivered(&queued.envelope(&revision), queue.name(), queued.bytes());
        self.settlement.settle(queued.input, Outcome::Ok);
        self.release(queue, queued);
    }

    /// The server has answered.
    fn succeeded(&mut self, queue: &mut Queue) {
        queue.attempted(None);
        if queue.breaker.succeeded() {
            queue.outlet.changed.notify_one();
        }
        if queue.outage.succeeded(self.now) {
            queue.outlet.arrived.notify_waiters();
        }
    }

    /// An attempt failed. `true` when that opens the breaker. The messages of a batch count as its first one, and their
    /// pauses are of one length: they are tried again together.
    fn failed(
        &mut self,
        queue: &mut Queue,
        mut queued: Queued,
        (first, jitter): (u64, f64),
        fault: Fault,
        after: Option<Duration>,
    ) -> bool {
        queued.attempts += 1;
        queue.attempted(Some(fault.code()));
        queue.parking.last_fault = Some(fault.clone());
        let (is_first, code) = (queued.attempts == 1, fault.code());
        let (is_unreached, is_answered) = (UNREACHED.contains(&code), code == Code::HttpServerError);
        let failure = Failure { message: first, is_first, is_unreached, is_answered, after, jitter };
        let opens = queue.outage.failed(&failure, self.now) && queue.breaker.failed();
        if queued.age(self.now) >= queue.outlet.retry_for {
            let reason = format!("given up after {} s; last: {fault}", queued.age(self.now).as_secs());
            self.give_up(queue, &queued, &Fault::new(Code::DeliverRetriesExhausted, reason));
            return opens;
        }
        let revision = Rc::clone(&queue.revision);
        self.settlement.note_retry(&queued.envelope(&revision), queue.name(), &fault);
        let own = pause(queued.attempts, jitter).max(after.unwrap_or_default());
        if queue.retired {
            self.hand_over(queue, &queued);
        } else if queue.outage.keeps_order() || !queued.is_parked && queue.has_room_for_failed() {
            queue.retry(queued, own, self.now);
        } else {
            self.give_back(queue, &queued, own, fault);
            queue.parking.note_tried(&queued);
        }
        opens
    }

    /// A message in hand ends as a dead letter.
    fn give_up(&mut self, queue: &mut Queue, queued: &Queued, fault: &Fault) {
        self.release(queue, queued);
        let revision = Rc::clone(&queue.revision);
        self.dead_letter(queue, &queued.envelope(&revision), fault, &queued.message.payload);
    }

    /// To the dead letters, then acked.
    pub(super) fn dead_letter(&mut self, queue: &Queue, envelope: &Envelope<'_>, fault: &Fault, payload: &[u8]) {
        let body = Body { bytes: payload, content_type: envelope.content_type };
        self.settlement.note_refused(envelope);
        self.settlement.dead_letter(envelope, &Letter::new(&format!("out:{}", queue.name()), fault, body));
        self.settlement.settle(envelope.input, Outcome::Ok);
    }

    /// A message in hand goes back to its stream.
    pub(super) fn give_back(&mut self, queue: &mut Queue, queued: &Queued, delay: Duration, fault: Fault) {
        self.release(queue, queued);
        self.settlement.settle(queued.input, Outcome::Retry(delay, fault));
    }

    /// A message is in hand no more.
    pub(super) fn release(&mut self, queue: &mut Queue, queued: &Queued) {
        queue.remove(queued);
        self.budgets.remove(queue.revision.owner.customer_id, queued.bytes());
    }

    /// What a change of a queue has left to be done.
    pub(super) fn after(&mut self, queue: &mut Queue) {
        self.set_pull(queue);
        let count = queue.start_workers();
        if count > 0 {
            let (queue, outlet) = (queue.id, Rc::clone(&queue.outlet));
            self.effects.push(Effect::StartWorkers { queue, count, outlet });
        } else if queue.is_done() {
            queue.outlet.released.notify_waiters();
        }
    }
}

/// The URL that its steps gave a message.
fn carried<'e>(queue: &Queue, envelope: &Envelope<'e>) -> Option<&'e str> {
    let text = envelope.headers.get_str(settlement::URL)?;
    queue.revision.pipeline().outs()[queue.target].carried(text)
}
