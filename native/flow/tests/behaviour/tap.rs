//! Somebody watches the messages of a pipeline.

use flow::engine::Node;
use harness::{Client, Server, eventually};
use serde_json::{Value, json};

use crate::node::node_with;

const TOKEN: &str = "0123456789abcdef";
const TAP: &str = "vrsky.tap.acme.orders";

/// A record: its line of JSON, and what follows.
fn record(client: &mut Client) -> (Value, Vec<u8>) {
    let got = client.receive();
    assert_eq!(got.subject, format!("vrsky.tapped.acme.orders.{TOKEN}"));
    let end = got.payload.iter().position(|byte| *byte == b'\n').expect("a line");
    (serde_json::from_slice(&got.payload[..end]).unwrap(), got.payload[end + 1..].to_vec())
}

/// Kind, step, verdict or code, and payload.
fn seen(client: &mut Client) -> (String, String, String, String) {
    let (line, payload) = record(client);
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let became = if line["code"].is_null() { text("verdict") } else { text("code") };
    (text("kind"), text("step"), became, String::from_utf8(payload).unwrap())
}

fn expect(client: &mut Client, records: &[(&str, &str, &str, &str)]) {
    for (kind, step, became, payload) in records {
        let wanted = ((*kind).to_owned(), (*step).to_owned(), (*became).to_owned(), (*payload).to_owned());
        assert_eq!(seen(client), wanted);
    }
}

fn orders(steps: &Value) -> Value {
    json!({"customer": "acme", "pipeline": "orders", "in": {"nats": {"subject": "in.orders"}}, "steps": steps,
        "out": {"nats": {"subject": "out.orders"}}})
}

fn start(server: &Server, steps: &Value) -> Node {
    node_with(server, &[orders(steps)], &json!({"threads": 1}))
}

/// The first request.
fn tap(client: &mut Client, more: &Value) {
    client.subscribe("vrsky.tapped.>");
    ask(client, more);
}

/// A request that is answered; `more` is what it says beside the token.
fn ask(client: &mut Client, more: &Value) {
    let mut request = json!({"token": TOKEN});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.publish(TAP, &[], request.to_string().as_bytes());
    let (hello, _) = record(client);
    assert_eq!(
        (&hello["kind"], &hello["customer"], &hello["pipeline"]),
        (&json!("hello"), &json!("acme"), &json!("orders"))
    );
    assert_eq!(hello["revision"].as_str().map(str::is_empty), Some(false));
}

fn send(client: &mut Client, payload: &str) {
    client.publish("in.orders", &[("Authorization", "Bearer hunter2")], payload.as_bytes());
}

#[test]
fn a_message_is_shown_as_it_came_and_after_each_step() {
    let (server, steps) = (Server::start(), json!([{"filter": "n > 1"}, {"set": {"m": "n + 1"}}]));
    let mut client = Client::connect(&server);
    client.provision();
    let _node = start(&server, &steps);
    tap(&mut client, &json!({}));
    send(&mut client, r#"{"n":2}"#);
    expect(
        &mut client,
        &[
            ("in", "in", "", r#"{"n":2}"#),
            ("step", "0:filter", "pass", r#"{"n":2}"#),
            ("step", "1:set", "pass", r#"{"n":2,"m":3}"#),
            ("step", "out", "to default", r#"{"n":2,"m":3}"#),
        ],
    );
    send(&mut client, r#"{"n":1}"#);
    expect(&mut client, &[("in", "in", "", r#"{"n":1}"#), ("step", "0:filter", "drop", r#"{"n":1}"#)]);
    send(&mut client, r#"{"x":1}"#);
    let failed = "failed: filter/missing-field";
    expect(&mut client, &[("in", "in", "", r#"{"x":1}"#)]);
    let (kind, step, verdict, _) = seen(&mut client);
    assert_eq!((kind.as_str(), step.as_str(), verdict.starts_with(failed)), ("step", "0:filter", true), "{verdict}");
    expect(&mut client, &[("dead", "0:filter", "filter/missing-field", r#"{"x":1}"#)]);
}

#[test]
fn parts_that_a_script_makes_are_shown_each() {
    let script = json!([{"script": {"code": "export default (msg) => msg.all"}}, {"filter": "n > 1"}]);
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let _node = start(&server, &script);
    tap(&mut client, &json!({}));
    send(&mut client, r#"{"all":[{"n":1},{"n":2}]}"#);
    expect(
        &mut client,
        &[
            ("in", "in", "", r#"{"all":[{"n":1},{"n":2}]}"#),
            ("step", "0:script[0]", "pass", r#"{"n":1}"#),
            ("step", "1:filter[0]", "drop", r#"{"n":1}"#),
            ("step", "0:script[1]", "pass", r#"{"n":2}"#),
            ("step", "1:filter[1]", "pass", r#"{"n":2}"#),
            ("step", "out[1]", "to default", r#"{"n":2}"#),
        ],
    );
}

#[test]
fn only_what_is_asked_for_is_shown() {
    let (server, steps) = (Server::start(), json!([{"filter": "n > 1"}, {"set": {"m": "n + 1"}}]));
    let mut client = Client::connect(&server);
    client.provision();
    let _node = start(&server, &steps);
    tap(&mut client, &json!({"step": "1:set"}));
    for payload in [r#"{"n":1}"#, r#"{"x":1}"#, r#"{"n":2}"#] {
        send(&mut client, payload);
    }
    expect(&mut client, &[("step", "1:set", "pass", r#"{"n":2,"m":3}"#)]);
    ask(&mut client, &json!({"failed": true}));
    for payload in [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"x":1}"#] {
        send(&mut client, payload);
    }
    expect(&mut client, &[("dead", "0:filter", "filter/missing-field", r#"{"x":1}"#)]);
    ask(&mut client, &json!({"sample": 0}));
    send(&mut client, r#"{"n":2}"#);
    ask(&mut client, &json!({}));
    send(&mut client, r#"{"n":3}"#);
    expect(&mut client, &[("in", "in", "", r#"{"n":3}"#)]);
}

#[test]
fn a_large_payload_is_cut_and_its_size_said_also_where_its_steps_run_elsewhere() {
    let (server, steps) = (Server::with_large_payloads(), json!([{"set": {"m": "1"}}]));
    let mut client = Client::connect(&server);
    client.provision();
    let _node = start(&server, &steps);
    tap(&mut client, &json!({}));
    for size in [100_000, 1 << 20] {
        let payload = format!(r#"{{"a":"{}"}}"#, "x".repeat(size));
        send(&mut client, &payload);
        for (kind, step, more) in [("in", "in", 0), ("step", "0:set", 6), ("step", "out", 6)] {
            let (line, shown) = record(&mut client);
            assert_eq!((line["kind"].as_str(), line["step"].as_str()), (Some(kind), Some(step)));
            assert_eq!(line["bytes"], json!(payload.len() + more));
            assert_eq!(shown, payload.as_bytes()[..16 << 10]);
        }
    }
}

#[test]
fn no_header_of_a_message_is_shown() {
    let (server, steps) = (Server::start(), json!([{"filter": "n > 1"}]));
    let mut client = Client::connect(&server);
    client.provision();
    let _node = start(&server, &steps);
    tap(&mut client, &json!({}));
    send(&mut client, r#"{"x":1}"#);
    for _ in 0..3 {
        let (line, _) = record(&mut client);
        assert!(!line.to_string().contains("hunter2"), "{line}");
    }
}

#[test]
fn what_there_is_no_room_for_is_counted_and_the_messages_pass() {
    let (server, steps) = (Server::start(), json!([{"filter": "n > 1"}]));
    let mut client = Client::connect(&server);
    client.provision();
    let node = start(&server, &steps);
    tap(&mut client, &json!({"step": "in"}));
    for _ in 0..5_000 {
        send(&mut client, r#"{"n":2}"#);
    }
    let (mut shown, mut dropped) = (0, 0);
    while shown + dropped < 5_000 {
        let (line, _) = record(&mut client);
        shown += u64::from(line["kind"] == "in");
        dropped += line["dropped"].as_u64().unwrap_or_default();
    }
    assert!(dropped > 0, "{shown} were shown");
    eventually("all pass", || (crate::node::stat(&node, "orders", "delivered") == 5_000).then_some(()));
}

#[test]
fn a_tap_ends_with_its_lease_and_with_a_stop() {
    let (server, steps) = (Server::start(), json!([{"filter": "n > 1"}]));
    let mut client = Client::connect(&server);
    client.provision();
    let node = start(&server, &steps);
    let shows = |client: &mut Client| {
        let before = crate::node::stat(&node, "orders", "delivered");
        send(client, r#"{"n":2}"#);
        eventually("it passes", || (crate::node::stat(&node, "orders", "delivered") > before).then_some(()));
        // What was shown came before this on the same connection of the node.
        let mut request = json!({"token": "fedcba9876543210", "stop": false, "step": "none"});
        client.publish(TAP, &[], request.to_string().as_bytes());
        let mut is_shown = false;
        loop {
            let got = client.receive();
            if got.subject.ends_with("fedcba9876543210") {
                break;
            }
            is_shown = true;
        }
        request["stop"] = json!(true);
        client.publish(TAP, &[], request.to_string().as_bytes());
        is_shown
    };
    tap(&mut client, &json!({"step": "in"}));
    assert!(shows(&mut client));
    client.publish(TAP, &[], json!({"token": TOKEN, "stop": true}).to_string().as_bytes());
    assert!(!shows(&mut client));
    ask(&mut client, &json!({"step": "in"}));
    assert!(shows(&mut client));
    eventually("the lease is over", || (!shows(&mut client)).then_some(()));
}

#[test]
fn a_node_without_the_pipeline_says_nothing_and_no_request_chooses_a_subject() {
    let (server, steps) = (Server::start(), json!([{"filter": "n > 1"}]));
    let mut client = Client::connect(&server);
    client.provision();
    let _node = start(&server, &steps);
    tap(&mut client, &json!({}));
    client.subscribe("vrsky.>");
    let odd = [
        ("vrsky.tap.acme.others", json!({"token": TOKEN})),
        ("vrsky.tap.zeta.orders", json!({"token": TOKEN})),
        (TAP, json!({"token": "x.y.0123456789abcdef"})),
        (TAP, json!({"token": "*"})),
        (TAP, json!({})),
        (TAP, json!("none")),
    ];
    for (subject, request) in &odd {
        client.publish(subject, &[], request.to_string().as_bytes());
    }
    client.publish(TAP, &[], json!({"token": "fedcba9876543210"}).to_string().as_bytes());
    let answers: Vec<String> = std::iter::repeat_with(|| client.receive().subject)
        .filter(|subject| !subject.starts_with("vrsky.tap."))
        .take(1)
        .collect();
    assert_eq!(answers, ["vrsky.tapped.acme.orders.fedcba9876543210"]);
}

#[test]
fn a_node_takes_so_many_taps_and_refuses_the_next() {
    let (server, steps) = (Server::start(), json!([{"filter": "n > 1"}]));
    let mut client = Client::connect(&server);
    client.provision();
    let _node = start(&server, &steps);
    tap(&mut client, &json!({}));
    let mut answers = Vec::new();
    for number in 0..8 {
        client.publish(TAP, &[], json!({"token": format!("0123456789abcde{number}")}).to_string().as_bytes());
        let got = client.receive();
        answers.push(got.payload.starts_with(br#"{"kind":"refused""#));
    }
    assert_eq!(answers, [false, false, false, false, false, false, false, true]);
}
