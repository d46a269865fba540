//! A node and a cluster of real nats-servers: servers that end lose nothing and double nothing. And JetStream's domains.

use std::time::Duration;

use flow::engine::Node;
use harness::{Client, Cluster, Folder, Server, eventually};
use serde_json::{Value, json};

use crate::node::{node_with, stat};

const MESSAGES: u64 = 4_000;

fn pipeline() -> Value {
    json!({
        "customer": "acme", "pipeline": "orders", "steps": [{"filter": "n >= 0"}],
        "in": {"nats": {"subject": "in.orders", "mode": "jetstream", "stream": "IN", "durable": "orders"}},
        "out": {"nats": {"subject": "out.orders", "mode": "jetstream"}},
    })
}

/// The streams of the pipeline.
fn make_streams(client: &mut Client) {
    client.provision();
    client.make_stream("IN", "in.>", true, None);
    client.make_stream("OUT", "out.>", false, None);
    client.make_consumer("IN", "orders", "in.orders");
}

/// Each once, also when the server drops some of them on the way to its stream.
fn publish_all(client: &mut Client) {
    eventually("all are stored", || {
        for n in 0..MESSAGES {
            let id = format!("in-{n}");
            client.publish("in.orders", &[("Nats-Msg-Id", &id)], format!("{{\"n\": {n}}}").as_bytes());
        }
        client.sync();
        let info = client.request("$JS.API.STREAM.INFO.IN", "");
        (info["state"]["last_seq"] == MESSAGES).then_some(())
    });
}

fn says(node: &Node, text: &str) -> Option<()> {
    let events = node.events();
    events.iter().any(|event| serde_json::to_string(event).unwrap().contains(text)).then_some(())
}

/// The node's server, which alone was named, ends while there is a backlog; an event of the node says `text`.
fn goes_on_after(end: impl FnOnce(&mut Server), text: &str) {
    let mut cluster = Cluster::start();
    cluster.await_jetstream();
    let mut client = Client::connect(&cluster.servers[1]);
    client.replicas = 3;
    make_streams(&mut client);
    publish_all(&mut client);
    let node = node_with(&cluster.servers[0], &[pipeline()], &json!({}));
    eventually("some are delivered", || (stat(&node, "orders", "delivered") > 100).then_some(()));
    end(&mut cluster.servers[0]);
    eventually(text, || says(&node, text));
    // Requests have no answer while a stream has no leader.
    eventually("half is delivered", || (cluster.count("OUT")? >= MESSAGES / 2).then_some(()));
    eventually("each is delivered", || (cluster.count("OUT")? >= MESSAGES).then_some(()));
    eventually("and acked", || (cluster.count("IN")? == 0).then_some(()));
    assert!(node.drain(Duration::from_secs(10)));
    // What came again has the id of the first time.
    assert_eq!((client.count("OUT"), client.count("VRSKY_DEAD")), (MESSAGES, 0));
}

#[test]
fn a_killed_server_loses_nothing_and_doubles_nothing() {
    goes_on_after(Server::kill, "nats/disconnected");
}

#[test]
fn a_lame_duck_loses_nothing_and_doubles_nothing() {
    goes_on_after(Server::enter_lame_duck_mode, "takes its place");
}

#[test]
fn jetstream_of_another_domain_is_used_through_a_leaf() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (of_hub, of_leaf) = (Folder::new(), Folder::new());
    let domain =
        |name: &str, folder: &Folder| format!("jetstream {{ store_dir: {:?}, domain: {name} }}", folder.path());
    let leafnodes = format!("leafnodes {{ listen: \"127.0.0.1:{port}\" }}");
    let hub = Server::with_config(&format!("server_name: hub\n{}\n{leafnodes}", domain("hub", &of_hub)));
    let remotes = format!("leafnodes {{ remotes: [{{ url: \"nats://127.0.0.1:{port}\" }}] }}");
    let leaf = Server::with_config(&format!("server_name: leaf\n{}\n{remotes}", domain("leaf", &of_leaf)));
    let mut client = Client::connect(&hub);
    make_streams(&mut client);
    let mut at_leaf = Client::connect(&leaf);
    eventually("the leaf reaches the hub", || {
        let info = at_leaf.request("$JS.hub.API.STREAM.INFO.OUT", "");
        info.get("config").map(|_| ())
    });
    for access in [json!({"domain": "hub"}), json!({"api_prefix": "$JS.hub.API"})] {
        let mut nats = json!({"url": leaf.url()});
        nats.as_object_mut().unwrap().extend(access.as_object().unwrap().clone());
        let node = node_with(&leaf, &[pipeline()], &json!({"nats": nats}));
        let before = client.count("OUT");
        for n in 0..10 {
            client.publish("in.orders", &[], format!("{{\"n\": {n}}}").as_bytes());
        }
        eventually("each is delivered and acked", || {
            (client.count("OUT") == before + 10 && client.count("IN") == 0).then_some(())
        });
        assert!(node.drain(Duration::from_secs(10)));
    }
}

#[test]
fn both_a_domain_and_a_prefix_are_refused() {
    let server = Server::start();
    let nats = json!({"url": server.url(), "domain": "hub", "api_prefix": "x"});
    let settings = json!({"nats": nats, "files": server.folder()});
    let settings: flow::engine::Settings = serde_json::from_value(settings).unwrap();
    assert_eq!(settings.nats.options().unwrap_err().code(), message::Code::ConfigInvalidValue);
}
