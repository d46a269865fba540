//! The room from outside: what becomes of messages, by what the sink says of them.

mod batches;
mod canary;
mod failing;
mod new_queues;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectors::Outcome as Said;
use connectors::tls::Tls;
use message::{Code, Headers};
use nats::jetstream::AckReply;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::advance;

use super::budgets::Held;
use super::*;
use crate::compile::Pipeline;
use crate::engine::message::{CustomerId, Foreign};
use crate::engine::observe::{Counters, Events};
use crate::engine::registry::{Prepared, Registry, Secrets};
use crate::engine::settlement::{Input, Origin};
use crate::engine::world::SystemWorld;

const HOUR: Duration = Duration::from_secs(3_600);

/// The rooms that delivery works with, and revisions of pipelines with HTTP outs.
struct World {
    settings: Settings,
    registry: Registry,
    settlement: Settlement,
    consumers: Consumers,
    delivery: Delivery,
    revision: Rc<Revision>,
    /// Every message of the wire so far: subject or reply, and header block.
    published: Vec<(String, String)>,
    sequence: u64,
}

fn run(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test());
}

fn file(customer: &str, http: &Value, outs: usize) -> Value {
    let mut out = json!({"url": "http://192.0.2.1/orders", "retry_for": "1h"});
    http.as_object().unwrap().iter().for_each(|(key, value)| out[key] = value.clone());
    let outs: BTreeMap<String, Value> = (0..outs).map(|n| (format!("erp{n}"), json!({"http": out}))).collect();
    let steps = if outs.len() > 1 { json!([{"route": [{"to": outs.keys().collect::<Vec<_>>()}]}]) } else { json!([]) };
    let input = json!({"http": {"path": "/orders"}});
    json!({"customer": customer, "pipeline": "orders", "in": input, "steps": steps, "out": outs})
}

fn prepared(file: &Value, settings: &Settings) -> Prepared {
    let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
    Prepared::new(pipeline, Secrets::default(), vec![Arc::new(Counters::default())], settings).unwrap()
}

impl World {
    fn new(http: &Value) -> World {
        World::with_outs(http, 1)
    }

    /// The first out's parked messages are known: there are none.
    fn with_outs(http: &Value, outs: usize) -> World {
        let settings = json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": "."});
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let delivery =
            Delivery::new(&settings, Rc::new(SystemWorld::new(Tls::new(None).unwrap(), Vec::new()))).unwrap();
        let mut registry = Registry::new(0);
        let (revision, _) = registry.install(&prepared(&file("acme", http, outs), &settings), Vec::new());
        let mut settlement =
            Settlement::new("test", [7; 32], fastrand::Rng::with_seed(7), Arc::new(Events::default()), 1);
        settlement.subscribe(8 << 20, &mut Vec::new());
        let (consumers, published) = (Consumers::default(), Vec::new());
        let mut world = World { settings, registry, settlement, consumers, delivery, revision, published, sequence: 0 };
        world.install();
        world
    }

    fn install(&mut self) {
        let revision = Rc::clone(&self.revision);
        self.delivery.install(&mut self.settlement, &revision, false);
        for queue in (0..revision.targets.len()).map(|target| self.queue_of(target)).collect::<Vec<_>>() {
            self.poll(queue, 0);
        }
    }

    fn queue_of(&self, target: usize) -> QueueId {
        self.delivery.outs[&(self.revision.owner.id, u32::try_from(target).unwrap())]
    }

    fn queue(&mut self) -> &mut Queue {
        let id = self.queue_of(0);
        self.delivery.queues.get_mut(&id).unwrap()
    }

    fn open(&mut self, bytes: usize) -> InputRef {
        self.sequence += 1;
        let token = format!("$JS.ACK.OUT.outgoing.1.{0}.{0}.1700000000000000000.3", self.sequence);
        let owner = &self.revision.owner;
        let (origin, revision, customer) = (Origin::JetStream, owner.id, owner.customer_id);
        self.settlement.open(&Input { origin, revision, customer, bytes, token: token.as_bytes() })
    }

    /// A message of the lane, for an out of the world's revision.
    fn accept_for(&mut self, target: usize, id: &str, payload: &[u8]) {
        self.accept_with(target, id, "NATS/1.0\r\n\r\n", payload);
    }

    fn accept_with(&mut self, target: usize, id: &str, block: &str, payload: &[u8]) {
        let revision = Rc::clone(&self.revision);
        let input = self.open(payload.len());
        let headers = Arc::from(block.as_bytes());
        let message = OwnedMessage {
            id: id.into(),
            part: 0,
            redrive: 0,
            resume: None,
            headers,
            foreign: Foreign::default(),
            content_type: "".into(),
            time_ms: 1,
            payload: Bytes::new(),
        };
        let envelope = message.envelope(&revision.owner, input);
        let target = &revision.targets[target];
        let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
        self.delivery.accept(settlement, consumers, &revision, &envelope, target, payload);
    }

    fn accept(&mut self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            self.accept_for(0, &id.to_string(), b"{}");
        }
    }

    /// A parked message comes back.
    fn parked(&mut self, id: u32, spent: Duration, sequence: u64) {
        let (queue, input) = (self.queue_of(0), self.open(2));
        let spent = spent.as_millis();
        let block =
            format!("NATS/1.0\r\nCustomer-ID: acme\r\nVrsky-Id: {id}\r\nVrsky-Part: 0\r\nVrsky-Spent: {spent}\r\n\r\n");
        let token = format!("$JS.ACK.VRSKY_PARKED.c.1.{sequence}.7.1700000000000000000.3");
        let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
        let ack = AckReply::parse(token.as_bytes()).unwrap();
        self.delivery.on_parked(settlement, consumers, queue, input, &ack, Headers::new(block.as_bytes()), b"{}");
    }

    /// The other thread has found every URL that it was asked for.
    fn urls_are_found(&mut self) {
        let mut effects = Vec::new();
        self.delivery.take_effects(&mut effects);
        for effect in effects {
            if let Effect::FindUrl { revision, target, input, message } = effect {
                let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
                let url = Ok(Some("http://192.0.2.1/1".to_owned()));
                let place = (revision.owner.id, target);
                self.delivery.on_address(settlement, consumers, place, (input, message), url);
            }
        }
    }

    fn poll(&mut self, queue: QueueId, stored: u64) {
        let request = self.delivery.begin_poll(queue).expect("a breaker that is not closed");
        let response = PollResponse { stored, last_sequence: stored, untried: stored, is_idle: false };
        let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
        self.delivery.on_polled(settlement, consumers, queue, &request, response);
    }

    /// What a new worker is given.
    fn take(&mut self) -> Vec<Queued> {
        self.take_of(self.queue_of(0))
    }

    fn take_of(&mut self, queue: QueueId) -> Vec<Queued> {
        match self.delivery.next(queue, Asking::Busy) {
            Next::Write(batch) => batch,
            Next::Wait(_) => {
                self.delivery.queues.get_mut(&queue).unwrap().no_worker_waits();
                Vec::new()
            }
            Next::End => Vec::new(),
        }
    }

    fn said(&mut self, batch: Vec<Queued>, said: impl Fn(&str) -> Said) {
        let (queue, outcomes) = (self.queue_of(0), batch.iter().map(|queued| said(&queued.message.id)).collect());
        let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
        self.delivery.on_delivered(settlement, consumers, queue, batch, outcomes);
    }

    /// Every attempt that can be made now, one worker after the other; gives whose.
    fn attempt(&mut self, said: impl Fn(&str) -> Said + Copy) -> Vec<u32> {
        let mut attempted = Vec::new();
        loop {
            let batch = self.take();
            if batch.is_empty() {
                return attempted;
            }
            attempted.extend(batch.iter().map(number));
            self.said(batch, said);
        }
    }

    /// The subjects, or `ack` and `nak`, of what was written since the last call.
    fn written(&mut self) -> Vec<String> {
        let wire = String::from_utf8(std::mem::take(&mut self.settlement.wire)).unwrap();
        let mut subjects = Vec::new();
        for frame in wire.split("PUB ").skip(1) {
            let subject = frame.split(' ').next().unwrap().to_owned();
            self.published.push((subject.clone(), frame.to_owned()));
            subjects.push(match subject.strip_prefix("$JS.ACK.") {
                Some(_) if frame.contains("-NAK") => "nak".to_owned(),
                Some(_) => "ack".to_owned(),
                None => subject,
            });
        }
        subjects
    }

    fn count(&mut self, written: &str) -> usize {
        self.written().iter().filter(|subject| subject.starts_with(written)).count()
    }

    fn confirm_parked(&mut self, queue: QueueId) {
        while !self.delivery.queues[&queue].parking.is_settled() {
            self.delivery.on_parked_confirmed(&mut self.settlement, &mut self.consumers, queue, true);
        }
    }
}

fn number(queued: &Queued) -> u32 {
    queued.message.id.parse().unwrap()
}

fn fails() -> Said {
    Said::Retry { fault: Fault::new(Code::HttpServerError, "500"), after: None }
}

fn always(_: &str) -> Said {
    fails()
}

fn works(_: &str) -> Said {
    Said::Delivered
}

fn only_poison(id: &str) -> Said {
    if id.parse::<u32>().unwrap() < 10 { fails() } else { Said::Delivered }
}
