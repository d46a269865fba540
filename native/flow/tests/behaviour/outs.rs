//! Outs are opened before the first message, found again when they were away, and closed when they are replaced.

use std::time::Duration;

use flow::compile::Pipeline;
use flow::engine::{Node, Secrets};
use harness::{Client, Receiver, Server, eventually, post};
use message::Code;
use serde_json::{Value, json};

use crate::node::{install, node, stat, unstarted};

fn orders_to(out: &Value) -> Value {
    json!({"customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "out": out})
}

fn condition(node: &Node, at: &str) -> Option<String> {
    let stats = serde_json::to_value(node.stats()).unwrap();
    let found = stats[0].pointer(at)?;
    Some(found["code"].as_str().or(found["state"].as_str()).unwrap().to_owned())
}

/// An address on which nobody listens, yet.
fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn every_sink_is_connected_at_the_start_without_a_message() {
    let server = Server::start();
    Client::connect(&server).provision();
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let there = format!("http://{}/x", receiver.local_addr().unwrap());
    let nobody = format!("http://{}/{{id}}", free_address());
    let mut pipeline = orders_to(&json!({
        "there": {"http": {"url": there}}, "gone": {"http": {"url": nobody}},
        "refused": {"http": {"url": "http://10.0.0.1/"}}, "lines": {"file": {"path": "lines.ndjson"}},
    }));
    pipeline["steps"] = json!([{"route": [{"to": ["there", "gone", "refused", "lines"]}]}]);
    let node = node(&server, &[pipeline]);
    let (mut probe, _) = receiver.accept().unwrap();
    let mut sent = Vec::new();
    std::io::Read::read_to_end(&mut probe, &mut sent).unwrap();
    assert!(sent.is_empty(), "a connect sends nothing");
    for (out, told) in [("there", "up"), ("lines", "up"), ("gone", "http/connect"), ("refused", "http/refused-address")]
    {
        eventually(out, || (condition(&node, &format!("/outs/{out}")).as_deref() == Some(told)).then_some(()));
    }
    eventually("the in", || (condition(&node, "/in").as_deref() == Some("up")).then_some(()));
    // Up says that nothing is known against it; a disk may be slower than the first look.
    eventually("the file", || server.folder().join("files/acme/lines.ndjson").exists().then_some(()));
    let mut said: Vec<_> = node.events().into_iter().map(|event| (event.pipeline, event.step, event.code)).collect();
    said.sort();
    let event = |out: &str, code| ("orders".to_owned(), out.to_owned(), Some(code));
    assert_eq!(said, [event("gone", "http/connect"), event("refused", "http/refused-address")]);
    assert_eq!((stat(&node, "orders", "retried"), stat(&node, "orders", "dead")), (0, 0));
}

fn out_is(node: &Node, told: &str) -> Option<()> {
    (condition(node, "/outs/default").as_deref() == Some(told)).then_some(())
}

/// And where it will be.
fn node_whose_out_is_away(server: &Server) -> (Node, std::net::SocketAddr) {
    Client::connect(server).provision();
    let address = free_address();
    let node = node(server, &[orders_to(&json!({"http": {"url": format!("http://{address}/")}}))]);
    eventually("the connect has failed", || out_is(&node, "http/connect"));
    (node, address)
}

#[test]
fn an_out_that_was_away_is_up_again_when_it_takes_a_message() {
    let server = Server::start();
    let (node, address) = node_whose_out_is_away(&server);
    let json = [("Content-Type", "application/json")];
    assert_eq!(post(node.address().unwrap().port(), "/in/acme/orders", &json, b"{}").0, 202);
    eventually("it is tried", || (stat(&node, "orders", "retried") > 0).then_some(()));
    let receiver = std::net::TcpListener::bind(address).unwrap();
    let (mut request, _) = receiver.accept().unwrap();
    // An answer before the request would be none.
    assert!(std::io::Read::read(&mut request, &mut [0; 1_024]).unwrap() > 0);
    std::io::Write::write_all(&mut request, b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    eventually("it is up", || out_is(&node, "up"));
}

#[test]
fn an_out_that_was_away_is_up_again_without_a_message() {
    let server = Server::start();
    let (node, address) = node_whose_out_is_away(&server);
    let _receiver = std::net::TcpListener::bind(address).unwrap();
    eventually("it is up", || out_is(&node, "up"));
    assert_eq!(stat(&node, "orders", "retried"), 0);
}

#[test]
fn a_file_is_closed_when_its_revision_is_replaced_and_when_the_node_is_drained() {
    let server = Server::start();
    Client::connect(&server).provision();
    let file = |name: &str| orders_to(&json!({"file": {"path": name}}));
    let node = node(&server, &[file("first.ndjson")]);
    // A file that is open is locked.
    let is_locked = |name: &str| {
        let opened = std::fs::File::open(server.folder().join("files/acme").join(name)).ok()?;
        Some(opened.try_lock().is_err())
    };
    eventually("the first is open", || (is_locked("first.ndjson") == Some(true)).then_some(()));
    let json = [("Content-Type", "application/json")];
    assert_eq!(post(node.address().unwrap().port(), "/in/acme/orders", &json, b"{}").0, 202);
    eventually("a line", || (stat(&node, "orders", "delivered") == 1).then_some(()));
    install(&node, &file("second.ndjson"));
    eventually("the second is open", || (is_locked("second.ndjson") == Some(true)).then_some(()));
    eventually("the first is closed", || (is_locked("first.ndjson") == Some(false)).then_some(()));
    assert!(node.drain(Duration::from_secs(10)));
    assert_eq!(is_locked("second.ndjson"), Some(false));
}

#[test]
fn a_secret_that_no_header_can_carry_leaves_the_earlier_revision_running() {
    let server = Server::start();
    Client::connect(&server).provision();
    let receiver = Receiver::failing();
    receiver.recover();
    let http = json!({"url": receiver.url(), "auth": {"bearer": {"secret": "token"}}});
    let pipeline = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/in", "auth": "none"}}, "out": {"http": http},
    });
    let try_with = |node: &Node, token: &str| {
        let compiled = Pipeline::from_json(&pipeline.to_string(), &()).unwrap();
        node.install(compiled, Secrets::new([("token".to_owned(), token.to_owned())].into()))
    };
    let node = unstarted(&server, &json!({}));
    try_with(&node, "good").unwrap();
    node.start().unwrap();
    let fault = try_with(&node, "first\r\nsecond").unwrap_err();
    assert_eq!((fault.code(), fault.place().pointer.as_deref()), (Code::ConfigInvalidValue, Some("/out/http")));
    assert!(!fault.to_string().contains("second"), "{fault}");
    assert_eq!(post(node.address().unwrap().port(), "/in/acme/in", &[], b"{\"n\":1}").0, 202);
    eventually("it is delivered", || (stat(&node, "orders", "delivered") == 1).then_some(()));
    assert_eq!(stat(&node, "orders", "dead"), 0);
}
