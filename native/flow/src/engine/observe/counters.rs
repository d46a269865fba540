//! Counters, per pipeline and shard. One writer each, so that counting costs a load and a store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is counted. The name is the metric's label and the key in `stats()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Messages accepted: answered with 202, or taken from NATS.
    Received,
    ReceivedBytes,
    /// Requests refused at the door, by rate, backlog or a failing server.
    Refused,
    /// Messages a filter, a route or a script dropped.
    Filtered,
    /// Outputs published towards their sink.
    Emitted,
    /// Outputs a sink has taken.
    Delivered,
    DeliveredBytes,
    /// Messages, or parts of one, in the dead letters.
    Dead,
    /// Attempts that are made again.
    Retried,
    /// Outputs stored aside because their out fails.
    Parked,
    /// JetStream messages that came more than once.
    Redelivered,
    /// Outputs that their stream already held: of an attempt before.
    Duplicate,
    /// Core NATS messages lost because the node's memory for them was full.
    Lost,
}

impl Metric {
    pub const ALL: [Metric; 13] = [
        Metric::Received,
        Metric::ReceivedBytes,
        Metric::Refused,
        Metric::Filtered,
        Metric::Emitted,
        Metric::Delivered,
        Metric::DeliveredBytes,
        Metric::Dead,
        Metric::Retried,
        Metric::Parked,
        Metric::Redelivered,
        Metric::Duplicate,
        Metric::Lost,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Metric::Received => "received",
            Metric::ReceivedBytes => "received_bytes",
            Metric::Refused => "refused",
            Metric::Filtered => "filtered",
            Metric::Emitted => "emitted",
            Metric::Delivered => "delivered",
            Metric::DeliveredBytes => "delivered_bytes",
            Metric::Dead => "dead",
            Metric::Retried => "retried",
            Metric::Parked => "parked",
            Metric::Redelivered => "redelivered",
            Metric::Duplicate => "duplicate",
            Metric::Lost => "lost",
        }
    }
}

impl Metric {
    /// What it counts, in a sentence.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Metric::Received => "Messages accepted: answered with 202, or taken from a source.",
            Metric::ReceivedBytes => "Bytes of the accepted messages.",
            Metric::Refused => "Messages refused at the door: rate, backlog, a failing server, a reused key.",
            Metric::Filtered => "Messages that a filter, a route or a script dropped.",
            Metric::Emitted => "Outputs published towards their out.",
            Metric::Delivered => "Outputs that an out has taken.",
            Metric::DeliveredBytes => "Bytes of the delivered outputs.",
            Metric::Dead => "Messages, or parts of one, that became dead letters.",
            Metric::Retried => "Attempts that are made again.",
            Metric::Parked => "Outputs set aside because their out fails.",
            Metric::Redelivered => "JetStream messages that came more than once.",
            Metric::Duplicate => "Outputs or requests that were stored already, by an attempt before.",
            Metric::Lost => "Core NATS messages lost: no memory for them, or a publish that was refused.",
        }
    }
}

/// The counters of one pipeline in one shard.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; Metric::ALL.len()]);

impl Counters {
    /// Only the owning shard adds; others read.
    #[inline]
    pub fn add(&self, metric: Metric, count: u64) {
        let counter = &self.0[metric as usize];
        counter.store(counter.load(Relaxed).wrapping_add(count), Relaxed);
    }

    #[must_use]
    pub fn get(&self, metric: Metric) -> u64 {
        self.0[metric as usize].load(Relaxed)
    }
}
