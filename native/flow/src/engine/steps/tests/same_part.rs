//! Two revisions have made different outputs of one part: a node was killed between them. Each counts.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use serde_json::json;

use super::*;
use crate::engine::ids::IdKey;
use crate::engine::message::{Body, QueueId};
use crate::engine::settlement::{Forward, Letter, Parking};

/// A message of the lane twice, and one that another revision has made.
const BROUGHT: [&[u8]; 3] = [
    b"NATS/1.0\r\nNats-Msg-Id: acme.1\r\n\r\n",
    b"NATS/1.0\r\nNats-Msg-Id: acme.1\r\n\r\n",
    b"NATS/1.0\r\nNats-Msg-Id: acme.2\r\n\r\n",
];

fn stream_out() -> Value {
    json!({"nats": {"subject": "out.acme", "mode": "jetstream", "stream": "OUT"}})
}

/// The `Nats-Msg-Id` of what `publish` publishes for each.
fn ids(mut publish: impl FnMut(&mut Settlement, &Envelope<'_>)) -> Vec<String> {
    let mut shard = Shard::new(&json!([]), &stream_out(), &json!({}));
    let revision = Rc::clone(&shard.revision);
    let each = BROUGHT.map(|block| {
        let input = shard.open();
        let headers = Headers::new(block);
        publish(&mut shard.settlement, &Envelope { headers, ..envelope(&revision.owner, input) });
        let sent = shard.sent();
        assert_eq!(sent.len(), 1);
        sent[0].header("Nats-Msg-Id").unwrap().to_owned()
    });
    each.into()
}

fn assert_are_told_apart(ids: &[String]) {
    assert_eq!(ids[0], ids[1], "the same again is no repetition to the stream");
    assert_ne!(ids[0], ids[2], "another output would be dropped as a repetition");
}

#[test]
fn they_are_parked_beside_each_other() {
    let key = IdKey::new(&["park", "orders", "default"]);
    let parked = ids(|settlement, envelope| {
        let subject = "vrsky.parked.acme.orders.default";
        let parking = Parking { queue: QueueId::default(), subject, key: &key, spent: Duration::ZERO };
        assert!(settlement.park(envelope, &parking, b"{}"));
    });
    assert_are_told_apart(&parked);
}

#[test]
fn they_are_dead_letters_beside_each_other() {
    let fault = Fault::new(Code::DeliverRetriesExhausted, "400");
    let letters = ids(|settlement, envelope| {
        let body = Body { bytes: b"{}", content_type: "application/json" };
        settlement.dead_letter(envelope, &Letter::new("out:default", &fault, body));
    });
    assert_are_told_apart(&letters);
}

#[test]
fn they_are_in_the_stream_of_a_nats_out_beside_each_other() {
    let revision = revision(&json!([]), &stream_out(), &json!({}));
    let target = revision.target("default").unwrap();
    let forwarded = ids(|settlement, envelope| {
        let stream = Some("OUT".into());
        let forward = Forward { target, subject: "out.acme", is_confirmed: true, expected: None, stream };
        settlement.forward(envelope, &forward, b"{}").unwrap();
    });
    assert_are_told_apart(&forwarded);
}

#[test]
fn they_are_in_the_lane_beside_each_other_when_they_are_sent_again() {
    let revision = revision(&json!([]), &stream_out(), &json!({}));
    let target = revision.target("default").unwrap();
    let published = ids(|settlement, envelope| {
        let envelope = Envelope { redrive: 1, ..*envelope };
        let body = Body { bytes: b"{}", content_type: "application/json" };
        settlement.emit(&envelope, target, body, None).unwrap();
    });
    assert_are_told_apart(&published);
}
