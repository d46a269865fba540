//! Sources that one node alone may read: read while there is a lease, and not a message longer.

use std::time::Duration;

use flow::engine::{EventKind, Key, Node};
use flow::process::boot_ms;
use harness::{Client, Server, eventually};
use message::Code;
use serde_json::{Value, json};

use crate::node::{node_with, stat};

const HOUR: u64 = 3_600_000;

fn pipeline() -> Value {
    json!({
        "customer": "acme", "pipeline": "rows",
        "in": {"file": {"path": "inbox", "pattern": "*.ndjson", "format": "ndjson", "settle_for": "100ms"}},
        "out": {"file": {"path": "rows.ndjson"}},
    })
}

fn key() -> Vec<Key> {
    vec![("acme".into(), "rows".into())]
}

fn put(server: &Server, name: &str, text: &str) {
    let inbox = server.folder().join("files/acme/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    std::fs::write(inbox.join(format!(".{name}")), text).unwrap();
    std::fs::rename(inbox.join(format!(".{name}")), inbox.join(name)).unwrap();
}

fn received(node: &Node, count: u64) {
    eventually("the lines are stored", || (stat(node, "rows", "received") == count).then_some(()));
}

/// Whether the folder of the source's state is there: it was opened.
fn was_opened(server: &Server) -> bool {
    server.folder().join("files/.sources/acme/rows").exists()
}

fn start(server: &Server, more: &Value) -> Node {
    node_with(server, &[pipeline()], more)
}

#[test]
fn a_source_is_read_from_the_grant_until_it_is_revoked() {
    let server = Server::start();
    Client::connect(&server).provision();
    put(&server, "a.ndjson", "{\"n\": 1}\n{\"n\": 2}\n");
    let node = start(&server, &json!({"leases": true, "threads": 2}));
    node.begin_lease(boot_ms() + HOUR);
    assert!(!was_opened(&server));
    node.lease(&key(), &[]);
    received(&node, 2);
    node.lease(&[], &key());
    put(&server, "b.ndjson", "{\"n\": 3}\n");
    // Nothing holds it any more: another one goes on where it was.
    let other = start(&server, &json!({"leases": true, "threads": 2}));
    other.begin_lease(boot_ms() + HOUR);
    other.lease(&key(), &[]);
    received(&other, 1);
    assert_eq!(stat(&node, "rows", "received"), 2);
}

#[test]
fn without_leases_a_node_reads_alone() {
    let server = Server::start();
    Client::connect(&server).provision();
    put(&server, "a.ndjson", "{\"n\": 1}\n");
    received(&start(&server, &json!({})), 1);
}

#[test]
fn a_lease_that_is_over_ends_the_source_and_says_so() {
    let server = Server::start();
    Client::connect(&server).provision();
    let node = start(&server, &json!({"leases": true}));
    node.begin_lease(boot_ms() + HOUR);
    node.lease(&key(), &[]);
    put(&server, "a.ndjson", "{\"n\": 1}\n");
    received(&node, 1);
    // As if no renewal had come.
    node.begin_lease(boot_ms());
    let lost =
        |event: &flow::engine::Event| event.kind == EventKind::Node && event.code == Some(Code::NatsLeaseLost.as_str());
    eventually("it says that it reads no more", || node.events().iter().any(lost).then_some(()));
    assert!(!node.renew_lease(boot_ms() + HOUR), "it has given its sources up");
    put(&server, "b.ndjson", "{\"n\": 2}\n");
    node.lease(&[], &key());
    node.begin_lease(boot_ms() + HOUR);
    assert!(node.renew_lease(boot_ms() + HOUR));
    node.lease(&key(), &[]);
    received(&node, 2);
    assert!(node.drain(Duration::from_secs(20)));
}

#[test]
fn a_pipeline_that_comes_after_its_grant_is_read() {
    let server = Server::start();
    Client::connect(&server).provision();
    put(&server, "a.ndjson", "{\"n\": 1}\n");
    let node = start(&server, &json!({"leases": true}));
    assert!(node.remove("acme", "rows"));
    node.begin_lease(boot_ms() + HOUR);
    node.lease(&key(), &[]);
    crate::node::install(&node, &pipeline());
    received(&node, 1);
}
