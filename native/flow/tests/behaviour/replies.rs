//! Answers to publishes that the server has not given: nobody's message is taken for stored.

use harness::{Client, Server, eventually};
use serde_json::json;

use crate::node::{node, stat};

/// A customer's JetStream out on whose subject somebody listens and answers.
#[test]
fn a_stray_reply_settles_nothing_of_another_customer() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    client.make_stream("OUT", "out.>", false, None);
    let mut pipeline = |customer: &str| {
        client.make_consumer("IN", customer, &format!("in.{customer}"));
        let source =
            json!({"subject": format!("in.{customer}"), "mode": "jetstream", "stream": "IN", "durable": customer});
        let target = json!({"nats": {"subject": format!("out.{customer}"), "mode": "jetstream", "stream": "OUT"}});
        json!({"customer": customer, "pipeline": customer, "in": {"nats": source}, "out": target})
    };
    let pipelines = [pipeline("acme"), pipeline("beta")];
    let node = node(&server, &pipelines);
    // It answers every publish of acme before, after and instead of the stream.
    let mut liar = Client::connect(&server);
    liar.subscribe("out.acme");
    let lies = std::thread::spawn(move || {
        for _ in 0..1_000 {
            let heard = liar.receive();
            let reply = heard.reply.expect("a publish that waits for its PubAck");
            for answer in [&br#"{"stream":"OUT","seq":1}"#[..], br#"{"error":{"code":503,"err_code":10077}}"#, b""] {
                liar.publish(&reply, &[], answer);
            }
        }
    });
    for number in 0..1_000 {
        for customer in ["acme", "beta"] {
            client.publish(&format!("in.{customer}"), &[], format!("{{\"n\": {number}}}").as_bytes());
        }
    }
    lies.join().unwrap();
    eventually("everything of beta is acked", || (stat(&node, "beta", "delivered") == 1_000).then_some(()));
    eventually("the in is empty", || (client.count("IN") == 0).then_some(()));
    assert_eq!(client.count_of("OUT", "out.beta"), 1_000);
}

#[test]
fn a_publish_that_another_stream_confirms_is_not_taken_for_delivered() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    client.make_consumer("IN", "orders", "in.orders");
    let source = json!({"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"});
    let target = json!({"nats": {"subject": "out.orders", "mode": "jetstream", "stream": "OUT"}});
    let node =
        node(&server, &[json!({"customer": "acme", "pipeline": "orders", "in": {"nats": source}, "out": target})]);
    let mut liar = Client::connect(&server);
    liar.subscribe("out.orders");
    client.publish("in.orders", &[], b"{}");
    let heard = liar.receive();
    liar.publish(&heard.reply.unwrap(), &[], br#"{"stream":"OTHER","seq":1}"#);
    liar.sync();
    eventually("it is tried again", || (stat(&node, "orders", "redelivered") > 0).then_some(()));
    assert_eq!((stat(&node, "orders", "delivered"), client.count("IN")), (0, 1));
    client.make_stream("OUT", "out.>", false, None);
    eventually("it is stored", || (stat(&node, "orders", "delivered") == 1).then_some(()));
}
