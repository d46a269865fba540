//! Counters, per pipeline and shard. One writer each, so that counting costs a load and a store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::meters::raise;

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
pub struct Counters {
    counts: [AtomicU64; Metric::ALL.len()],
    /// CPU time that its messages have taken, nanoseconds.
    cpu_ns: AtomicU64,
    /// How long its messages have waited for their steps, milliseconds; and how many have.
    wait_ms: AtomicU64,
    waits: AtomicU64,
}

/// What messages have cost and met, beside what is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_ns: u64,
    pub wait_ms: u64,
    pub waits: u64,
}

impl Usage {
    pub fn add(&mut self, other: Usage) {
        self.cpu_ns += other.cpu_ns;
        self.wait_ms += other.wait_ms;
        self.waits += other.waits;
    }
}

impl Counters {
    /// Only the owning shard adds; others read.
    #[inline]
    pub fn add(&self, metric: Metric, count: u64) {
        raise(&self.counts[metric as usize], count);
    }

    /// CPU time of the shard, or of a thread that works for it: told by the shard.
    pub fn used(&self, cpu: Duration) {
        raise(&self.cpu_ns, u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX));
    }

    /// One message has waited so long for its steps.
    #[inline]
    pub fn waited(&self, ms: u64) {
        raise(&self.wait_ms, ms);
        raise(&self.waits, 1);
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        let (cpu_ns, wait_ms) = (self.cpu_ns.load(Relaxed), self.wait_ms.load(Relaxed));
        Usage { cpu_ns, wait_ms, waits: self.waits.load(Relaxed) }
    }

    #[must_use]
    pub fn get(&self, metric: Metric) -> u64 {
        self.counts[metric as usize].load(Relaxed)
    }
}
