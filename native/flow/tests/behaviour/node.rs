//! A node of the test's own, and what it has counted.

use flow::compile::Pipeline;
use flow::engine::{Node, Secrets, Settings};
use harness::Server;
use message::Fault;
use serde_json::{Value, json};

pub fn node(server: &Server, pipelines: &[Value]) -> Node {
    node_with(server, pipelines, &json!({}))
}

/// `more`: settings beside the usual ones.
pub fn node_with(server: &Server, pipelines: &[Value], more: &Value) -> Node {
    let node = unstarted(server, more);
    for pipeline in pipelines {
        install(&node, pipeline);
    }
    node.start().unwrap();
    node
}

pub fn unstarted(server: &Server, more: &Value) -> Node {
    let mut settings = json!({
        "nats": {"url": server.url()}, "listen": "127.0.0.1:0", "tiers": ["t1000", "t10000"],
        "files": server.folder().join("files"), "allow_loopback": true,
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Node::new(serde_json::from_value::<Settings>(settings).unwrap()).unwrap()
}

pub fn install(node: &Node, pipeline: &Value) {
    try_install(node, pipeline).unwrap();
}

pub fn try_install(node: &Node, pipeline: &Value) -> Result<(), Fault> {
    let compiled = Pipeline::from_json(&pipeline.to_string(), &()).unwrap();
    node.install(compiled, Secrets::default())
}

pub fn stat(node: &Node, pipeline: &str, metric: &str) -> u64 {
    let stats = serde_json::to_value(node.stats()).unwrap();
    let found = stats.as_array().unwrap().iter().find(|one| one["pipeline"] == pipeline).unwrap();
    found[metric].as_u64().unwrap()
}
