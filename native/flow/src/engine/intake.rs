//! What the NATS connection brings: from a frame to the message it is.
//!
//! ```text
//! sid 1       PubAck ──► ledger
//! sid 10+n    pull n ──► status, or a message:
//!                 lane logic     ──► whose? by subject ──► run
//!                 lane outgoing  ──► whose? by subject ──► the out's queue
//!                 a NATS in      ──► run
//! others      a core NATS in ──► run
//! ```

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault, Headers};
use nats::Message;
use nats::jetstream::{AckReply, PubAck, PullStatus};

use super::core::{Core, Envelope};
use super::events::EventKind;
use super::headers::Known;
use super::ids::MessageId;
use super::install::Installed;
use super::ledger::{Origin, Outcome};
use super::metrics::Metric;
use super::publish::Parent;
use super::pulls::Feed;
use super::subjects::{self, Address, LaneType};

pub const PUB_ACKS: u64 = 1;
pub const FIRST_PULL: u64 = 10;
/// Core NATS ins count from here; far above any number of pulls.
pub const FIRST_SUBJECT: u64 = 1 << 20;

/// A message that nobody here knows waits this long for an install, then is offered again.
const UNKNOWN_DELAY: Duration = Duration::from_secs(1);
/// A message that was delivered this often has crashed nodes for days, or met a defect of ours. Far above what a
/// message comes to that was sent back for a week: see `core::later`.
const MAX_DELIVERIES: u64 = 100_000;

impl Core {
    /// One message of the connection.
    pub fn on_message(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        match message.sid {
            PUB_ACKS => {
                if let Some(receipt) = self.publisher.inbox.receipt(message.subject) {
                    let answer = PubAck::parse(message.headers, message.payload);
                    self.on_pub_ack(receipt, answer.map(|_| ()), out);
                }
            }
            sid if sid >= FIRST_SUBJECT => self.on_core_message(sid, message, out),
            sid => self.on_pulled((sid - FIRST_PULL) as usize, message, out),
        }
    }

    fn on_pulled(&mut self, number: usize, message: &Message<'_>, out: &mut Vec<u8>) {
        let tick = self.publisher.tick;
        let Some(ack) = AckReply::parse(message.reply) else {
            if let Some(status) = PullStatus::parse(message.headers, message.payload) {
                self.pulls.on_status(number, &status, tick);
            }
            return;
        };
        self.pulls.on_message(number, tick);
        let Some(feed) = self.pulls.feed(number).cloned() else { return };
        let parent = self.enter(Origin::JetStream, message.reply);
        match feed {
            Feed::Parked(queue) => self.on_parked(&queue, parent, message, out),
            Feed::Lane(lane_type) => self.on_lane_message(lane_type, parent, &ack, message, out),
            Feed::Binding(installed) => {
                let headers = Headers::new(message.headers);
                let known = Known::of(headers);
                let mut own = None;
                let id = known.id.unwrap_or_else(|| own.insert(id_in_stream(&installed, &ack)).as_str());
                if ack.delivered > 1 {
                    installed.counters.add(Metric::Redelivered, 1);
                } else {
                    count_received(&installed, message.payload);
                }
                let envelope = self.envelope(&installed, parent, id, headers, &known);
                if !self.has_no_room(&envelope, out) {
                    self.receive(&envelope, &known, message.payload, out);
                }
            }
        }
    }

    fn on_lane_message(
        &mut self,
        lane_type: LaneType,
        parent: Parent,
        ack: &AckReply<'_>,
        message: &Message<'_>,
        out: &mut Vec<u8>,
    ) {
        let headers = Headers::new(message.headers);
        let Some(address) = subjects::parse(message.subject) else {
            // Nothing of ours writes such a subject; it would come again for ever.
            self.settle(parent, Outcome::Ok, out);
            return;
        };
        let Some(installed) = self.find(&address) else {
            let fault = Fault::new(Code::TenantUnknownPipeline, "not installed on this node");
            self.settle(parent, Outcome::Retry(UNKNOWN_DELAY, fault), out);
            return;
        };
        let known = Known::of(headers);
        let mut own = None;
        let id = known.id.unwrap_or_else(|| own.insert(id_in_stream(&installed, ack)).as_str());
        let envelope = Envelope {
            root: known.root.unwrap_or(id),
            time_ms: known.time_ms.unwrap_or(self.now_ms),
            ..self.envelope(&installed, parent, id, headers, &known)
        };
        if ack.delivered > 1 {
            installed.counters.add(Metric::Redelivered, 1);
        }
        if let Err(fault) = admit(&envelope, &known, ack, lane_type) {
            let step = match lane_type {
                LaneType::Logic => address.step.to_owned(),
                // An out may be called `in`.
                LaneType::Outgoing => format!("out:{}", address.step),
            };
            self.dead_letter(&envelope, &step, &fault, 0, message.payload, out);
            self.settle(parent, Outcome::Ok, out);
            return;
        }
        match lane_type {
            LaneType::Logic if self.has_no_room(&envelope, out) => {}
            LaneType::Logic => self.run(&envelope, message.payload, out),
            LaneType::Outgoing => self.on_outgoing(&envelope, address.step, message.payload, out),
        }
    }

    /// A message of a pipeline's own NATS in.
    fn receive(&mut self, envelope: &Envelope<'_>, known: &Known<'_>, payload: &[u8], out: &mut Vec<u8>) {
        self.event(EventKind::Received, envelope, "", None, payload.len());
        if let Some(named) = known.customer
            && let Err(fault) = belongs(envelope, named)
        {
            self.dead_letter(envelope, "in", &fault, 0, payload, out);
            self.settle(envelope.parent, Outcome::Ok, out);
            return;
        }
        self.run(envelope, payload, out);
    }

    fn on_core_message(&mut self, sid: u64, message: &Message<'_>, out: &mut Vec<u8>) {
        let Some(installed) = self.subjects.get(&sid).map(Rc::clone) else { return };
        count_received(&installed, message.payload);
        let headers = Headers::new(message.headers);
        let known = Known::of(headers);
        let mut own = None;
        let fresh = || MessageId::random(installed.customer(), installed.name());
        let id = known.id.unwrap_or_else(|| own.insert(fresh()).as_str());
        let envelope = self.envelope(&installed, Parent::Core, id, headers, &known);
        self.receive(&envelope, &known, message.payload, out);
    }

    fn envelope<'a>(
        &self,
        installed: &'a Rc<Installed>,
        parent: Parent,
        id: &'a str,
        headers: Headers<'a>,
        known: &Known<'a>,
    ) -> Envelope<'a> {
        Envelope {
            installed,
            parent,
            id,
            root: id,
            headers,
            content_type: known.content_type.unwrap_or_default(),
            time_ms: self.now_ms,
        }
    }

    /// The pipeline of this name; the last one found is remembered, since lanes bring runs.
    fn find(&mut self, address: &Address<'_>) -> Option<Rc<Installed>> {
        if let Some(last) = &self.last
            && last.name() == address.pipeline
            && last.customer() == address.customer
        {
            return Some(Rc::clone(last));
        }
        let found = self.pipelines.get(address.key).map(Rc::clone)?;
        self.last = Some(Rc::clone(&found));
        Some(found)
    }
}

/// The id of a message that came without one: where it stands in its stream.
fn id_in_stream(installed: &Installed, ack: &AckReply<'_>) -> MessageId {
    let mut place = ack.stream.to_vec();
    place.push(b' ');
    nats::protocol::write_number(&mut place, ack.stream_sequence);
    MessageId::ingress(installed.customer(), installed.name(), &place)
}

/// The key of a pipeline in the registry.
#[must_use]
pub fn key(customer: &str, name: &str) -> String {
    format!("{customer}.{name}")
}

fn count_received(installed: &Installed, payload: &[u8]) {
    installed.counters.add(Metric::Received, 1);
    installed.counters.add(Metric::ReceivedBytes, payload.len() as u64);
}

/// The subject is the authority for the customer; the header may not say another one.
fn belongs(envelope: &Envelope<'_>, named: &str) -> Result<(), Fault> {
    if named == envelope.installed.customer() {
        return Ok(());
    }
    Err(Fault::new(Code::TenantMismatch, format!("the header says `{}`", named.escape_debug())))
}

/// Whether a lane's message may be worked on: the header has to say what the subject says.
fn admit(envelope: &Envelope<'_>, known: &Known<'_>, ack: &AckReply<'_>, lane_type: LaneType) -> Result<(), Fault> {
    belongs(envelope, known.customer.unwrap_or_default())?;
    if lane_type == LaneType::Logic && ack.delivered > MAX_DELIVERIES {
        return Err(Fault::new(Code::DeliverTooManyDeliveries, format!("delivered {} times", ack.delivered)));
    }
    Ok(())
}
