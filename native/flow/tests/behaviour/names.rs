//! Customers and pipelines whose names give the same text when a hyphen joins them, and customers that use the
//! same name for a thing of their own.

use std::time::Duration;

use harness::{Client, Server, eventually, post};
use message::Code;
use serde_json::{Value, json};

use crate::node::{node, node_with, stat, try_install, unstarted};

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
fn a_lane_brings_each_pipeline_its_own_messages() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let out = |_: &str| json!({"file": {"path": "out.ndjson"}});
    let node = node(&server, &pipelines(&json!({"http": {"path": "/in"}}), out));
    let port = node.address().unwrap().port();
    for n in 0..20 {
        let customer = PAIRS[n % 2].0;
        let body = format!("{{\"n\": {n}, \"of\": \"{customer}\"}}");
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "the same for both")];
        // A key of one customer says nothing about another's.
        let headers = if n < 2 { &headers[..] } else { &headers[..1] };
        assert_eq!(post(port, &format!("/in/{customer}/in"), headers, body.as_bytes()).0, 202);
    }
    eventually("all delivered", || PAIRS.iter().all(|(_, name)| stat(&node, name, "delivered") == 10).then_some(()));
    assert!(node.drain(Duration::from_secs(10)));
    for (customer, _) in PAIRS {
        let path = server.folder().join("files").join(customer).join("out.ndjson");
        let written = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 10);
        assert!(lines.iter().all(|line| line["of"] == customer), "{customer}: {written}");
    }
}

#[test]
fn an_absolute_path_is_refused_unless_the_operator_allows_it() {
    let server = Server::start();
    Client::connect(&server).provision();
    let path = server.folder().join("secrets/globex/token");
    let pipeline = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/in"}},
        "steps": [{"route": [{"to": "lines"}]}], "out": {"lines": {"file": {"path": path}}},
    });
    let strict = unstarted(&server, &json!({}));
    let fault = try_install(&strict, &pipeline).unwrap_err();
    assert_eq!((fault.code(), fault.place().pointer.as_deref()), (Code::FileOutside, Some("/out/lines/file/path")));
    // A node that has no outs to serve writes no files.
    try_install(&unstarted(&server, &json!({"types": ["incoming", "logic"]})), &pipeline).unwrap();
    let open = node_with(&server, &[pipeline], &json!({"absolute_files": true}));
    assert_eq!(post(open.address().unwrap().port(), "/in/acme/in", &[], b"{\"n\":1}").0, 202);
    eventually("the line", || (std::fs::read_to_string(&path).ok()? == "{\"n\":1}\n").then_some(()));
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

#[test]
fn a_message_that_is_to_go_on_with_a_step_without_a_name_is_a_dead_letter() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("vrsky.dead.>");
    let pipeline = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/in"}}, "out": {"file": {"path": "out.ndjson"}},
    });
    let _node = node(&server, &[pipeline]);
    let headers = [("Customer-ID", "acme"), ("Nats-Msg-Id", "1"), ("Vrsky-Resume", "")];
    client.publish("vrsky.logic.t1000.0.acme.orders.in", &headers, b"{}");
    let dead = client.receive();
    assert_eq!(dead.header("Vrsky-Code").as_deref(), Some("deliver/unknown-step"));
    eventually("it is acked", || (client.count("VRSKY_LOGIC_T1000_0") == 0).then_some(()));
}

#[test]
fn a_durable_is_of_one_pipeline() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "in.>", false, None);
    let reads = |customer: &str, name: &str, durable: Option<&str>| {
        let mut nats = json!({"subject": "in.orders", "mode": "jetstream", "stream": "IN"});
        durable.inspect(|durable| nats["durable"] = json!(durable));
        json!({"customer": customer, "pipeline": name, "in": {"nats": nats}, "out": {"stdout": {}}})
    };
    let node = unstarted(&server, &json!({}));
    try_install(&node, &reads("acme", "orders", Some("shared"))).unwrap();
    for (customer, name) in [("globex", "orders"), ("acme", "returns")] {
        let fault = try_install(&node, &reads(customer, name, Some("shared"))).unwrap_err();
        assert_eq!((fault.code(), fault.place().pointer.as_deref()), (Code::ConfigConflict, Some("/in/nats/durable")));
        try_install(&node, &reads(customer, name, None)).unwrap();
    }
    // Its next revision keeps it, and another stream has durables of its own.
    try_install(&node, &reads("acme", "orders", Some("shared"))).unwrap();
    let mut elsewhere = reads("globex", "elsewhere", Some("shared"));
    elsewhere["in"]["nats"]["stream"] = json!("OTHER");
    try_install(&node, &elsewhere).unwrap();
}
