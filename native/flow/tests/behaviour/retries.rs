//! How long, and how often, an out tries a message whose server asks to wait.

use flow::engine::Node;
use harness::{Client, Receiver, Server, eventually};
use serde_json::{Value, json};

use crate::node::{node_with, stat};

/// How many messages are sent to an out whose server asks to wait.
const ALL: u64 = 10;

/// Sends them from a stream, which tells how many there are, and waits until all are dead letters.
fn all_are_dead_letters(receiver: &Receiver, key: &str, value: &str) -> (Server, Node) {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let mut http = json!({"url": receiver.url(), "concurrency": 4});
    http[key] = json!(value);
    let node = node_with(&server, &[from_a_stream(&mut client, &http)], &json!({}));
    for _ in 0..ALL {
        client.publish("in.orders", &[], b"{\"n\": 0}");
    }
    client.sync();
    eventually("all are dead letters", || (stat(&node, "orders", "dead") >= ALL).then_some(()));
    (server, node)
}

fn from_a_stream(client: &mut Client, http: &Value) -> Value {
    client.make_stream("IN", "in.>", true, None);
    client.make_consumer("IN", "orders", "in.orders");
    let input = json!({"nats": {"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"}});
    json!({"customer": "acme", "pipeline": "orders", "in": input, "out": {"http": http}})
}

#[test]
fn a_retry_after_far_away_keeps_no_message_beyond_its_retry_for() {
    let receiver = Receiver::asking_to_wait("86400");
    let (_server, _node) = all_are_dead_letters(&receiver, "retry_for", "2s");
    // Each is tried once at first, as far as nobody waits yet, and perhaps once more at its end.
    assert!(receiver.refused() <= 3 * ALL, "{} requests for {ALL} messages", receiver.refused());
}

#[test]
fn an_attempt_that_was_a_messages_last_is_none_to_be_made_again() {
    let receiver = Receiver::asking_to_wait("0");
    let (_server, node) = all_are_dead_letters(&receiver, "retry", "never");
    assert_eq!((stat(&node, "orders", "retried"), receiver.refused()), (0, ALL));
}

#[test]
fn messages_that_are_always_refused_hold_up_no_other_and_alone_become_dead_letters() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_parked(100_000);
    let receiver = Receiver::refusing_below(2);
    let pipeline = from_a_stream(&mut client, &json!({"url": receiver.url(), "retry_for": "3s"}));
    for n in 0..300 {
        client.publish("in.orders", &[], format!("{{\"n\": {n}}}").as_bytes());
    }
    client.sync();
    let node = node_with(&server, &[pipeline], &json!({}));
    eventually("all others are delivered", || (stat(&node, "orders", "delivered") == 298).then_some(()));
    eventually("the two are dead letters", || (client.count("VRSKY_DEAD") == 2).then_some(()));
    assert_eq!((stat(&node, "orders", "parked"), stat(&node, "orders", "dead")), (0, 2));
    assert!(receiver.refused() >= 6, "each was tried again and again: {}", receiver.refused());
}
