//! What one customer's messages do to those of another on the same shard.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "live/node.rs"]
#[allow(dead_code, reason = "shared by tests that each need a part of it")]
mod live;
#[path = "live/server.rs"]
#[allow(dead_code, reason = "shared by tests that each need a part of it")]
mod server;

use live::{node, stat};
use serde_json::{Value, json};
use server::{Client, Server, eventually};

fn scripted(customer: &str, code: &str) -> Value {
    json!({
        "customer": customer, "pipeline": customer, "in": {"nats": {"subject": format!("in.{customer}")}},
        "steps": [{"script": {"code": code}}], "limits": {"script": {"cpu_ms": 20}},
        "out": {"nats": {"subject": format!("out.{customer}")}},
    })
}

#[test]
fn a_customers_loops_let_the_messages_of_others_pass() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("out.quiet");
    client.subscribe("vrsky.dead.>");
    let looping = "export default msg => { while (msg.loop); return null }";
    let node = node(&server, &[scripted("loops", looping), scripted("quiet", "export default msg => msg")]);
    for customer in ["loops", "quiet"] {
        eventually("the node is subscribed", || {
            // Core NATS drops what nobody listens to; this script drops this one.
            client.publish(&format!("in.{customer}"), &[], b"[]");
            (stat(&node, customer, "received") > 0).then_some(())
        });
    }
    for _ in 0..100 {
        client.publish("in.loops", &[], br#"{"loop": true}"#);
    }
    client.publish("in.quiet", &[], br#"{"id": 1}"#);
    // Both come from the node's one connection, in the order in which it was done with them.
    let came: Vec<String> = (0..101).map(|_| client.next().subject).collect();
    let quiet = came.iter().position(|subject| subject == "out.quiet");
    assert!(quiet.is_some_and(|place| place < 50), "{quiet:?}");
    assert_eq!(came.iter().filter(|subject| subject.starts_with("vrsky.dead.loops.")).count(), 100);
    assert_eq!(stat(&node, "loops", "dead"), 100);
}
