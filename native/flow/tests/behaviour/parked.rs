//! An out that fails for longer: its messages are parked, and come back in order.

use std::time::Duration;

use harness::{Client, Receiver, Server, WAIT_TIMEOUT, eventually};
use serde_json::{Value, json};

use crate::node::{node_with, stat};

fn pipeline(receiver: &Receiver, retry_for: &str) -> Value {
    json!({
        "customer": "acme", "pipeline": "orders",
        "in": {"nats": {"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"}},
        "out": {"http": {"url": receiver.url(), "concurrency": 1, "retry_for": retry_for}},
    })
}

fn quick() -> Value {
    json!({
        "customer": "quick", "pipeline": "quick",
        "in": {"nats": {"subject": "in.quick", "mode": "jetstream", "stream": "IN", "durable": "quick"}},
        "out": {"file": {"path": "quick.ndjson"}},
    })
}

fn client(server: &Server) -> Client {
    let mut client = Client::connect(server);
    client.provision();
    client.make_parked(100_000);
    client.make_stream("IN", "in.>", true, None);
    for name in ["orders", "quick"] {
        client.make_consumer("IN", name, &format!("in.{name}"));
    }
    client
}

fn send(client: &mut Client, subject: &str, numbers: std::ops::Range<u32>) {
    for n in numbers {
        client.publish(subject, &[], format!("{{\"n\": {n}}}").as_bytes());
    }
    client.sync();
}

fn all_streams_are_empty(client: &mut Client) {
    for stream in ["IN", "VRSKY_OUTGOING_T1000_0", "VRSKY_PARKED", "VRSKY_DEAD"] {
        eventually(stream, || (client.count(stream) == 0).then_some(()));
    }
}

#[test]
fn what_an_outage_has_parked_comes_once_and_in_order_and_others_do_not_wait() {
    let server = Server::start();
    let mut client = client(&server);
    let receiver = Receiver::failing();
    let node = node_with(&server, &[pipeline(&receiver, "1h"), quick()], &json!({"park_after": 1}));
    send(&mut client, "in.orders", 0..600);
    eventually("most are parked", || (stat(&node, "orders", "parked") >= 500).then_some(()));
    send(&mut client, "in.quick", 0..100);
    eventually("the other customer has all of it", || (stat(&node, "quick", "delivered") == 100).then_some(()));
    send(&mut client, "in.orders", 600..1_000);
    eventually("all but the one that probes are parked", || (client.count("VRSKY_PARKED") == 999).then_some(()));
    assert_eq!(stat(&node, "orders", "delivered"), 0);
    receiver.recover();
    eventually("some are delivered", || (stat(&node, "orders", "delivered") > 0).then_some(()));
    send(&mut client, "in.orders", 1_000..1_200);
    eventually("all are delivered", || (stat(&node, "orders", "delivered") == 1_200).then_some(()));
    assert_eq!(receiver.numbers(), (0..1_200).collect::<Vec<u32>>());
    all_streams_are_empty(&mut client);
    let mut kinds = Vec::new();
    eventually("it says that it is over", || {
        let events = node.events();
        kinds.extend(events.iter().map(|event| serde_json::to_value(event.kind).unwrap()));
        kinds.contains(&json!("resumed")).then_some(())
    });
    assert!(kinds.contains(&json!("parking")), "{kinds:?}");
    assert!(node.drain(Duration::from_secs(20)));
}

#[test]
fn what_is_parked_keeps_the_url_that_its_steps_gave_it() {
    let server = Server::start();
    let mut client = client(&server);
    let receiver = Receiver::failing();
    let mut orders = pipeline(&receiver, "1h");
    // XML that the default conventions read as another document.
    orders["steps"] = json!([
        {"set": {"o[\"-n\"]": "string(n)"}},
        {"remove": "n"},
        {"convert": {"from": "json", "to": "xml", "attribute_prefix": "-"}},
    ]);
    orders["out"]["http"]["url"] = json!(format!("{}{{o[\"-n\"]}}", receiver.url()));
    let node = node_with(&server, &[orders], &json!({"park_after": 1}));
    send(&mut client, "in.orders", 0..20);
    eventually("all but the one that probes are parked", || (client.count("VRSKY_PARKED") == 19).then_some(()));
    receiver.recover();
    eventually("all are delivered", || (stat(&node, "orders", "delivered") == 20).then_some(()));
    assert_eq!(receiver.numbers(), (0..20).collect::<Vec<u32>>());
    all_streams_are_empty(&mut client);
}

#[test]
fn a_stop_with_parked_messages_is_quick_and_the_next_node_delivers_them() {
    let server = Server::start();
    let mut client = client(&server);
    let receiver = Receiver::failing();
    let first = node_with(&server, &[pipeline(&receiver, "1h")], &json!({"park_after": 1}));
    send(&mut client, "in.orders", 0..400);
    eventually("all but the one that probes are parked", || (client.count("VRSKY_PARKED") == 399).then_some(()));
    // A deadline far beyond the patience of a test: the drain does not use it up.
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(first.drain(Duration::from_secs(3_600))));
    let finished = ended.recv_timeout(WAIT_TIMEOUT).expect("a drain that does not wait for a server that fails");
    assert!(!finished, "one was sent back");
    receiver.recover();
    let second = node_with(&server, &[pipeline(&receiver, "1h")], &json!({}));
    eventually("all are delivered", || (stat(&second, "orders", "delivered") == 400).then_some(()));
    let mut numbers = receiver.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..400).collect::<Vec<u32>>());
    all_streams_are_empty(&mut client);
}

#[test]
fn two_nodes_share_what_is_parked_and_deliver_all_of_it() {
    let server = Server::start();
    let mut client = client(&server);
    let receiver = Receiver::failing();
    let nodes =
        [(); 2].map(|()| node_with(&server, &[pipeline(&receiver, "1h")], &json!({"park_after": 1, "threads": 2})));
    let all = |name: &str| nodes.iter().map(|node| stat(node, "orders", name)).sum::<u64>();
    send(&mut client, "in.orders", 0..600);
    eventually("most are parked", || (client.count("VRSKY_PARKED") >= 590).then_some(()));
    receiver.recover();
    send(&mut client, "in.orders", 600..800);
    eventually("all are delivered", || (all("delivered") >= 800).then_some(()));
    let mut numbers = receiver.numbers();
    numbers.sort_unstable();
    // A shard that had no turn for longer than `ack_wait` may repeat some.
    numbers.dedup();
    assert_eq!(numbers, (0..800).collect::<Vec<u32>>());
    all_streams_are_empty(&mut client);
    // Whoever opened its breaker has closed it: later ones are not parked.
    let mut sent = 0;
    eventually("nothing is parked any more", || {
        let before = all("parked");
        send(&mut client, "in.orders", 1_000 + sent..1_010 + sent);
        sent += 10;
        eventually("they are delivered", || (later(&receiver) == sent as usize).then_some(()));
        (all("parked") == before).then_some(())
    });
}

/// How many different messages from number 1,000 on were delivered.
fn later(receiver: &Receiver) -> usize {
    receiver.numbers().into_iter().filter(|number| *number >= 1_000).collect::<std::collections::HashSet<u32>>().len()
}

#[test]
fn parked_messages_that_are_too_old_are_dead_letters_and_the_next_one_probes() {
    let server = Server::start();
    let mut client = client(&server);
    let receiver = Receiver::failing();
    let node = node_with(&server, &[pipeline(&receiver, "1s")], &json!({"park_after": 1}));
    send(&mut client, "in.orders", 0..500);
    eventually("all are dead letters", || (client.count("VRSKY_DEAD") == 500).then_some(()));
    assert_eq!(stat(&node, "orders", "dead"), 500);
    assert!(stat(&node, "orders", "parked") > 0);
    receiver.recover();
    send(&mut client, "in.orders", 500..510);
    eventually("later ones are delivered", || (stat(&node, "orders", "delivered") == 10).then_some(()));
    assert_eq!(receiver.numbers(), (500..510).collect::<Vec<u32>>());
    eventually("nothing is parked", || (client.count("VRSKY_PARKED") == 0).then_some(()));
}

#[test]
fn what_the_parked_stream_still_holds_although_it_was_acked_comes_again() {
    let server = Server::start();
    let mut client = client(&server);
    client.request("$JS.API.STREAM.DELETE.VRSKY_PARKED", "");
    // One that deletes nothing on an ack, as after a deletion that a full disk has prevented.
    client.make_stream("VRSKY_PARKED", "vrsky.parked.>", false, None);
    let receiver = Receiver::failing();
    let node = node_with(&server, &[pipeline(&receiver, "1h")], &json!({"park_after": 1}));
    send(&mut client, "in.orders", 0..50);
    eventually("all but the one that probes are parked", || (client.count("VRSKY_PARKED") == 49).then_some(()));
    receiver.recover();
    let times = |number: u32| receiver.numbers().iter().filter(|one| **one == number).count();
    eventually("each was brought by two consumers", || (1..50).all(|number| times(number) >= 2).then_some(()));
    client.request("$JS.API.STREAM.PURGE.VRSKY_PARKED", "");
    let before = stat(&node, "orders", "parked");
    eventually("it is over", || {
        let over = |event: &flow::engine::Event| serde_json::to_value(event.kind).unwrap() == json!("resumed");
        node.events().iter().any(over).then_some(())
    });
    send(&mut client, "in.orders", 50..60);
    eventually("later ones are delivered", || (50..60).all(|number| times(number) == 1).then_some(()));
    assert_eq!(stat(&node, "orders", "parked"), before, "and not parked");
}

#[test]
fn what_the_parked_stream_refuses_waits_in_the_lane() {
    let server = Server::start();
    let mut client = client(&server);
    client.request("$JS.API.STREAM.DELETE.VRSKY_PARKED", "");
    client.make_parked(10);
    let receiver = Receiver::failing();
    let node = node_with(&server, &[pipeline(&receiver, "1h")], &json!({"park_after": 1}));
    send(&mut client, "in.orders", 0..50);
    eventually("the stream is full", || (client.count("VRSKY_PARKED") == 10).then_some(()));
    eventually("others come again", || (stat(&node, "orders", "redelivered") > 39).then_some(()));
    receiver.recover();
    eventually("all are delivered", || (stat(&node, "orders", "delivered") == 50).then_some(()));
    let mut numbers = receiver.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<u32>>());
    all_streams_are_empty(&mut client);
}
