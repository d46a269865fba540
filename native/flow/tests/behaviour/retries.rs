//! How long, and how often, an out tries a message whose server asks to wait.

use flow::engine::Node;
use harness::{Client, Receiver, Server, eventually};
use serde_json::json;

use crate::node::{node_with, stat};

/// Sends some to an out whose server asks to wait, and gives how many of them were dead letters in the end.
fn all_are_dead_letters(receiver: &Receiver, key: &str, value: &str) -> (Server, Node, u64) {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let mut http = json!({"url": receiver.url(), "concurrency": 4});
    http[key] = json!(value);
    let input = json!({"nats": {"subject": "in.orders"}});
    let pipeline = json!({"customer": "acme", "pipeline": "orders", "in": input, "out": {"http": http}});
    let node = node_with(&server, &[pipeline], &json!({}));
    send(&node, &mut client, 10);
    let all = stat(&node, "orders", "received");
    eventually("all are dead letters", || (stat(&node, "orders", "dead") >= all).then_some(()));
    (server, node, all)
}

fn send(node: &Node, client: &mut Client, count: u64) {
    eventually("the node is subscribed", || {
        client.publish("in.orders", &[], b"{\"n\": 0}");
        (stat(node, "orders", "received") > 0).then_some(())
    });
    while stat(node, "orders", "received") < count {
        client.publish("in.orders", &[], b"{\"n\": 0}");
        client.sync();
    }
}

#[test]
fn a_retry_after_far_away_keeps_no_message_beyond_its_retry_for() {
    let receiver = Receiver::asking_to_wait("86400");
    let (_server, _node, all) = all_are_dead_letters(&receiver, "retry_for", "2s");
    // Each is tried once at first, as far as nobody waits yet, and perhaps once more at its end.
    assert!(receiver.refused() <= 3 * all, "{} requests for {all} messages", receiver.refused());
}

#[test]
fn an_attempt_that_was_a_messages_last_is_none_to_be_made_again() {
    let receiver = Receiver::asking_to_wait("0");
    let (_server, node, all) = all_are_dead_letters(&receiver, "retry", "never");
    assert_eq!((stat(&node, "orders", "retried"), receiver.refused()), (0, all));
}

#[test]
fn messages_that_are_always_refused_hold_up_no_other_and_alone_become_dead_letters() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_parked(100_000);
    client.make_stream("IN", "in.>", true, None);
    client.make_consumer("IN", "orders", "in.orders");
    let receiver = Receiver::refusing_below(2);
    let http = json!({"url": receiver.url(), "retry_for": "3s"});
    let input = json!({"nats": {"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"}});
    let pipeline = json!({"customer": "acme", "pipeline": "orders", "in": input, "out": {"http": http}});
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
