//! What the server does not permit any more, and permits again, while the connection stays.

use flow::engine::Node;
use harness::{Client, Server, eventually, post};
use serde_json::{Value, json};

use crate::node::{node_with, stat};

const LANES: &str = r#""$JS.API.CONSUMER.MSG.NEXT.VRSKY_LOGIC_T1000_0.logic", "$JS.API.CONSUMER.MSG.NEXT.IN.orders""#;

/// The test's client may do everything; the node may not publish or subscribe to these.
fn permissions(publish: &str, subscribe: &str) -> String {
    let denied = format!("publish: {{ deny: [{publish}] }}, subscribe: {{ deny: [{subscribe}] }}");
    format!(
        "no_auth_user: all\nauthorization {{ users: [\
         {{ user: all, password: s }}, {{ user: node, password: s, permissions: {{ {denied} }} }}] }}"
    )
}

fn server() -> (Server, Client) {
    let server = Server::with_config(&permissions("", ""));
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    client.make_consumer("IN", "orders", "in.orders");
    client.make_stream("OUT", "out.>", false, None);
    (server, client)
}

fn node(server: &Server, input: &Value, out: &Value) -> Node {
    let pipeline = json!({"customer": "acme", "pipeline": "orders", "in": {"nats": input}, "out": out});
    let nats = json!({"url": server.url(), "user": "node", "password": "s"});
    node_with(server, &[pipeline], &json!({"nats": nats, "threads": 1}))
}

fn to_stream() -> Value {
    json!({"nats": {"subject": "out.orders", "mode": "jetstream", "stream": "OUT"}})
}

fn from_stream() -> Value {
    json!({"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"})
}

/// What stats tell of the in or an out: the code where it is failing, nothing before it was looked at.
fn state(node: &Node, pointer: &str) -> String {
    let stats = serde_json::to_value(node.stats()).unwrap();
    let state = stats[0].pointer(pointer).unwrap_or(&Value::Null);
    state["code"].as_str().or(state["state"].as_str()).unwrap_or_default().to_owned()
}

fn wait_until(node: &Node, pointer: &str, wanted: &str) {
    eventually(&format!("{pointer} is {wanted}"), || (state(node, pointer) == wanted).then_some(()));
}

/// How many events name what was refused.
fn told(events: &mut Vec<Value>, node: &Node, refused: &str) -> usize {
    events.extend(node.events().iter().map(|event| serde_json::to_value(event).unwrap()));
    let names = |event: &&Value| event["kind"] == "node" && event.to_string().contains(refused);
    events.iter().filter(names).count()
}

fn publish_until(client: &mut Client, node: &Node, what: &str, metric: &str) {
    let before = stat(node, "orders", metric);
    eventually(what, || {
        client.publish("in.orders", &[], br#"{"n": 1}"#);
        (stat(node, "orders", metric) > before).then_some(())
    });
}

#[test]
fn a_subscription_that_is_permitted_again_is_made_again() {
    let (mut server, mut client) = server();
    let node = node(&server, &json!({"subject": "in.orders"}), &to_stream());
    publish_until(&mut client, &node, "messages come", "delivered");
    server.reload(&permissions("", "\"in.orders\""));
    wait_until(&node, "/in", "nats/authorization");
    let mut events = Vec::new();
    eventually("the event is there", || (told(&mut events, &node, "Subscription to") > 0).then_some(()));
    server.reload(&permissions("", ""));
    publish_until(&mut client, &node, "messages come again", "delivered");
    wait_until(&node, "/in", "up");
    assert_eq!(told(&mut events, &node, "Subscription to"), 1);
}

#[test]
fn a_subscription_that_was_never_permitted_is_made_when_it_is_and_told_again_when_it_is_not() {
    let (mut server, mut client) = server();
    server.reload(&permissions("", "\"in.orders\""));
    let node = node(&server, &json!({"subject": "in.orders"}), &to_stream());
    let mut events = Vec::new();
    wait_until(&node, "/in", "nats/authorization");
    server.reload(&permissions("", ""));
    wait_until(&node, "/in", "up");
    publish_until(&mut client, &node, "messages come", "delivered");
    let before = told(&mut events, &node, "Subscription to");
    server.reload(&permissions("", "\"in.orders\""));
    eventually("it is told again", || (told(&mut events, &node, "Subscription to") > before).then_some(()));
}

#[test]
fn requests_that_are_permitted_again_end_the_fault_of_the_ins() {
    let (mut server, mut client) = server();
    let node = node(&server, &from_stream(), &to_stream());
    publish_until(&mut client, &node, "messages come", "delivered");
    server.reload(&permissions(LANES, ""));
    // What was asked for before still comes.
    eventually("the in is failing", || {
        client.publish("in.orders", &[], br#"{"n": 1}"#);
        (state(&node, "/in") == "nats/authorization").then_some(())
    });
    server.reload(&permissions("", ""));
    wait_until(&node, "/in", "up");
    eventually("all are delivered", || (client.count("IN") == 0).then_some(()));
}

#[test]
fn acks_that_are_refused_are_one_fault_of_the_in_and_one_event() {
    let (mut server, mut client) = server();
    let node = node(&server, &from_stream(), &to_stream());
    publish_until(&mut client, &node, "messages come", "delivered");
    server.reload(&permissions("\"$JS.ACK.IN.>\"", ""));
    eventually("an ack is refused", || {
        client.publish("in.orders", &[], br#"{"n": 1}"#);
        (state(&node, "/in") == "nats/authorization").then_some(())
    });
    (0..2_000).for_each(|_| client.publish("in.orders", &[], br#"{"n": 1}"#));
    eventually("they come", || (stat(&node, "orders", "received") >= 2_000).then_some(()));
    eventually("they come again", || (stat(&node, "orders", "redelivered") > 0).then_some(()));
    assert_eq!(state(&node, "/in"), "nats/authorization");
    assert!(client.count("IN") >= 2_000);
    assert_eq!(told(&mut Vec::new(), &node, "$JS.ACK."), 1);
    server.reload(&permissions("", ""));
    eventually("all are acked when they come again", || (client.count("IN") == 0).then_some(()));
}

#[test]
fn an_out_whose_lane_takes_no_acks_is_failing() {
    let (mut server, mut client) = server();
    let node = node(&server, &from_stream(), &json!({"file": {"path": "orders.ndjson"}}));
    publish_until(&mut client, &node, "messages come", "delivered");
    server.reload(&permissions("\"$JS.ACK.VRSKY_OUTGOING_T1000_0.>\"", ""));
    eventually("the out is failing", || {
        client.publish("in.orders", &[], br#"{"n": 1}"#);
        (state(&node, "/outs/default") == "nats/authorization").then_some(())
    });
    assert_eq!(state(&node, "/in"), "up");
}

#[test]
fn answers_that_are_permitted_again_are_heard_again() {
    for denied in ["\"_INBOX.*.a.>\"", "\"_INBOX.>\""] {
        let (mut server, mut client) = server();
        let node = node(&server, &from_stream(), &to_stream());
        publish_until(&mut client, &node, "messages come", "delivered");
        server.reload(&permissions("", denied));
        wait_until(&node, "/in", "nats/authorization");
        wait_until(&node, "/outs/default", "nats/authorization");
        client.publish("in.orders", &[], br#"{"n": 1}"#);
        server.reload(&permissions("", ""));
        wait_until(&node, "/in", "up");
        publish_until(&mut client, &node, "messages come again", "delivered");
        eventually("all are acked", || (client.count("IN") == 0).then_some(()));
        wait_until(&node, "/outs/default", "up");
    }
}

#[test]
fn a_drain_does_not_wait_for_answers_that_are_not_permitted() {
    let (mut server, mut client) = server();
    let node = node(&server, &json!({"subject": "in.orders"}), &json!({"nats": {"subject": "elsewhere"}}));
    publish_until(&mut client, &node, "messages come", "delivered");
    server.reload(&permissions("", "\"_INBOX.*.a.>\""));
    wait_until(&node, "/in", "nats/authorization");
    client.publish("in.orders", &[], br#"{"n": 1}"#);
    assert!(node.drain(std::time::Duration::from_secs(3_600)));
}

#[test]
fn messages_of_a_pull_come_again_where_their_subject_is_permitted_again() {
    let (mut server, mut client) = server();
    let node = node(&server, &from_stream(), &to_stream());
    publish_until(&mut client, &node, "messages come", "delivered");
    server.reload(&permissions("", "\"_INBOX.*.p.>\""));
    wait_until(&node, "/in", "nats/authorization");
    client.publish("in.orders", &[], br#"{"n": 1}"#);
    server.reload(&permissions("", ""));
    wait_until(&node, "/in", "up");
    publish_until(&mut client, &node, "messages come again", "delivered");
    eventually("all are acked", || (client.count("IN") == 0).then_some(()));
}

#[test]
fn an_out_whose_lane_may_not_be_published_to_is_failing() {
    let (mut server, mut client) = server();
    let node = node(&server, &from_stream(), &json!({"file": {"path": "orders.ndjson"}}));
    publish_until(&mut client, &node, "messages come", "delivered");
    server.reload(&permissions("\"vrsky.outgoing.>\"", ""));
    client.publish("in.orders", &[], br#"{"n": 1}"#);
    wait_until(&node, "/outs/default", "nats/authorization");
    server.reload(&permissions("", ""));
    eventually("all are delivered", || (client.count("IN") == 0).then_some(()));
}

#[test]
fn an_http_in_whose_lane_may_not_be_published_to_is_failing() {
    let (mut server, _client) = server();
    let orders = json!({"customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "out": {"file": {"path": "orders.ndjson"}}});
    let nats = json!({"url": server.url(), "user": "node", "password": "s"});
    let node = node_with(&server, &[orders], &json!({"nats": nats, "listen": "127.0.0.1:0"}));
    let port = node.address().unwrap().port();
    assert_eq!(post(port, "/in/acme/orders", &[], b"{}").0, 202);
    server.reload(&permissions("\"vrsky.logic.>\"", ""));
    eventually("a request is refused", || (post(port, "/in/acme/orders", &[], b"{}").0 == 503).then_some(()));
    wait_until(&node, "/in", "nats/authorization");
}
