//! Several pipelines changed in one step: all of it, or nothing.

use flow::compile::Pipeline;
use flow::engine::{Installs, Key, Node, Secrets};
use harness::Server;
use message::Code;
use serde_json::{Value, json};

use crate::node::node;

fn listens(name: &str, path: &str, bytes: u64) -> Value {
    json!({
        "customer": "acme", "pipeline": name, "in": {"http": {"path": path}}, "out": {"stdout": {}},
        "limits": {"bytes": bytes},
    })
}

fn given(pipelines: &[Value]) -> Installs {
    let compiled = pipelines.iter().map(|one| Pipeline::from_json(&one.to_string(), &()).unwrap());
    compiled.map(|one| (one, Secrets::default()).into()).collect()
}

fn key(name: &str) -> Key {
    ("acme".into(), name.into())
}

fn running(node: &Node) -> Vec<(String, String)> {
    node.stats().into_iter().map(|stats| (stats.pipeline, stats.revision)).collect()
}

#[test]
fn addresses_are_exchanged_in_one_step() {
    let server = Server::start();
    let node = node(&server, &[listens("one", "/x", 1_000), listens("two", "/y", 1_000)]);
    let swap = given(&[listens("one", "/y", 1_000), listens("two", "/x", 1_000)]);
    node.change(swap, &[]).unwrap();
    // A third one gets an address of theirs only when it goes.
    let (place, fault) = node.change(given(&[listens("three", "/y", 1_000)]), &[key("two")]).unwrap_err();
    assert_eq!((place, fault.code()), (0, Code::ConfigConflict));
    node.change(given(&[listens("three", "/y", 1_000)]), &[key("one")]).unwrap();
    assert_eq!(running(&node).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["three", "two"]);
}

#[test]
fn what_is_refused_of_one_leaves_all_as_they_were() {
    let server = Server::start();
    let node = node(&server, &[listens("one", "/x", 1_000), listens("two", "/y", 1_000)]);
    let before = running(&node);
    let too_much = given(&[listens("one", "/y", 1_000), listens("two", "/x", 60_000_000)]);
    let (place, fault) = node.change(too_much, &[]).unwrap_err();
    assert_eq!((place, fault.code()), (1, Code::ConfigInvalidValue));
    let same_address = given(&[listens("three", "/z", 1_000), listens("four", "/z", 1_000)]);
    let (place, fault) = node.change(same_address, &[key("one")]).unwrap_err();
    assert_eq!((place, fault.code()), (1, Code::ConfigConflict));
    assert_eq!(running(&node), before);
}

#[test]
fn a_change_that_is_only_tried_is_not_made() {
    let server = Server::start();
    let node = node(&server, &[listens("one", "/x", 1_000)]);
    let before = running(&node);
    node.try_change(given(&[listens("two", "/x", 1_000)]), &[key("one")]).unwrap();
    assert_eq!(running(&node), before);
}
