//! The rooms of a shard, and where the effects of one go in another.

use std::rc::Rc;
use std::sync::Arc;

use super::cpu::CpuMeter;
use super::leases::Leases;
use super::{Shard, tasks};
use crate::engine::consumers::{Consumers, Load};
use crate::engine::delivery::{self, Delivery};
use crate::engine::ingress::{Ingress, KeyAction};
use crate::engine::intake::Unknown;
use crate::engine::message::{InputRef, OwnedMessage, RevisionId};
use crate::engine::observe::{Event, EventKind, Metric};
use crate::engine::registry::{Registry, Revision};
use crate::engine::settings::Settings;
use crate::engine::settlement::{Effect, Settlement};
use crate::engine::steps::{self, Steps};
use message::{Code, Fault};

/// Everything one shard owns. Borrowed for one burst or one completion at a time.
pub struct Parts {
    pub settings: Arc<Settings>,
    pub settlement: Settlement,
    pub registry: Registry,
    pub consumers: Consumers,
    pub ingress: Ingress,
    pub unknown: Unknown,
    pub steps: Steps,
    pub delivery: Delivery,
    pub leases: Leases,
    pub shard_number: usize,
    pub draining: bool,
    /// Revisions one of whose lanes is full, to be watched by a task.
    pub throttled: Vec<Rc<Revision>>,
    /// Revisions whose NATS outs' streams are not known.
    pub unlearnt: Vec<Rc<Revision>>,
    /// Keys whose records have to be read.
    pub keys: Vec<KeyAction>,
    pub turns: tasks::Turns,
    pub cpu: CpuMeter,
    /// Kept for their allocations.
    effects: Vec<Effect>,
    pub deliveries: Vec<delivery::Effect>,
}

/// Inputs one shard has in hand at most, with those it has asked for; above so many bytes it asks for no more.
const MAX_IN_HAND: Load = Load { messages: 16_384, bytes: 128 << 20 };

/// Tasks that the executor is given at a time.
const MAX_SUBMIT: usize = 256;

impl Parts {
    #[allow(clippy::too_many_arguments)] // each room once
    pub fn new(
        settings: Arc<Settings>,
        settlement: Settlement,
        registry: Registry,
        ingress: Ingress,
        steps: Steps,
        delivery: Delivery,
        leases: Leases,
        shard_number: usize,
    ) -> Parts {
        Parts {
            unknown: Unknown::new(u64::from(settings.set_aside_after)),
            settings,
            settlement,
            registry,
            consumers: Consumers::default(),
            ingress,
            steps,
            delivery,
            leases,
            shard_number,
            draining: false,
            throttled: Vec::new(),
            unlearnt: Vec::new(),
            keys: Vec::new(),
            turns: tasks::Turns::default(),
            cpu: CpuMeter::default(),
            effects: Vec::new(),
            deliveries: Vec::new(),
        }
    }

    /// Asks for as many messages as there is room for.
    pub fn top_up(&mut self) {
        let tick = self.settlement.tick();
        if self.draining || !self.settlement.is_connected() || self.settlement.is_deaf() || self.steps.is_full(tick) {
            return;
        }
        let asked_for = self.settlement.ledger().asked_for();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let in_hand = Load { messages: number(asked_for.messages), bytes: number(asked_for.bytes) };
        let (registry, steps) = (&self.registry, &self.steps);
        let may_ask = |revision| registry.get(revision).is_none_or(|revision| steps.has_room(revision));
        self.consumers.top_up(tick, in_hand, MAX_IN_HAND, may_ask, &mut self.settlement.wire);
    }

    /// Takes what settlement has to tell to who has to know it.
    fn route_settlement(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        self.settlement.take_effects(&mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Answer { item, binding, bytes, settled } => {
                    let revision = self.registry.bound(binding).map(AsRef::as_ref);
                    self.ingress.answer(&mut self.settlement, revision, bytes, item, settled);
                }
                Effect::Delivered { revision, bytes, duplicate } => {
                    self.count_delivered(revision, bytes, duplicate);
                }
                Effect::DeliveredCore { revision, count, bytes } => self.count_delivered_core(revision, count, bytes),
                Effect::LostCore { revision, target, count } => self.on_lost_core(revision, target, count),
                Effect::Duplicate { revision } => self.count(revision, Metric::Duplicate),
                Effect::Refused { revision, target, fault } => self.on_refused(revision, target, &fault),
                Effect::Key { input, item, recorded } => {
                    let action = self.ingress.on_key(&mut self.settlement, input, item, recorded);
                    self.keys.extend(action);
                }
                Effect::Parked { queue, stored } => {
                    let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
                    self.delivery.on_parked_confirmed(settlement, consumers, queue, stored);
                }
            }
        }
        self.effects = effects;
    }

    /// URLs of large payloads that were found, or were not.
    fn route_steps(&mut self) {
        let mut effects = Vec::new();
        self.steps.take_effects(&mut effects);
        for steps::Effect::Addressed { revision, input, message, target, address } in effects {
            let out = (revision.owner.id, target);
            self.delivery.on_address(&mut self.settlement, &mut self.consumers, out, (input, message), address);
        }
    }

    /// Has the URL of a large payload found on another thread.
    pub fn find_url(&mut self, (revision, target): (&Rc<Revision>, usize), input: InputRef, message: OwnedMessage) {
        let envelope = message.envelope(&revision.owner, input);
        if let Err(fault) = self.steps.url_of_large(revision, &envelope, target, &message.payload) {
            let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
            self.delivery.on_address(settlement, consumers, (revision.owner.id, target), (input, message), Err(fault));
        }
    }

    fn count(&self, revision: RevisionId, metric: Metric) {
        if let Some(revision) = self.registry.get(revision) {
            revision.owner.counters.add(metric, 1);
        }
    }

    fn count_delivered(&self, revision: RevisionId, bytes: u32, duplicate: bool) {
        let Some(revision) = self.registry.get(revision) else { return };
        revision.backpressure.accepted();
        let counters = &revision.owner.counters;
        if duplicate {
            counters.add(Metric::Duplicate, 1);
            return;
        }
        counters.add(Metric::Delivered, 1);
        counters.add(Metric::DeliveredBytes, u64::from(bytes));
    }

    /// A stream has refused an output, which is published again. What the operator has to look at is reported once
    /// for each reason, and again after a delivery.
    fn on_refused(&mut self, revision: RevisionId, target: Option<u32>, fault: &Fault) {
        let Some(revision) = self.registry.get(revision).map(Rc::clone) else { return };
        let pressure = &revision.backpressure;
        if fault.code() == Code::LimitBacklog && target.is_none() {
            // With one out there is no other that waits for it.
            if revision.targets.len() > 1 && pressure.throttle() {
                self.throttled.push(revision);
            }
            return;
        }
        revision.owner.counters.add(Metric::Retried, 1);
        self.settlement.meters().retried(fault.code());
        self.report_refused(&revision, target, fault);
    }

    pub(super) fn report_refused(&self, revision: &Revision, target: Option<u32>, fault: &Fault) {
        if revision.backpressure.refused(fault.code(), target, self.settlement.tick()) {
            let name = target.and_then(|number| revision.targets.get(number as usize)).map_or("", |out| &out.name);
            self.settlement.events().push_rare(|| {
                let pipeline = &revision.owner.pipeline;
                Event::about(EventKind::Retried, self.settlement.now_ms(), pipeline, "").at(name, 0).with_fault(fault)
            });
        }
    }

    /// Something about the node rather than about a message.
    pub fn node_event(&self, kind: EventKind, fault: &Fault) {
        let now_ms = self.settlement.now_ms();
        self.settlement.events().push_rare(|| Event::of_node(kind, now_ms).with_fault(fault));
    }
}

impl Shard {
    /// What a burst has left to be done elsewhere: answers to give, scripts to run, tasks to start.
    pub(super) fn route(self: &Rc<Self>, parts: &mut Parts) {
        parts.route_settlement();
        parts.route_steps();
        self.submit_scripts(parts);
        tasks::spawn_wanted(self, parts);
        // What was refused above may have closed inputs.
        parts.route_settlement();
        parts.settlement.mark_core();
        if parts.draining {
            self.progress.notify_one();
        }
    }

    fn submit_scripts(&self, parts: &mut Parts) {
        let mut tasks = Vec::new();
        parts.steps.take_tasks(&mut tasks);
        // In pieces: the executor takes a batch as a whole or not at all.
        let mut tasks = tasks.into_iter();
        while tasks.len() > 0 {
            let batch = tasks.by_ref().take(MAX_SUBMIT).collect();
            if let Err(mut refused) = self.executor.submit(batch) {
                refused.extend(tasks);
                return parts.steps.refuse_tasks(&mut parts.settlement, refused);
            }
        }
    }
}
