//! What a node has counted and how its connectors are, all shards together; as a whole, or what has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Key;
use crate::engine::observe::{Condition, Healths, Metric, of_in, of_out};
use crate::engine::registry::Prepared;

/// One pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PipelineStats {
    pub customer: String,
    pub pipeline: String,
    pub revision: String,
    /// Only what this node looks after, and not before it has looked once.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub input: Option<Condition>,
    pub outs: BTreeMap<String, Condition>,
    #[serde(flatten)]
    pub counters: BTreeMap<&'static str, u64>,
}

/// What is new since the last time.
#[derive(Debug, Default, Serialize)]
pub struct Changes {
    pub changed: Vec<PipelineStats>,
    /// Customer and name of each.
    pub removed: Vec<Key>,
}

/// What was told the last time, in a form that is cheap to compare.
#[derive(Default)]
pub struct Seen(BTreeMap<Key, Snapshot>);

#[derive(PartialEq)]
struct Snapshot {
    revision: Box<str>,
    counters: [u64; Metric::ALL.len()],
    /// The in's, then the outs'.
    conditions: Vec<Option<Condition>>,
}

impl PipelineStats {
    pub fn of(prepared: &Prepared) -> PipelineStats {
        PipelineStats {
            customer: prepared.pipeline.customer().to_owned(),
            pipeline: prepared.pipeline.name().to_owned(),
            revision: prepared.pipeline.revision().to_owned(),
            input: of_in(health(prepared)),
            outs: outs(prepared),
            counters: Metric::ALL.iter().map(|metric| (metric.as_str(), count(prepared, *metric))).collect(),
        }
    }
}

fn health(prepared: &Prepared) -> impl Iterator<Item = &Healths> {
    prepared.health.iter().map(Arc::as_ref)
}

fn count(prepared: &Prepared, metric: Metric) -> u64 {
    prepared.counters.iter().map(|counters| counters.get(metric)).sum()
}

fn outs(prepared: &Prepared) -> BTreeMap<String, Condition> {
    let outs = prepared.pipeline.outs().iter().enumerate().filter_map(|(target, out)| {
        let condition = of_out(health(prepared), target)?;
        Some((out.name.clone(), condition))
    });
    outs.collect()
}

impl Seen {
    /// Compares every pipeline with what was told of it last.
    pub fn changes(&mut self, installed: &BTreeMap<Key, Arc<Prepared>>) -> Changes {
        let mut changes = Changes::default();
        self.0.retain(|key, _| {
            let stays = installed.contains_key(key);
            if !stays {
                changes.removed.push(key.clone());
            }
            stays
        });
        for (key, prepared) in installed {
            let now = Snapshot::of(prepared);
            if self.0.get(key) != Some(&now) {
                changes.changed.push(PipelineStats::of(prepared));
                self.0.insert(key.clone(), now);
            }
        }
        changes
    }
}

impl Snapshot {
    fn of(prepared: &Prepared) -> Snapshot {
        let outs = (0..prepared.pipeline.outs().len()).map(|target| of_out(health(prepared), target));
        Snapshot {
            revision: prepared.pipeline.revision().into(),
            counters: Metric::ALL.map(|metric| count(prepared, metric)),
            conditions: std::iter::once(of_in(health(prepared))).chain(outs).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compile::Pipeline;
    use crate::engine::observe::Counters;
    use crate::engine::registry::Secrets;

    fn installed(names: &[&str]) -> BTreeMap<Key, Arc<Prepared>> {
        let prepared = names.iter().map(|name| {
            let file = json!({
                "customer": "acme", "pipeline": name, "in": {"http": {"path": "/x"}}, "out": {"stdout": {}},
            });
            let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
            let settings =
                serde_json::from_value(json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": "."})).unwrap();
            let counters = vec![Arc::new(Counters::default())];
            let prepared = Prepared::new(pipeline, Secrets::default(), counters, &settings).unwrap();
            (("acme".into(), (*name).into()), Arc::new(prepared))
        });
        prepared.collect()
    }

    fn names(changes: &Changes) -> Vec<&str> {
        changes.changed.iter().map(|stats| &*stats.pipeline).collect()
    }

    #[test]
    fn a_pipeline_is_told_when_it_is_new_when_it_counts_and_when_it_goes() {
        let mut pipelines = installed(&["orders", "quiet"]);
        let mut seen = Seen::default();
        assert_eq!(names(&seen.changes(&pipelines)), ["orders", "quiet"]);
        assert_eq!(names(&seen.changes(&pipelines)), [""; 0]);
        pipelines[&("acme".into(), "orders".into())].counters[0].add(Metric::Received, 1);
        assert_eq!(names(&seen.changes(&pipelines)), ["orders"]);
        pipelines.remove(&("acme".into(), "orders".into()));
        let changes = seen.changes(&pipelines);
        assert_eq!((names(&changes).len(), changes.removed.len()), (0, 1));
        assert!(seen.changes(&pipelines).removed.is_empty());
    }
}
