//! The shard's state when the connection comes and goes, when a pipeline is installed, and at the end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::http::source::Routes;
use message::{Code, Fault};
use nats::protocol;
use script::Loaded;

use super::core::Core;
use super::events::{Event, EventKind};
use super::install::{Installed, Prepared};
use super::intake::{FIRST_PULL, FIRST_SUBJECT, PUB_ACKS, key};
use super::ledger::{Origin, Outcome};
use super::node_type::NodeType;
use super::pulls::Feed;
use super::subjects;
use crate::compile::Input;
use crate::model::NatsMode;

/// Inputs one shard has in hand at most, with those it has asked for.
const MOST_IN_HAND: i64 = 16_384;
/// Script tasks in hand at most; each has a document.
const MOST_SCRIPTS: usize = 4_096;
/// Messages that wait for a script, above which the connection is not read. The executor takes 4,096.
const SCRIPTS_WAITING: usize = 2_048;

impl Core {
    /// The first connection, or the next one: everything is subscribed and asked for anew.
    pub fn on_connected(&mut self, max_payload: usize, out: &mut Vec<u8>) {
        if self.publisher.max_payload != max_payload {
            self.publisher.max_payload = max_payload;
            self.set_routes();
        }
        protocol::encode_sub(out, self.publisher.inbox.wildcard('a').as_bytes(), b"", PUB_ACKS);
        self.pulls.subscribe(FIRST_PULL, out);
        for (sid, installed) in &self.subjects {
            subscribe(*sid, installed, out);
        }
        self.pulls.on_connected(self.publisher.tick);
        self.connected = true;
        out.append(&mut self.late);
        self.resend_core(0, out);
        self.top_up(out);
    }

    /// PubAcks that were on their way are lost: their inputs come again, their clients are told.
    pub fn on_disconnected(&mut self, fault: &Fault) {
        self.connected = false;
        self.node_event(EventKind::Node, fault);
        let mut late = std::mem::take(&mut self.late);
        self.abandon(fault, &mut late, |origin, _, waits| waits && origin != Origin::Core);
        self.late = late;
    }

    /// Closes the picked entries as failed.
    pub(super) fn abandon(&mut self, fault: &Fault, out: &mut Vec<u8>, wanted: impl Fn(Origin, u64, bool) -> bool) {
        for receipt in self.publisher.ledger.pick(self.publisher.tick, wanted) {
            let outcome = Outcome::Retry(Duration::ZERO, fault.clone());
            if let Some(closed) = self.publisher.ledger.abandon(receipt, outcome) {
                self.close(receipt, closed, out);
            }
        }
    }

    /// Core messages whose stream has not confirmed them for `ticks`: their frames once more.
    pub(super) fn resend_core(&mut self, ticks: u64, out: &mut Vec<u8>) {
        let tick = self.publisher.tick;
        let ledger = &mut self.publisher.ledger;
        for receipt in ledger.pick(tick, |origin, age, _| origin == Origin::Core && age >= ticks) {
            out.extend_from_slice(ledger.token(receipt));
            ledger.renew(receipt, tick);
        }
    }

    /// Asks for as many messages as there is room for.
    pub fn top_up(&mut self, out: &mut Vec<u8>) {
        if self.draining || !self.connected || self.waiting.len() > MOST_SCRIPTS || self.large.is_full() {
            return;
        }
        let in_hand = i64::try_from(self.publisher.ledger.len()).unwrap_or(i64::MAX);
        self.pulls.top_up(self.publisher.tick, in_hand, MOST_IN_HAND, out);
    }

    /// Whether nothing may be read before something that is elsewhere has come back. Tasks are left
    /// between two turns only when the executor has refused them.
    #[must_use]
    pub fn has_too_much(&self) -> bool {
        // While one does not end, those of a stream are sent back, and the others may fill the executor.
        let most = if self.scripts_stuck { MOST_SCRIPTS } else { SCRIPTS_WAITING };
        self.waiting.len() >= most || !self.waiting.tasks.is_empty() || self.large.is_overfull()
    }

    /// Puts a pipeline in place of its earlier revision, between two bursts.
    pub fn install(&mut self, prepared: &Arc<Prepared>, scripts: Vec<Loaded>, out: &mut Vec<u8>) {
        let installed = Installed::new(prepared, self.shard_number, scripts);
        let (customer, name) = (installed.customer().to_owned(), installed.name().to_owned());
        self.last = None;
        let old = self.pipelines.insert(key(&customer, &name).into(), Rc::clone(&installed));
        if let Some(old) = old {
            self.retire(&old, out);
        }
        if self.settings.serves(NodeType::Outgoing) {
            self.connect_sinks(&installed);
        }
        match installed.pipeline.input() {
            _ if !self.settings.serves(NodeType::Incoming) => {}
            Input::Http(_) => self.bindings.push(Rc::clone(&installed)),
            Input::Nats { mode: NatsMode::Core, .. } => {
                let sid = FIRST_SUBJECT + self.next_subject;
                self.next_subject += 1;
                if self.connected {
                    subscribe(sid, &installed, out);
                }
                self.subjects.insert(sid, installed);
            }
            Input::Nats { stream, durable, .. } => {
                let feed = Feed::Binding(Rc::clone(&installed));
                let number = self.pulls.add(feed, stream, durable, &self.publisher.inbox);
                if self.connected {
                    self.pulls.subscribe_one(number, FIRST_PULL, out);
                    self.top_up(out);
                }
            }
        }
        self.set_routes();
    }

    fn retire(&mut self, old: &Rc<Installed>, out: &mut Vec<u8>) {
        let gone: Vec<u64> = self.subjects.iter().filter(|(_, i)| Rc::ptr_eq(i, old)).map(|(sid, _)| *sid).collect();
        for sid in gone {
            self.subjects.remove(&sid);
            protocol::encode_unsub(out, sid, None);
        }
        self.pulls.close_binding(old);
        self.close_sinks(old);
    }

    /// Whether no other revision has replaced it.
    pub(super) fn is_current(&self, installed: &Rc<Installed>) -> bool {
        let current = self.pipelines.get(&*key(installed.customer(), installed.name()));
        current.is_some_and(|current| Rc::ptr_eq(current, installed))
    }

    /// The HTTP routes of the current revisions. A binding's number is never used for another.
    fn set_routes(&mut self) {
        let Some(source) = &self.source else { return };
        let mut routes = Routes::new();
        for (binding, installed) in (0_u32..).zip(&self.bindings) {
            if self.is_current(installed)
                && let Some((path, route)) = installed.route(binding, self.publisher.max_body())
                && let Err(fault) = routes.insert(installed.customer(), &path, route)
            {
                self.node_event(EventKind::Node, &fault);
            }
        }
        source.set_routes(routes);
    }

    /// Takes nothing more in.
    pub fn stop_intake(&mut self, out: &mut Vec<u8>) {
        self.draining = true;
        self.pulls.close_all();
        for sid in self.subjects.keys() {
            protocol::encode_unsub(out, *sid, None);
        }
    }

    /// Whether nothing is in hand that could be finished: what waits for a server that fails would
    /// only use up the drain's time, and goes back to its stream.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let held = self.queues.values().map(|queue| queue.held()).sum::<usize>() + self.connects.held();
        self.publisher.ledger.len() <= held && self.waiting.len() == 0 && self.large.len() == 0
    }

    /// What could not be finished goes back to its stream, and comes to another node at once.
    /// `true` when there was nothing of it.
    pub fn give_back(&mut self, out: &mut Vec<u8>) -> bool {
        let finished = self.publisher.ledger.is_empty();
        let fault = Fault::new(Code::HttpUnavailable, "the node is stopping");
        self.abandon(&fault, out, |origin, _, _| origin != Origin::Core);
        finished
    }

    /// Something about the node rather than about a message.
    pub fn node_event(&self, kind: EventKind, fault: &Fault) {
        self.events.push_rare(|| Event::of_node(kind, self.now_ms).with_fault(fault));
    }
}

/// A queue group, so that the shards and nodes of a pipeline share its messages.
fn subscribe(sid: u64, installed: &Installed, out: &mut Vec<u8>) {
    if let Input::Nats { subject, .. } = installed.pipeline.input() {
        let group = subjects::queue_group(installed.customer(), installed.name());
        protocol::encode_sub(out, subject.as_bytes(), group.as_bytes(), sid);
    }
}
