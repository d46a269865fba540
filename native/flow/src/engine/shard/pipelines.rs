//! Pipelines that come and go, and the connection that does.

use std::rc::Rc;
use std::sync::Arc;

use connectors::Health;
use connectors::kind::{Attach, SourceTask};
use connectors::nats::{NatsMode, Subscription};
use message::{Code, Fault};
use script::Loaded;

use super::Parts;
use crate::engine::consumers::Feed;
use crate::engine::ingress::SourceId;
use crate::engine::message::StreamName;
use crate::engine::observe::{Broken, Event, EventKind};
use crate::engine::registry::{Prepared, Revision};
use crate::engine::settings::{NodeType, Settings};
use crate::engine::subjects::{self, LaneType};

impl Parts {
    /// Pulls from the lanes that this node serves, where it does not yet.
    pub fn pull_lanes(&mut self) {
        let settings = Arc::clone(&self.settings);
        for tier in &settings.tiers {
            for lane in settings.lanes() {
                for lane_type in settings.lane_types() {
                    self.pull_lane(lane_type, &subjects::stream(lane_type, tier, &lane));
                }
            }
        }
    }

    /// Serves the lanes of other settings from now on. What has come of those that it leaves is finished here; what is on
    /// its way comes again, to who reads them.
    pub fn serve(&mut self, settings: Arc<Settings>) {
        for lane_type in LaneType::ALL.into_iter().filter(|one| !settings.reads(*one)) {
            self.consumers.close_pulls(Feed::Lane(lane_type), self.settlement.tick(), &mut self.settlement.wire);
        }
        self.settings = settings;
        self.pull_lanes();
    }

    /// Pulls from a lane: of its topology, or one that another topology has left behind.
    pub fn pull_lane(&mut self, lane_type: LaneType, stream: &str) {
        if !self.draining && !self.consumers.has_stream(stream) {
            let number = self.add_pull(Feed::Lane(lane_type), stream, lane_type.as_str());
            self.begin_pull(number);
        }
    }

    fn add_pull(&mut self, feed: Feed, stream: &str, consumer: &str) -> u64 {
        let settlement = &self.settlement;
        self.consumers.add_pull(feed, stream, consumer, |number| settlement.pull_reply(number))
    }

    /// Puts a revision in place of the one before it, between two bursts. What is in hand ends under the revision it
    /// began with.
    pub fn install(&mut self, prepared: &Prepared, scripts: Vec<Loaded>) {
        let (revision, replaced) = self.registry.install(prepared, scripts);
        let owner = &revision.owner;
        self.unknown.installed(owner.customer(), owner.name());
        if self.settings.serves(NodeType::Outgoing) {
            self.delivery.install(&mut self.settlement, &revision, self.shard_number == 0);
        }
        if self.settings.serves(NodeType::Incoming) {
            self.open_source(&revision, replaced.as_deref());
        }
        if let Some(replaced) = replaced {
            self.consumers.hand_over_aside(replaced.owner.id, revision.owner.id);
            self.retire(&replaced, Some(&revision));
        }
        for one in [Some(&revision), revision.canary()].into_iter().flatten() {
            if !self.streams_to_learn(one).is_empty() {
                self.unlearnt.push(Rc::clone(one));
            }
        }
    }

    /// The streams of a revision's NATS outs, where the pipeline file does not name them.
    pub fn streams_to_learn(&self, revision: &Revision) -> Vec<(String, StreamName)> {
        let mut streams = revision.streams_to_learn();
        streams.extend(self.delivery.streams_to_learn(revision));
        streams
    }

    /// A NATS in that `replaced` has, too, goes on. Of what is closed only a route is there, for an answer.
    fn open_source(&mut self, revision: &Rc<Revision>, replaced: Option<&Revision>) {
        match revision.pipeline().input().attach() {
            Attach::Route(_) => {
                if let Err(fault) = self.ingress.install(revision, self.settlement.max_body()) {
                    self.node_event(EventKind::Node, &fault);
                }
            }
            Attach::Subscription(_) | Attach::Task(_) if revision.is_closed => {}
            Attach::Subscription(from) => self.subscribe(revision, from, replaced),
            Attach::Task(task) => self.open_own(revision, task, replaced),
        }
    }

    /// The source of a task of its own, on every shard or on one; that of `replaced` goes on where it reads the same.
    pub(super) fn open_own(&mut self, revision: &Rc<Revision>, task: &dyn SourceTask, replaced: Option<&Revision>) {
        let pipeline = revision.pipeline();
        let shards = self.settings.threads.max(1);
        let its_shard = subjects::lane_of(&format!("{}/{}", pipeline.customer(), pipeline.name()), shards);
        if !task.is_shared() && its_shard as usize != self.shard_number {
            return;
        }
        let is_leased = self.settings.leases && !task.is_shared();
        if is_leased && !self.leases.has(pipeline.customer(), pipeline.name()) {
            return;
        }
        let same = replaced.filter(|replaced| replaced.reads_like(revision));
        if same.is_some_and(|replaced| self.ingress.own.hand_over(replaced, revision)) {
            return;
        }
        let fence = is_leased.then(|| self.leases.fence());
        match self.delivery.open_source(pipeline, task, &revision.secrets, fence) {
            Ok(source) => self.ingress.own.open(revision, source, replaced, is_leased),
            Err(fault) => self.node_event(EventKind::Node, &fault),
        }
    }

    /// A source could not be connected: said once, until it is another fault.
    pub fn on_source_fault(&mut self, id: SourceId, fault: &Fault) {
        if let Some(revision) = self.ingress.own.fail(id, fault) {
            let (now_ms, pipeline) = (self.settlement.now_ms(), &revision.owner.pipeline);
            self.settlement
                .events()
                .push(|| Event::about(EventKind::Node, now_ms, pipeline, "").at("in", 0).with_fault(fault));
        }
    }

    fn subscribe(&mut self, revision: &Revision, source: &Subscription, replaced: Option<&Revision>) {
        let (from, to) = (replaced.map(|replaced| replaced.owner.id), revision.owner.id);
        let Subscription { subject, mode, stream, durable } = source;
        match mode {
            NatsMode::Core => {
                let group = subjects::queue_group(revision.owner.customer(), revision.owner.name());
                if from.is_some_and(|from| self.consumers.hand_over_subject(from, to, subject, &group)) {
                    return;
                }
                let number = self.consumers.add_subject(to, subject, &group);
                if self.settlement.is_connected() {
                    self.consumers.subscribe_subject(number, &mut self.settlement.wire);
                }
            }
            NatsMode::Jetstream => {
                if from.is_some_and(|from| self.consumers.hand_over_pull(from, to, stream, durable)) {
                    return;
                }
                let number = self.add_pull(Feed::Source(to), stream, durable);
                self.begin_pull(number);
            }
        }
    }

    fn begin_pull(&mut self, number: u64) {
        if self.settlement.is_connected() {
            self.consumers.subscribe_pull(number, &mut self.settlement.wire);
            self.top_up();
        }
    }

    /// Messages of a pipeline have waited for it: they come now, unless they are pulled already.
    pub fn pull_aside(&mut self, customer: &str, pipeline: &str, consumer: &str) {
        let Some(revision) = self.registry.named(customer, pipeline) else { return };
        let feed = Feed::Aside(revision.owner.id);
        if !self.consumers.has_pull(feed) {
            let number = self.add_pull(feed, subjects::PARKED, consumer);
            self.begin_pull(number);
        }
    }

    /// The same for the parked messages of one of its NATS outs.
    pub fn pull_parked_nats(&mut self, (customer, pipeline, out): (&str, &str, &str), consumer: &str) {
        if let Some(feed) = self.unpulled_nats((customer, pipeline, out)) {
            let number = self.add_pull(feed, subjects::PARKED, consumer);
            self.begin_pull(number);
        }
    }

    /// The feed of the parked messages of an out, if it is a NATS out and they are not pulled.
    pub fn unpulled_nats(&self, (customer, pipeline, out): (&str, &str, &str)) -> Option<Feed> {
        let revision = self.registry.named(customer, pipeline)?;
        let number = revision.target(out)?.number;
        let is_nats = revision.pipeline().outs().get(number as usize)?.publish().is_some();
        let feed = Feed::ParkedNats(revision.owner.id, number);
        (is_nats && !self.consumers.has_pull(feed)).then_some(feed)
    }

    /// Takes nothing more in for a pipeline; `false` when it is not here.
    pub fn remove(&mut self, customer: &str, pipeline: &str) -> bool {
        let Some(removed) = self.registry.remove(customer, pipeline) else { return false };
        self.retire(&removed, None);
        true
    }

    /// A revision brings nothing more; what it has in hand is finished.
    fn retire(&mut self, revision: &Rc<Revision>, next: Option<&Revision>) {
        let (id, tick) = (revision.owner.id, self.settlement.tick());
        self.ingress.retire(revision, next);
        self.ingress.own.retire(revision);
        let has_subject = self.consumers.has_subject(id);
        let marker = if has_subject { self.settlement.fence() } else { self.settlement.last_marker() };
        self.consumers.close_source(id, tick, marker, &mut self.settlement.wire);
        self.delivery.retire(&mut self.settlement, &mut self.consumers, revision);
    }

    /// The first connection, or the next one: everything is subscribed and asked for anew, then what has waited
    /// for the connection is sent.
    pub fn on_connected(&mut self, max_payload: usize, out: &mut Vec<u8>) {
        let is_new = self.settlement.max_payload() != max_payload;
        self.settlement.subscribe(max_payload, out);
        if is_new {
            self.limit_bodies();
        }
        self.consumers.on_connected(max_payload, self.settlement.tick(), out);
        self.settlement.resend_all();
        self.top_up();
    }

    /// The server takes larger or smaller messages than the last one did.
    fn limit_bodies(&self) {
        let max_body = self.settlement.max_body();
        for revision in self.registry.active() {
            if let Err(fault) = self.ingress.install(revision, max_body) {
                self.node_event(EventKind::Node, &fault);
            }
        }
    }

    /// Once a second: what is late, what is drained, how the connectors are. Whether one is otherwise than before.
    pub fn on_tick(&mut self) -> bool {
        self.settlement.on_tick();
        let connections = self.ingress.source().map_or(0, |source| source.connections());
        self.settlement.meters().set_connections(connections);
        let tick = self.settlement.tick();
        self.consumers.on_tick(tick, self.settlement.last_marker());
        self.try_refused();
        self.unknown.on_tick(tick);
        self.delivery.on_tick(&self.settlement);
        let (settlement, consumers) = (&self.settlement, &self.consumers);
        self.registry.release(|id| {
            settlement.ledger().usage_of_revision(id).messages > 0
                || settlement.waits_for_marker(id)
                || consumers.serves(id)
        });
        self.top_up();
        self.note_health()
    }

    /// Why messages of a pipeline cannot be asked for.
    fn in_fault(&self, revision: &Revision) -> Option<Code> {
        if revision.is_closed {
            return Some(Code::TenantMoving);
        }
        let id = revision.owner.id;
        let is_refused = self.consumers.is_refused(id) || self.settlement.is_deaf();
        let refused = is_refused.then_some(Code::NatsAuthorization);
        let refused = refused.or_else(|| revision.backpressure.intake_refusal(self.settlement.tick()));
        refused.or_else(|| self.consumers.fault(Feed::Source(id), &revision.in_stream))
    }

    /// Says what every in and out is like, as far as this node looks after it. Whether one is otherwise than before.
    pub fn note_health(&self) -> bool {
        let mut is_new = false;
        let is_connected = self.settlement.is_connected();
        let nats = if is_connected { Health::Up } else { Health::Failing(Code::NatsDisconnected) };
        let now_ms = self.settlement.now_ms();
        let deaf = self.settlement.is_deaf().then_some(Code::NatsAuthorization);
        for revision in self.registry.active() {
            if self.settings.serves(NodeType::Incoming) {
                let health = match self.ingress.health_of(revision) {
                    Some(health) if is_connected => health,
                    _ => nats,
                };
                let (faults, broken) = self.ingress.own.item_faults(revision);
                for fault in &faults {
                    let pipeline = &revision.owner.pipeline;
                    let event = || Event::about(EventKind::Node, now_ms, pipeline, "").at("in", 0).with_fault(fault);
                    self.settlement.events().push_rare(event);
                }
                is_new |= revision.health.set_broken(broken.as_ref().map(|(items, newest)| Broken::of(*items, newest)));
                let fault = self.in_fault(revision).filter(|_| is_connected).map(Health::Failing);
                // A start is no failure.
                let is_known = !is_connected || fault.is_some() || !self.ingress.is_starting(revision);
                is_new |= is_known && revision.health.set_in(fault.unwrap_or(health), now_ms);
            }
            for (target, out) in revision.pipeline().outs().iter().enumerate() {
                if out.publish().is_none() {
                    continue;
                }
                let number = u32::try_from(target).unwrap_or(u32::MAX);
                let refusal = deaf.or_else(|| revision.backpressure.refusal(number, self.settlement.tick()));
                let refusal = refusal.filter(|_| is_connected);
                is_new |= revision.health.set_out(target, refusal.map_or(nats, Health::Failing), now_ms);
            }
        }
        let tick = self.settlement.tick();
        is_new
            | self.delivery.note_health(now_ms, |revision, target, lane| {
                let refusal = || revision.backpressure.refusal(target, tick);
                deaf.or_else(|| self.consumers.denial(None, lane)).or_else(refusal).filter(|_| is_connected)
            })
    }
}
