//! How many messages one call of a sink gets, and how long they wait for others. A policy without I/O and without a
//! clock.
//!
//! Where one request carries a batch, its answer is for all of them, and one message may spoil it. So what has failed is
//! tried again with fewer others each time, at last alone: 100, 25, 6, 1. A probe of a server that fails is one message.

use std::time::Duration;

use connectors::kind::Gathering;

use super::queue::Queued;

/// Of a batch that is sent as one body: what stands between two messages, or around them.
const SEPARATOR: usize = 1;
/// Each failure divides the batch by four: as many halvings.
const HALVINGS: u32 = 2;

#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Deliveries of one call, at most.
    pub messages: usize,
    /// Bytes of their payloads and of what separates them, at most; one message alone may have more.
    pub bytes: usize,
    /// How long the first one waits for others.
    pub wait: Duration,
    /// Whether one answer of the receiver is for all of them.
    pub is_request: bool,
}

/// What waits, as far as it goes into one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    pub messages: usize,
    /// Whether nothing that comes later would go into it.
    pub is_full: bool,
}

impl Batching {
    /// Without `gathering` each has an answer of its own, and none waits for others.
    #[must_use]
    pub fn new(messages: usize, gathering: Option<Gathering>) -> Batching {
        match gathering {
            Some(Gathering { bytes, wait }) => Batching { messages, bytes, wait, is_request: true },
            None => Batching { messages, bytes: usize::MAX, wait: Duration::ZERO, is_request: false },
        }
    }

    /// Messages of a batch in which one was tried so often before.
    fn limit(&self, attempts: u32) -> usize {
        let halvings = if self.is_request { HALVINGS.saturating_mul(attempts) } else { 0 };
        self.messages.checked_shr(halvings).unwrap_or_default().max(1)
    }

    /// How much a probe of a server that fails has.
    #[must_use]
    pub fn probe(&self) -> usize {
        if self.is_request { 1 } else { self.messages }
    }

    /// How many of those that wait are the next batch; one at least. `one_url`: it ends where the URL changes.
    pub fn fill<'q>(&self, waiting: impl Iterator<Item = &'q Queued>, one_url: bool) -> Filled {
        let (mut messages, mut bytes, mut limit) = (0, SEPARATOR, self.messages.max(1));
        let mut url = None;
        for queued in waiting {
            limit = limit.min(self.limit(queued.attempts));
            bytes += queued.bytes() + SEPARATOR;
            let is_elsewhere = one_url && url.is_some_and(|url| url != queued.address.as_deref());
            if messages > 0 && (messages >= limit || bytes > self.bytes || is_elsewhere) {
                return Filled { messages, is_full: true };
            }
            url = Some(queued.address.as_deref());
            messages += 1;
        }
        Filled { messages, is_full: messages >= limit || bytes >= self.bytes }
    }

    /// How many batches so much may make, for workers to start.
    #[must_use]
    pub fn batches(&self, messages: usize, bytes: usize) -> usize {
        messages.div_ceil(self.messages.max(1)).max((bytes / self.bytes.max(1)).min(messages))
    }
}
