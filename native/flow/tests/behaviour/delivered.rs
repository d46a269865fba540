//! What counts as delivered to a stream, and when, against a real nats-server.

use harness::{Client, Server, eventually};
use serde_json::{Value, json};

use crate::node::{node_with, stat};

fn events(node: &flow::engine::Node, seen: &mut Vec<Value>) {
    seen.extend(node.events().iter().map(|event| serde_json::to_value(event).unwrap()));
}

/// Three ways to a stream of the user's: from JetStream, from core NATS, and beside another out.
fn pipelines() -> [Value; 3] {
    let stream_in = |name: &str| json!({"nats": {"subject": format!("in.{name}"), "mode": "jetstream", "stream": "IN", "durable": name}});
    let to_stream = |name: &str| json!({"subject": format!("out.{name}"), "mode": "jetstream"});
    let steps = json!([{"filter": "n >= 0"}]);
    [
        json!({"customer": "acme", "pipeline": "stream", "in": stream_in("stream"), "steps": steps,
               "out": {"nats": to_stream("stream")}}),
        json!({"customer": "acme", "pipeline": "core", "in": {"nats": {"subject": "core.in"}}, "steps": steps,
               "out": {"nats": to_stream("core")}}),
        json!({"customer": "acme", "pipeline": "both", "in": stream_in("both"),
               "steps": [{"filter": "n >= 0"}, {"route": [{"to": ["kept", "copy"]}]}],
               "out": {"kept": {"nats": to_stream("both")}, "copy": {"file": {"path": "both.ndjson"}}}}),
    ]
}

#[test]
fn an_output_to_a_stream_is_delivered_when_the_stream_has_it_and_counted_once() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    for name in ["stream", "both"] {
        client.make_consumer("IN", name, &format!("in.{name}"));
    }
    let node = node_with(&server, &pipelines(), &json!({}));
    eventually("the node is subscribed", || {
        client.publish("core.in", &[], b"{\"n\": 0}");
        (stat(&node, "core", "received") > 0).then_some(())
    });
    client.sync();
    for n in 0..3 {
        client.publish("in.stream", &[], format!("{{\"n\": {n}}}").as_bytes());
        client.publish("in.both", &[], format!("{{\"n\": {n}}}").as_bytes());
    }
    client.publish("in.stream", &[], b"not json");
    // There is no stream for `out.>` yet: every round fails and counts nothing.
    let mut seen = Vec::new();
    eventually("each has failed more than once", || {
        events(&node, &mut seen);
        let again = stat(&node, "stream", "redelivered") > 3 && stat(&node, "both", "redelivered") > 3;
        (again && stat(&node, "core", "emitted") > 0).then_some(())
    });
    eventually("the file out has its own", || (stat(&node, "both", "delivered") == 3).then_some(()));
    assert_eq!((stat(&node, "stream", "delivered"), stat(&node, "core", "delivered")), (0, 0));
    client.make_stream("OUT", "out.>", false, None);
    let core = stat(&node, "core", "received");
    eventually("all are delivered", || {
        let all = [("stream", 3), ("both", 6), ("core", core)];
        all.iter().all(|(name, count)| stat(&node, name, "delivered") == *count).then_some(())
    });
    eventually("the inputs are acked", || (client.count("IN") == 0).then_some(()));
    assert_eq!(client.count("OUT"), 6 + core);
    assert_eq!((stat(&node, "stream", "dead"), client.count("VRSKY_DEAD")), (1, 1));
    assert_eq!(stat(&node, "stream", "delivered_bytes"), 3 * b"{\"n\": 0}".len() as u64);
    events(&node, &mut seen);
    let delivered = |pipeline: &str, step: &str| {
        let of = |e: &&Value| e["kind"] == "delivered" && e["pipeline"] == pipeline && e["step"] == step;
        let found: Vec<&Value> = seen.iter().filter(of).collect();
        assert!(found.iter().all(|event| !event["id"].as_str().unwrap().is_empty()));
        found.len()
    };
    assert_eq!((delivered("stream", "default"), delivered("both", "kept"), delivered("both", "copy")), (3, 3, 3));
}

#[test]
fn what_another_stream_than_the_named_one_would_take_is_not_delivered_until_that_is_mended() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    client.make_stream("OTHER", "out.>", false, None);
    for name in ["stream", "both"] {
        client.make_consumer("IN", name, &format!("in.{name}"));
    }
    let mut pipelines = pipelines();
    for (pipeline, out) in pipelines.iter_mut().zip(["/out/nats", "/out/nats", "/out/kept/nats"]) {
        pipeline.pointer_mut(out).unwrap()["stream"] = json!("OUT");
    }
    let node = node_with(&server, &pipelines, &json!({}));
    eventually("the node is subscribed", || {
        client.publish("core.in", &[], b"{\"n\": 0}");
        (stat(&node, "core", "received") > 0).then_some(())
    });
    client.sync();
    // What a client expects of a stream is not asked.
    for name in ["in.stream", "in.both"] {
        client.publish(name, &[("Nats-Expected-Stream", "IN")], b"{\"n\": 1}");
    }
    let mut seen = Vec::new();
    eventually("each was refused more than once, or sent again", || {
        events(&node, &mut seen);
        let again = ["stream", "core", "both"].iter().all(|name| stat(&node, name, "retried") > 1);
        again.then_some(())
    });
    let kept = [("stream", 0), ("core", 0), ("both", 1)];
    eventually("the file has its own", || {
        kept.iter().all(|(name, count)| stat(&node, name, "delivered") == *count).then_some(())
    });
    assert_eq!((client.count("OTHER"), client.count("VRSKY_DEAD")), (0, 0));
    for (name, out) in [("stream", "default"), ("core", "default"), ("both", "kept")] {
        let told: Vec<&Value> =
            seen.iter().filter(|event| event["kind"] == "retried" && event["pipeline"] == name).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0]["code"], &told[0]["step"]), (&json!("nats/no-stream"), &json!(out)));
        assert!(told[0]["why"].as_str().unwrap().contains("expected stream does not match"), "{told:?}");
    }
    let answer = client.request("$JS.API.STREAM.DELETE.OTHER", "");
    assert!(answer["error"].is_null(), "{answer}");
    client.make_stream("OUT", "out.>", false, None);
    let core = stat(&node, "core", "received");
    eventually("all are delivered", || {
        let all = [("stream", 1), ("core", core), ("both", 2)];
        all.iter().all(|(name, count)| stat(&node, name, "delivered") == *count).then_some(())
    });
    assert_eq!(client.count("OUT"), 2 + core);
}
