//! What a node has counted and how its connectors are, all shards together; as a whole, or what has changed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Key, Node, lock};
use crate::engine::observe::{Broken, Condition, Counters, Healths, Metric, Role, RunCounts, broken_of, of_in, of_out};
use crate::engine::registry::{CanaryPlan, Prepared};

impl Node {
    /// What every pipeline has counted, and how its connectors are.
    #[must_use]
    pub fn stats(&self) -> Vec<PipelineStats> {
        lock(&self.state).installed.values().map(|prepared| PipelineStats::of(prepared)).collect()
    }

    /// The pipelines that have a canary, and what both of their revisions have run.
    #[must_use]
    pub fn canaries(&self) -> Vec<PipelineCanary> {
        lock(&self.state).installed.values().filter_map(|prepared| PipelineCanary::of(prepared)).collect()
    }

    /// The pipelines whose stats have changed since the last call, and those that were removed.
    #[must_use]
    pub fn changes(&self) -> Changes {
        // First: what happens after it is seen the next time.
        let activity = self.meters.iter().map(|one| one.activity()).sum();
        let state = lock(&self.state);
        lock(&self.seen).changes_since((activity, state.changes), &state.installed)
    }
}

/// One pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PipelineStats {
    pub customer: String,
    pub pipeline: String,
    pub revision: String,
    /// Only what this node looks after, and not before it has looked once.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub input: Option<Condition>,
    /// Items of the in that cannot be read on, such as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    pub outs: BTreeMap<String, Condition>,
    #[serde(flatten)]
    pub counters: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStats>,
}

/// What a pipeline's two revisions have run since the canary is here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CanaryStats {
    /// Of the canary.
    pub revision: String,
    pub millionths: u32,
    /// By role.
    pub runs: BTreeMap<&'static str, RunCounts>,
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
pub struct Seen {
    told: BTreeMap<Key, Snapshot>,
    /// How much the shards had done, and how often pipelines had been changed.
    at: Option<(u64, u64)>,
}

struct Snapshot {
    revision: Box<str>,
    counters: [u64; Metric::ALL.len()],
    /// The in's, then the outs'.
    conditions: Vec<Option<Condition>>,
    broken: Option<Broken>,
    /// Of the canary: its revision, its share, and what both have run.
    canary: Option<(Box<str>, u32, [RunCounts; Role::ALL.len()])>,
}

impl PipelineStats {
    pub fn of(prepared: &Prepared) -> PipelineStats {
        PipelineStats {
            customer: prepared.pipeline.customer().to_owned(),
            pipeline: prepared.pipeline.name().to_owned(),
            revision: prepared.pipeline.revision().to_owned(),
            input: of_in(health(prepared)),
            broken: broken_of(health(prepared)),
            outs: outs(prepared),
            counters: Metric::ALL.iter().map(|metric| (metric.as_str(), count(&prepared.counters, *metric))).collect(),
            canary: prepared.canary.as_ref().map(CanaryStats::of),
        }
    }
}

impl CanaryStats {
    fn of(plan: &CanaryPlan) -> CanaryStats {
        let runs = Role::ALL.iter().map(|role| role.as_str()).zip(run_counts(plan));
        CanaryStats { revision: plan.pipeline.revision().to_owned(), millionths: plan.millionths, runs: runs.collect() }
    }
}

/// A pipeline that has a canary.
#[derive(Debug, Serialize)]
pub struct PipelineCanary {
    pub customer: String,
    pub pipeline: String,
    #[serde(flatten)]
    pub canary: CanaryStats,
}

impl PipelineCanary {
    pub(super) fn of(prepared: &Prepared) -> Option<PipelineCanary> {
        let canary = CanaryStats::of(prepared.canary.as_ref()?);
        let (customer, pipeline) = (prepared.pipeline.customer().to_owned(), prepared.pipeline.name().to_owned());
        Some(PipelineCanary { customer, pipeline, canary })
    }
}

/// Of all shards, by role.
fn run_counts(plan: &CanaryPlan) -> [RunCounts; Role::ALL.len()] {
    Role::ALL.map(|role| RunCounts::sum(plan.runs.iter().map(AsRef::as_ref), role))
}

fn health(prepared: &Prepared) -> impl Iterator<Item = &Healths> {
    prepared.health.iter().map(Arc::as_ref)
}

/// Over all shards.
pub(super) fn count(counters: &[Arc<Counters>], metric: Metric) -> u64 {
    counters.iter().map(|counters| counters.get(metric)).sum()
}

fn outs(prepared: &Prepared) -> BTreeMap<String, Condition> {
    let outs = prepared.pipeline.outs().iter().enumerate().filter_map(|(target, out)| {
        let condition = of_out(health(prepared), target)?;
        Some((out.name.clone(), condition))
    });
    outs.collect()
}

impl Seen {
    /// Nothing where nothing was done since the last call: thousands of pipelines that are idle cost nothing.
    pub fn changes_since(&mut self, at: (u64, u64), installed: &BTreeMap<Key, Arc<Prepared>>) -> Changes {
        match self.at.replace(at) == Some(at) {
            true => Changes::default(),
            false => self.changes(installed),
        }
    }

    /// Compares every pipeline with what was told of it last.
    fn changes(&mut self, installed: &BTreeMap<Key, Arc<Prepared>>) -> Changes {
        let mut changes = Changes::default();
        // Both are in the order of their keys: one walk, without a search for each of thousands.
        let mut rest = installed.iter().peekable();
        let mut new = Vec::new();
        self.told.retain(|key, snapshot| {
            while let Some((other, prepared)) = rest.peek() {
                match (*other).cmp(key) {
                    Ordering::Less => new.extend(rest.next()),
                    Ordering::Equal => {
                        snapshot.update(prepared, &mut changes);
                        rest.next();
                        return true;
                    }
                    Ordering::Greater => break,
                }
            }
            changes.removed.push(key.clone());
            false
        });
        for (key, prepared) in new.into_iter().chain(rest) {
            changes.changed.push(PipelineStats::of(prepared));
            self.told.insert(key.clone(), Snapshot::of(prepared));
        }
        changes
    }
}

impl Snapshot {
    fn of(prepared: &Prepared) -> Snapshot {
        Snapshot {
            revision: prepared.pipeline.revision().into(),
            counters: Metric::ALL.map(|metric| count(&prepared.counters, metric)),
            conditions: conditions(prepared).collect(),
            broken: broken_of(health(prepared)),
            canary: prepared
                .canary
                .as_ref()
                .map(|plan| (plan.pipeline.revision().into(), plan.millionths, run_counts(plan))),
        }
    }

    fn update(&mut self, prepared: &Prepared, changes: &mut Changes) {
        if !self.is_of(prepared) {
            changes.changed.push(PipelineStats::of(prepared));
            *self = Snapshot::of(prepared);
        }
    }

    /// Whether nothing has changed. Allocates nothing: thousands of pipelines are compared a few times a second.
    fn is_of(&self, prepared: &Prepared) -> bool {
        *self.revision == *prepared.pipeline.revision()
            && Metric::ALL
                .iter()
                .zip(self.counters)
                .all(|(metric, counted)| count(&prepared.counters, *metric) == counted)
            && conditions(prepared).eq(self.conditions.iter().copied())
            && self.broken == broken_of(health(prepared))
            && self.has_same_canary(prepared)
    }

    fn has_same_canary(&self, prepared: &Prepared) -> bool {
        match (&self.canary, &prepared.canary) {
            (Some((revision, millionths, runs)), Some(plan)) => {
                **revision == *plan.pipeline.revision() && *millionths == plan.millionths && *runs == run_counts(plan)
            }
            (before, now) => before.is_none() && now.is_none(),
        }
    }
}

pub(super) fn conditions(prepared: &Prepared) -> impl Iterator<Item = Option<Condition>> {
    let outs = (0..prepared.pipeline.outs().len()).map(|target| of_out(health(prepared), target));
    std::iter::once(of_in(health(prepared))).chain(outs)
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

    #[test]
    fn nothing_is_compared_while_nothing_is_done() {
        let pipelines = installed(&["orders"]);
        let mut seen = Seen::default();
        assert_eq!(names(&seen.changes_since((0, 1), &pipelines)), ["orders"]);
        pipelines[&("acme".into(), "orders".into())].counters[0].add(Metric::Received, 1);
        assert_eq!(names(&seen.changes_since((0, 1), &pipelines)), [""; 0]);
        assert_eq!(names(&seen.changes_since((1, 1), &pipelines)), ["orders"]);
        assert_eq!(seen.changes_since((1, 2), &installed(&[])).removed.len(), 1);
    }

    #[test]
    fn those_that_are_new_and_those_that_go_are_told_at_once() {
        let mut seen = Seen::default();
        seen.changes(&installed(&["b", "c", "e"]));
        let now = installed(&["a", "c", "d", "f"]);
        let changes = seen.changes(&now);
        let removed: Vec<&str> = changes.removed.iter().map(|(_, name)| &**name).collect();
        let mut changed = names(&changes);
        changed.sort_unstable();
        assert_eq!((changed, removed), (vec!["a", "d", "f"], vec!["b", "e"]));
        assert_eq!(names(&seen.changes(&now)), [""; 0]);
    }
}
