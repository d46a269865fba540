//! From the outgoing lane to a sink: one bounded queue per out, workers that retry, and a pause
//! that all of an out's workers share while its server fails.
//!
//! ```text
//! lane ─► queue ─► worker ─► Sink::write_batch ─┬─► delivered: ack
//!           ▲                                   ├─► permanent: dead letter, then ack
//!           └────────────── retry, paused ◄─────┘
//! ```
//!
//! Retry, pause and window stand here, round every connector; a connector's author writes none.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use connectors::{Delivery, Health};
use message::{Code, Fault};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::core::{Core, Envelope};
use super::events::EventKind;
use super::headers;
use super::install::{Installed, Route};
use super::ledger::{Outcome, Receipt};
use super::metrics::Metric;
use super::publish::Parent;
use super::shard::Shard;
use super::sinks::OutSink;
use crate::compile::OutKind;

/// One message on its way to a sink.
pub struct Queued {
    receipt: Receipt,
    delivery: Delivery,
    time_ms: u64,
    since: Instant,
}

/// The messages of one out of one pipeline.
pub struct OutQueue {
    pub installed: Rc<Installed>,
    pub name: String,
    pub(super) target: usize,
    pub(super) sink: OutSink,
    waiting: RefCell<VecDeque<Queued>>,
    bytes: Cell<usize>,
    arrived: Notify,
    workers: Cell<usize>,
    idle: Cell<usize>,
    failures: Cell<u32>,
    /// What the last attempt met.
    trouble: Cell<Option<Code>>,
    /// What the last connect met; nothing, once there was an attempt with a message.
    pub(super) unreached: Cell<Option<Code>>,
    pub(super) connecting: Cell<bool>,
    paused_until: Cell<Option<Instant>>,
    probing: Cell<bool>,
}

const MOST_MESSAGES: usize = 4_096;
const MOST_BYTES: usize = 32 << 20;
/// Above that, the message is offered again after this.
const FULL_DELAY: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A worker without work ends after this.
const IDLE: Duration = Duration::from_secs(10);

impl OutQueue {
    #[must_use]
    pub fn new(installed: Rc<Installed>, target: usize, sink: OutSink) -> Rc<OutQueue> {
        Rc::new(OutQueue {
            name: installed.targets[target].name.clone(),
            installed,
            target,
            sink,
            waiting: RefCell::default(),
            bytes: Cell::new(0),
            arrived: Notify::new(),
            workers: Cell::new(0),
            idle: Cell::new(0),
            failures: Cell::new(0),
            trouble: Cell::new(None),
            unreached: Cell::new(None),
            connecting: Cell::new(false),
            paused_until: Cell::new(None),
            probing: Cell::new(false),
        })
    }

    fn is_full(&self) -> bool {
        self.waiting.borrow().len() >= MOST_MESSAGES || self.bytes.get() >= MOST_BYTES
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// What people are shown of the out: the last attempt, else the connect, else what the sink knows.
    #[must_use]
    pub fn health(&self) -> Health {
        let known = self.trouble.get().or(self.unreached.get());
        known.map_or_else(|| self.sink.sink.health(), Health::Failing)
    }

    /// What an attempt has met; it says more than a connect.
    fn tried(&self, trouble: Option<Code>) {
        self.trouble.set(trouble);
        self.unreached.set(None);
    }

    /// Drops what waits: it was given back to its stream.
    pub(super) fn clear(&self) {
        self.waiting.borrow_mut().clear();
        self.bytes.set(0);
        self.sink.left.notify_one();
    }

    /// Messages that wait because the out's server fails.
    #[must_use]
    pub fn parked(&self) -> usize {
        if self.paused_until.get().is_some() { self.len() } else { 0 }
    }

    fn push(&self, queued: Queued) {
        self.bytes.set(self.bytes.get() + queued.delivery.payload.len());
        self.waiting.borrow_mut().push_back(queued);
        self.arrived.notify_one();
    }

    fn push_back_in_front(&self, queued: Queued) {
        self.bytes.set(self.bytes.get() + queued.delivery.payload.len());
        self.waiting.borrow_mut().push_front(queued);
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<Queued> {
        let mut waiting = self.waiting.borrow_mut();
        let count = waiting.len().min(self.sink.batch);
        let batch: Vec<Queued> = waiting.drain(..count).collect();
        let bytes: usize = batch.iter().map(|queued| queued.delivery.payload.len()).sum();
        self.bytes.set(self.bytes.get() - bytes);
        batch
    }

    /// Whether one more worker would find something to do.
    fn wants_worker(&self) -> bool {
        self.idle.get() == 0 && self.workers.get() < self.sink.workers && !self.waiting.borrow().is_empty()
    }

    /// Starts workers as needed. In the shard's local set.
    pub fn staff(self: &Rc<Self>, shard: &Rc<Shard>) {
        let mut wanted = self.len().div_ceil(self.sink.batch.max(1));
        while wanted > 0 && self.wants_worker() {
            wanted -= 1;
            self.workers.set(self.workers.get() + 1);
            tokio::task::spawn_local(work(Rc::clone(shard), Rc::clone(self)));
        }
    }

    /// Waits until the out may be tried; while it fails, one worker at a time tries.
    async fn ready(&self) {
        loop {
            match self.paused_until.get() {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                Some(_) if self.probing.get() => self.arrived.notified().await,
                Some(_) => {
                    self.probing.set(true);
                    return;
                }
                None => return,
            }
        }
    }

    fn succeeded(&self) {
        self.failures.set(0);
        self.tried(None);
        if self.paused_until.take().is_some() {
            self.arrived.notify_waiters();
        }
    }

    /// One more failure; those that were under way at the same time count once.
    fn failed(&self, after: Option<Duration>) {
        let now = Instant::now();
        let paused = self.paused_until.get().is_some_and(|until| until > now);
        if !paused {
            self.failures.set(self.failures.get().saturating_add(1));
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.failures.get().min(12).saturating_sub(1)));
        let jitter = 0.5 + fastrand::f64() / 2.0;
        let pause = after.unwrap_or_else(|| doubled.min(LONGEST_PAUSE).mul_f64(jitter));
        let until = now + pause;
        self.paused_until.set(Some(self.paused_until.get().map_or(until, |earlier| earlier.max(until))));
    }
}

/// One worker: takes what waits, writes it, reports. Ends when there was nothing for a while.
async fn work(shard: Rc<Shard>, queue: Rc<OutQueue>) {
    loop {
        queue.ready().await;
        let batch = queue.take();
        if batch.is_empty() {
            queue.probing.set(false);
            queue.idle.set(queue.idle.get() + 1);
            let woken = tokio::time::timeout(IDLE, queue.arrived.notified()).await;
            queue.idle.set(queue.idle.get() - 1);
            if woken.is_err() && queue.len() == 0 {
                queue.workers.set(queue.workers.get() - 1);
                return;
            }
            continue;
        }
        let (deliveries, rest): (Vec<Delivery>, Vec<_>) =
            batch.into_iter().map(|q| (q.delivery, (q.receipt, q.time_ms, q.since))).unzip();
        let outcomes = queue.sink.write(&deliveries).await;
        queue.probing.set(false);
        let batch = deliveries.into_iter().zip(rest).map(|(delivery, (receipt, time_ms, since))| Queued {
            receipt,
            delivery,
            time_ms,
            since,
        });
        shard.delivered(&queue, batch.collect(), outcomes);
    }
}

/// What `Core::queues` knows the queue of an out by.
pub(super) fn key(installed: &Installed, out: &str) -> String {
    format!("{}.{}.{out}", installed.customer(), installed.name())
}

impl Core {
    /// A message of the outgoing lane: into its out's queue, or straight on when the out is NATS.
    pub fn on_outgoing(&mut self, envelope: &Envelope<'_>, out_name: &str, payload: &[u8], out: &mut Vec<u8>) {
        let installed = envelope.installed;
        let Some(target) = installed.targets.iter().position(|target| target.name == out_name) else {
            let fault = Fault::new(Code::DeliverUnknownOut, format!("this revision has no out `{out_name}`"));
            self.dead_letter(envelope, &format!("out:{out_name}"), &fault, 0, payload, out);
            self.settle(envelope.parent, Outcome::Ok, out);
            return;
        };
        debug_assert!(matches!(installed.targets[target].route, Route::Lane { .. }) || installed.targets.len() == 1);
        if let OutKind::Nats { subject, mode, .. } = &installed.pipeline.outs()[target].kind {
            let (subject, confirmed) = (subject.clone(), *mode == crate::model::NatsMode::Jetstream);
            self.forward(envelope, out_name, &subject, confirmed, payload, out);
            return;
        }
        if let Err(fault) = self.enqueue(envelope, target, payload) {
            match fault.code() {
                Code::LimitMemory => self.settle(envelope.parent, Outcome::Retry(FULL_DELAY, fault), out),
                _ => {
                    self.dead_letter(envelope, &format!("out:{out_name}"), &fault, 0, payload, out);
                    self.settle(envelope.parent, Outcome::Ok, out);
                }
            }
        }
    }

    /// A NATS out beside others: published from here, under the id it has.
    fn forward(
        &mut self,
        envelope: &Envelope<'_>,
        name: &str,
        subject: &str,
        confirmed: bool,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let block = self.publisher.block.start(envelope.installed.customer());
        block.put(headers::MESSAGE_ID, envelope.id.as_bytes());
        block.put(headers::CONTENT_TYPE, envelope.content_type.as_bytes());
        block.put_number(headers::TIME, envelope.time_ms).pass(envelope.headers).end();
        if confirmed {
            if let Err(fault) = self.publisher.publish_stream(envelope.parent, subject, payload, out) {
                self.settle(envelope.parent, Outcome::Retry(FULL_DELAY, fault), out);
                return;
            }
        } else {
            self.publisher.publish_core(subject, payload, out);
        }
        self.count_delivered(envelope, name, payload.len());
        self.settle(envelope.parent, Outcome::Ok, out);
    }

    fn enqueue(&mut self, envelope: &Envelope<'_>, target: usize, payload: &[u8]) -> Result<(), Fault> {
        let Parent::Entry(receipt) = envelope.parent else {
            return Err(Fault::new(Code::InternalPanic, "a lane's message without an entry"));
        };
        let queue = self.queue(envelope.installed, target)?;
        if queue.is_full() {
            return Err(Fault::new(Code::LimitMemory, format!("the queue of out `{}` is full", queue.name)));
        }
        let url = self.url(envelope, &queue, payload)?;
        queue.push(Queued {
            receipt,
            delivery: Delivery {
                id: envelope.id.into(),
                payload: bytes::Bytes::copy_from_slice(payload),
                content_type: envelope.content_type.into(),
                customer: envelope.installed.customer().into(),
                pipeline: envelope.installed.name().into(),
                headers: bytes::Bytes::copy_from_slice(envelope.headers.block()),
                url,
            },
            time_ms: envelope.time_ms,
            since: Instant::now(),
        });
        if queue.wants_worker() {
            self.hungry.push(queue);
        }
        Ok(())
    }

    /// The queue of this revision's out, with its sink; made when the pipeline is installed.
    pub(super) fn queue(&mut self, installed: &Rc<Installed>, target: usize) -> Result<Rc<OutQueue>, Fault> {
        let key = key(installed, &installed.targets[target].name);
        if let Some(queue) = self.queues.get(&*key)
            && Rc::ptr_eq(&queue.installed, installed)
        {
            return Ok(Rc::clone(queue));
        }
        let sink = self.sinks.open(&installed.pipeline, &installed.secrets, target)?;
        let queue = OutQueue::new(Rc::clone(installed), target, sink);
        self.queues.insert(key.into(), Rc::clone(&queue));
        Ok(queue)
    }

    /// The URL with its placeholders filled; only then is the payload parsed here.
    fn url(&mut self, envelope: &Envelope<'_>, queue: &OutQueue, payload: &[u8]) -> Result<Option<String>, Fault> {
        if !queue.sink.has_placeholders {
            return Ok(None);
        }
        let pipeline = &envelope.installed.pipeline;
        let mut document = self.spare.pop().unwrap_or_default();
        let parsed = pipeline.parse_output(payload, envelope.content_type, &mut document);
        let url = parsed.and_then(|()| pipeline.outs()[queue.target].url(&document));
        self.spare.push(document);
        url
    }

    pub(super) fn count_delivered(&self, envelope: &Envelope<'_>, name: &str, bytes: usize) {
        let counters = &envelope.installed.counters;
        counters.add(Metric::Delivered, 1);
        counters.add(Metric::DeliveredBytes, bytes as u64);
        self.event(EventKind::Delivered, envelope, name, None, bytes);
    }

    /// What a sink said of a batch, one outcome per delivery.
    pub(super) fn on_delivered(
        &mut self,
        queue: &Rc<OutQueue>,
        batch: Vec<Queued>,
        outcomes: Vec<connectors::Outcome>,
        out: &mut Vec<u8>,
    ) {
        debug_assert_eq!(batch.len(), outcomes.len());
        // Last first: what goes back to the front of the queue keeps its order.
        for (queued, outcome) in batch.into_iter().zip(outcomes).rev() {
            let (id, block) = (queued.delivery.id.clone(), queued.delivery.headers.clone());
            let content_type = queued.delivery.content_type.clone();
            let envelope = Envelope {
                installed: &queue.installed,
                parent: Parent::Entry(queued.receipt),
                id: &id,
                root: message::Headers::new(&block).get_str(headers::ROOT).unwrap_or(&id),
                headers: message::Headers::new(&block),
                content_type: &content_type,
                time_ms: queued.time_ms,
            };
            let fault = match outcome {
                connectors::Outcome::Delivered => {
                    queue.succeeded();
                    self.count_delivered(&envelope, &queue.name, queued.delivery.payload.len());
                    self.settle(envelope.parent, Outcome::Ok, out);
                    continue;
                }
                connectors::Outcome::Retry { fault, after } => {
                    queue.installed.counters.add(Metric::Retried, 1);
                    queue.failed(after);
                    queue.tried(Some(fault.code()));
                    let age = queued.since.elapsed();
                    if age < queue.sink.retry_for {
                        self.event(EventKind::Retried, &envelope, &queue.name, Some(&fault), 0);
                        queue.push_back_in_front(queued);
                        continue;
                    }
                    let reason = format!("given up after {} s; last: {fault}", age.as_secs());
                    Fault::new(Code::DeliverRetriesExhausted, reason)
                }
                connectors::Outcome::Permanent(fault) => {
                    queue.succeeded();
                    fault
                }
            };
            let step = format!("out:{}", queue.name);
            self.dead_letter(&envelope, &step, &fault, 0, &queued.delivery.payload, out);
            self.settle(envelope.parent, Outcome::Ok, out);
        }
    }
}
