//! What settlement has to tell.

use connectors::Settled;
use message::Fault;

use crate::engine::message::{EntryId, QueueId, RevisionId};

/// What other rooms have to be told; the shard routes it.
#[derive(Debug)]
pub enum Effect {
    /// A source's message is stored, or refused.
    Answer {
        item: u64,
        binding: u32,
        bytes: u32,
        settled: Settled,
    },
    /// A stream of the user's has taken an output.
    Delivered {
        revision: RevisionId,
        bytes: u32,
        duplicate: bool,
    },
    /// Core NATS has taken so many outputs; it has refused so many, which nobody has any more.
    DeliveredCore {
        revision: RevisionId,
        count: u64,
        bytes: u64,
    },
    LostCore {
        revision: RevisionId,
        target: u32,
        count: u64,
    },
    /// A stream of ours already held what was published.
    Duplicate {
        revision: RevisionId,
    },
    /// A stream has refused an output. `target`: of a stream of the user's.
    Refused {
        revision: RevisionId,
        target: Option<u32>,
        fault: Fault,
    },
    /// A message has reached the parked ones of its out, or has not.
    Parked {
        queue: QueueId,
        stored: bool,
    },
    /// The key of a request is recorded, or there is a record of it already (`limit/backlog`), or neither.
    Key {
        input: EntryId,
        item: u64,
        recorded: Result<(), Fault>,
    },
}
