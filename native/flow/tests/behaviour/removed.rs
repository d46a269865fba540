//! What becomes of the messages of a pipeline, or of an out, that is removed and comes back.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use flow::engine::Node;
use harness::{Client, Receiver, Server, eventually, post};
use serde_json::{Value, json};

use crate::node::{install, node_with, stat};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];
const LANES: [&str; 2] = ["VRSKY_LOGIC_T1000_0", "VRSKY_OUTGOING_T1000_0"];

fn orders(outs: &Value) -> Value {
    let names: Vec<&String> = outs.as_object().unwrap().keys().collect();
    json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "steps": [{"filter": "n >= 0"}, {"route": [{"to": names}]}], "out": outs,
    })
}

fn client(server: &Server) -> Client {
    let mut client = Client::connect(server);
    client.provision();
    client.make_parked(100_000);
    client
}

fn set_aside_soon(server: &Server, pipeline: &Value) -> Node {
    node_with(server, std::slice::from_ref(pipeline), &json!({"set_aside_after": 1}))
}

/// Messages as a lane holds them.
fn put(client: &mut Client, step: &str, numbers: std::ops::Range<u32>) {
    let kind = if step == "in" { "logic" } else { "outgoing" };
    let subject = format!("vrsky.{kind}.t1000.0.acme.orders.{step}");
    for n in numbers {
        let headers = [("Customer-ID", "acme"), ("Content-Type", "application/json")];
        client.publish(&subject, &headers, format!("{{\"n\": {n}}}").as_bytes());
    }
    client.sync();
}

/// How many messages are parked under each subject.
fn parked(client: &mut Client) -> BTreeMap<String, u64> {
    let info = client.request("$JS.API.STREAM.INFO.VRSKY_PARKED", r#"{"subjects_filter": "vrsky.parked.>"}"#);
    serde_json::from_value(info["state"]["subjects"].clone()).unwrap_or_default()
}

fn aside(out: &str) -> String {
    format!("vrsky.parked.acme.orders.{out}")
}

/// Steps or outs of which an event says that their messages are set aside.
fn told(node: &Node, seen: &mut Vec<String>) -> usize {
    let events = node.events().into_iter().filter(|event| event.code == Some("tenant/unknown-pipeline"));
    seen.extend(events.map(|event| {
        assert_eq!((&*event.customer, &*event.pipeline), ("acme", "orders"));
        assert_eq!(serde_json::to_value(event.kind).unwrap(), json!("parking"));
        event.step
    }));
    seen.len()
}

fn sorted(receiver: &Receiver) -> Vec<u32> {
    let mut numbers = receiver.numbers();
    numbers.sort_unstable();
    numbers
}

fn all_is_done(client: &mut Client) {
    for stream in LANES.into_iter().chain(["VRSKY_PARKED"]) {
        eventually(stream, || (client.count(stream) == 0).then_some(()));
    }
    assert_eq!(client.count("VRSKY_DEAD"), 0);
}

#[test]
fn what_comes_for_a_removed_pipeline_is_set_aside_and_comes_back_with_it() {
    let server = Server::start();
    let mut client = client(&server);
    let receiver = Receiver::failing();
    receiver.recover();
    let pipeline = orders(&json!({"erp": {"http": {"url": receiver.url()}}}));
    let node = set_aside_soon(&server, &pipeline);
    let port = node.address().unwrap().port();
    for n in 0..50 {
        assert_eq!(post(port, "/in/acme/orders", &JSON, format!("{{\"n\": {n}}}").as_bytes()).0, 202);
    }
    assert!(node.remove("acme", "orders"));
    assert_eq!(post(port, "/in/acme/orders", &JSON, b"{}").0, 404);
    put(&mut client, "in", 50..80);
    put(&mut client, "erp", 80..100);
    for lane in LANES {
        eventually(lane, || (client.count(lane) == 0).then_some(()));
    }
    let waiting = parked(&mut client);
    let (steps, outs) = (waiting["vrsky.parked.acme.orders._in"], waiting["vrsky.parked.acme.orders.erp"]);
    assert!(steps >= 30 && outs >= 20, "{waiting:?}");
    assert_eq!(steps + outs + receiver.numbers().len() as u64, 100, "{waiting:?}");
    let mut steps = Vec::new();
    eventually("it says so, once for each", || (told(&node, &mut steps) >= 2).then_some(()));
    steps.sort();
    assert_eq!(steps, ["erp", "in"]);
    install(&node, &pipeline);
    eventually("all are delivered", || (receiver.numbers().len() >= 100).then_some(()));
    all_is_done(&mut client);
    assert_eq!(sorted(&receiver), (0..100).collect::<Vec<u32>>());
    // Later ones are not set aside.
    assert_eq!(post(port, "/in/acme/orders", &JSON, b"{\"n\": 100}").0, 202);
    eventually("a later one", || (receiver.numbers().len() == 101).then_some(()));
}

#[test]
fn what_a_lane_holds_for_a_pipeline_that_a_new_node_does_not_have_is_set_aside() {
    let server = Server::start();
    let mut client = client(&server);
    put(&mut client, "in", 0..20);
    put(&mut client, "erp", 20..30);
    let receiver = Receiver::failing();
    let mut other = orders(&json!({"erp": {"http": {"url": receiver.url()}}}));
    other["pipeline"] = json!("other");
    let node = set_aside_soon(&server, &other);
    for lane in LANES {
        eventually(lane, || (client.count(lane) == 0).then_some(()));
    }
    let expected = BTreeMap::from([("_in", 20), ("erp", 10)].map(|(out, count)| (aside(out), count)));
    assert_eq!(parked(&mut client), expected);
    let mut steps = Vec::new();
    eventually("it says so, once for each", || (told(&node, &mut steps) >= 2).then_some(()));
    assert_eq!(client.count("VRSKY_DEAD"), 0);
}

#[test]
fn what_comes_for_an_out_that_is_gone_is_set_aside_and_the_others_go_on() {
    let server = Server::start();
    let mut client = client(&server);
    let (erp, crm) = (Receiver::failing(), Receiver::failing());
    for receiver in [&erp, &crm] {
        receiver.recover();
    }
    let erp_alone = orders(&json!({"erp": {"http": {"url": erp.url()}}}));
    let both = orders(&json!({"erp": {"http": {"url": erp.url()}}, "crm": {"http": {"url": crm.url()}}}));
    let node = set_aside_soon(&server, &both);
    install(&node, &erp_alone);
    put(&mut client, "crm", 0..30);
    put(&mut client, "in", 30..60);
    eventually("the others are delivered", || (erp.numbers().len() == 30).then_some(()));
    eventually("these are set aside", || {
        (parked(&mut client).get("vrsky.parked.acme.orders.crm") == Some(&30)).then_some(())
    });
    let mut outs = Vec::new();
    eventually("it says so", || (told(&node, &mut outs) >= 1).then_some(()));
    assert_eq!(outs, ["crm"]);
    assert_eq!(stat(&node, "orders", "dead"), 0);
    install(&node, &both);
    eventually("they come back", || (crm.numbers().len() >= 30).then_some(()));
    all_is_done(&mut client);
    assert_eq!((sorted(&crm), sorted(&erp)), ((0..30).collect(), (30..60).collect()));
}

/// Reads one request to its end, and leaves the answer to the caller.
fn take(listener: &TcpListener) -> TcpStream {
    loop {
        let mut socket = listener.accept().unwrap().0;
        let mut request = Vec::new();
        let mut chunk = [0; 4_096];
        while !request.ends_with(b"{\"n\": 1}") {
            match socket.read(&mut chunk).unwrap() {
                0 => break,
                count => request.extend_from_slice(&chunk[..count]),
            }
        }
        // A connect sends nothing.
        if !request.is_empty() {
            return socket;
        }
    }
}

#[test]
fn what_a_sink_has_in_hand_when_its_pipeline_is_removed_is_finished() {
    let server = Server::start();
    let mut client = client(&server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let node = set_aside_soon(&server, &orders(&json!({"erp": {"http": {"url": url}}})));
    let port = node.address().unwrap().port();
    assert_eq!(post(port, "/in/acme/orders", &JSON, b"{\"n\": 1}").0, 202);
    let mut request = take(&listener);
    assert!(node.remove("acme", "orders"));
    assert_eq!(client.count(LANES[1]), 1, "not before the answer");
    request.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    all_is_done(&mut client);
}

#[test]
fn what_waits_for_a_server_that_fails_comes_back_with_its_pipeline() {
    let server = Server::start();
    let mut client = client(&server);
    let receiver = Receiver::failing();
    let pipeline = orders(&json!({"erp": {"http": {"url": receiver.url(), "retry_for": "1h"}}}));
    let node = set_aside_soon(&server, &pipeline);
    put(&mut client, "in", 0..100);
    eventually("it is tried", || (receiver.refused() > 0).then_some(()));
    assert!(node.remove("acme", "orders"));
    eventually("all are parked", || {
        let waiting = parked(&mut client);
        (waiting.values().sum::<u64>() == 100 && LANES.iter().all(|lane| client.count(lane) == 0)).then_some(())
    });
    receiver.recover();
    install(&node, &pipeline);
    eventually("all are delivered", || (receiver.numbers().len() >= 100).then_some(()));
    all_is_done(&mut client);
    assert_eq!(sorted(&receiver), (0..100).collect::<Vec<u32>>());
}

/// Parked and lane messages of an out that was HTTP, or whose pipeline was away, and is a NATS out now.
#[test]
fn what_waits_for_an_out_that_is_a_nats_out_now_is_published_to_its_subject() {
    let server = Server::start();
    let mut client = client(&server);
    client.make_stream("ERP", "erp.orders", false, None);
    let down = Receiver::failing();
    let http = orders(&json!({"erp": {"http": {"url": down.url(), "concurrency": 1, "retry_for": "1h"}}}));
    let node = node_with(&server, &[http], &json!({"set_aside_after": 1, "park_after": 1}));
    put(&mut client, "erp", 0..100);
    eventually("most are parked", || (client.count("VRSKY_PARKED") >= 90).then_some(()));
    let outs =
        json!({"erp": {"nats": {"subject": "erp.orders", "mode": "jetstream"}}, "log": {"file": {"path": "log"}}});
    for outs in [json!({"erp": outs["erp"]}), outs] {
        install(&node, &orders(&outs));
        eventually("all are published", || (client.count("ERP") >= 100).then_some(()));
        all_is_done(&mut client);
        assert_eq!(client.count("ERP"), 100);
        assert_eq!(stat(&node, "orders", "dead"), 0);
        // Away for longer.
        assert!(node.remove("acme", "orders"));
        client.request("$JS.API.STREAM.PURGE.ERP", "");
        put(&mut client, "erp", 100..200);
        let subject = aside("erp");
        eventually("these are set aside", || (parked(&mut client).get(&subject) == Some(&100)).then_some(()));
    }
}
