//! The pipelines of a shard: which there are, which revision a message is run by, what is left of earlier ones.
//!
//! ```text
//! install ─► active (and canary) ──replace, remove──► draining ──nothing in hand──► gone
//!              │ find by customer and pipeline            │
//!              └─ messages begin under it                 └─ messages end under it
//! ```
//!
//! Nothing here grows with the number of reloads: a revision that nobody holds any more gives its number to the next.

mod backpressure;
mod prepared;
mod revision;
mod secrets;

use std::collections::BTreeMap;
use std::rc::Rc;

use script::Loaded;

pub use prepared::{CanaryPlan, Prepared};
pub use revision::Revision;
pub use secrets::Secrets;

use super::message::{CustomerId, RevisionId};
use super::subjects::Address;
use revision::Numbers;

/// The pipelines of a shard.
#[derive(Default)]
pub struct Registry {
    shard: usize,
    /// By number: active and draining ones.
    revisions: Vec<Option<Rc<Revision>>>,
    free: Vec<RevisionId>,
    /// The active ones, by `<customer>.<pipeline>`: no name holds a dot.
    active: BTreeMap<Box<str>, Rc<Revision>>,
    draining: Vec<RevisionId>,
    customers: BTreeMap<Box<str>, CustomerId>,
    /// What a source calls the pipelines, and the last revision of each.
    bindings: BTreeMap<u32, RevisionId>,
    next_binding: u32,
    /// That of the last message: lanes bring runs of the same.
    last: Option<Rc<Revision>>,
}

/// The key of a pipeline in the registry.
fn key(customer: &str, pipeline: &str) -> Box<str> {
    format!("{customer}.{pipeline}").into()
}

impl Registry {
    #[must_use]
    pub fn new(shard: usize) -> Registry {
        // Number 0 is nobody's: of messages whose pipeline is not here.
        Registry { shard, revisions: vec![None], ..Registry::default() }
    }

    /// Makes a revision the active one. `scripts` stay loaded for as long as it lives. Gives it, and the one that it has replaced.
    pub fn install(&mut self, prepared: &Prepared, scripts: Vec<Loaded>) -> (Rc<Revision>, Option<Rc<Revision>>) {
        let key = key(prepared.pipeline.customer(), prepared.pipeline.name());
        let binding = self.active.get(&key).map(|earlier| earlier.binding);
        let has_canary = prepared.canary.is_some();
        let numbers = self.numbers(prepared.pipeline.customer(), binding, has_canary);
        let revision = Revision::new(prepared, self.shard, numbers, scripts);
        for one in [Some(&revision), revision.canary()].into_iter().flatten() {
            self.revisions[one.owner.id.0 as usize] = Some(Rc::clone(one));
        }
        self.bindings.insert(numbers.binding, numbers.revision);
        let replaced = self.active.insert(key, Rc::clone(&revision));
        self.retire(replaced.as_ref());
        (revision, replaced)
    }

    /// Takes a pipeline out. Gives the revision that was active.
    pub fn remove(&mut self, customer: &str, pipeline: &str) -> Option<Rc<Revision>> {
        let removed = self.active.remove(&key(customer, pipeline));
        self.retire(removed.as_ref());
        removed
    }

    fn retire(&mut self, revision: Option<&Rc<Revision>>) {
        self.last = None;
        let canary = revision.and_then(|revision| revision.canary());
        self.draining.extend([revision, canary].into_iter().flatten().map(|revision| revision.owner.id));
    }

    /// `binding`: that of the pipeline, when it is here already.
    fn numbers(&mut self, customer: &str, binding: Option<u32>, has_canary: bool) -> Numbers {
        let next = CustomerId(u32::try_from(self.customers.len() + 1).unwrap_or(u32::MAX));
        let customer = *self.customers.entry(customer.into()).or_insert(next);
        let (revision, canary) = (self.number(), has_canary.then(|| self.number()));
        let binding = binding.unwrap_or_else(|| {
            self.next_binding += 1;
            self.next_binding
        });
        Numbers { revision, customer, binding, canary }
    }

    fn number(&mut self) -> RevisionId {
        self.free.pop().unwrap_or_else(|| {
            self.revisions.push(None);
            RevisionId(u32::try_from(self.revisions.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// The active revision of a message's pipeline.
    #[must_use]
    pub fn find(&mut self, address: &Address<'_>) -> Option<Rc<Revision>> {
        if let Some(last) = &self.last
            && last.owner.name() == address.pipeline
            && last.owner.customer() == address.customer
        {
            return Some(Rc::clone(last));
        }
        let found = self.active.get(address.key).map(Rc::clone)?;
        self.last = Some(Rc::clone(&found));
        Some(found)
    }

    /// The revision under which a message was made, while it is active, a canary or draining here.
    #[must_use]
    pub fn made_under(&self, active: &Rc<Revision>, revision: &str) -> Option<Rc<Revision>> {
        let draining = self.draining.iter().filter_map(|id| self.get(*id));
        let same = |one: &&Rc<Revision>| {
            one.owner.revision() == revision
                && one.owner.name() == active.owner.name()
                && one.owner.customer() == active.owner.customer()
        };
        [active].into_iter().chain(active.canary()).chain(draining).find(same).map(Rc::clone)
    }

    /// A revision by its number, while it is active or draining.
    #[must_use]
    pub fn get(&self, id: RevisionId) -> Option<&Rc<Revision>> {
        self.revisions.get(id.0 as usize)?.as_ref()
    }

    /// The last revision of the pipeline that a source's message is for.
    #[must_use]
    pub fn bound(&self, binding: u32) -> Option<&Rc<Revision>> {
        self.get(*self.bindings.get(&binding)?)
    }

    /// The active revision of the same pipeline.
    #[must_use]
    pub fn current(&self, revision: &Revision) -> Option<&Rc<Revision>> {
        self.named(revision.owner.customer(), revision.owner.name())
    }

    /// Whether messages begin under it: no other revision has replaced it, or it is a canary.
    #[must_use]
    pub fn is_active(&self, revision: &Rc<Revision>) -> bool {
        let active = self.current(revision).into_iter().flat_map(|active| [Some(active), active.canary()]);
        active.flatten().any(|active| Rc::ptr_eq(active, revision))
    }

    /// The active revision of a pipeline.
    #[must_use]
    pub fn named(&self, customer: &str, pipeline: &str) -> Option<&Rc<Revision>> {
        self.active.get(&key(customer, pipeline))
    }

    /// The active revisions, in the order of their names.
    pub fn active(&self) -> impl Iterator<Item = &Rc<Revision>> {
        self.active.values()
    }

    /// Lets go of draining revisions of which nothing is in hand and which nobody else holds.
    pub fn release(&mut self, is_in_hand: impl Fn(RevisionId) -> bool) {
        let mut draining = std::mem::take(&mut self.draining);
        draining.retain(|id| {
            let Some(place) = self.revisions.get_mut(id.0 as usize) else { return false };
            let Some(revision) = place.as_ref() else { return false };
            if Rc::strong_count(revision) > 1 || is_in_hand(*id) {
                return true;
            }
            if self.bindings.get(&revision.binding) == Some(id) {
                self.bindings.remove(&revision.binding);
            }
            *place = None;
            self.free.push(*id);
            false
        });
        self.draining = draining;
    }

    /// Revisions that are active, and those that are draining.
    #[cfg(test)]
    pub fn len(&self) -> (usize, usize) {
        (self.active.len(), self.draining.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::compile::Pipeline;
    use crate::engine::observe::Counters;
    use crate::engine::settings::Settings;

    fn prepared(customer: &str, name: &str, backlog: u32) -> Prepared {
        let file = json!({
            "customer": customer, "pipeline": name, "in": {"http": {"path": "/x"}}, "out": {"stdout": {}},
            "limits": {"backlog": backlog},
        });
        let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
        let settings = json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": "."});
        let settings: Settings = serde_json::from_value(settings).unwrap();
        Prepared::new(pipeline, Secrets::default(), vec![Arc::new(Counters::default())], &settings).unwrap()
    }

    fn find(registry: &mut Registry, customer: &str, pipeline: &str) -> Option<RevisionId> {
        let key = format!("{customer}.{pipeline}");
        registry.find(&Address { key: &key, customer, pipeline, step: "in" }).map(|found| found.owner.id)
    }

    #[test]
    fn ten_thousand_reloads_leave_one_revision() {
        let mut registry = Registry::new(0);
        let both = [prepared("acme", "orders", 10), prepared("acme", "orders", 20)];
        for number in 0..10_000 {
            drop(registry.install(&both[number % 2], Vec::new()));
            registry.release(|_| false);
        }
        assert_eq!(registry.len(), (1, 0));
        assert!(registry.revisions.len() <= 3 && registry.bindings.len() == 1);
    }

    #[test]
    fn a_revision_in_hand_keeps_its_number_and_the_pipeline_its_binding() {
        let mut registry = Registry::new(0);
        let (first, _) = registry.install(&prepared("acme", "orders", 10), Vec::new());
        let (id, binding) = (first.owner.id, first.binding);
        drop(first);
        let (second, replaced) = registry.install(&prepared("acme", "orders", 20), Vec::new());
        assert_eq!(replaced.map(|replaced| replaced.owner.id), Some(id));
        registry.release(|_| true);
        assert!(registry.get(id).is_some() && second.owner.id != id);
        registry.release(|_| false);
        assert!(registry.get(id).is_none());
        assert_eq!(registry.bound(binding).map(|revision| revision.owner.id), Some(second.owner.id));
        let (other, _) = registry.install(&prepared("beta", "orders", 10), Vec::new());
        assert_eq!(other.owner.id, id);
        drop((second, registry.remove("acme", "orders")));
        assert!(registry.bound(binding).is_some());
        registry.release(|_| false);
        assert!(registry.bound(binding).is_none());
        assert_ne!(registry.install(&prepared("acme", "orders", 10), Vec::new()).0.binding, binding);
    }

    fn with_canary(backlog: u32, outputs: u32, millionths: u32) -> Prepared {
        let file = json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/x"}}, "out": {"stdout": {}},
            "limits": {"backlog": backlog, "outputs": outputs},
        });
        let canary = Pipeline::from_json(&file.to_string(), &()).unwrap();
        prepared("acme", "orders", backlog).with_canary(canary, millionths, None).unwrap()
    }

    #[test]
    fn a_canary_runs_its_share_and_both_find_what_they_have_made() {
        let mut registry = Registry::new(0);
        let (active, _) = registry.install(&with_canary(10, 7, 500_000), Vec::new());
        let canary = active.canary().unwrap();
        let chosen = (0..1_000).filter(|number| Rc::ptr_eq(active.chosen(&format!("acme.{number}")), canary)).count();
        assert!((400..600).contains(&chosen), "{chosen}");
        for one in [&active, canary] {
            let made_under = registry.made_under(&active, one.owner.revision());
            assert!(made_under.is_some_and(|found| Rc::ptr_eq(&found, one)) && registry.is_active(one));
            assert!(registry.get(one.owner.id).is_some_and(|found| Rc::ptr_eq(found, one)));
        }
        let all = registry.install(&with_canary(10, 7, 1_000_000), Vec::new()).0;
        assert!(all.chosen("acme.1").owner.revision() == canary.owner.revision());
        assert!(!registry.is_active(canary), "it is replaced");
    }

    #[test]
    fn a_canary_that_is_promoted_or_taken_away_leaves_nothing() {
        let mut registry = Registry::new(0);
        let both = [with_canary(10, 7, 500_000), prepared("acme", "orders", 10)];
        for number in 0..200 {
            let (revision, _) = registry.install(&both[number % 2], Vec::new());
            assert_eq!(revision.canary().is_some(), number % 2 == 0);
            drop(revision);
            // The canary goes once its active revision does not hold it any more.
            (0..2).for_each(|_| registry.release(|_| false));
        }
        assert_eq!(registry.len(), (1, 0));
        assert!(registry.revisions.len() <= 5, "{}", registry.revisions.len());
    }

    #[test]
    fn a_canary_in_hand_stays_when_its_active_revision_goes() {
        let mut registry = Registry::new(0);
        let (active, _) = registry.install(&with_canary(10, 7, 500_000), Vec::new());
        let (canary, revision) =
            (active.canary().unwrap().owner.id, active.canary().unwrap().owner.revision().to_owned());
        drop(active);
        let (next, _) = registry.install(&prepared("acme", "orders", 10), Vec::new());
        (0..3).for_each(|_| registry.release(|id| id == canary));
        assert!(registry.made_under(&next, &revision).is_some_and(|found| found.owner.id == canary));
        (0..3).for_each(|_| registry.release(|_| false));
        assert_eq!(registry.len(), (1, 0));
    }

    #[test]
    fn names_that_join_alike_are_different_pipelines() {
        let mut registry = Registry::new(0);
        let (one, _) = registry.install(&prepared("acme", "eu-orders", 10), Vec::new());
        let (other, replaced) = registry.install(&prepared("acme-eu", "orders", 10), Vec::new());
        assert!(replaced.is_none() && one.owner.customer_id != other.owner.customer_id);
        assert_eq!(find(&mut registry, "acme", "eu-orders"), Some(one.owner.id));
        assert_eq!(find(&mut registry, "acme-eu", "orders"), Some(other.owner.id));
        assert!(registry.remove("acme", "eu-orders").is_some() && registry.remove("acme", "eu-orders").is_none());
        assert_eq!(find(&mut registry, "acme", "eu-orders"), None);
        assert!(registry.is_active(&other) && !registry.is_active(&one));
    }
}
