//! One message that becomes many, and what later steps and scripts make of each.

use flow::engine::Node;
use harness::{Client, Server, alone, eventually, post};
use serde_json::{Value, json};

use crate::node::{node_with, stat};

fn script(body: &str) -> Value {
    json!({"script": {"code": format!("export default (msg) => {body}")}})
}

fn started(server: &Server, steps: &Value) -> (Client, Node) {
    let mut client = Client::connect(server);
    client.provision();
    client.subscribe("vrsky.dead.>");
    let pipeline = json!({
        "customer": "acme", "pipeline": "split", "in": {"http": {"path": "/split"}},
        "steps": steps, "out": {"file": {"path": "out.txt"}},
        "limits": {"script": {"cpu_ms": 1_000}},
    });
    let ceilings = json!({"ceilings": {"cpu_ms": 1_000}});
    (client, node_with(server, &[pipeline], &ceilings))
}

fn send(node: &Node, content_type: &str, body: &str) {
    let port = node.address().unwrap().port();
    let (status, told) = post(port, "/in/acme/split", &[("Content-Type", content_type)], body.as_bytes());
    assert_eq!(status, 202, "{told}");
}

fn written(server: &Server, node: &Node, count: usize) -> Vec<String> {
    let delivered = || stat(node, "split", "delivered") + stat(node, "split", "dead");
    eventually("all are delivered, or dead letters", || (delivered() >= count as u64).then_some(()));
    let text = std::fs::read_to_string(server.folder().join("files/acme/out.txt")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The most memory that this process has had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_thousand_parts_for_another_script_do_not_take_the_whole_message_along_each() {
    alone(|| {
        let server = Server::with_large_payloads();
        let (_client, node) = started(&server, &json!([script("msg.items"), script("({ n: msg.n })")]));
        let items: Vec<Value> = (0..1_000).map(|n| json!({"n": n, "text": "x".repeat(4 << 10)})).collect();
        let body = json!({ "items": items }).to_string();
        let before = peak();
        send(&node, "application/json", &body);
        let lines = written(&server, &node, 1_000);
        assert_eq!(lines, (0..1_000).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>());
        let grown = peak() - before;
        assert!(grown < 100 * body.len(), "{} MiB for a message of {} MiB", grown >> 20, body.len() >> 20);
    });
}

#[test]
fn every_part_begins_as_the_script_left_it() {
    let server = Server::start();
    let convert = json!({"convert": {"from": "json", "to": "xml", "attribute_prefix": "-"}});
    let filter = json!({"filter": "o[\"@id\"] != \"2\""});
    let steps = json!([{"convert": {"from": "xml"}}, script("msg.r.w.map(o => ({ o }))"), filter, convert]);
    let (mut client, node) = started(&server, &steps);
    send(&node, "application/xml", "<r><w id='1'/><w id='2'/><w id='3'/><w id='4'/></r>");
    let lines = written(&server, &node, 3);
    assert_eq!(client.count("VRSKY_DEAD"), 0, "{lines:?}");
    // A line is a JSON text.
    let told = ["1", "3", "4"].map(|id| lines.iter().any(|line| line.contains(&format!(r#"id=\"{id}\""#))));
    assert_eq!(told, [true; 3], "{lines:?}");
}

#[test]
fn a_part_that_fails_in_a_later_script_is_a_dead_letter_with_the_part() {
    let server = Server::start();
    let fails = script("{ if (msg.n === 2) throw new Error('two'); return msg }");
    let (mut client, node) = started(&server, &json!([script("msg.items"), fails]));
    send(&node, "application/json", r#"{"items": [{"n": 1}, {"n": 2, "text": "caf\u00e9"}, {"n": 3}]}"#);
    let dead = client.receive();
    assert_eq!(dead.json(), json!({"n": 2, "text": "café"}));
    assert_eq!(dead.header("Vrsky-Code").as_deref(), Some("script/threw"));
    assert_eq!(written(&server, &node, 3), [r#"{"n":1}"#, r#"{"n":3}"#]);
}

#[test]
fn all_parts_of_a_message_share_its_limit_of_bytes_through_every_script() {
    let server = Server::with_large_payloads();
    let steps = json!([script("[1, 2, 3, 4]"), script("msg + 'x'.repeat(5 << 20)")]);
    let (mut client, node) = started(&server, &steps);
    send(&node, "application/json", "{}");
    assert_eq!(client.receive().header("Vrsky-Code").as_deref(), Some("deliver/too-many-outputs"));
    eventually("the input is acked", || (client.count("VRSKY_LOGIC_T1000_0") == 0).then_some(()));
    assert_eq!(stat(&node, "split", "emitted"), 0);
}
