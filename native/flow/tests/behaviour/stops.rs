//! A stop in order, while messages come.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use harness::{Client, Server, eventually};
use serde_json::{Value, json};

use crate::node::{node_with, stat};

/// Streams whose consumers have so long an `ack_wait` that what a stop leaves handed out never comes again here.
fn client(server: &Server) -> Client {
    let mut client = Client::connect(server);
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    client.make_patient_consumer("IN", "orders", "in.orders");
    for kind in ["logic", "outgoing"] {
        let stream = format!("VRSKY_{kind}_T1000_0").to_uppercase();
        client.request(&format!("$JS.API.CONSUMER.DELETE.{stream}.{kind}"), "");
        client.make_patient_consumer(&stream, kind, "");
    }
    client
}

/// How often each number is in the file out.
fn lines(server: &Server) -> BTreeMap<u64, u32> {
    let text = std::fs::read_to_string(server.folder().join("files/acme/orders.ndjson")).unwrap_or_default();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        *found.entry(line["n"].as_u64().unwrap()).or_default() += 1;
    }
    found
}

#[test]
fn a_stop_under_load_leaves_nothing_handed_out_and_nothing_half_done() {
    let server = Server::start();
    let mut producer = client(&server);
    let pipeline = json!({
        "customer": "acme", "pipeline": "orders",
        "in": {"nats": {"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"}},
        "out": {"file": {"path": "orders.ndjson"}},
    });
    let start = || node_with(&server, std::slice::from_ref(&pipeline), &json!({"threads": 2}));
    let (ends, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::SeqCst) {
                for _ in 0..20 {
                    let n = sent.fetch_add(1, Ordering::SeqCst);
                    producer.publish("in.orders", &[], format!("{{\"n\": {n}}}").as_bytes());
                }
                producer.sync();
            }
        });
        for _ in 0..30 {
            let node = start();
            eventually("messages flow", || (stat(&node, "orders", "delivered") > 20).then_some(()));
            assert!(node.drain(Duration::from_secs(20)));
        }
        ends.store(true, Ordering::SeqCst);
    });
    let _last = start();
    let sent = sent.load(Ordering::SeqCst) as usize;
    eventually("every message is delivered", || (lines(&server).len() == sent).then_some(()));
    let doubled: Vec<_> = lines(&server).into_iter().filter(|(_, times)| *times > 1).collect();
    assert_eq!(doubled, []);
}

#[test]
fn who_comes_during_a_stop_is_refused_while_what_is_in_hand_is_finished() {
    let server = Server::start();
    Client::connect(&server).provision();
    let pipeline = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders", "auth": "none"}},
        "out": {"file": {"path": "orders.ndjson"}},
    });
    let node = node_with(&server, &[pipeline], &json!({}));
    let address = node.address().unwrap();
    let mut half = TcpStream::connect(address).unwrap();
    let head = "POST /in/acme/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    half.write_all(head.as_bytes()).unwrap();
    half.write_all(b"Expect: 100-continue\r\nContent-Length: 8\r\n\r\n").unwrap();
    let mut goes_on = [0; 25];
    half.read_exact(&mut goes_on).unwrap();
    assert_eq!(&goes_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| node.drain(Duration::from_secs(20)));
        eventually("it is refused", || TcpStream::connect(address).is_err().then_some(()));
        half.write_all(b"{\"n\": 1}").unwrap();
        let mut answer = [0; 12];
        half.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 202");
        assert!(stop.join().unwrap());
    });
}
