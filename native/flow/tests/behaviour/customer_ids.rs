//! Whose a message is: its subject decides, and another `Customer-ID` makes it a dead letter.

use harness::{Client, Server, eventually};
use serde_json::{Value, json};

use crate::node::{node, stat};

#[test]
fn a_customer_id_that_is_not_the_subjects_is_a_dead_letter_from_wherever_it_comes() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "durable.>", true, None);
    client.make_consumer("IN", "orders", "durable.orders");
    client.subscribe("out.*");
    let pipeline = |name: &str, source: Value| {
        let target = json!({"nats": {"subject": format!("out.{name}")}});
        json!({"customer": "acme", "pipeline": name, "in": {"nats": source}, "out": target})
    };
    let durable = json!({"subject": "durable.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"});
    let pipelines = [pipeline("core", json!({"subject": "in.orders"})), pipeline("durable", durable)];
    let node = node(&server, &pipelines);
    eventually("the node is subscribed", || {
        client.publish("in.orders", &[("Customer-ID", "evil")], b"{}");
        (stat(&node, "core", "received") > 0).then_some(())
    });
    client.publish("durable.orders", &[("Customer-ID", "evil")], b"{}");
    client.publish("durable.orders", &[("Customer-ID", "acme")], b"{}");
    let passed = client.receive();
    assert_eq!((&*passed.subject, passed.header("Customer-ID").as_deref()), ("out.durable", Some("acme")));
    for name in ["core", "durable"] {
        eventually("a dead letter", || (stat(&node, name, "dead") > 0).then_some(()));
    }
    // The subscriber has it before the server has confirmed it to the node.
    eventually("it is delivered", || (stat(&node, "durable", "delivered") == 1).then_some(()));
    assert_eq!(stat(&node, "core", "delivered"), 0);
}

#[test]
fn messages_that_a_lane_holds_without_an_id_are_told_apart_and_the_subject_decides_whose_they_are() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("vrsky.dead.>");
    let pipeline = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "steps": [{"filter": "n > 0"}], "out": {"file": {"path": "out.ndjson"}},
    });
    let node = node(&server, &[pipeline]);
    for customer in ["acme", "acme", "evil", "evil"] {
        client.publish("vrsky.logic.t10000.0.acme.orders.in", &[("Customer-ID", customer)], b"{\"n\": 1}");
    }
    for _ in 0..2 {
        let dead = client.receive();
        assert_eq!(dead.header("Vrsky-Code").as_deref(), Some("tenant/mismatch"));
        assert_eq!(dead.header("Customer-ID").as_deref(), Some("acme"));
    }
    eventually("both are delivered", || (stat(&node, "orders", "delivered") == 2).then_some(()));
    // The subscriber has them before the stream has.
    eventually("both are stored", || (client.count("VRSKY_DEAD") == 2).then_some(()));
}
