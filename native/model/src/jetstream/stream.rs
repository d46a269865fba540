//! A stream: its messages, the ids it remembers, and its consumers.
//!
//! Whatever happens to it ends with [`Stream::run`], which lets the consumers deliver what they now can.

use std::collections::BTreeMap;

use super::config::{Retention, Storage, StreamConfig};
use super::consumer::{Acked, Consumer, Delivery, Purged};
use super::dedupe::Dedupe;
use super::error::{self, ApiError};
use super::store::{Store, Stored};
use super::{Context, Outgoing};
use crate::subject::{collide, matches};

#[derive(Debug)]
pub struct Stream {
    pub config: StreamConfig,
    pub created_ns: u64,
    pub store: Store,
    pub(super) dedupe: Dedupe,
    pub consumers: BTreeMap<String, Consumer>,
    /// The `Nats-Msg-Id` of the last message.
    pub(super) last_id: String,
}

/// What `STREAM.PURGE` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeRequest {
    pub filter: String,
    /// Messages below this sequence, when it is set.
    pub sequence: u64,
    /// So many of the newest stay.
    pub keep: u64,
}

/// What a purge has removed.
#[derive(Clone, Copy)]
enum Gone {
    /// One message, of which consumers are told.
    Single(u64),
    /// So many; consumers count anew.
    Many(u64),
}

impl Stream {
    #[must_use]
    pub fn new(config: StreamConfig, now: u64) -> Stream {
        Stream {
            config,
            created_ns: now,
            store: Store::default(),
            dedupe: Dedupe::default(),
            consumers: BTreeMap::new(),
            last_id: String::new(),
        }
    }

    /// After a restart of the server.
    #[must_use]
    pub fn restarted(mut self, context: &mut Context<'_>) -> Stream {
        let (config, now) = (self.config, context.now);
        if config.storage == Storage::Memory {
            self.store = Store::default();
        }
        self.store.age_check_at = None;
        while let Some(sequence) = expired(&self.store, &config, now) {
            self.store.remove(sequence);
        }
        if self.store.len() > 0 {
            self.store.start_age_check(config.max_age, now);
        }
        let dedupe = Dedupe::rebuilt(&self.store, config.duplicate_window, now);
        let consumers = self.consumers.into_iter();
        let consumers = consumers.map(|(name, one)| (name, one.restarted(&self.store, context))).collect();
        // The server takes the last id from its look for ids, which may find none.
        Stream { config, dedupe, consumers, last_id: String::new(), ..self }
    }

    /// How many ids it remembers.
    #[must_use]
    pub fn remembered_ids(&self) -> usize {
        self.dedupe.len()
    }

    #[must_use]
    pub fn listens(&self, subject: &str) -> bool {
        self.config.subjects.iter().any(|pattern| matches(pattern, subject))
    }

    /// Lets every consumer deliver that has been signalled.
    pub fn run(&mut self, context: &mut Context<'_>) {
        for consumer in self.consumers.values_mut() {
            consumer.run(&self.store, context);
        }
    }

    pub(super) fn signal(&mut self, sequence: u64, subject: &str) {
        for consumer in self.consumers.values_mut().filter(|consumer| consumer.hears(subject)) {
            consumer.on_stored(sequence);
        }
    }

    /// Removes one message, and tells the consumers.
    pub fn remove(&mut self, sequence: u64, now: u64) -> Option<Stored> {
        let message = self.store.remove(sequence)?;
        for consumer in self.consumers.values_mut().filter(|consumer| consumer.hears(&message.subject)) {
            consumer.on_removed(sequence, now);
        }
        Some(message)
    }

    /// Takes away what is above the limits, oldest first.
    pub(super) fn enforce_limits(&mut self, subject: Option<&str>, now: u64) {
        loop {
            let over = match subject {
                Some(subject) => self.store.over_subject(&self.config, subject),
                None => self.store.any_over_subject(&self.config),
            };
            let Some(sequence) = over.or_else(|| self.store.over_limits(&self.config)) else { return };
            self.remove(sequence, now);
        }
    }

    /// A message on an ack's subject of `name`.
    pub fn on_ack(&mut self, name: &str, delivery: Delivery, payload: &[u8], reply: &str, context: &mut Context<'_>) {
        let Some(consumer) = self.consumers.get_mut(name) else { return };
        let acked = consumer.on_ack(delivery, payload, context.now);
        if acked == Acked::Settled && self.config.retention == Retention::WorkQueue {
            self.remove_if_done(delivery.sequence, context.now);
        }
        if acked != Acked::Ignored && delivery.sequence > 0 && !reply.is_empty() {
            context.out.push_back(Outgoing::to(reply, b""));
        }
        self.run(context);
    }

    /// Removes a message that no consumer needs any more.
    fn remove_if_done(&mut self, sequence: u64, now: u64) {
        let Some(message) = self.store.get(sequence) else { return };
        let needs = |consumer: &Consumer| {
            (consumer.wants(&message.subject) || !self.is_filtered(consumer)) && consumer.needs(sequence)
        };
        if !self.consumers.values().any(needs) {
            self.remove(sequence, now);
        }
    }

    /// Whether a consumer's filters leave something of the stream out.
    fn is_filtered(&self, consumer: &Consumer) -> bool {
        let (filters, subjects) = (consumer.filters(), &self.config.subjects);
        !filters.is_empty()
            && (filters.len() != subjects.len() || subjects.iter().any(|subject| !filters.contains(subject)))
    }

    /// Purges and gives how many messages went.
    pub fn purge(&mut self, request: &PurgeRequest, context: &mut Context<'_>) -> u64 {
        let now = context.now;
        let purged = self.purge_store(request);
        let single = match purged {
            Gone::Single(sequence) => Some(sequence),
            Gone::Many(0) => None,
            Gone::Many(_) => {
                self.consumers.values_mut().for_each(|consumer| consumer.on_removed_many(&self.store));
                None
            }
        };
        // Consumers learn of a single message by the purge's filter, as if that were its subject.
        let filter = if request.filter.is_empty() { ">" } else { &request.filter };
        for consumer in self.consumers.values_mut().filter(|consumer| consumer.hears(filter)) {
            single.inspect(|sequence| consumer.miss(*sequence, now));
        }
        self.purge_consumers(request, now);
        for consumer in self.consumers.values_mut().filter(|consumer| consumer.hears(filter)) {
            single.inspect(|sequence| consumer.settle_removed(*sequence, now));
        }
        self.run(context);
        match purged {
            Gone::Single(_) => 1,
            Gone::Many(count) => count,
        }
    }

    fn purge_consumers(&mut self, request: &PurgeRequest, now: u64) {
        let (store, filter) = (&self.store, &request.filter);
        let first = match filter.as_str() {
            "" => store.first,
            _ => store.next(std::slice::from_ref(filter), store.first).map_or(0, |message| message.sequence),
        };
        for consumer in self.consumers.values_mut() {
            let is_all = filter.is_empty() || consumer.is_within(filter);
            if is_all {
                consumer.on_purged(Purged { first, last: store.last, is_wider: false }, store, now);
            } else if consumer.wants(filter) {
                consumer.on_purged(Purged { first: store.first, last: store.last, is_wider: true }, store, now);
            }
        }
    }

    /// The messages of a purge.
    fn purge_store(&mut self, request: &PurgeRequest) -> Gone {
        let PurgeRequest { filter, sequence, keep } = request;
        if *sequence == 1 {
            return Gone::Many(0);
        }
        let is_all = filter.is_empty() || filter == ">";
        if is_all && *keep == 0 && (*sequence == 0 || *sequence > self.store.last) {
            return Gone::Many(self.store.clear(*sequence));
        }
        let filter = if is_all { ">" } else { filter };
        let of_filter = self.store.iter().filter(|one| matches(filter, &one.subject));
        let mut chosen: Vec<u64> = of_filter.map(|one| one.sequence).collect();
        chosen.truncate(chosen.len().saturating_sub(*keep as usize));
        chosen.retain(|one| *sequence == 0 || one < sequence);
        for one in &chosen {
            self.store.remove(*one);
        }
        match chosen[..] {
            [one] if !(is_all && *sequence > 0) => Gone::Single(one),
            _ => Gone::Many(chosen.len() as u64),
        }
    }

    /// Whether a work queue's consumer of these filters would share messages with another one than `name`.
    #[must_use]
    pub fn is_unique(&self, name: &str, filters: &[String]) -> bool {
        let mut others = self.consumers.values().filter(|consumer| consumer.name != name);
        let collides = |consumer: &Consumer, filter: &String| {
            consumer.filters().is_empty() || consumer.filters().iter().any(|other| collide(other, filter))
        };
        !others.any(|consumer| filters.iter().any(|filter| collides(consumer, filter)))
    }

    pub fn delete_consumer(&mut self, name: &str, context: &mut Context<'_>) -> Result<(), ApiError> {
        let mut consumer = self.consumers.remove(name).ok_or_else(error::consumer_not_found)?;
        consumer.on_deleted(context);
        Ok(())
    }

    /// Timers that are due.
    pub fn advance(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if self.store.age_check_at.is_some_and(|at| at <= now) {
            while let Some(sequence) = expired(&self.store, &self.config, now) {
                self.remove(sequence, now);
            }
            self.store.plan_age_check(self.config.max_age, now);
        }
        if self.dedupe.check_at.is_some_and(|at| at <= now) {
            self.dedupe.check(self.config.duplicate_window, now);
        }
        let mut idle = Vec::new();
        for (name, consumer) in &mut self.consumers {
            if !consumer.advance(&self.store, context) {
                idle.push(name.clone());
            }
        }
        for name in idle {
            // It was there just now.
            let _ = self.delete_consumer(&name, context);
        }
        self.run(context);
    }

    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let consumers = self.consumers.values().filter_map(Consumer::next_deadline);
        consumers.chain(self.store.age_check_at).chain(self.dedupe.check_at).min()
    }

    /// A changed configuration that may be changed like this.
    pub fn update(&mut self, config: StreamConfig, context: &mut Context<'_>) {
        let now = context.now;
        if config.duplicate_window != self.config.duplicate_window {
            self.dedupe.check_soon(now);
        }
        self.config = config;
        self.enforce_limits(None, now);
        match self.config.max_age {
            0 => self.store.age_check_at = None,
            max_age => self.store.start_age_check(max_age, now),
        }
        self.run(context);
    }
}

fn expired(store: &Store, config: &StreamConfig, now: u64) -> Option<u64> {
    if config.max_age > 0 { store.expired(config.max_age, now) } else { None }
}
