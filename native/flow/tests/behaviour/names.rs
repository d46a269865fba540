//! Customers and pipelines whose names give the same text when a hyphen joins them, and customers that use the
//! same name for a thing of their own.

use std::time::Duration;

use harness::{Client, Server, eventually};
use serde_json::{Value, json};

use crate::node::{node, node_with, stat};

/// `acme-eu-orders`, both of them.
const PAIRS: [(&str, &str); 2] = [("acme", "eu-orders"), ("acme-eu", "orders")];

fn pipelines(input: &Value, out: impl Fn(&str) -> Value) -> Vec<Value> {
    let pipeline = |(customer, name): (&str, &str)| json!({"customer": customer, "pipeline": name, "in": input, "out": out(&format!("{customer}.{name}"))});
    PAIRS.map(pipeline).to_vec()
}

/// The number of messages that are sent until both pipelines are subscribed.
const FIRST: u64 = 1_000_000;

/// The numbers of `count` messages, sorted, by the subject they came on. Those that waited for subscribers do not count.
fn received(client: &mut Client, count: usize) -> [Vec<u64>; 2] {
    let mut numbers = [Vec::new(), Vec::new()];
    while numbers.iter().map(Vec::len).sum::<usize>() < count {
        let got = client.receive();
        let place = PAIRS.iter().position(|(customer, name)| got.subject == format!("out.{customer}.{name}"));
        let number = got.json()["n"].as_u64().unwrap();
        if number != FIRST {
            numbers[place.unwrap()].push(number);
        }
    }
    numbers.iter_mut().for_each(|numbers| numbers.sort_unstable());
    numbers
}

#[test]
fn a_core_subject_reaches_both_pipelines_and_each_of_them_once() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("out.>");
    let out = |name: &str| json!({"nats": {"subject": format!("out.{name}")}});
    let pipelines = pipelines(&json!({"nats": {"subject": "shop.orders"}}), out);
    // Two shards of two nodes: what they share is a pipeline's messages.
    let nodes = [1, 2].map(|_| node_with(&server, &pipelines, &json!({"threads": 2})));
    eventually("both pipelines are subscribed", || {
        client.publish("shop.orders", &[], format!("{{\"n\": {FIRST}}}").as_bytes());
        let is_read = |name: &str| nodes.iter().any(|node| stat(node, name, "received") > 0);
        PAIRS.iter().all(|(_, name)| is_read(name)).then_some(())
    });
    for n in 0..50 {
        client.publish("shop.orders", &[], format!("{{\"n\": {n}}}").as_bytes());
    }
    let all: Vec<u64> = (0..50).collect();
    assert_eq!(received(&mut client, 100), [all.clone(), all]);
    assert!(nodes.iter().all(|node| node.drain(Duration::from_secs(10))));
}

#[test]
fn a_dead_letter_of_an_out_called_in_is_not_one_of_the_in() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("vrsky.dead.>");
    let pipeline = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/in"}},
        "steps": [{"route": [{"to": "in"}]}], "out": {"in": {"file": {"path": "out.ndjson"}}},
    });
    let _node = node(&server, &[pipeline]);
    for (lane, step) in [("logic", "in"), ("outgoing", "out:in")] {
        let subject = format!("vrsky.{lane}.t1000.0.acme.orders.in");
        client.publish(&subject, &[("Customer-ID", "evil"), ("Nats-Msg-Id", "1")], b"{}");
        let dead = client.receive();
        assert_eq!(dead.header("Vrsky-Step").as_deref(), Some(step));
        assert_eq!(dead.subject, format!("vrsky.dead.acme.orders.{step}"));
    }
}
