//! Names that others choose never decide whether a message is stored.

use harness::{Client, Server, eventually, post};
use serde_json::{Value, json};

use crate::node::{node, stat};

fn durable(client: &mut Client, server: &Server) -> flow::engine::Node {
    client.provision();
    client.make_stream("OUT", "out.>", false, None);
    let source = json!({"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"});
    let target = json!({"nats": {"subject": "out.orders", "mode": "jetstream"}});
    node(server, &[json!({"customer": "acme", "pipeline": "orders", "in": {"nats": source}, "out": target})])
}

fn input(client: &mut Client) {
    client.make_stream("IN", "in.>", true, None);
    client.make_consumer("IN", "orders", "in.orders");
}

#[test]
fn the_same_id_accepted_again_by_the_users_stream_is_another_message() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    input(&mut client);
    let node = durable(&mut client, &server);
    for (number, id) in (1..).zip(["", "", "same", "other"]) {
        client.publish("in.orders", &[("Nats-Msg-Id", id)], b"{}");
        eventually("it is delivered", || (stat(&node, "orders", "delivered") == number).then_some(()));
    }
    // A work queue forgets the ids of what was consumed when the server restarts; a user's id counts for nothing here.
    client.request("$JS.API.STREAM.PURGE.IN", "");
    assert_eq!((client.count("OUT"), stat(&node, "orders", "duplicate")), (4, 0));
}

#[test]
fn a_stream_that_was_made_anew_brings_other_messages() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    input(&mut client);
    let first = durable(&mut client, &server);
    (0..10).for_each(|_| client.publish("in.orders", &[], b"{}"));
    eventually("all are delivered", || (stat(&first, "orders", "delivered") == 10).then_some(()));
    drop(first);
    client.request("$JS.API.STREAM.DELETE.IN", "");
    input(&mut client);
    let second = {
        let source = json!({"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"});
        let target = json!({"nats": {"subject": "out.orders", "mode": "jetstream"}});
        node(&server, &[json!({"customer": "acme", "pipeline": "orders", "in": {"nats": source}, "out": target})])
    };
    (0..10).for_each(|_| client.publish("in.orders", &[], b"{}"));
    eventually("all are delivered", || (stat(&second, "orders", "delivered") == 10).then_some(()));
    assert_eq!((client.count("OUT"), stat(&second, "orders", "duplicate")), (20, 0));
}

#[test]
fn two_core_producers_that_number_from_0_lose_nothing() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("OUT", "out.>", false, None);
    let target = json!({"nats": {"subject": "out.orders", "mode": "jetstream"}});
    let source = json!({"nats": {"subject": "in.orders"}});
    let node = node(&server, &[json!({"customer": "acme", "pipeline": "orders", "in": source, "out": target})]);
    eventually("the node is subscribed", || {
        client.publish("in.orders", &[], b"{}");
        (stat(&node, "orders", "received") > 0).then_some(())
    });
    let before = stat(&node, "orders", "received");
    for _ in 0..2 {
        for number in 0..20 {
            client.publish("in.orders", &[("Nats-Msg-Id", &number.to_string())], b"{}");
        }
    }
    eventually("all are delivered", || (stat(&node, "orders", "delivered") >= before + 40).then_some(()));
}

fn posted_orders() -> Value {
    json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "out": {"file": {"path": "orders.ndjson"}},
    })
}

fn keyed(node: &flow::engine::Node, key: &str, body: &str) -> (u16, Value) {
    let port = node.address().unwrap().port();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let (status, text) = post(port, "/in/acme/orders", &headers, body.as_bytes());
    (status, serde_json::from_str(&text).unwrap_or_default())
}

#[test]
fn a_key_stands_for_one_body_on_any_node() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let nodes = [node(&server, &[posted_orders()]), node(&server, &[posted_orders()])];
    let (status, first) = keyed(&nodes[0], "k1", r#"{"n": 1}"#);
    assert_eq!(status, 202);
    for node in &nodes {
        let (status, again) = keyed(node, "k1", r#"{"n": 1}"#);
        assert_eq!((status, &again["id"]), (202, &first["id"]));
        let (status, problem) = keyed(node, "k1", r#"{"n": 2}"#);
        assert_eq!((status, problem["code"].as_str()), (422, Some("http/key-reused")));
        assert_eq!(keyed(node, "k2", r#"{"n": 2}"#).0, 202);
    }
    eventually("records and notes of both keys", || (client.count("VRSKY_KEYS") == 4).then_some(()));
    let delivered = || nodes.iter().map(|node| stat(node, "orders", "delivered")).sum::<u64>();
    eventually("each key's message is delivered", || (delivered() >= 2).then_some(()));
}

#[test]
fn a_repetition_is_stored_no_second_time_when_the_lane_has_forgotten_the_first() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let node = node(&server, &[posted_orders()]);
    let (_, first) = keyed(&node, "k1", r#"{"n": 1}"#);
    eventually("it is delivered", || (stat(&node, "orders", "delivered") == 1).then_some(()));
    eventually("its key is noted", || (client.count("VRSKY_KEYS") == 2).then_some(()));
    // With a lane that was made anew, as after its window.
    let lane = "VRSKY_LOGIC_T10000_0";
    client.request(&format!("$JS.API.STREAM.DELETE.{lane}"), "");
    client.provision();
    let (status, again) = keyed(&node, "k1", r#"{"n": 1}"#);
    assert_eq!((status, &again["id"]), (202, &first["id"]));
    let (status, problem) = keyed(&node, "k1", r#"{"n": 2}"#);
    assert_eq!((status, problem["code"].as_str()), (422, Some("http/key-reused")));
    assert_eq!(keyed(&node, "k2", r#"{"n": 2}"#).0, 202);
    eventually("the next one is delivered", || (stat(&node, "orders", "delivered") == 2).then_some(()));
    assert_eq!((stat(&node, "orders", "duplicate"), stat(&node, "orders", "received")), (1, 3));
}

#[test]
fn a_key_counts_for_what_its_request_is_for() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let source = json!({"path": "/items/{id}", "methods": ["POST", "PUT"], "query": ["page"]});
    let pipeline = json!({
        "customer": "acme", "pipeline": "items", "in": {"http": source}, "out": {"file": {"path": "items.ndjson"}},
    });
    let node = node(&server, &[pipeline]);
    let port = node.address().unwrap().port();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k")];
    let taken = |target: &str| {
        let (status, text) = post(port, &format!("/in/acme/items/{target}"), &headers, b"{}");
        assert_eq!(status, 202, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].clone()
    };
    let ids: Vec<Value> = ["1", "2", "2?page=7", "2?other=7"].map(taken).into();
    assert_eq!(ids[1], ids[3], "what is not passed on does not count");
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    eventually("each is delivered", || (stat(&node, "items", "delivered") == 3).then_some(()));
}

#[test]
fn outs_and_parts_of_a_core_message_that_go_to_one_stream_are_different_publishes() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("OUT", "out.>", false, None);
    let to = |name: &str| json!({"nats": {"subject": format!("out.{name}"), "mode": "jetstream"}});
    let pipeline = |name: &str, steps: Value, out: Value| {
        let source = json!({"nats": {"subject": format!("core.{name}")}});
        json!({"customer": "acme", "pipeline": name, "in": source, "steps": steps, "out": out})
    };
    let pipelines = [
        pipeline("one", json!([]), to("one")),
        pipeline("two", json!([{"route": [{"to": ["a", "b"]}]}]), json!({"a": to("two"), "b": to("two")})),
        pipeline(
            "parts",
            json!([{"script": {"code": "export default msg => msg.items.map(n => ({n}))"}}]),
            to("parts"),
        ),
    ];
    let node = node(&server, &pipelines);
    for (name, outputs) in [("one", 1), ("two", 2), ("parts", 3)] {
        eventually("the node is subscribed", || {
            client.publish(&format!("core.{name}"), &[], br#"{"items": [1, 2, 3]}"#);
            client.sync();
            (stat(&node, name, "received") > 0).then_some(())
        });
        let received = stat(&node, name, "received");
        eventually("all are delivered", || (stat(&node, name, "delivered") == outputs * received).then_some(()));
        assert_eq!(client.count_of("OUT", &format!("out.{name}")), outputs * received);
        assert_eq!(stat(&node, name, "duplicate"), 0);
    }
}
