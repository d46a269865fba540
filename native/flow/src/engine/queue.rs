//! The messages of one out of one pipeline, in hand: what waits, who works on it, and the pause
//! that all of its workers share while its server fails.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use connectors::Health;
use message::{Code, Headers};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::breaker::{Breaker, Phase};
use super::core::Envelope;
use super::headers;
use super::install::Installed;
use super::ledger::Receipt;
use super::parking::Parking;
use super::publish::Parent;
use super::shard::Shard;
use super::sinks::OutSink;

/// What a sink is given of a message, kept until it has taken it.
pub struct Delivery {
    pub id: Box<str>,
    pub payload: bytes::Bytes,
    pub content_type: Box<str>,
    pub customer: Box<str>,
    pub pipeline: Box<str>,
    pub headers: bytes::Bytes,
    pub url: Option<String>,
}

impl Delivery {
    pub(super) fn borrowed(&self) -> connectors::Delivery<'_> {
        connectors::Delivery {
            id: &self.id,
            payload: &self.payload,
            content_type: &self.content_type,
            customer: &self.customer,
            pipeline: &self.pipeline,
            headers: &self.headers,
            url: self.url.as_deref(),
        }
    }
}

/// One message on its way to a sink.
pub struct Queued {
    pub(super) receipt: Receipt,
    pub(super) delivery: Delivery,
    pub(super) time_ms: u64,
    /// When it was first in hand, by the wall clock: that outlives a restart.
    pub(super) since_ms: u64,
    /// Whether it came from the parked ones. It is never parked again: the stream would take its id
    /// for a repetition and drop it.
    pub(super) was_parked: bool,
}

impl Queued {
    pub(super) fn envelope<'a>(&'a self, installed: &'a Rc<Installed>) -> Envelope<'a> {
        let headers = Headers::new(&self.delivery.headers);
        Envelope {
            installed,
            parent: Parent::Entry(self.receipt),
            id: &self.delivery.id,
            root: headers.get_str(headers::ROOT).unwrap_or(&self.delivery.id),
            headers,
            content_type: &self.delivery.content_type,
            time_ms: self.time_ms,
        }
    }

    pub(super) fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.since_ms))
    }
}

/// The messages of one out of one pipeline.
pub struct OutQueue {
    pub installed: Rc<Installed>,
    pub name: String,
    pub(super) target: usize,
    pub(super) sink: OutSink,
    pub(super) breaker: RefCell<Breaker>,
    pub(super) parking: Parking,
    waiting: RefCell<VecDeque<Queued>>,
    /// Of the lane, behind the last parked ones.
    behind: RefCell<VecDeque<Queued>>,
    bytes: Cell<usize>,
    pub(super) arrived: Notify,
    pub(super) workers: Cell<usize>,
    pub(super) idle: Cell<usize>,
    in_flight: Cell<usize>,
    /// What the last attempt met.
    trouble: Cell<Option<Code>>,
    /// What the last connect met; nothing, once there was an attempt with a message.
    pub(super) unreached: Cell<Option<Code>>,
    pub(super) connecting: Cell<bool>,
    paused_until: Cell<Option<Instant>>,
    pub(super) probing: Cell<bool>,
}

const MOST_MESSAGES: usize = 4_096;
const MOST_BYTES: usize = 32 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl OutQueue {
    #[must_use]
    pub fn new(installed: Rc<Installed>, target: usize, sink: OutSink, park_after: u32) -> Rc<OutQueue> {
        let name = installed.targets[target].name.clone();
        Rc::new(OutQueue {
            parking: Parking::new(&installed, &name),
            name,
            installed,
            target,
            sink,
            breaker: RefCell::new(Breaker::new(park_after)),
            waiting: RefCell::default(),
            behind: RefCell::default(),
            bytes: Cell::new(0),
            arrived: Notify::new(),
            workers: Cell::new(0),
            idle: Cell::new(0),
            in_flight: Cell::new(0),
            trouble: Cell::new(None),
            unreached: Cell::new(None),
            connecting: Cell::new(false),
            paused_until: Cell::new(None),
            probing: Cell::new(false),
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() + self.behind.borrow().len() >= MOST_MESSAGES || self.bytes.get() >= MOST_BYTES
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Whether nothing waits here or will come, for the sink or behind parked messages.
    #[must_use]
    pub(super) fn is_done(&self) -> bool {
        self.is_idle() && self.behind.borrow().is_empty()
    }

    /// What people are shown of the out: the last attempt, else the connect, else what the sink knows.
    #[must_use]
    pub fn health(&self) -> Health {
        let known = self.trouble.get().or(self.unreached.get());
        known.map_or_else(|| self.sink.sink.health(), Health::Failing)
    }

    /// What an attempt has met; it says more than a connect.
    pub(super) fn tried(&self, trouble: Option<Code>) {
        self.trouble.set(trouble);
        self.unreached.set(None);
    }

    /// Drops what waits: it was given back to its stream.
    pub(super) fn clear(&self) {
        self.waiting.borrow_mut().clear();
        self.behind.borrow_mut().clear();
        self.bytes.set(0);
        self.sink.left.notify_one();
    }

    #[must_use]
    pub(super) fn phase(&self) -> Phase {
        self.breaker.borrow().phase()
    }

    /// Messages that wait for a server that fails, or behind such messages.
    #[must_use]
    pub fn held(&self) -> usize {
        let paused = if self.is_paused() { self.len() } else { 0 };
        paused + self.behind.borrow().len()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_until.get().is_some()
    }

    /// Whether a sink has, or will get, nothing from here.
    pub(super) fn is_idle(&self) -> bool {
        self.len() == 0 && self.in_flight.get() == 0
    }

    pub(super) fn push(&self, queued: Queued) {
        self.bytes.set(self.bytes.get() + queued.delivery.payload.len());
        self.waiting.borrow_mut().push_back(queued);
        self.arrived.notify_one();
    }

    pub(super) fn push_back_in_front(&self, queued: Queued) {
        self.bytes.set(self.bytes.get() + queued.delivery.payload.len());
        self.waiting.borrow_mut().push_front(queued);
        self.arrived.notify_one();
    }

    pub(super) fn push_behind(&self, queued: Queued) {
        self.bytes.set(self.bytes.get() + queued.delivery.payload.len());
        self.behind.borrow_mut().push_back(queued);
    }

    /// Nothing is parked any more: what was held behind it is next.
    pub(super) fn release(&self) {
        self.waiting.borrow_mut().append(&mut self.behind.borrow_mut());
        self.arrived.notify_one();
    }

    pub(super) fn take(&self) -> Vec<Queued> {
        let count = self.len().min(self.sink.batch);
        let batch: Vec<Queued> = self.waiting.borrow_mut().drain(..count).collect();
        self.in_flight.set(self.in_flight.get() + batch.len());
        self.gone(&batch);
        batch
    }

    /// One more message will come; its URL is looked for elsewhere.
    pub(super) fn expect(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// It has come, or never will. Call it after it was placed.
    pub(super) fn came(&self) {
        self.landed(1);
        self.sink.left.notify_one();
        if self.is_idle() {
            self.parking.turned.notify_one();
        }
    }

    /// A sink has said something of a batch that was taken.
    pub(super) fn landed(&self, count: usize) {
        self.in_flight.set(self.in_flight.get().saturating_sub(count));
    }

    /// What is to be parked when the out fails: all but the batch that probes and what was parked.
    pub(super) fn take_surplus(&self) -> Vec<Queued> {
        let mut at = 0;
        let mut taken = extract(&mut self.waiting.borrow_mut(), |queued| {
            at += 1;
            at > self.sink.batch && !queued.was_parked
        });
        self.gone(&taken);
        taken.extend(self.take_behind());
        taken
    }

    pub(super) fn take_behind(&self) -> Vec<Queued> {
        let taken: Vec<Queued> = self.behind.borrow_mut().drain(..).collect();
        self.gone(&taken);
        taken
    }

    /// Whether it has waited for longer than it is to be tried; what is never repeated is tried once all the
    /// same.
    pub(super) fn is_expired(&self, queued: &Queued, now_ms: u64) -> bool {
        let retry_for = self.sink.retry_for;
        !retry_for.is_zero() && queued.age(now_ms) >= retry_for
    }

    /// Ends the pause when the oldest message is tried for the last time: neither a server's Retry-After
    /// nor a pause for a younger one keeps it beyond that.
    pub(super) fn end_pause_in_time(&self, now_ms: u64) {
        let (retry_for, waiting) = (self.sink.retry_for, self.waiting.borrow());
        let oldest = waiting.iter().map(|queued| queued.age(now_ms)).max();
        if let (Some(until), Some(age), false) = (self.paused_until.get(), oldest, retry_for.is_zero()) {
            self.paused_until.set(Some(until.min(Instant::now() + retry_for.saturating_sub(age))));
        }
    }

    /// What has waited for longer than it is to be tried.
    pub(super) fn take_expired(&self, now_ms: u64) -> Vec<Queued> {
        let taken = extract(&mut self.waiting.borrow_mut(), |queued| self.is_expired(queued, now_ms));
        self.gone(&taken);
        taken
    }

    fn gone(&self, taken: &[Queued]) {
        let bytes: usize = taken.iter().map(|queued| queued.delivery.payload.len()).sum();
        self.bytes.set(self.bytes.get() - bytes);
    }

    /// Whether one more worker would find something to do.
    pub(super) fn wants_worker(&self) -> bool {
        self.idle.get() == 0 && self.workers.get() < self.sink.workers && !self.waiting.borrow().is_empty()
    }

    /// Starts workers as needed. In the shard's local set.
    pub fn staff(self: &Rc<Self>, shard: &Rc<Shard>) {
        let mut wanted = self.len().div_ceil(self.sink.batch.max(1));
        while wanted > 0 && self.wants_worker() {
            wanted -= 1;
            self.workers.set(self.workers.get() + 1);
            tokio::task::spawn_local(super::outgoing::work(Rc::clone(shard), Rc::clone(self)));
        }
    }

    /// Waits until the out may be tried; while it fails, one worker at a time tries.
    pub(super) async fn ready(&self) {
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

    pub(super) fn succeeded(&self) {
        self.tried(None);
        if self.breaker.borrow_mut().succeeded() {
            self.parking.turned.notify_one();
        }
        if self.paused_until.take().is_some() {
            self.arrived.notify_waiters();
        }
    }

    /// One more failure; those that were under way at the same time count once. `true` when the
    /// breaker opens.
    pub(super) fn failed(&self, after: Option<Duration>) -> bool {
        let now = Instant::now();
        let paused = self.paused_until.get().is_some_and(|until| until > now);
        let opens = !paused && self.breaker.borrow_mut().failed();
        let failures = self.breaker.borrow().failures();
        let doubled = FIRST_PAUSE.saturating_mul(1 << (failures.min(12).saturating_sub(1)));
        let jitter = 0.5 + fastrand::f64() / 2.0;
        let pause = after.unwrap_or_else(|| doubled.min(LONGEST_PAUSE).mul_f64(jitter));
        let until = now + pause;
        self.paused_until.set(Some(self.paused_until.get().map_or(until, |earlier| earlier.max(until))));
        opens
    }
}

/// Takes the wanted ones out; both sides keep their order.
fn extract(from: &mut VecDeque<Queued>, mut wanted: impl FnMut(&Queued) -> bool) -> Vec<Queued> {
    let mut taken = Vec::new();
    for one in std::mem::take(from) {
        if wanted(&one) {
            taken.push(one);
        } else {
            from.push_back(one);
        }
    }
    taken
}
