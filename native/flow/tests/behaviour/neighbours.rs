//! What one customer's messages do to those of another on the same shard.

use harness::{Client, Server, alone, eventually};
use serde_json::{Value, json};

use crate::node::{node, stat};

fn scripted(customer: &str, code: &str) -> Value {
    json!({
        "customer": customer, "pipeline": customer, "in": {"nats": {"subject": format!("in.{customer}")}},
        "steps": [{"script": {"code": code}}], "limits": {"script": {"cpu_ms": 20}},
        "out": {"nats": {"subject": format!("out.{customer}")}},
    })
}

#[test]
fn a_customers_loops_let_the_messages_of_others_pass() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.subscribe("out.quiet");
    client.subscribe("vrsky.dead.>");
    let looping = "export default msg => { while (msg.loop); return null }";
    let node = node(&server, &[scripted("loops", looping), scripted("quiet", "export default msg => msg")]);
    for customer in ["loops", "quiet"] {
        eventually("the node is subscribed", || {
            // Core NATS drops what nobody listens to; this script drops this one.
            client.publish(&format!("in.{customer}"), &[], b"[]");
            (stat(&node, customer, "received") > 0).then_some(())
        });
    }
    for _ in 0..100 {
        client.publish("in.loops", &[], br#"{"loop": true}"#);
    }
    client.publish("in.quiet", &[], br#"{"id": 1}"#);
    // Both come from the node's one connection, in the order in which it was done with them.
    let came: Vec<String> = (0..101).map(|_| client.receive().subject).collect();
    let quiet = came.iter().position(|subject| subject == "out.quiet");
    assert!(quiet.is_some_and(|place| place < 50), "{quiet:?}");
    assert_eq!(came.iter().filter(|subject| subject.starts_with("vrsky.dead.loops.")).count(), 100);
    assert_eq!(stat(&node, "loops", "dead"), 100);
}

fn durable(customer: &str, steps: &Value) -> Value {
    json!({
        "customer": customer, "pipeline": customer,
        "in": {"nats": {"subject": format!("in.{customer}"), "mode": "jetstream", "stream": "IN", "durable": customer}},
        "steps": steps,
        "out": {"nats": {"subject": format!("out.{customer}")}},
    })
}

#[test]
fn a_script_that_cannot_be_stopped_holds_up_nobody_without_scripts() {
    alone(|| {
        let server = Server::start();
        let mut client = Client::connect(&server);
        client.provision();
        client.make_stream("IN", "in.>", true, None);
        for name in ["stuck", "scripts", "plain"] {
            client.make_consumer("IN", name, &format!("in.{name}"));
        }
        // Minutes in one call of a built-in, which no interrupt reaches.
        let built_in = "export default m => { const s = 'a'.repeat(m.k); return (s + s + s + s).indexOf(s + 'b') }";
        let script = |code: &str| json!([{"script": {"code": code}}]);
        let pipelines = [
            durable("stuck", &script(built_in)),
            durable("scripts", &script("export default m => m")),
            durable("plain", &json!([])),
        ];
        let node = node(&server, &pipelines);
        client.publish("in.stuck", &[], br#"{"k": 300000}"#);
        eventually("it has begun", || (stat(&node, "stuck", "received") == 1).then_some(()));
        // More than a shard holds for its scripts.
        for _ in 0..3_000 {
            client.publish("in.scripts", &[], br#"{"n": 1}"#);
        }
        for _ in 0..100 {
            client.publish("in.plain", &[], br#"{"n": 1}"#);
        }
        eventually("those without scripts pass", || (stat(&node, "plain", "delivered") == 100).then_some(()));
        eventually("those with scripts are taken, and sent back", || {
            (stat(&node, "scripts", "received") == 3_000).then_some(())
        });
        assert_eq!((stat(&node, "stuck", "delivered"), stat(&node, "stuck", "dead")), (0, 0));
        let told = eventually("it is told", || {
            node.events().iter().map(|event| serde_json::to_value(event).unwrap()).find(|event| event["kind"] == "node")
        });
        assert_eq!(told["code"], "script/unavailable");
        assert!(told["why"].as_str().unwrap().contains("a script of stuck runs for"), "{told}");
    });
}
