//! Messages that wait in `VRSKY_PARKED`: for an out that fails, or for a pipeline or an out that is not here.

use std::rc::Rc;
use std::time::Duration;

use message::Headers;

use super::Settlement;
use super::headers;
use super::ledger::{Meaning, Outcome};
use super::publish::Destination;
use crate::engine::canary::CANARY;
use crate::engine::ids::{Id, IdKey};
use crate::engine::message::{Envelope, InputRef, QueueId};

/// What parking a message needs to know of its out.
pub struct Parking<'a> {
    pub queue: QueueId,
    pub subject: &'a str,
    pub key: &'a IdKey,
    /// How long the message has been tried for.
    pub spent: Duration,
}

impl Settlement {
    /// Moves a message to the parked ones of its out; its input is acked with the PubAck. `false` when that cannot
    /// be done now.
    pub fn park(&mut self, envelope: &Envelope<'_>, parking: &Parking<'_>, payload: &[u8]) -> bool {
        if !self.connected || envelope.input == InputRef::Core {
            return false;
        }
        let owner = envelope.owner;
        // The same again after a crash; another one every time that the message comes back.
        let id = headers::next_id(envelope, parking.key);
        let spent = u64::try_from(parking.spent.as_millis()).unwrap_or(u64::MAX);
        let block = self.block.start(owner.customer());
        block.put(headers::PUBLISH_ID, id.as_bytes()).put_identity(envelope);
        if !envelope.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, envelope.content_type.as_bytes());
        }
        for name in [headers::URL, headers::RESUME, CANARY] {
            if let Some(value) = envelope.headers.get(name) {
                block.put(name, value);
            }
        }
        block.put_time(envelope.time_ms).put_number(headers::SPENT, spent);
        block.pass(envelope).end();
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
        let message = parsed.publish_id.and_then(|id| std::str::from_utf8(id).ok()).unwrap_or(place);
        let id = Id::derived(customer, &IdKey::new(&["aside", subject]), message, 0, parsed.redrive);
        let is_passed = |name: &[u8]| {
            ![headers::CUSTOMER, headers::ID, headers::PART].iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
                && !name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"nats-"))
        };
        let block = self.block.start(customer).put(headers::PUBLISH_ID, id.as_bytes());
        // With its part, or this publish's id would be taken for the message's when it comes back.
        block.put(headers::ID, parsed.lane_id().unwrap_or(place).as_bytes());
        block.put_number(headers::PART, parsed.part.unwrap_or_default());
        block.pass_if(headers, is_passed).end();
        let stream = Some(Rc::clone(&self.parked_stream));
        let to = Destination { subject, stream, is_users: false, meaning: Meaning::Stored };
        let fits = self.check_size(payload).and_then(|()| self.check_headers());
        let published = fits.and_then(|()| self.publish_entry(entry, &to, None, payload));
        if published.is_ok() {
            self.settle(input, Outcome::Ok);
        }
        published.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::message::{CustomerId, RevisionId};
    use crate::engine::observe::Events;
    use crate::engine::settlement::headers::ParsedHeaders;
    use crate::engine::settlement::{Input, Origin};

    const ACK: &[u8] = b"$JS.ACK.IN.orders.1.7.9.1700000000000000000.3";

    /// The id and the part under which a message of a lane comes back from the parked ones.
    fn back(block: &str) -> (Option<String>, Option<u64>) {
        let mut settlement = Settlement::new("s", [0; 32], fastrand::Rng::with_seed(1), Arc::new(Events::default()), 1);
        settlement.subscribe(1 << 20, &mut Vec::new());
        let (revision, customer) = (RevisionId::default(), CustomerId::default());
        let input = settlement.open(&Input { origin: Origin::JetStream, revision, customer, bytes: 1, token: ACK });
        let headers = Headers::new(block.as_bytes());
        assert!(settlement.set_aside(input, "vrsky.parked.acme.orders._in", headers, "9", b"{}"));
        let wire = String::from_utf8(settlement.wire.clone()).unwrap();
        let start = wire.find("NATS/1.0").unwrap();
        let parsed = ParsedHeaders::of(Headers::new(&settlement.wire[start..]));
        (parsed.lane_id().map(str::to_owned), parsed.part)
    }

    #[test]
    fn a_message_that_is_set_aside_keeps_its_id_and_its_part() {
        for (lines, id, part) in [
            // As an in stores it, as a lane has it, as a program before this one wrote it, and from somebody else.
            ("Nats-Msg-Id: acme.1\r\n", "acme.1", 0),
            ("Nats-Msg-Id: acme.1\r\nVrsky-Id: acme.2\r\nVrsky-Part: 3\r\n", "acme.2", 3),
            ("Nats-Msg-Id: acme.1\r\nVrsky-Id: acme.2\r\n", "acme.1", 0),
            ("", "9", 0),
        ] {
            let block = format!("NATS/1.0\r\nCustomer-ID: acme\r\n{lines}\r\n");
            let before = ParsedHeaders::of(Headers::new(block.as_bytes())).lane_id().map(str::to_owned);
            assert_eq!(back(&block), (Some(id.to_owned()), Some(part)));
            assert!(before.is_none_or(|before| before == id));
        }
    }
}
