//! A pull consumer: where it is in its stream, what it has handed out, and who waits.
//!
//! ```text
//! CONSUMER.MSG.NEXT ─► pulls ──┐
//! new message ─► signal ───────┼─► run ─► next ─► send ─► pending ─► ack: settled
//! NAK, ack_wait over ─► queue ─┘            ▲                │
//!                                           └──── queue ◄────┴─ NAK, ack_wait over
//! ```
//!
//! The rules are those of the server's `consumer.go`, in its order; names there: `sseq` is `next_sequence`, `dseq` is
//! `next_delivery`, `rdq` is `queue`, `rdc` is `redelivered`, `npc` is `unseen`, `ptmr` is `check_at`.

mod acks;
mod deliver;
mod expiry;
mod info;
mod pulls;
mod purge;
mod saved;
mod written;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

pub use acks::{Acked, Delivery, parse_subject};
pub use info::ConsumerState;
pub use purge::Purged;
pub use saved::{Pending, Position, Saved};

use super::Context;
use super::config::{ConsumerConfig, DeliverPolicy};
use super::store::{Store, is_wanted};
use pulls::Pulls;
use written::Written;

/// The server's timer of `ack_wait` is this much later, nanoseconds.
const ACK_WAIT_DELAY: u64 = 1_000_000;

#[derive(Debug)]
pub struct Consumer {
    pub stream: String,
    pub name: String,
    pub config: ConsumerConfig,
    pub created_ns: u64,
    filters: Vec<String>,
    next_sequence: u64,
    next_delivery: u64,
    floor: Position,
    pending: BTreeMap<u64, Pending>,
    /// Deliveries of a message after the first.
    redelivered: BTreeMap<u64, u64>,
    queue: VecDeque<u64>,
    queued: BTreeSet<u64>,
    /// Messages of the stream that it has not delivered. The server counts the same way, and may fall below zero.
    unseen: i64,
    saved: Saved,
    written: Written,
    pulls: Pulls,
    check_at: Option<u64>,
    last_delivered_ns: Option<u64>,
    last_acked_ns: Option<u64>,
    /// Whether there may be something to deliver.
    signalled: bool,
    /// Whether it no longer hears of messages: the server forgets to signal a consumer whose filters were removed.
    is_deaf: bool,
    /// How long it stays without a request, with the server's jitter; zero for ever.
    inactive_after: u64,
    inactive_at: Option<u64>,
    /// What the first request to make it is answered with after a restart.
    recovered: Option<Map<String, Value>>,
}

impl Consumer {
    #[must_use]
    pub fn new(stream: &str, name: &str, config: ConsumerConfig, store: &Store, context: &mut Context<'_>) -> Consumer {
        let next_sequence = first_sequence(&config, store);
        let saved = Saved::starting(next_sequence.saturating_sub(1));
        let mut consumer = Consumer::restored(stream, name, config, saved, context);
        consumer.next_sequence = next_sequence;
        consumer.created_ns = context.now;
        consumer.count_unseen(store);
        consumer
    }

    /// With the state that a restart has left.
    fn restored(stream: &str, name: &str, config: ConsumerConfig, saved: Saved, context: &mut Context<'_>) -> Consumer {
        let mut consumer = Consumer {
            stream: stream.into(),
            name: name.into(),
            filters: config.filters(),
            created_ns: 0,
            next_sequence: saved.delivered.stream + 1,
            next_delivery: saved.delivered.consumer + 1,
            floor: saved.floor,
            pending: saved.pending.clone(),
            redelivered: saved.redelivered.clone(),
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            unseen: 0,
            written: Written::new(&saved, context.now),
            saved,
            pulls: Pulls { last_ns: context.now, ..Pulls::default() },
            check_at: None,
            last_delivered_ns: None,
            last_acked_ns: None,
            signalled: false,
            is_deaf: false,
            inactive_after: 0,
            inactive_at: None,
            recovered: None,
            config,
        };
        consumer.start_inactivity(context);
        consumer
    }

    /// Forgets what the server has not written to its files: what a kill loses.
    pub fn lose_unwritten(&mut self, now: u64) {
        self.written.catch_up(&self.saved, now);
        self.saved = self.written.state().clone();
    }

    /// After a restart of the server: requests and the order of redeliveries are gone. What is pending is looked at
    /// soon; its times are those of the stored messages, so all of it is delivered again then.
    #[must_use]
    pub fn restarted(self, store: &Store, context: &mut Context<'_>) -> Consumer {
        let created_ns = self.created_ns;
        let mut consumer = Consumer::restored(&self.stream, &self.name, self.config, self.saved, context);
        consumer.created_ns = created_ns;
        consumer.redelivered.retain(|sequence, _| *sequence >= store.first);
        for pending in consumer.pending.values_mut() {
            // The server's files have whole seconds.
            pending.time_ns -= pending.time_ns % 1_000_000_000;
        }
        if !consumer.pending.is_empty() {
            let delay = 500_000_000 + context.random.u64(0..1_000) * 1_000_000;
            let wait = consumer.ack_wait();
            consumer.check_at = Some(context.now + if wait < delay { wait + ACK_WAIT_DELAY } else { delay });
        }
        consumer.count_unseen(store);
        consumer.recovered = Some(consumer.info(store, Some(context.version), context));
        consumer
    }

    fn start_inactivity(&mut self, context: &mut Context<'_>) {
        if self.config.durable_name.is_empty() && self.config.inactive_threshold <= 0 {
            self.config.inactive_threshold = 5_000_000_000;
        }
        let threshold = self.config.inactive_threshold.max(0) as u64;
        let jitter = 100_000_000 + context.random.u64(0..900) * 1_000_000;
        self.inactive_after = if threshold > 0 { threshold + jitter } else { 0 };
        self.inactive_at = (threshold > 0).then(|| context.now + self.inactive_after);
    }

    /// A changed configuration that may be changed like this.
    pub fn update(&mut self, config: ConsumerConfig, store: &Store, context: &mut Context<'_>) {
        self.signalled |= config.max_ack_pending != self.config.max_ack_pending;
        if config.ack_wait != self.config.ack_wait && self.check_at.is_some() {
            self.check_at = Some(context.now + 100_000_000);
        }
        let is_other_life = config.inactive_threshold != self.config.inactive_threshold;
        let filters = config.filters();
        self.config = config;
        if is_other_life {
            self.start_inactivity(context);
        }
        if filters != self.filters {
            self.is_deaf = filters.is_empty();
            self.filters = filters;
            self.count_unseen(store);
        }
    }

    fn count_unseen(&mut self, store: &Store) {
        self.unseen = store.count(&self.filters, self.next_sequence) as i64;
    }

    /// Messages that wait behind the last one delivered.
    #[must_use]
    fn shown_unseen(&self) -> u64 {
        self.unseen.max(0) as u64
    }

    fn ack_wait(&self) -> u64 {
        self.config.ack_wait.max(0) as u64
    }

    #[must_use]
    pub fn filters(&self) -> &[String] {
        &self.filters
    }

    #[must_use]
    pub fn wants(&self, subject: &str) -> bool {
        is_wanted(&self.filters, subject)
    }

    /// Whether it is told of a message that is stored or removed.
    #[must_use]
    pub fn hears(&self, subject: &str) -> bool {
        !self.is_deaf && self.wants(subject)
    }

    /// A message was stored that it wants.
    pub fn on_stored(&mut self, sequence: u64) {
        self.unseen += 1;
        if sequence >= self.next_sequence && !self.pulls.is_empty() {
            self.signalled = true;
        }
    }

    /// A message was removed that it wants.
    pub fn on_removed(&mut self, sequence: u64, now: u64) {
        self.miss(sequence, now);
        self.settle_removed(sequence, now);
    }

    /// A message is gone that may be pending: counts it. The server settles it a moment later, in another task.
    pub fn miss(&mut self, sequence: u64, now: u64) {
        self.written.catch_up(&self.saved, now);
        if sequence >= self.next_sequence {
            self.unseen -= 1;
        }
        if !self.pending.contains_key(&sequence) && self.redelivered.remove(&sequence).is_some() {
            self.saved.on_acked(0, sequence);
            self.last_acked_ns = Some(now);
        }
    }

    pub fn settle_removed(&mut self, sequence: u64, now: u64) {
        if let Some(pending) = self.pending.get(&sequence).copied() {
            self.settle(sequence, pending.delivery, now);
        }
    }

    /// Several messages were removed at once.
    pub fn on_removed_many(&mut self, store: &Store) {
        self.count_unseen(store);
        let gone: Vec<u64> = self.redelivered.range(..store.first).map(|(sequence, _)| *sequence).collect();
        for sequence in gone {
            self.redelivered.remove(&sequence);
            self.unqueue(sequence);
        }
        self.saved.redelivered.retain(|sequence, _| *sequence >= store.first);
    }

    /// Whether it still needs a message: it will deliver it, waits for its ack, or has given up on it.
    #[must_use]
    pub fn needs(&self, sequence: u64) -> bool {
        let is_open =
            sequence > self.floor.stream && (sequence >= self.next_sequence || self.pending.contains_key(&sequence));
        is_open || self.redelivered.contains_key(&sequence)
    }

    fn enqueue(&mut self, sequence: u64) {
        self.queue.push_back(sequence);
        self.queued.insert(sequence);
    }

    fn unqueue(&mut self, sequence: u64) {
        if self.queued.remove(&sequence) {
            self.queue.retain(|queued| *queued != sequence);
        }
    }

    /// When it has to be looked at again.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        [self.check_at, self.pulls.check_at, self.inactive_at].into_iter().flatten().min()
    }
}

fn first_sequence(config: &ConsumerConfig, store: &Store) -> u64 {
    let chosen = match config.deliver_policy {
        DeliverPolicy::Last => {
            let last = config.filters().iter().filter_map(|filter| store.last_of(filter)).map(|one| one.sequence).max();
            if config.filters().is_empty() { store.last } else { last.unwrap_or(0) }
        }
        DeliverPolicy::New => store.last + 1,
        DeliverPolicy::ByStartSequence => return config.opt_start_seq.max(store.first),
        _ => store.first,
    };
    match store.first {
        0 => 1,
        first => chosen.min(store.last + 1).max(first),
    }
}
