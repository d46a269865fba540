//! Core NATS in: nobody keeps its messages, so none may fall between two subscriptions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flow::engine::Node;
use harness::{Client, Server, eventually};
use serde_json::{Value, json};

use crate::node::{install, node_with, stat};

/// Two `version`s are two revisions. Probes have a negative number.
fn pipeline(subject: &str, version: u32) -> Value {
    json!({
        "customer": "acme", "pipeline": "orders", "in": {"nats": {"subject": subject}},
        "steps": [{"filter": "n >= 0"}, {"set": {"version": version.to_string()}}],
        "out": {"nats": {"subject": "out.orders", "mode": "jetstream", "stream": "OUT"}},
    })
}

fn client(server: &Server) -> Client {
    let mut client = Client::connect(server);
    client.provision();
    client.make_stream("OUT", "out.>", false, None);
    client
}

fn wait_until_subscribed(node: &Node, client: &mut Client, subject: &str) {
    let before = stat(node, "orders", "received");
    eventually("the node is subscribed", || {
        client.publish(subject, &[], br#"{"n": -1}"#);
        (stat(node, "orders", "received") > before).then_some(())
    });
}

fn publish(client: &mut Client, subject: &str, count: u64) {
    for n in 0..count {
        client.publish(subject, &[], format!("{{\"n\": {n}}}").as_bytes());
    }
    client.sync();
}

#[test]
fn reloads_under_load_miss_nothing() {
    let server = Server::start();
    let mut client = client(&server);
    let node = node_with(&server, &[pipeline("core.orders", 0)], &json!({}));
    wait_until_subscribed(&node, &mut client, "core.orders");
    let stop = AtomicBool::new(false);
    let mut sender = Client::connect(&server);
    let sent = std::thread::scope(|scope| {
        let sent = scope.spawn(|| {
            let mut sent = 0;
            while !stop.load(Ordering::SeqCst) {
                publish(&mut sender, "core.orders", 10);
                sent += 10;
            }
            sent
        });
        (1..=2_000).for_each(|version| install(&node, &pipeline("core.orders", version)));
        stop.store(true, Ordering::SeqCst);
        sent.join().unwrap()
    });
    eventually("all are delivered", || (stat(&node, "orders", "delivered") >= sent).then_some(()));
    let ended = ["delivered", "dead", "lost", "duplicate"].map(|metric| stat(&node, "orders", metric));
    assert_eq!((client.count("OUT"), ended), (sent, [sent, 0, 0, 0]));
}

#[test]
fn another_subject_is_read_alone_and_after_a_removal_none() {
    let server = Server::start();
    let mut client = client(&server);
    let node = node_with(&server, &[pipeline("core.first", 0)], &json!({}));
    wait_until_subscribed(&node, &mut client, "core.first");
    install(&node, &pipeline("core.second", 1));
    wait_until_subscribed(&node, &mut client, "core.second");
    publish(&mut client, "core.first", 5);
    publish(&mut client, "core.second", 7);
    eventually("the second is read", || (client.count("OUT") >= 7).then_some(()));
    // A removal ends what was handed over, too.
    install(&node, &pipeline("core.second", 2));
    assert!(node.remove("acme", "orders"));
    install(&node, &pipeline("core.third", 3));
    wait_until_subscribed(&node, &mut client, "core.third");
    publish(&mut client, "core.second", 5);
    publish(&mut client, "core.third", 7);
    eventually("the third is read", || (client.count("OUT") >= 14).then_some(()));
    assert_eq!(client.count("OUT"), 14);
}

#[test]
fn what_was_on_its_way_at_a_stop_is_finished() {
    let server = Server::start();
    let mut client = client(&server);
    for count in [1, 3, 10, 100, 1_000].into_iter().cycle().take(30) {
        let before = client.count("OUT");
        let node = node_with(&server, &[pipeline("core.orders", 0)], &json!({}));
        wait_until_subscribed(&node, &mut client, "core.orders");
        publish(&mut client, "core.orders", count);
        assert!(node.drain(Duration::from_secs(20)));
        assert_eq!(client.count("OUT"), before + count);
    }
}
