//! Headers that are larger than what a stream takes.

use harness::{Client, Server, eventually};
use serde_json::{Value, json};

use crate::node::{node, stat};

/// A pipeline from a stream or from core NATS, whose second message fails.
fn orders(input: &Value) -> Value {
    json!({"customer": "acme", "pipeline": "orders", "in": {"nats": input},
        "steps": [{"filter": "n > 0"}], "out": {"file": {"path": "orders.ndjson"}}})
}

#[test]
fn a_message_whose_headers_no_stream_takes_is_a_dead_letter_without_them() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    client.make_consumer("IN", "orders", "in.orders");
    let mut dead = Client::connect(&server);
    dead.subscribe("vrsky.dead.>");
    dead.sync();
    let core = orders(&json!({"subject": "core.orders"}));
    let stream = orders(&json!({"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"}));
    for (pipeline, subject, bytes) in [(core, "core.orders", 70_000), (stream, "in.orders", 65_480)] {
        let node = node(&server, &[pipeline]);
        let text = "x".repeat(bytes);
        eventually("it is taken in", || {
            client.publish(subject, &[], br#"{"n": 0}"#);
            (stat(&node, "orders", "filtered") > 0).then_some(())
        });
        client.publish(subject, &[("X", &text)], br#"{"n": 1}"#);
        client.publish(subject, &[("X", &text)], b"no JSON");
        for _ in 0..2 {
            let letter = dead.receive();
            let code = letter.header("Vrsky-Code").unwrap();
            assert!(code.starts_with("json/") || code == "nats/max-headers", "{code}");
            let omitted: usize = letter.header("Vrsky-Omitted-Headers").unwrap().parse().unwrap();
            assert!((bytes..bytes + 10).contains(&omitted) && letter.header("X").is_none());
            assert!(!letter.payload.is_empty());
        }
        assert_eq!((stat(&node, "orders", "dead"), stat(&node, "orders", "lost")), (2, 0));
        eventually("both are acked", || (client.count("IN") == 0).then_some(()));
    }
}
