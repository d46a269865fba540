//! What the connection brings, and which room it is for.
//!
//! ```text
//! PubAck                  ──► settlement
//! pull: status            ──► consumers
//! pull: lane of steps     ──► whose? ──► steps; between two runs of steps: handed_over.rs
//! pull: lane outgoing     ──► whose? ──► delivery
//! pull: parked            ──► delivery, or for steps that were away: steps
//! pull, core: a NATS in   ──► steps
//! somebody wants to watch ──► tap
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Fault, Headers};
use nats::Message;
use nats::jetstream::{AckReply, PullStatus};

use super::Parts;
use crate::engine::consumers::{Feed, Subscription};
use crate::engine::ids::Id;
use crate::engine::intake::{self, Arrival, UnknownAction, unknown_delay};
use crate::engine::message::{Body, CustomerId, Envelope, InputRef, RevisionId};
use crate::engine::observe::{Event, EventKind, Waited, age_ms};
use crate::engine::registry::Revision;
use crate::engine::settlement::{Input, Letter, Origin, Outcome, PUB_ACKS, RETRY_PUBLISH};
use crate::engine::steps::Handed;
use crate::engine::subjects::{self, Address, LaneType};
use crate::engine::tap::REQUESTS;

impl Parts {
    /// One message of the connection.
    #[inline]
    pub fn on_message(&mut self, message: &Message<'_>) {
        if PUB_ACKS.contains(&message.sid) {
            self.cpu.pause();
            self.settlement.on_pub_ack(message.subject, message.headers, message.payload);
            return;
        }
        match self.consumers.subscription(message.sid) {
            Some(Subscription::Pull(number)) => self.on_pulled(number, message),
            Some(Subscription::Core(revision)) => self.on_core(revision, message),
            None if message.sid == REQUESTS => self.on_tap_request(message),
            // No customer's message. A core NATS in is known until a marker behind its UNSUB is back, and nothing of it
            // can come after that; a new connection brings nothing of what the last one was subscribed to.
            None => {}
        }
    }

    /// Somebody asks to see the messages of a pipeline. Nodes that do not have it say nothing.
    #[cold]
    fn on_tap_request(&mut self, message: &Message<'_>) {
        let named = subjects::parse_tap(message.subject);
        let Some(revision) = named.and_then(|(customer, pipeline)| self.registry.named(customer, pipeline)) else {
            return;
        };
        let pipeline = Arc::clone(&revision.owner.pipeline);
        self.settlement.on_tap_request(&pipeline, message.payload);
    }

    fn on_pulled(&mut self, number: u64, message: &Message<'_>) {
        let tick = self.settlement.tick();
        let Some(ack) = AckReply::parse(message.reply) else {
            if let Some(status) = PullStatus::parse(message.headers, message.payload) {
                self.consumers.on_status(number, &status, tick);
            }
            return;
        };
        let bytes = message.headers.len() + message.payload.len() + message.subject.len();
        self.consumers.on_message(number, bytes, tick);
        if self.draining {
            return self.hand_back(message);
        }
        match self.consumers.feed(number) {
            Some(Feed::Lane(lane_type)) => self.on_lane(lane_type, &ack, message),
            Some(Feed::Aside(revision)) => {
                let Some(revision) = self.registry.get(revision).map(Rc::clone) else {
                    return self.hand_back(message);
                };
                self.on_known(LaneType::Logic, &revision, "in", &ack, message);
            }
            Some(Feed::ParkedNats(revision, number)) => {
                let Some(revision) = self.registry.get(revision).map(Rc::clone) else {
                    return self.hand_back(message);
                };
                let Some(target) = revision.targets.get(number as usize) else { return self.hand_back(message) };
                self.on_known(LaneType::Outgoing, &revision, &target.name, &ack, message);
            }
            Some(Feed::Source(revision)) => self.on_source(revision, &ack, message),
            Some(Feed::Parked(queue)) => {
                let Some((revision, customer)) = self.delivery.owner_of(queue) else { return self.hand_back(message) };
                let input = self.open(revision, customer, message);
                let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
                let headers = Headers::new(message.headers);
                self.delivery.on_parked(settlement, consumers, queue, input, &ack, headers, message.payload);
            }
            None => self.hand_back(message),
        }
    }

    /// A message of a pull that was closed: whoever reads its stream now gets it at once.
    fn hand_back(&mut self, message: &Message<'_>) {
        let input = self.open(RevisionId::default(), CustomerId::default(), message);
        let fault = Fault::new(Code::TenantUnknownPipeline, "it is not read here any more");
        self.settlement.settle(input, Outcome::Retry(Duration::ZERO, fault));
    }

    /// A message of one of our lanes: the subject says whose it is.
    fn on_lane(&mut self, lane_type: LaneType, ack: &AckReply<'_>, message: &Message<'_>) {
        let Some(address) = subjects::parse(message.subject) else {
            // Nothing of ours writes such a subject; it would come again for ever.
            let input = self.open(RevisionId::default(), CustomerId::default(), message);
            self.settlement.settle(input, Outcome::Ok);
            return;
        };
        let revision = self.registry.find(&address);
        let knows_step = |revision: &Revision| lane_type.is_for_steps() || revision.target(address.step).is_some();
        match revision {
            Some(revision) if knows_step(&revision) => self.on_known(lane_type, &revision, address.step, ack, message),
            _ => self.on_unknown(lane_type, &address, ack, message),
        }
    }

    fn on_known(
        &mut self,
        lane_type: LaneType,
        revision: &Rc<Revision>,
        step: &str,
        ack: &AckReply<'_>,
        message: &Message<'_>,
    ) {
        // A canary counts with the same counters.
        self.cpu.switch(revision);
        let arrival = Arrival::new(message);
        if lane_type.is_for_steps() && arrival.parsed.handover.is_some() {
            let input = self.open(revision.owner.id, revision.owner.customer_id, message);
            return self.on_handed_over((lane_type, ack), revision, step, (input, &arrival), message);
        }
        let mut own = None;
        let id = arrival.lane_id(&revision.owner, ack, &mut own);
        // Both have the same outs, which the active one looks after.
        let revision = if lane_type.is_for_steps() { revision.chosen(id) } else { revision };
        let owner = &revision.owner;
        let input = self.open(owner.id, owner.customer_id, message);
        let envelope = arrival.lane_envelope(owner, input, id, self.settlement.now_ms());
        intake::count_redelivered(owner, ack.delivered);
        if let Err(fault) = arrival.check(owner, Some((lane_type, ack))) {
            // An out may be called `in`.
            let label = if lane_type.is_for_steps() { step.to_owned() } else { format!("out:{step}") };
            self.end_with_letter(&envelope, &label, &fault, message.payload);
            return;
        }
        match lane_type {
            LaneType::Logic | LaneType::Converter | LaneType::Filter => {
                let waited = Waited::before(lane_type).map(|place| (place, ack));
                self.run(revision, &envelope, message.payload, None, waited);
            }
            LaneType::Outgoing => {
                let Some(target) = revision.target(step) else { return };
                self.delivery.accept(
                    &mut self.settlement,
                    &mut self.consumers,
                    revision,
                    &envelope,
                    target,
                    message.payload,
                );
            }
        }
    }

    /// Its pipeline, or its out, is not here: it waits for an install; then it is set aside.
    fn on_unknown(&mut self, lane_type: LaneType, address: &Address<'_>, ack: &AckReply<'_>, message: &Message<'_>) {
        self.cpu.pause();
        let input = self.open(RevisionId::default(), CustomerId::default(), message);
        let name = format!("{}.{}", address.key, address.step);
        let fault = Fault::new(Code::TenantUnknownPipeline, "not installed on this node");
        if let UnknownAction::SetAside { is_first } = self.unknown.met(&name, self.settlement.tick()) {
            let subject = match lane_type {
                LaneType::Logic | LaneType::Converter | LaneType::Filter => {
                    subjects::aside(address.customer, address.pipeline)
                }
                LaneType::Outgoing => subjects::parked(address.customer, address.pipeline, address.step),
            };
            let headers = Headers::new(message.headers);
            let place = ack.stream_sequence.to_string();
            if self.settlement.set_aside(input, &subject, headers, &place, message.payload) {
                if is_first {
                    self.report_set_aside(address, &fault);
                }
                return;
            }
        }
        self.settlement.settle(input, Outcome::Retry(unknown_delay(ack.delivered), fault));
    }

    fn report_set_aside(&self, address: &Address<'_>, fault: &Fault) {
        let now_ms = self.settlement.now_ms();
        self.settlement.events().push_rare(|| Event {
            customer: address.customer.to_owned(),
            pipeline: address.pipeline.to_owned(),
            ..Event::of_node(EventKind::Parking, now_ms).at(address.step, 0).with_fault(fault)
        });
    }

    /// A message of a pipeline's own JetStream in.
    fn on_source(&mut self, revision: RevisionId, ack: &AckReply<'_>, message: &Message<'_>) {
        let Some(revision) = self.registry.get(revision).map(Rc::clone) else { return self.hand_back(message) };
        self.cpu.switch(&revision);
        let id = revision.owner.place(ack);
        let revision = revision.chosen(id.as_str());
        let owner = &revision.owner;
        let input = self.open(owner.id, owner.customer_id, message);
        intake::count_received(owner, message.payload, ack.delivered);
        self.receive(revision, input, &id, Some(ack), message);
    }

    fn on_core(&mut self, revision: RevisionId, message: &Message<'_>) {
        let Some(revision) = self.registry.get(revision).map(Rc::clone) else { return };
        self.cpu.switch(&revision);
        intake::count_received(&revision.owner, message.payload, 1);
        let id = self.settlement.random_id(revision.owner.customer());
        self.receive(revision.chosen(id.as_str()), InputRef::Core, &id, None, message);
    }

    /// A message of a pipeline's own NATS in.
    fn receive(
        &mut self,
        revision: &Rc<Revision>,
        input: InputRef,
        id: &Id,
        ack: Option<&AckReply<'_>>,
        message: &Message<'_>,
    ) {
        let arrival = Arrival::new(message);
        let envelope = arrival.envelope(&revision.owner, input, id.as_str(), self.settlement.now_ms());
        if let (Some(size), Some(ack)) = (intake::withheld(message), ack) {
            let fault = Fault::new(Code::NatsHeadersOnly, format!("{size} bytes are missing"));
            self.settlement.note_retry(&envelope, "in", &fault);
            return self.settlement.settle(input, Outcome::Retry(unknown_delay(ack.delivered), fault));
        }
        self.settlement.event(EventKind::Received, &envelope, "", None, message.payload.len());
        match arrival.check(&revision.owner, None) {
            Ok(()) => self.run_received(revision, &envelope, message.payload, ack.map(|ack| (Waited::Incoming, ack))),
            Err(fault) => self.end_with_letter(&envelope, "in", &fault, message.payload),
        }
    }

    /// Through its pipeline, unless a lane of one of several outs is full. `waited`: where, and since when.
    pub(super) fn run(
        &mut self,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        payload: &[u8],
        handed: Option<&Handed<'_>>,
        waited: Option<(Waited, &AckReply<'_>)>,
    ) {
        if self.admits(revision, envelope, waited) {
            if handed.is_none_or(|handed| handed.fan_out.is_none()) {
                self.settlement.note_run(&revision.owner);
            }
            self.steps.run(&mut self.settlement, revision, envelope, payload, handed);
        }
    }

    /// The same of what its own in has brought, whose steps others run where the topology is split.
    fn run_received(
        &mut self,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        payload: &[u8],
        waited: Option<(Waited, &AckReply<'_>)>,
    ) {
        if self.admits(revision, envelope, waited) {
            self.settlement.note_run(&revision.owner);
            self.steps.run_received(&mut self.settlement, revision, envelope, payload);
        }
    }

    fn admits(
        &mut self,
        revision: &Revision,
        envelope: &Envelope<'_>,
        waited: Option<(Waited, &AckReply<'_>)>,
    ) -> bool {
        if envelope.input != InputRef::Core && !revision.backpressure.admits() {
            let fault = Fault::new(Code::LimitBacklog, "the lane of one of its outs is full");
            self.settlement.settle(envelope.input, Outcome::Retry(RETRY_PUBLISH, fault));
            return false;
        }
        if let Some((place, ack)) = waited {
            self.note_wait(revision, place, ack);
        }
        true
    }

    /// Its steps begin; the stream's own timestamp says since when it has waited, whatever node had it before.
    #[inline]
    fn note_wait(&self, revision: &Revision, place: Waited, ack: &AckReply<'_>) {
        if let Some(waited) = age_ms(ack.timestamp_ns / 1_000_000, self.settlement.now_ms()) {
            revision.owner.counters.waited(waited);
            self.settlement.meters().waited(place, waited);
        }
    }

    pub(super) fn end_with_letter(&mut self, envelope: &Envelope<'_>, step: &str, fault: &Fault, payload: &[u8]) {
        let body = Body { bytes: payload, content_type: envelope.content_type };
        self.settlement.dead_letter(envelope, &Letter::new(step, fault, body));
        self.settlement.settle(envelope.input, Outcome::Ok);
    }

    fn open(&mut self, revision: RevisionId, customer: CustomerId, message: &Message<'_>) -> InputRef {
        let (origin, bytes) = (Origin::JetStream, message.payload.len());
        self.settlement.open(&Input { origin, revision, customer, bytes, token: message.reply })
    }
}
