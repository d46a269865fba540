//! The way through: what comes in is converted, filtered and stored, and goes out once.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Client, Server, eventually, post};
use serde_json::{Value, json};

use crate::node::{node, stat};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn order(id: u32, total: f64, country: &str) -> Vec<u8> {
    format!("<order id=\"{id}\"><total>{total:.2}</total><country>{country}</country></order>").into_bytes()
}

fn steps() -> Value {
    json!([
        {"convert": {"from": "xml", "numbers": ["order.total"]}},
        {"filter": "order.total > 100.0 && order.country == \"CH\""},
    ])
}

fn orders() -> Value {
    json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "steps": steps(), "out": {"file": {"path": "out.ndjson"}},
    })
}

#[test]
fn an_http_post_is_stored_converted_filtered_and_written() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let node = node(&server, &[orders()]);
    let port = node.address().unwrap().port();
    let xml = [("Content-Type", "application/xml")];
    for (id, total, country) in [(1, 150.0, "CH"), (2, 50.0, "CH"), (3, 500.0, "DE"), (4, 101.0, "CH")] {
        let (status, body) = post(port, "/in/acme/orders", &xml, &order(id, total, country));
        assert_eq!(status, 202, "{body}");
    }
    eventually("two delivered, two filtered", || {
        (stat(&node, "orders", "delivered") == 2 && stat(&node, "orders", "filtered") == 2).then_some(())
    });
    assert!(node.drain(Duration::from_secs(10)));
    let written = std::fs::read_to_string(server.folder().join("files/acme/out.ndjson")).unwrap();
    let mut ids: Vec<String> = written
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["order"]["@id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    assert_eq!(ids, ["1", "4"]);
    for stream in ["VRSKY_LOGIC_T1000_0", "VRSKY_OUTGOING_T1000_0", "VRSKY_DEAD"] {
        assert_eq!(client.count(stream), 0, "{stream}");
    }
}

#[test]
fn a_bad_message_becomes_a_dead_letter_and_the_next_one_passes() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("vrsky.dead.>");
    let node = node(&server, &[orders()]);
    let port = node.address().unwrap().port();
    for body in [&b"<order><total>1</order>"[..], &order(1, 150.0, "CH")] {
        assert_eq!(post(port, "/in/acme/orders", &[("Content-Type", "application/xml")], body).0, 202);
    }
    let dead = client.receive();
    assert_eq!(dead.subject, "vrsky.dead.acme.orders.0:convert");
    assert_eq!(dead.header("Vrsky-Code").as_deref(), Some("xml/not-well-formed"));
    assert!(dead.header("Vrsky-Place").unwrap().contains("byte "), "{dead:?}");
    assert_eq!(dead.header("Customer-ID").as_deref(), Some("acme"));
    assert_eq!(dead.payload, b"<order><total>1</order>");
    eventually("the next one is delivered", || (stat(&node, "orders", "delivered") == 1).then_some(()));
    // The subscriber has it before the stream has.
    eventually("it is stored", || (client.count("VRSKY_DEAD") == 1).then_some(()));
    assert_eq!(stat(&node, "orders", "dead"), 1);
}

#[test]
fn what_cannot_become_xml_at_the_end_blames_the_convert() {
    let server = Server::with_large_payloads();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("vrsky.dead.>");
    let pipeline = |name: &str, before: Value| {
        json!({
            "customer": "acme", "pipeline": name, "in": {"http": {"path": format!("/{name}")}},
            "steps": [{"set": {"b": "1"}}, before, {"convert": {"from": "json", "to": "xml"}}],
            "out": {"file": {"path": "out.xml"}},
        })
    };
    let script = json!({"script": {"code": "export default (msg) => msg"}});
    let node = node(&server, &[pipeline("plain", json!({"filter": "true"})), pipeline("scripted", script)]);
    let port = node.address().unwrap().port();
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    for (name, payload) in [("plain", "{\"a\":1}"), ("scripted", "{\"a\":1}"), ("plain", &large)] {
        let json = [("Content-Type", "application/json")];
        assert_eq!(post(port, &format!("/in/acme/{name}"), &json, payload.as_bytes()).0, 202);
        let dead = client.receive();
        assert_eq!(dead.subject, format!("vrsky.dead.acme.{name}.2:convert"));
        assert_eq!(dead.header("Vrsky-Step").as_deref(), Some("2:convert"));
        assert_eq!(dead.header("Vrsky-Code").as_deref(), Some("convert/no-single-root"));
        assert_eq!(dead.header("Vrsky-Place").as_deref(), Some("step 2:convert"));
    }
}

#[test]
fn core_nats_passes_through_a_script_in_order() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.subscribe("out.orders");
    let mut steps = steps();
    let code = "export default (msg, ctx) => { msg.order.net = msg.order.total / 2; return msg }";
    steps.as_array_mut().unwrap().push(json!({"script": {"code": code}}));
    let node = node(
        &server,
        &[json!({
            "customer": "acme", "pipeline": "orders", "in": {"nats": {"subject": "in.orders"}},
            "steps": steps, "out": {"nats": {"subject": "out.orders"}},
        })],
    );
    eventually("the node is subscribed", || {
        // Core NATS drops what nobody listens to.
        client.publish("in.orders", &[("traceparent", TRACE)], &order(0, 200.0, "CH"));
        (stat(&node, "orders", "received") > 0).then_some(())
    });
    for id in 1..200 {
        client.publish(
            "in.orders",
            &[("Customer-ID", "acme"), ("traceparent", TRACE), ("tracestate", "a=1")],
            &order(id, 200.0, if id % 2 == 0 { "CH" } else { "DE" }),
        );
    }
    let (mut last, mut parents) = (None, BTreeSet::new());
    while last != Some(198) {
        let got = client.receive();
        let json = got.json();
        let id: u32 = json["order"]["@id"].as_str().unwrap().parse().unwrap();
        assert_eq!(json["order"]["net"], json!(100));
        assert_eq!(got.header("Customer-ID").as_deref(), Some("acme"));
        let parent = got.header("traceparent").unwrap();
        assert!(parent.starts_with(&TRACE[..36]) && parent.ends_with("-01"), "{parent}");
        assert!(parents.insert(parent), "each message is a hop of its own");
        assert_eq!(got.header("tracestate").as_deref(), (id > 0).then_some("a=1"));
        assert!(id.is_multiple_of(2) && last.is_none_or(|last| last < id || id == 0));
        last = Some(id);
    }
}

#[test]
fn jetstream_to_jetstream_acks_after_the_pub_ack() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.make_stream("IN", "in.>", true, Some("vrsky"));
    client.make_stream("OUT", "out.>", false, None);
    for id in 0..500 {
        client.publish("in.orders", &[], &order(id, 200.0, "CH"));
    }
    client.sync();
    let node = node(
        &server,
        &[json!({
            "customer": "acme", "pipeline": "orders",
            "in": {"nats": {"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "vrsky"}},
            "steps": steps(), "out": {"nats": {"subject": "out.orders", "mode": "jetstream"}},
        })],
    );
    eventually("everything is in OUT", || (client.count("OUT") == 500).then_some(()));
    eventually("everything is acked in IN", || (client.count("IN") == 0).then_some(()));
    assert_eq!(stat(&node, "orders", "received"), 500);
}

#[test]
fn a_killed_server_loses_nothing_that_was_answered_with_202() {
    let mut server = Server::start();
    Client::connect(&server).provision();
    let node = node(&server, &[orders()]);
    let port = node.address().unwrap().port();
    let mut accepted = Vec::new();
    for round in 0..3_u32 {
        for id in round * 100..round * 100 + 100 {
            if post(port, "/in/acme/orders", &[("Content-Type", "application/xml")], &order(id, 150.0, "CH")).0 == 202 {
                accepted.push(id);
            }
        }
        server.kill_and_restart();
        eventually("the node is connected again", || {
            let id = 1000 + round;
            let answer = post(port, "/in/acme/orders", &[("Content-Type", "application/xml")], &order(id, 150.0, "CH"));
            (answer.0 == 202).then(|| accepted.push(id))
        });
    }
    let path = server.folder().join("files/acme/out.ndjson");
    eventually("every accepted order is in the file", || {
        let written = std::fs::read_to_string(&path).ok()?;
        let ids: std::collections::HashSet<u32> = written
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["order"]["@id"].as_str()?.parse().ok())
            .collect();
        accepted.iter().all(|id| ids.contains(id)).then_some(())
    });
    assert!(accepted.len() > 200);
    drop(node);
}
