//! From the outgoing lane to a sink: one bounded queue per out, workers that retry, and a pause
//! that all of an out's workers share while its server fails.
//!
//! ```text
//! lane ─► queue ─► worker ─► Sink::write_batch ─┬─► delivered: ack
//!           ▲                                   ├─► permanent: dead letter, then ack
//!           └────────────── retry, paused ◄─────┘
//! ```
//!
//! When the server fails for longer, `parking.rs` takes the messages over. Retry, pause and window
//! stand here, round every connector; a connector's author writes none.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};

use super::breaker::Place;
use super::core::{Core, Envelope};
use super::events::EventKind;
use super::headers;
use super::install::{Installed, Route};
use super::large::LARGE;
use super::ledger::Outcome;
use super::metrics::Metric;
use super::publish::Parent;
use super::queue::{Delivery, OutQueue, Queued};
use super::shard::Shard;
use crate::compile::{OutKind, Target};
use crate::model::NatsMode;

/// Above its queue's bounds, a message is offered again after this.
pub(super) const FULL_DELAY: Duration = Duration::from_secs(1);
/// A worker without work ends after this.
const IDLE: Duration = Duration::from_secs(10);

/// One worker: takes what waits, writes it, reports. Ends when there was nothing for a while.
pub(super) async fn work(shard: Rc<Shard>, queue: Rc<OutQueue>) {
    loop {
        queue.ready().await;
        if queue.is_paused() && shard.core.borrow().draining {
            // It goes back to its stream: a server that fails would only use up the drain's time.
            queue.probing.set(false);
            queue.workers.set(queue.workers.get() - 1);
            return;
        }
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
        let deliveries: Vec<_> = batch.iter().map(|queued| queued.delivery.borrowed()).collect();
        let outcomes = queue.sink.write(&deliveries).await;
        queue.probing.set(false);
        shard.delivered(&queue, batch, outcomes);
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
        if matches!(installed.pipeline.outs()[target].kind, OutKind::Nats { .. }) {
            self.forward(envelope, &installed.pipeline.outs()[target], payload, out);
            return;
        }
        if let Err(fault) = self.enqueue(envelope, target, payload, out) {
            self.not_queued(envelope, out_name, fault, payload, out);
        }
    }

    pub(super) fn not_queued(
        &mut self,
        envelope: &Envelope<'_>,
        out_name: &str,
        fault: Fault,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        if fault.code() == Code::LimitMemory {
            self.settle(envelope.parent, Outcome::Retry(FULL_DELAY, fault), out);
            return;
        }
        self.dead_letter(envelope, &format!("out:{out_name}"), &fault, 0, payload, out);
        self.settle(envelope.parent, Outcome::Ok, out);
    }

    /// A NATS out beside others: published from here, under the id it has.
    fn forward(&mut self, envelope: &Envelope<'_>, target: &Target, payload: &[u8], out: &mut Vec<u8>) {
        let OutKind::Nats { subject, mode, stream } = &target.kind else { return };
        let name = &target.name;
        let block = self.publisher.block.start(envelope.installed.customer());
        block.put(headers::MESSAGE_ID, envelope.id.as_bytes());
        block.put(headers::CONTENT_TYPE, envelope.content_type.as_bytes());
        if let Some(stream) = stream {
            block.put(headers::EXPECTED_STREAM, stream.as_bytes());
        }
        block.put_number(headers::TIME, envelope.time_ms).pass(envelope.headers).end();
        if *mode == NatsMode::Jetstream {
            match self.publisher.publish_stream(envelope.parent, subject, payload, out) {
                Ok(receipt) => {
                    self.publisher.ledger.attribute(receipt, envelope.installed);
                    self.count_at_pub_ack(receipt, envelope, name, payload.len());
                }
                Err(fault) => {
                    self.settle(envelope.parent, Outcome::Retry(FULL_DELAY, fault), out);
                    return;
                }
            }
        } else {
            self.publisher.publish_core(subject, payload, out);
            self.count_delivered(envelope, name, payload.len());
        }
        self.settle(envelope.parent, Outcome::Ok, out);
    }

    fn enqueue(
        &mut self,
        envelope: &Envelope<'_>,
        target: usize,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let queue = self.queue(envelope.installed, target)?;
        if queue.is_full() && queue.breaker.borrow_mut().filled() {
            self.opened(&queue, out);
        }
        let place = queue.breaker.borrow().place();
        if place == Place::Parked && self.park(&queue, envelope, self.now_ms, payload, out) {
            return Ok(());
        }
        if queue.is_full() {
            return Err(Fault::new(Code::LimitMemory, format!("the queue of out `{}` is full", queue.name)));
        }
        if queue.sink.has_placeholders && payload.len() > LARGE && carried(envelope, &queue).is_none() {
            return self.url_large(envelope, queue, target, payload);
        }
        let queued = self.queued(envelope, &queue, payload)?;
        self.place(&queue, queued);
        Ok(())
    }

    /// Into the queue, or behind the parked messages that are coming back.
    pub(super) fn place(&mut self, queue: &Rc<OutQueue>, queued: Queued) {
        let place = queue.breaker.borrow().place();
        match place {
            Place::Behind => queue.push_behind(queued),
            Place::Queue | Place::Parked => self.push(queue, queued),
        }
    }

    pub(super) fn push(&mut self, queue: &Rc<OutQueue>, queued: Queued) {
        queue.push(queued);
        if queue.wants_worker() {
            self.hungry.push(Rc::clone(queue));
        }
    }

    /// A message as its sink gets it.
    pub(super) fn queued(
        &mut self,
        envelope: &Envelope<'_>,
        queue: &OutQueue,
        payload: &[u8],
    ) -> Result<Queued, Fault> {
        let url = self.url(envelope, queue, payload)?;
        self.addressed(envelope, bytes::Bytes::copy_from_slice(payload), url)
    }

    /// The same, when its URL is known.
    pub(super) fn addressed(
        &self,
        envelope: &Envelope<'_>,
        payload: bytes::Bytes,
        url: Option<String>,
    ) -> Result<Queued, Fault> {
        let Parent::Entry(receipt) = envelope.parent else {
            return Err(Fault::new(Code::InternalPanic, "a lane's message without an entry"));
        };
        Ok(Queued {
            receipt,
            delivery: Delivery {
                id: envelope.id.into(),
                payload,
                content_type: envelope.content_type.into(),
                customer: envelope.installed.customer().into(),
                pipeline: envelope.installed.name().into(),
                headers: bytes::Bytes::copy_from_slice(envelope.headers.block()),
                url,
            },
            time_ms: envelope.time_ms,
            since_ms: self.now_ms,
            was_parked: false,
        })
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
        let queue = OutQueue::new(Rc::clone(installed), target, sink, self.park_after);
        self.queues.insert(key.into(), Rc::clone(&queue));
        self.tend(&queue);
        Ok(queue)
    }

    /// The URL with its placeholders filled, as it came, else from the payload, which is parsed only then.
    fn url(&mut self, envelope: &Envelope<'_>, queue: &OutQueue, payload: &[u8]) -> Result<Option<String>, Fault> {
        if !queue.sink.has_placeholders {
            return Ok(None);
        }
        if let Some(url) = carried(envelope, queue) {
            return Ok(Some(url.to_owned()));
        }
        let pipeline = &envelope.installed.pipeline;
        let mut document = self.spare.take();
        let parsed = pipeline.parse_output(payload, envelope.content_type, &mut document);
        let url = parsed.and_then(|()| pipeline.outs()[queue.target].url(&document));
        self.spare.keep(document);
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
        queue.landed(batch.len());
        let (mut failed, mut opens) = (None, false);
        // Last first: what goes back to the front of the queue keeps its order.
        for (queued, outcome) in batch.into_iter().zip(outcomes).rev() {
            match outcome {
                connectors::Outcome::Delivered => {
                    queue.succeeded();
                    let envelope = queued.envelope(&queue.installed);
                    self.count_delivered(&envelope, &queue.name, queued.delivery.payload.len());
                    self.settle(envelope.parent, Outcome::Ok, out);
                }
                connectors::Outcome::Retry { fault, after } => {
                    opens |= queue.failed(after);
                    queue.tried(Some(fault.code()));
                    *queue.parking.last.borrow_mut() = Some(fault.clone());
                    self.try_again(queue, queued, &fault, out);
                    failed = Some(fault);
                }
                connectors::Outcome::Permanent(fault) => {
                    queue.succeeded();
                    self.bury(queue, &queued, &fault, out);
                }
            }
        }
        if let Some(fault) = failed {
            self.bury_expired(queue, &fault, out);
            queue.end_pause_in_time(self.now_ms);
        }
        if opens {
            self.opened(queue, out);
        }
        if queue.is_idle() {
            queue.parking.turned.notify_one();
        }
    }

    fn try_again(&mut self, queue: &OutQueue, queued: Queued, fault: &Fault, out: &mut Vec<u8>) {
        if queued.age(self.now_ms) >= queue.sink.retry_for {
            self.bury(queue, &queued, &exhausted(&queued, self.now_ms, fault), out);
            return;
        }
        queue.installed.counters.add(Metric::Retried, 1);
        self.event(EventKind::Retried, &queued.envelope(&queue.installed), &queue.name, Some(fault), 0);
        queue.push_back_in_front(queued);
    }

    /// While the out fails, what waits in its queue is not tried once more only to be given up.
    fn bury_expired(&mut self, queue: &OutQueue, fault: &Fault, out: &mut Vec<u8>) {
        if queue.breaker.borrow().failures() < 2 {
            return;
        }
        for queued in queue.take_expired(self.now_ms) {
            self.bury(queue, &queued, &exhausted(&queued, self.now_ms, fault), out);
        }
    }

    /// To the dead letters, then acked.
    pub(super) fn bury(&mut self, queue: &OutQueue, queued: &Queued, fault: &Fault, out: &mut Vec<u8>) {
        let envelope = queued.envelope(&queue.installed);
        self.dead_letter(&envelope, &format!("out:{}", queue.name), fault, 0, &queued.delivery.payload, out);
        self.settle(envelope.parent, Outcome::Ok, out);
    }
}

/// The URL that its steps gave a message.
fn carried<'e>(envelope: &Envelope<'e>, queue: &OutQueue) -> Option<&'e str> {
    let text = envelope.headers.get_str(headers::URL)?;
    envelope.installed.pipeline.outs()[queue.target].carried(text)
}

pub(super) fn exhausted(queued: &Queued, now_ms: u64, last: &Fault) -> Fault {
    let reason = format!("given up after {} s; last: {last}", queued.age(now_ms).as_secs());
    Fault::new(Code::DeliverRetriesExhausted, reason)
}
