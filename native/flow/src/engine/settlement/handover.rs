//! A message between two runs of steps, on the lane of the second one.
//!
//! ```text
//! headers: Customer-ID, Nats-Msg-Id, Vrsky-Handover (version), Vrsky-Revision, Vrsky-Id, -Part, -Redrive, -Resume, -Time
//! payload: the header block of the message as it came │ its payload as it came │ restarts │ the fan-out
//! ```
//!
//! What came travels with what was made of it: dead letters have it, expressions and scripts see its headers, and a node
//! that has another revision begins again with it, so that no message is made of two revisions. Payload and fan-out are
//! of any bytes; the fan-out is written and read by `fan_out/handover.rs`.

use std::rc::Rc;

use message::Fault;
use message::packed::{Unpack, put_bytes, put_number};

use super::Settlement;
use super::headers;
use super::ledger::Meaning;
use super::publish::Destination;
use crate::engine::ids::{Id, IdKey};
use crate::engine::message::Envelope;

/// Of the form of the payload. A node passes over those of another version; a node of that version takes them.
pub const VERSION: u64 = 1;

/// Kept for the next one; what a large one needed beyond is given back.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// What is handed over, and where.
pub struct HandOver<'a> {
    pub subject: &'a str,
    pub stream: &'a Rc<str>,
    pub key: &'a IdKey,
    /// The id of the publish that has brought the message here.
    pub brought_by: &'a [u8],
    pub restarts: u64,
    /// The payload as it came.
    pub source: &'a [u8],
}

/// What is read of it.
#[derive(Clone, Copy, Debug)]
pub struct HandedOver<'a> {
    /// The header block of the message as it came.
    pub block: &'a [u8],
    pub source: &'a [u8],
    /// How often it has begun anew, since a node had another revision.
    pub restarts: u64,
    pub fan_out: &'a [u8],
}

impl<'a> HandedOver<'a> {
    /// `None` when the bytes are not of that form.
    #[must_use]
    pub fn read(payload: &'a [u8]) -> Option<HandedOver<'a>> {
        let mut from = Unpack(payload);
        let (block, source, restarts) = (from.bytes()?, from.bytes()?, from.number()?);
        Some(HandedOver { block, source, restarts, fan_out: from.0 })
    }
}

impl Settlement {
    /// Publishes a message to the lane of its next run of steps; its input waits for the PubAck.
    ///
    /// # Errors
    /// It is too large: what is left has to be done here.
    pub fn hand_over(
        &mut self,
        envelope: &Envelope<'_>,
        to: &HandOver<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Fault> {
        let owner = envelope.owner;
        let key = to.key.brought_by(to.brought_by);
        let id = Id::derived(owner.customer(), &key, envelope.id, envelope.part, envelope.redrive);
        let block = self.block.start(owner.customer()).put(headers::PUBLISH_ID, id.as_bytes());
        block.put_number(headers::HANDOVER, VERSION).put(headers::REVISION, owner.revision().as_bytes());
        block.put_identity(envelope).put_time(envelope.time_ms);
        if let Some(resume) = envelope.resume {
            block.put(headers::RESUME, resume.as_bytes());
        }
        block.end();
        let mut payload = std::mem::take(&mut self.handover);
        payload.clear();
        put_bytes(&mut payload, envelope.headers.block());
        put_bytes(&mut payload, to.source);
        put_number(&mut payload, to.restarts);
        write(&mut payload);
        let stream = Some(Rc::clone(to.stream));
        let destination = Destination { subject: to.subject, stream, is_users: false, meaning: Meaning::Stored };
        let fits = self.check_size(&payload);
        let published = fits.and_then(|()| self.publish(envelope.input, owner, &destination, &payload));
        payload.shrink_to(MAX_KEPT_BYTES);
        self.handover = payload;
        published.map(drop)
    }
}
