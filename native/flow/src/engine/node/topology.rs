//! Another topology while the node runs: the lanes that it reads, and those that its pipelines store in; and customers
//! whose ins close and open, since they move to other lanes.
//!
//! ```text
//! serve_as ─► every pipeline prepared ─► shards read the new lanes ─► revisions that store in the new lanes, some at a time
//! ```
//!
//! In between, and for what is in hand, both topologies meet: a message is taken wherever in its steps it is, by a
//! revision that knows lanes of its own or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use message::{Code, Fault};
use serde::Deserialize;

use super::{Node, lock};
use crate::engine::registry::Prepared;
use crate::engine::settings::{NodeType, Settings, Topology};
use crate::engine::shard::Command;

/// Pipelines that are replaced in one step; a shard takes no message meanwhile.
const IN_ONE_STEP: usize = 128;

/// The settings that may be others while the node runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    topology: Topology,
    types: Vec<NodeType>,
    #[serde(default)]
    closed: BTreeSet<Box<str>>,
}

impl Node {
    /// Serves its pipelines by another topology, with these node types of it, and takes nothing in for the customers that
    /// are `closed`: `topology`, `types` and `closed` as JSON. The streams of its lanes have to be there. Returns when every shard does so; what is in hand ends as it began.
    ///
    /// # Errors
    /// `config/invalid-value`, also for types that would serve other ins or outs than before: sockets and queues are made
    /// at the start. Nothing has changed then.
    pub fn serve_as(&self, part: &str) -> Result<(), Fault> {
        let invalid = |error| Fault::new(Code::ConfigInvalidValue, format!("the node's settings: {error}"));
        let Part { topology, types, closed } = serde_json::from_str(part).map_err(invalid)?;
        let _change = lock(&self.change);
        let before = self.settings();
        let settings = Arc::new(Settings { topology, types, closed, ..(*before).clone() });
        for one in [NodeType::Incoming, NodeType::Outgoing] {
            if settings.serves(one) != before.serves(one) {
                let reason = "a running node goes on with the ins and outs that it was started for";
                return Err(Fault::new(Code::ConfigInvalidValue, reason));
            }
        }
        let prepared = self.prepare_again(&settings, &before)?;
        *lock(&self.settings) = Arc::clone(&settings);
        self.on_all_shards(|done| Command::Serve { settings: Arc::clone(&settings), done });
        for some in prepared.chunks(IN_ONE_STEP) {
            let (install, remove): (Arc<[Arc<Prepared>]>, _) = (some.into(), Arc::new([]));
            self.on_all_shards(|done| Command::Change {
                install: Arc::clone(&install),
                remove: Arc::clone(&remove) as Arc<[_]>,
                done,
            });
            lock(&self.state).change(&install, &[]);
        }
        Ok(())
    }

    /// What is installed and differs by the settings, for the new ones.
    fn prepare_again(&self, settings: &Settings, before: &Settings) -> Result<Vec<Arc<Prepared>>, Fault> {
        let state = lock(&self.state);
        let differs = |one: &&Arc<Prepared>| {
            let customer = one.pipeline.customer();
            settings.topology != before.topology
                || settings.closed.contains(customer) != before.closed.contains(customer)
        };
        state.installed.values().filter(differs).map(|one| one.again(settings).map(Arc::new)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::node::{CanaryInstall, Install};
    use crate::engine::registry::Secrets;

    fn node(topology: &str, types: &[&str]) -> Node {
        let settings =
            json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": ".", "topology": topology, "types": types});
        Node::new(serde_json::from_value(settings).unwrap()).unwrap()
    }

    fn serve_as(node: &Node, topology: &str, types: &[&str]) -> Result<(), Code> {
        node.serve_as(&json!({"topology": topology, "types": types}).to_string()).map_err(|fault| fault.code())
    }

    #[test]
    fn pipelines_store_in_the_lanes_of_the_topology_that_is_served() {
        let node = node("fused", &["incoming", "logic", "outgoing"]);
        let file =
            json!({"customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/x"}}, "out": {"stdout": {}}});
        let pipeline = crate::compile::Pipeline::from_json(&file.to_string(), &()).unwrap();
        node.install(pipeline, Secrets::default()).unwrap();
        let counters = || lock(&node.state).installed.values().next().map(|one| Arc::as_ptr(&one.counters[0]));
        let before = counters();
        serve_as(&node, "split", &["incoming", "converter", "filter", "outgoing"]).unwrap();
        assert_eq!(node.settings().topology, Topology::Split);
        assert_eq!(counters(), before, "what was counted goes on");
    }

    #[test]
    fn a_canary_goes_on_and_counts_on() {
        let node = node("fused", &["incoming", "logic", "outgoing"]);
        let pipeline = |steps: serde_json::Value| {
            let file = json!({"customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/x"}}, "steps": steps,
                "out": {"stdout": {}}});
            crate::compile::Pipeline::from_json(&file.to_string(), &()).unwrap()
        };
        let canary = Some(CanaryInstall { pipeline: pipeline(json!([{"filter": "n > 1"}])), millionths: 50_000 });
        let install = Install { pipeline: pipeline(json!([])), secrets: Secrets::default(), canary };
        node.change(vec![install], &[]).unwrap();
        let runs = || {
            let state = lock(&node.state);
            state.installed.values().filter_map(|one| one.canary.as_ref()).map(|one| Arc::as_ptr(&one.runs[0])).next()
        };
        let before = runs();
        serve_as(&node, "split", &["incoming", "converter", "filter", "outgoing"]).unwrap();
        assert!(before.is_some() && runs() == before);
    }

    #[test]
    fn ins_and_outs_stay_what_the_node_was_started_for() {
        let node = node("fused", &["logic", "outgoing"]);
        for types in [&["converter", "filter"][..], &["incoming", "converter", "filter", "outgoing"]] {
            assert_eq!(serve_as(&node, "split", types), Err(Code::ConfigInvalidValue));
        }
        assert_eq!(serve_as(&node, "both", &["logic"]), Err(Code::ConfigInvalidValue));
        assert_eq!(node.settings().topology, Topology::Fused);
        assert_eq!(serve_as(&node, "split", &["filter", "outgoing"]), Ok(()));
    }
}
