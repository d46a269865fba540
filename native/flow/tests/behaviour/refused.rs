//! Streams that refuse what a pipeline publishes.

use flow::engine::Node;
use harness::{Client, Server, eventually};
use serde_json::{Value, json};

use crate::node::{node, node_with, stat};

const LANE: &str = "VRSKY_OUTGOING_T1000_0";

fn client(server: &Server) -> Client {
    let mut client = Client::connect(server);
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    client.make_consumer("IN", "orders", "in.orders");
    client
}

fn pipeline(out: &Value) -> Value {
    json!({
        "customer": "acme", "pipeline": "orders",
        "in": {"nats": {"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"}},
        "out": out,
    })
}

fn send(client: &mut Client, numbers: std::ops::Range<u32>) {
    for n in numbers {
        client.publish("in.orders", &[], format!("{{\"n\": {n}}}").as_bytes());
    }
    client.sync();
}

/// The out's condition as stats tell it.
fn code(node: &Node) -> Option<String> {
    let stats = serde_json::to_value(node.stats()).unwrap();
    stats[0]["outs"]["default"]["code"].as_str().map(str::to_owned)
}

/// How many events of this kind and code there are.
fn told(events: &mut Vec<Value>, node: &Node, kind: &str, code: &str) -> usize {
    events.extend(node.events().iter().map(|event| serde_json::to_value(event).unwrap()));
    events.iter().filter(|event| event["kind"] == kind && event["code"] == code).count()
}

#[test]
fn a_stream_that_is_not_there_is_told_once_and_gets_everything_when_it_is() {
    let server = Server::start();
    let mut client = client(&server);
    let node = node(&server, &[pipeline(&json!({"nats": {"subject": "out.orders", "mode": "jetstream"}}))]);
    send(&mut client, 0..20);
    let mut events = Vec::new();
    eventually("it is told", || (told(&mut events, &node, "retried", "nats/no-stream") > 0).then_some(()));
    eventually("the out is failing", || (code(&node).as_deref() == Some("nats/no-stream")).then_some(()));
    eventually("they come again", || (stat(&node, "orders", "redelivered") >= 60).then_some(()));
    assert!(stat(&node, "orders", "retried") >= 60);
    assert_eq!(told(&mut events, &node, "retried", "nats/no-stream"), 1);
    client.make_stream("OUT", "out.>", false, None);
    eventually("all are stored", || (stat(&node, "orders", "delivered") == 20).then_some(()));
    eventually("all are acked in IN", || (client.count("IN") == 0).then_some(()));
    assert_eq!(client.count("OUT"), 20);
}

#[test]
fn what_a_full_lane_refuses_is_published_again_and_the_other_outs_get_theirs_once() {
    let server = Server::start();
    let mut client = client(&server);
    client.request(&format!("$JS.API.STREAM.DELETE.{LANE}"), "");
    client.make_capped(LANE, "vrsky.outgoing.t1000.0.>", 1_000);
    let outs = json!({"erp": {"file": {"path": "erp.ndjson"}}, "audit": {"file": {"path": "audit.ndjson"}}});
    let mut pipeline = pipeline(&outs);
    pipeline["limits"] = json!({"backlog": 1_000});
    pipeline["steps"] = json!([{"route": [{"when": "n >= 0", "to": ["erp", "audit"]}]}]);
    // Nobody takes from the outgoing lane; it holds 1,000 messages for each out.
    let node = node_with(&server, &[pipeline], &json!({"types": ["incoming", "logic"]}));
    send(&mut client, 0..1_500);
    eventually("the lane is full", || (client.count(LANE) == 2_000).then_some(()));
    client.request(&format!("$JS.API.STREAM.PURGE.{LANE}"), "");
    eventually("all are through", || (client.count("IN") == 0).then_some(()));
    assert_eq!((client.count(LANE), stat(&node, "orders", "emitted")), (1_000, 3_000));
}
