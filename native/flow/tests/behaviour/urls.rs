//! The URL of an out with placeholders: of the document as the steps left it, in a run as in a dry run.

use std::net::TcpListener;

use flow::compile::Pipeline;
use flow::engine::Node;
use flow::process::{Message, dry_run};
use harness::{Client, Server, eventually, post, take_one};
use script::Runner;
use serde_json::{Value, json};

use crate::node::{node, stat};

fn pipeline(listener: &TcpListener, steps: &Value, path: &str) -> Value {
    json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "steps": steps,
        "out": {"http": {"url": format!("http://{}{path}", listener.local_addr().unwrap())}},
    })
}

fn started(server: &Server, pipeline: &Value, listener: &TcpListener) -> (Client, Node) {
    let mut client = Client::connect(server);
    client.provision();
    let node = node(server, std::slice::from_ref(pipeline));
    // The sink has been connected, without a request.
    drop(listener.accept().unwrap());
    (client, node)
}

/// Paths and payloads of a dry run, in order.
fn dry(pipeline: &Value, payload: &str) -> Vec<(String, String)> {
    let pipeline = Pipeline::from_json(&pipeline.to_string(), &()).unwrap();
    let message = Message { payload: payload.as_bytes(), content_type: "", headers: b"", id: "m1", time_ms: 0 };
    let (processed, _) = dry_run(&pipeline, &message, &mut Runner::new());
    assert!(processed.fault.is_none(), "{processed:?}");
    let outputs = processed.outputs.into_iter().map(|output| {
        let url = output.url.unwrap();
        let path = url.splitn(4, '/').nth(3).unwrap();
        (format!("/{path}"), String::from_utf8(output.payload).unwrap())
    });
    outputs.collect()
}

#[test]
fn a_run_and_a_dry_run_have_the_same_urls() {
    let split = "export default (msg) => [1, 2].map((n) => ({o: {'-id': `${msg.id}.${n}`}}))";
    let to_xml = json!({"convert": {"from": "json", "to": "xml", "attribute_prefix": "-"}});
    let rest = "x".repeat(1 << 20);
    let cases = [
        // What is an attribute only by the last convert's conventions.
        (json!([to_xml]), "/{o[\"-id\"]}", "{\"o\":{\"-id\":7}}".to_owned()),
        (json!([to_xml]), "/{o[\"-id\"]}", format!("{{\"o\":{{\"-id\":7,\"rest\":\"{rest}\"}}}}")),
        (json!([{"script": {"code": split}}, to_xml]), "/{o[\"-id\"]}", "{\"id\":7}".to_owned()),
        // What the first convert reads as a number, and is none any more.
        (
            json!([
                {"convert": {"from": "xml", "numbers": ["order.id"]}},
                {"set": {"order.id": "\"no \" + string(order.id)"}},
                {"convert": {"from": "json", "to": "xml"}},
            ]),
            "/{order.id}?for={order.id}",
            "<order><id>7</id></order>".to_owned(),
        ),
        // What goes on as it came.
        (json!([]), "/{order[\"@id\"]}", "<order id=\"7\"/>".to_owned()),
        (json!([{"filter": "id > 0"}]), "/{id}", "{\"id\": 7}".to_owned()),
    ];
    for (steps, path, payload) in cases {
        let server = Server::with_large_payloads();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let pipeline = pipeline(&listener, &steps, path);
        let mut expected = dry(&pipeline, &payload);
        let (_, node) = started(&server, &pipeline, &listener);
        assert_eq!(post(node.address().unwrap().port(), "/in/acme/orders", &[], payload.as_bytes()).0, 202);
        let mut taken: Vec<(String, String)> = expected
            .iter()
            .map(|_| {
                let (first, payload) = take_one(&listener);
                (first.split(' ').nth(1).unwrap().to_owned(), String::from_utf8(payload).unwrap())
            })
            .collect();
        taken.sort();
        expected.sort();
        assert!(taken == expected, "{steps}: {:?}", taken.iter().map(|(path, _)| path).collect::<Vec<_>>());
        let count = expected.len() as u64;
        eventually("they are delivered", || (stat(&node, "orders", "delivered") == count).then_some(()));
        assert_eq!(stat(&node, "orders", "dead"), 0);
    }
}

#[test]
fn a_stored_message_without_a_url_or_with_one_of_another_template_is_read_for_it() {
    let server = Server::start();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let steps = json!([{"convert": {"from": "json", "to": "xml"}}]);
    let pipeline = pipeline(&listener, &steps, "/{order[\"@id\"]}");
    let (mut client, node) = started(&server, &pipeline, &listener);
    let other = format!("0123456789abcdef http://{}/other", listener.local_addr().unwrap());
    for (id, url) in [("1", None), ("2", Some(&*other)), ("3", Some("")), ("4", Some("http://127.0.0.1:1/"))] {
        let mut headers = vec![("Customer-ID", "acme"), ("Nats-Msg-Id", id), ("Content-Type", "application/xml")];
        headers.extend(url.map(|url| ("Vrsky-Url", url)));
        let payload = format!("<order id=\"{id}\"/>");
        client.publish("vrsky.outgoing.t1000.0.acme.orders.default", &headers, payload.as_bytes());
        assert_eq!(take_one(&listener).0, format!("POST /{id} HTTP/1.1"));
    }
    eventually("they are delivered", || (stat(&node, "orders", "delivered") == 4).then_some(()));
}

#[test]
fn what_a_client_says_of_a_url_is_not_taken() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("vrsky.outgoing.>");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut pipeline = pipeline(&listener, &json!([{"filter": "true"}]), "/{id}");
    pipeline["in"] = json!({"nats": {"subject": "in.orders"}});
    let node = node(&server, &[pipeline]);
    eventually("the node is subscribed", || {
        client.publish("in.orders", &[("Vrsky-Url", "http://127.0.0.1:1/evil")], b"{\"id\": 7}");
        (stat(&node, "orders", "received") > 0).then_some(())
    });
    let stored = client.receive();
    let url = stored.header("Vrsky-Url").unwrap();
    assert!(url.ends_with(&format!(" http://{}/7", listener.local_addr().unwrap())), "{url}");
    assert!(!String::from_utf8_lossy(&stored.headers).contains("evil"));
}
