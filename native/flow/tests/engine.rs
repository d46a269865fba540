//! The engine against a real nats-server: what comes in goes out, and nothing else happens to it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "live/node.rs"]
#[allow(dead_code, reason = "shared by tests that each need a part of it")]
mod live;
#[path = "live/server.rs"]
#[allow(dead_code, reason = "shared by tests that each need a part of it")]
mod server;

use std::time::Duration;

use flow::engine::Node;
use live::{install, node, stat, try_install, unstarted};
use message::Code;
use serde_json::{Value, json};
use server::{Client, Server, eventually, post};

fn order(id: u32, total: f64, country: &str) -> Vec<u8> {
    format!("<order id=\"{id}\"><total>{total:.2}</total><country>{country}</country></order>").into_bytes()
}

fn steps() -> Value {
    json!([
        {"convert": {"from": "xml", "numbers": ["order.total"]}},
        {"filter": "order.total > 100.0 && order.country == \"CH\""},
    ])
}

#[test]
fn an_http_post_is_stored_converted_filtered_and_written() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    let node = node(
        &server,
        &[json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
            "steps": steps(), "out": {"file": {"path": "out.ndjson"}},
        })],
    );
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
    let written = std::fs::read_to_string(server.folder().join("files/out.ndjson")).unwrap();
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
    let node = node(
        &server,
        &[json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
            "steps": steps(), "out": {"file": {"path": "out.ndjson"}},
        })],
    );
    let port = node.address().unwrap().port();
    for body in [&b"<order><total>1</order>"[..], &order(1, 150.0, "CH")] {
        assert_eq!(post(port, "/in/acme/orders", &[("Content-Type", "application/xml")], body).0, 202);
    }
    let dead = client.next();
    assert_eq!(dead.subject, "vrsky.dead.acme.orders.0:convert");
    assert_eq!(dead.header("Vrsky-Code").as_deref(), Some("xml/not-well-formed"));
    assert!(dead.header("Vrsky-Place").unwrap().contains("byte "), "{dead:?}");
    assert_eq!(dead.header("Customer-ID").as_deref(), Some("acme"));
    assert_eq!(dead.payload, b"<order><total>1</order>");
    eventually("the next one is delivered", || (stat(&node, "orders", "delivered") == 1).then_some(()));
    assert_eq!((stat(&node, "orders", "dead"), client.count("VRSKY_DEAD")), (1, 1));
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
        let dead = client.next();
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
        client.publish("in.orders", &[("traceparent", "00-1")], &order(0, 200.0, "CH"));
        (stat(&node, "orders", "received") > 0).then_some(())
    });
    for id in 1..200 {
        client.publish(
            "in.orders",
            &[("Customer-ID", "acme"), ("traceparent", "00-1")],
            &order(id, 200.0, if id % 2 == 0 { "CH" } else { "DE" }),
        );
    }
    let mut last = None;
    while last != Some(198) {
        let got = client.next();
        let json = got.json();
        assert_eq!(json["order"]["net"], json!(100));
        assert_eq!(got.header("Customer-ID").as_deref(), Some("acme"));
        assert_eq!(got.header("traceparent").as_deref(), Some("00-1"));
        let id: u32 = json["order"]["@id"].as_str().unwrap().parse().unwrap();
        assert!(id.is_multiple_of(2) && last.is_none_or(|last| last < id || id == 0));
        last = Some(id);
    }
}

#[test]
fn a_customer_id_that_is_not_the_subjects_is_a_dead_letter_from_wherever_it_comes() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "durable.>", true, None);
    client.make_consumer("IN", "orders", "durable.orders");
    client.subscribe("out.*");
    let pipeline = |name: &str, source: Value| {
        let target = json!({"nats": {"subject": format!("out.{name}")}});
        json!({"customer": "acme", "pipeline": name, "in": {"nats": source}, "out": target})
    };
    let durable = json!({"subject": "durable.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"});
    let pipelines = [pipeline("core", json!({"subject": "in.orders"})), pipeline("durable", durable)];
    let node = node(&server, &pipelines);
    eventually("the node is subscribed", || {
        client.publish("in.orders", &[("Customer-ID", "evil")], b"{}");
        (stat(&node, "core", "received") > 0).then_some(())
    });
    client.publish("durable.orders", &[("Customer-ID", "evil")], b"{}");
    client.publish("durable.orders", &[("Customer-ID", "acme")], b"{}");
    let passed = client.next();
    assert_eq!((&*passed.subject, passed.header("Customer-ID").as_deref()), ("out.durable", Some("acme")));
    for name in ["core", "durable"] {
        eventually("a dead letter", || (stat(&node, name, "dead") > 0).then_some(()));
    }
    assert_eq!(stat(&node, "durable", "delivered"), 1);
    assert_eq!(stat(&node, "core", "delivered"), 0);
}

#[test]
fn messages_that_a_lane_holds_without_an_id_are_told_apart_and_the_subject_decides_whose_they_are() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("vrsky.dead.>");
    let pipeline = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "steps": [{"filter": "n > 0"}], "out": {"file": {"path": "out.ndjson"}},
    });
    let node = node(&server, &[pipeline]);
    for customer in ["acme", "acme", "evil", "evil"] {
        client.publish("vrsky.logic.t10000.0.acme.orders.in", &[("Customer-ID", customer)], b"{\"n\": 1}");
    }
    for _ in 0..2 {
        let dead = client.next();
        assert_eq!(dead.header("Vrsky-Code").as_deref(), Some("tenant/mismatch"));
        assert_eq!(dead.header("Customer-ID").as_deref(), Some("acme"));
    }
    eventually("both are delivered", || (stat(&node, "orders", "delivered") == 2).then_some(()));
    assert_eq!(client.count("VRSKY_DEAD"), 2);
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
    let node = node(
        &server,
        &[json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
            "steps": steps(), "out": {"file": {"path": "out.ndjson"}},
        })],
    );
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
    let path = server.folder().join("files/out.ndjson");
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
    eventually("the file", || server.folder().join("files/lines.ndjson").exists().then_some(()));
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
        let opened = std::fs::File::open(server.folder().join("files").join(name)).ok()?;
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
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let latin = [("Content-Type", "text/xml; charset=iso-8859-1")];
    for headers in [&form, &latin] {
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
