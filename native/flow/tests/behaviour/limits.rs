//! What a pipeline may ask for, and what an HTTP in takes.

use std::time::Duration;

use flow::engine::Node;
use harness::{Client, Server, eventually, post};
use message::Code;
use serde_json::{Value, json};

use crate::node::{install, node, stat, try_install, unstarted};

/// Forwards bodies as they are; `limits` and `max_body` as given.
fn forwarding(name: &str, limits: &Value, max_body: &Value) -> Value {
    let mut http = json!({"path": format!("/{name}")});
    if !max_body.is_null() {
        http["max_body"] = max_body.clone();
    }
    json!({
        "customer": "acme", "pipeline": name, "in": {"http": http}, "out": {"file": {"path": "out"}}, "limits": limits,
    })
}

#[test]
fn a_pipeline_that_asks_for_more_than_the_server_takes_is_refused() {
    let server = Server::start();
    Client::connect(&server).provision();
    let too_much = [
        (forwarding("bytes", &json!({"bytes": (1 << 20) + 1}), &json!(null)), "/limits/bytes"),
        (forwarding("body", &json!({}), &json!((1 << 20) + 1)), "/in/http/max_body"),
    ];
    for (pipeline, pointer) in &too_much {
        let node = unstarted(&server, &json!({}));
        install(&node, pipeline);
        let fault = node.start().unwrap_err();
        assert_eq!((fault.code(), fault.place().pointer.as_deref()), (Code::ConfigInvalidValue, Some(*pointer)));
        assert!(fault.reason().contains("max_payload, 1048576"), "{fault}");
    }
    // Where the size is known before the start, the others start.
    let told = unstarted(&server, &json!({"max_payload": 1 << 20}));
    for (pipeline, pointer) in &too_much {
        let fault = try_install(&told, pipeline).unwrap_err();
        assert_eq!((fault.code(), fault.place().pointer.as_deref()), (Code::ConfigInvalidValue, Some(*pointer)));
    }
    install(&told, &forwarding("default", &json!({}), &json!(null)));
    told.start().unwrap();
    // As much as it takes, or what nobody has asked for.
    let node = node(
        &server,
        &[
            forwarding("most", &json!({"bytes": 1 << 20}), &json!(null)),
            forwarding("default", &json!({}), &json!(null)),
        ],
    );
    for (pipeline, pointer) in &too_much {
        let fault = try_install(&node, pipeline).unwrap_err();
        assert_eq!(fault.place().pointer.as_deref(), Some(*pointer), "{fault}");
    }
}

#[test]
fn what_an_outs_url_cannot_be_read_from_is_refused_at_the_door() {
    let server = Server::start();
    Client::connect(&server).provision();
    let pipeline = |name: &str, url: &str| {
        let input = json!({"http": {"path": format!("/{name}")}});
        json!({"customer": "acme", "pipeline": name, "in": input, "out": {"http": {"url": url}}})
    };
    let fixed = pipeline("fixed", "http://127.0.0.1:1/orders");
    let node = node(&server, &[fixed, pipeline("named", "http://127.0.0.1:1/orders/{id}")]);
    let port = node.address().unwrap().port();
    let parts = [("Content-Type", "multipart/form-data; boundary=x")];
    let unknown = [("Content-Type", "text/xml; charset=klingon")];
    for headers in [&parts, &unknown] {
        assert_eq!(post(port, "/in/acme/fixed", headers, b"id=1").0, 202);
        let (status, problem) = post(port, "/in/acme/named", headers, b"id=1");
        assert_eq!(status, 415, "{problem}");
        assert!(problem.contains("http/unsupported-media-type"), "{problem}");
    }
    assert_eq!(post(port, "/in/acme/named", &[("Content-Type", "application/json")], b"{\"id\": 1}").0, 202);
}

#[test]
fn the_largest_body_fits_the_server_with_its_headers() {
    let server = Server::start();
    Client::connect(&server).provision();
    let node = node(&server, &[forwarding("default", &json!({}), &json!(null))]);
    let port = node.address().unwrap().port();
    let note = "x".repeat(14 << 10);
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("ce-note", note.as_str())];
    let mut body = vec![b'x'; (1 << 20) - (32 << 10)];
    assert_eq!(post(port, "/in/acme/default", &headers, &body).0, 202);
    body.push(b'x');
    let (status, problem) = post(port, "/in/acme/default", &headers, &body);
    assert_eq!(status, 413, "{problem}");
    assert!(problem.contains("http/too-large") && problem.contains("1015808"), "{problem}");
    eventually("the first is delivered", || (stat(&node, "default", "delivered") == 1).then_some(()));
    assert!(node.drain(Duration::from_secs(10)));
}

#[test]
fn a_pipeline_above_a_ceiling_is_refused_and_its_earlier_revision_goes_on() {
    let server = Server::start();
    Client::connect(&server).provision();
    let node = unstarted(&server, &json!({"ceilings": {"cpu_ms": 50, "memory_mb": 64, "fuel": 200_000}}));
    install(
        &node,
        &forwarding("orders", &json!({"script": {"cpu_ms": 50, "memory_mb": 64}, "fuel": 200_000}), &Value::Null),
    );
    node.start().unwrap();
    for (limits, pointer) in [
        (json!({"script": {"cpu_ms": 51}}), "/limits/script/cpu_ms"),
        (json!({"script": {"memory_mb": 65}}), "/limits/script/memory_mb"),
        (json!({"fuel": 200_001}), "/limits/fuel"),
    ] {
        let fault = try_install(&node, &forwarding("orders", &limits, &Value::Null)).unwrap_err();
        assert_eq!((fault.code(), fault.place().pointer.as_deref()), (Code::ConfigAboveCeiling, Some(pointer)));
    }
    let port = node.address().unwrap().port();
    assert_eq!(post(port, "/in/acme/orders", &[], b"{}").0, 202);
    eventually("it is delivered", || (stat(&node, "orders", "delivered") == 1).then_some(()));
}

#[test]
fn no_ceiling_is_below_what_a_pipeline_gets_that_asks_for_nothing() {
    for ceilings in [json!({"cpu_ms": 1}), json!({"memory_mb": 1}), json!({"fuel": 1})] {
        let settings = json!({"nats": {"url": "nats://127.0.0.1"}, "files": ".", "ceilings": ceilings});
        let refused = Node::new(serde_json::from_value(settings).unwrap()).err().unwrap();
        assert_eq!(refused.code(), Code::ConfigInvalidValue);
    }
}
