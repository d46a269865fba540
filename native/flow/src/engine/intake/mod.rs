//! From a frame of the connection to the message that it is.
//!
//! ```text
//! lane: subject ─► whose? ─► known: Envelope, its header has to agree
//!                    └─ not here: Unknown ─► offered again ─► after a minute: set aside
//! a pipeline's own NATS in: place in the stream, or random ─► Envelope
//! ```
//!
//! The subject is the authority for the customer.

mod unknown;

use std::time::Duration;

use message::{Code, Fault, Headers};
use nats::Message;
use nats::jetstream::AckReply;

pub use unknown::{Unknown, UnknownAction};

use super::ids::Id;
use super::message::{Envelope, InputRef, Owner};
use super::observe::Metric;
use super::settlement::ParsedHeaders;
use super::subjects::LaneType;

/// A message that was delivered this often has crashed nodes for days, or met a defect of ours. Far above what a
/// message comes to that was sent back for a week.
const MAX_DELIVERIES: u64 = 100_000;

/// Written by the server where it leaves the payload out.
const PAYLOAD_SIZE: &str = "Nats-Msg-Size";

/// A message that nobody here knows is offered again after this, at first: another node may know it.
const UNKNOWN_DELAY: Duration = Duration::from_millis(20);
const MAX_DOUBLINGS: u64 = 10;

/// When a message that was delivered so often is offered again, as settlement's delays grow: after 0.02, 0.08, 0.24,
/// 0.64, 1.6, 3.8, 9 and then 20 to 30 s. It comes late by about as much as it has waited already.
#[must_use]
pub fn unknown_delay(delivered: u64) -> Duration {
    UNKNOWN_DELAY * (1 << delivered.saturating_sub(1).min(MAX_DOUBLINGS))
}

/// A message as the connection brought it, its headers read.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub headers: Headers<'a>,
    pub parsed: ParsedHeaders<'a>,
}

impl<'a> Arrival<'a> {
    #[must_use]
    pub fn new(message: &Message<'a>) -> Arrival<'a> {
        Arrival::of(message.headers)
    }

    /// Of a header block.
    #[must_use]
    pub fn of(block: &'a [u8]) -> Arrival<'a> {
        let headers = Headers::new(block);
        Arrival { headers, parsed: ParsedHeaders::of(headers) }
    }

    /// The id of a message in one of our lanes; its place there when it came without one.
    #[must_use]
    pub fn lane_id(&self, owner: &Owner, ack: &AckReply<'_>, own: &'a mut Option<Id>) -> &'a str {
        self.parsed.lane_id().unwrap_or_else(|| own.insert(owner.place(ack)).as_str())
    }

    /// A message of one of our lanes, or a parked one.
    #[must_use]
    pub fn lane_envelope(&self, owner: &'a Owner, input: InputRef, id: &'a str, now_ms: u64) -> Envelope<'a> {
        let mut envelope = self.envelope(owner, input, id, now_ms);
        envelope.part = self.parsed.part.unwrap_or_default();
        envelope.redrive = self.parsed.redrive;
        envelope.resume = self.parsed.resume;
        envelope.time_ms = self.parsed.time_ms.unwrap_or(now_ms);
        envelope
    }

    /// A message between two runs of steps, as it was before the first: `came` has its own headers.
    #[must_use]
    pub fn handed_over_envelope(
        &self,
        owner: &'a Owner,
        input: InputRef,
        id: &'a str,
        came: &Arrival<'a>,
        now_ms: u64,
    ) -> Envelope<'a> {
        let (headers, foreign) = (came.headers, came.parsed.foreign);
        let content_type = came.parsed.content_type.unwrap_or_default();
        Envelope { headers, foreign, content_type, ..self.lane_envelope(owner, input, id, now_ms) }
    }

    /// A message of a pipeline's own in. What it says of itself under our names is nobody's word.
    #[must_use]
    pub fn envelope(&self, owner: &'a Owner, input: InputRef, id: &'a str, now_ms: u64) -> Envelope<'a> {
        Envelope {
            owner,
            input,
            id,
            part: 0,
            redrive: 0,
            resume: None,
            headers: self.headers,
            foreign: self.parsed.foreign,
            content_type: self.parsed.content_type.unwrap_or_default(),
            time_ms: now_ms,
        }
    }

    /// Whether the header names the customer of the subject. `lane`: where it has to be there.
    ///
    /// # Errors
    /// `tenant/mismatch`; `deliver/too-many-deliveries`.
    pub fn check(&self, owner: &Owner, lane: Option<(LaneType, &AckReply<'_>)>) -> Result<(), Fault> {
        let named = match (self.parsed.customer, lane) {
            (Some(named), _) => named,
            (None, Some(_)) => "",
            (None, None) => return Ok(()),
        };
        if named != owner.customer() {
            return Err(Fault::new(Code::TenantMismatch, format!("the header says `{}`", named.escape_debug())));
        }
        match lane {
            Some((lane_type, ack)) if lane_type.is_for_steps() && ack.delivered > MAX_DELIVERIES => {
                Err(Fault::new(Code::DeliverTooManyDeliveries, format!("delivered {} times", ack.delivered)))
            }
            _ => Ok(()),
        }
    }
}

/// The length of a payload that its durable keeps back (`headers_only`, ADR-8 of NATS): `control/durables.py` refuses such
/// a durable, and somebody may have changed it since.
#[must_use]
pub fn withheld(message: &Message<'_>) -> Option<usize> {
    if !message.payload.is_empty() {
        return None;
    }
    let size = Headers::new(message.headers).get_str(PAYLOAD_SIZE)?.parse().ok()?;
    (size > 0).then_some(size)
}

/// Counts a message that came before.
pub fn count_redelivered(owner: &Owner, delivered: u64) {
    if delivered > 1 {
        owner.counters.add(Metric::Redelivered, 1);
    }
}

/// Counts a message that a pipeline's own NATS in has brought.
pub fn count_received(owner: &Owner, payload: &[u8], delivered: u64) {
    if delivered > 1 {
        count_redelivered(owner, delivered);
    } else {
        owner.counters.add(Metric::Received, 1);
        owner.counters.add(Metric::ReceivedBytes, payload.len() as u64);
    }
}
