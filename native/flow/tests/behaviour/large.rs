//! Payloads above 1 MiB, on the thread beside the shard: they end as small ones do, hold up nobody,
//! and none is lost.

use std::net::TcpListener;
use std::time::Duration;

use flow::engine::Node;
use harness::{Client, Server, eventually, post, take_one};
use serde_json::{Value, json};

use crate::node::{node, stat};

const ITEMS_PER_MIB: usize = (1 << 20) / 160;

/// About `mib` MiB of XML; a little less as JSON.
fn order(id: u32, mib: usize) -> Vec<u8> {
    let items = format!("<item>{}</item>", "abcdefgh ".repeat(16)).repeat(ITEMS_PER_MIB * mib);
    format!("<order id=\"{id}\"><total>200.00</total>{items}</order>").into_bytes()
}

fn steps() -> Value {
    json!([{"convert": {"from": "xml", "numbers": ["order.total"]}}, {"filter": "order.total > 100.0"}])
}

fn nats(customer: &str, name: &str, mode: &str) -> Value {
    let input = match mode {
        "core" => json!({"subject": format!("in.{name}")}),
        _ => json!({"subject": format!("in.{name}"), "mode": mode, "stream": "IN", "durable": "vrsky"}),
    };
    json!({
        "customer": customer, "pipeline": name, "in": {"nats": input}, "steps": steps(),
        "out": {"nats": {"subject": format!("out.{name}"), "mode": mode}},
    })
}

fn subscribed(client: &mut Client, node: &Node, name: &str) {
    eventually("the node is subscribed", || {
        // Core NATS drops what nobody listens to; this message the filter drops.
        client.publish(&format!("in.{name}"), &[], b"<order><total>1</total></order>");
        (stat(node, name, "received") > 0).then_some(())
    });
}

fn id(payload: &[u8]) -> u32 {
    let json: Value = serde_json::from_slice(payload).unwrap();
    json["order"]["@id"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_large_document_goes_through_steps_and_script_to_its_out() {
    let server = Server::with_large_payloads();
    let mut client = Client::connect(&server);
    client.provision();
    let mut steps = steps();
    let code = "export default (msg: any) => { msg.order.net = msg.order.total / 2; return msg }";
    steps.as_array_mut().unwrap().push(json!({"script": {"code": code}}));
    let node = node(
        &server,
        &[json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
            "steps": steps, "out": {"file": {"path": "out.ndjson"}},
        })],
    );
    let xml = [("Content-Type", "application/xml")];
    let payload = order(7, 6);
    assert!(payload.len() > 5 << 20);
    assert_eq!(post(node.address().unwrap().port(), "/in/acme/orders", &xml, &payload).0, 202);
    eventually("it is delivered", || {
        assert_eq!(stat(&node, "orders", "dead"), 0);
        (stat(&node, "orders", "delivered") == 1).then_some(())
    });
    assert!(node.drain(Duration::from_secs(10)));
    let written = std::fs::read(server.folder().join("files/acme/out.ndjson")).unwrap();
    let json: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!((&json["order"]["@id"], &json["order"]["net"]), (&json!("7"), &json!(100)));
    assert_eq!(json["order"]["item"].as_array().unwrap().len(), 6 * ITEMS_PER_MIB);
    for stream in ["VRSKY_LOGIC_T1000_0", "VRSKY_OUTGOING_T1000_0", "VRSKY_DEAD"] {
        assert_eq!(client.count(stream), 0, "{stream}");
    }
}

fn to_url(listener: &TcpListener, steps: &Value, path: &str) -> Value {
    json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "steps": steps,
        "out": {"http": {"url": format!("http://{}{path}", listener.local_addr().unwrap())}},
    })
}

#[test]
fn a_large_document_fills_in_the_url_of_its_out() {
    for steps in [steps(), json!([])] {
        let server = Server::with_large_payloads();
        let mut client = Client::connect(&server);
        client.provision();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let node = node(&server, &[to_url(&listener, &steps, "/orders/{order[\"@id\"]}")]);
        // The sink has been connected, without a request.
        drop(listener.accept().unwrap());
        let xml = [("Content-Type", "application/xml")];
        assert_eq!(post(node.address().unwrap().port(), "/in/acme/orders", &xml, &order(7, 6)).0, 202);
        let (first, payload) = take_one(&listener);
        assert_eq!(first, "POST /orders/7 HTTP/1.1");
        assert!(payload.len() > 5 << 20);
        eventually("it is delivered", || (stat(&node, "orders", "delivered") == 1).then_some(()));
        assert!(node.drain(Duration::from_secs(10)));
        eventually("its ack is there", || (client.count("VRSKY_OUTGOING_T1000_0") == 0).then_some(()));
    }
}

#[test]
fn a_large_document_that_makes_no_url_is_a_dead_letter_and_the_drain_waits_for_nothing() {
    for (steps, content_type) in [(steps(), "application/json"), (json!([]), "application/xml")] {
        let server = Server::with_large_payloads();
        let mut client = Client::connect(&server);
        client.provision();
        client.subscribe("vrsky.dead.>");
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let node = node(&server, &[to_url(&listener, &steps, "/orders/{order.missing}")]);
        let xml = [("Content-Type", "application/xml")];
        assert_eq!(post(node.address().unwrap().port(), "/in/acme/orders", &xml, &order(7, 3)).0, 202);
        let dead = client.receive();
        assert_eq!(dead.subject, "vrsky.dead.acme.orders.out:default");
        assert_eq!(dead.header("Vrsky-Code").as_deref(), Some("http/bad-url"));
        assert_eq!(dead.header("Content-Type").as_deref(), Some(content_type));
        assert!(dead.payload.len() > 2 << 20);
        assert!(node.drain(Duration::from_secs(10)));
    }
}

#[test]
fn another_customers_small_message_overtakes_large_ones() {
    let server = Server::with_large_payloads();
    let mut client = Client::connect(&server);
    client.subscribe("out.*");
    let node = node(&server, &[nats("acme", "large", "core"), nats("globex", "small", "core")]);
    subscribed(&mut client, &node, "large");
    subscribed(&mut client, &node, "small");
    let large: Vec<Vec<u8>> = (0..6).map(|number| order(number, 6)).collect();
    let small = order(100, 0);
    // Without the thread it would never happen, in any round.
    let overtook = (0..20).any(|_| {
        large.iter().for_each(|one| client.publish("in.large", &[], one));
        client.publish("in.small", &[], &small);
        let mut came: Vec<u32> = (0..7).map(|_| id(&client.receive().payload)).collect();
        let place = came.iter().position(|id| *id == 100).unwrap();
        came.remove(place);
        assert_eq!(came, [0, 1, 2, 3, 4, 5]);
        place < 6
    });
    assert!(overtook);
}

#[test]
fn a_malformed_large_payload_gives_the_dead_letter_of_a_small_one() {
    let server = Server::with_large_payloads();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("vrsky.dead.>");
    let node = node(&server, &[nats("acme", "orders", "core")]);
    subscribed(&mut client, &node, "orders");
    let small = b"<order><total>1</order>".to_vec();
    let large = [&small[..], &b" ".repeat(3 << 20)].concat();
    client.publish("in.orders", &[], &small);
    let first = client.receive();
    client.publish("in.orders", &[], &large);
    let second = client.receive();
    assert_eq!(first.subject, second.subject);
    for name in ["Vrsky-Code", "Vrsky-Reason", "Vrsky-Place", "Vrsky-Step", "Vrsky-Part", "Customer-ID"] {
        assert_eq!(first.header(name), second.header(name), "{name}");
        assert!(first.header(name).is_some(), "{name}");
    }
    assert!(second.header("Vrsky-Place").unwrap().contains("byte "));
    assert_eq!((first.payload, second.payload), (small, large));
}

#[test]
fn more_jetstream_messages_than_the_thread_may_hold_all_arrive() {
    let server = Server::with_large_payloads();
    let mut client = Client::connect(&server);
    client.make_stream("IN", "in.stored", true, Some("vrsky"));
    client.make_stream("OUT", "out.stored", false, None);
    for number in 0..12 {
        client.publish("in.stored", &[], &order(number, 7));
    }
    client.sync();
    let node = node(&server, &[nats("globex", "stored", "jetstream")]);
    eventually("everything is acked in IN", || (client.count("IN") == 0).then_some(()));
    assert_eq!(client.count("OUT"), 12);
    assert_eq!(stat(&node, "stored", "dead"), 0);
}

#[test]
fn core_nats_messages_beyond_their_customers_bytes_are_lost_and_counted_and_the_others_arrive_in_order() {
    let server = Server::with_large_payloads();
    let mut client = Client::connect(&server);
    client.subscribe("out.core");
    let mut pipeline = nats("acme", "core", "core");
    // Small outputs, so that the server does not drop the test's own slow subscription.
    pipeline["steps"].as_array_mut().unwrap().push(json!({"remove": ["order.item"]}));
    let node = node(&server, &[pipeline]);
    subscribed(&mut client, &node, "core");
    let before = stat(&node, "core", "delivered");
    for number in 0..12 {
        client.publish("in.core", &[], &order(number, 7));
    }
    let delivered = || stat(&node, "core", "delivered") - before;
    eventually("each has its end", || (delivered() + stat(&node, "core", "lost") == 12).then_some(()));
    // 64 MiB hold nine of them; what the thread is done with makes room for more.
    assert!(delivered() >= 9);
    let came: Vec<u32> = (0..delivered()).map(|_| id(&client.receive().payload)).collect();
    assert!(came.is_sorted(), "{came:?}");
    assert_eq!(stat(&node, "core", "dead"), 0);
}

#[test]
fn a_drain_finishes_what_the_thread_has_and_the_next_node_the_rest() {
    let server = Server::with_large_payloads();
    let mut client = Client::connect(&server);
    client.make_stream("IN", "in.stored", true, Some("vrsky"));
    client.make_stream("OUT", "out.stored", false, None);
    for number in 0..6 {
        client.publish("in.stored", &[], &order(number, 6));
    }
    client.sync();
    let pipelines = [nats("globex", "stored", "jetstream")];
    let first = node(&server, &pipelines);
    eventually("it has some in hand", || (stat(&first, "stored", "received") > 0).then_some(()));
    assert!(first.drain(Duration::from_secs(20)));
    assert!(client.count("OUT") > 0);
    let second = node(&server, &pipelines);
    eventually("everything is acked in IN", || (client.count("IN") == 0).then_some(()));
    assert_eq!(client.count("OUT"), 6);
    drop(second);
}
