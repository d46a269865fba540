//! One input in hand, and its outputs.

use std::rc::Rc;
use std::time::Duration;

use message::Fault;
use smallvec::SmallVec;

use crate::engine::message::{CustomerId, QueueId, RevisionId};

/// Where an input came from, and so how it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A JetStream message; the entry keeps its ack subject.
    JetStream,
    /// One publish of a core NATS message, which only its frame could repeat.
    Core,
    /// A request that waits for its answer.
    Source { item: u64, binding: u32, bytes: u32 },
}

/// What a piece of work on an input comes to.
#[derive(Clone, Debug)]
pub enum Outcome {
    Ok,
    /// Try the whole input again, after this long.
    Retry(Duration, Fault),
}

/// What a PubAck means beside its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meaning {
    #[default]
    Stored,
    /// An output to a stream of the user's: delivered now. `since`: when its message was taken in, the lower half of
    /// the milliseconds.
    Delivered { target: u32, bytes: u32, since: u32 },
    /// The message itself, moved to the parked ones of its out.
    Parked(QueueId),
    /// A record of the client's key: the message itself follows.
    Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Refused,
    /// Published again after it was refused.
    Offered,
    Confirmed,
}

#[derive(Debug)]
pub(super) struct Output {
    pub state: State,
    pub meaning: Meaning,
    /// The stream that has to confirm it; any may while it is not known.
    pub stream: Option<Rc<str>>,
    /// What was published, for a repetition; empty when the whole input is repeated instead.
    pub frame: Box<[u8]>,
}

impl Output {
    /// Whether an answer is on its way.
    pub fn is_asked(&self) -> bool {
        matches!(self.state, State::Waiting | State::Offered)
    }
}

/// Kept per entry for its next use; more is given back.
pub(super) const MAX_KEPT_TOKEN: usize = 1024;
const MAX_KEPT_OUTPUTS: usize = 16;

#[derive(Debug)]
pub(super) struct Entry {
    pub generation: u32,
    pub open: bool,
    pub origin: Origin,
    pub revision: RevisionId,
    pub customer: CustomerId,
    /// Pieces of work in hand here.
    pub work: u32,
    /// Outputs without a PubAck.
    pub unconfirmed: u32,
    /// The first stands in the entry itself: most inputs have one output, and its PubAck finds both in one place.
    pub outputs: SmallVec<[Output; 1]>,
    pub keeps_frames: bool,
    /// A frame was published again, so that more answers may come than there are outputs.
    pub resent: bool,
    pub retry: Option<Box<(Duration, Fault)>>,
    /// Tick at which it was opened, or at which the last output was published.
    pub since: u64,
    /// Of the input and of kept frames.
    pub bytes: usize,
    /// The ack subject of a JetStream message, the message id of a request. The allocation is kept.
    pub token: Vec<u8>,
}

impl Entry {
    pub fn unused() -> Entry {
        Entry {
            generation: 0,
            open: false,
            origin: Origin::JetStream,
            revision: RevisionId::default(),
            customer: CustomerId::default(),
            work: 0,
            unconfirmed: 0,
            outputs: SmallVec::new(),
            keeps_frames: false,
            resent: false,
            retry: None,
            since: 0,
            bytes: 0,
            token: Vec::new(),
        }
    }

    /// Publishes wanted frames once more, so many at most. Gives how many.
    pub fn resend(
        &mut self,
        tick: u64,
        max: usize,
        wire: &mut Vec<u8>,
        wanted: impl Fn(u64, &Output) -> bool,
    ) -> usize {
        if !self.open || self.unconfirmed == 0 {
            return 0;
        }
        let (age, mut count) = (tick.saturating_sub(self.since), 0);
        let frames = self.outputs.iter_mut().filter(|output| !output.frame.is_empty() && wanted(age, output));
        for output in frames.take(max) {
            // A frame that was refused has had its answer.
            let was_refused = output.state == State::Refused;
            self.resent |= !was_refused;
            output.state = if was_refused { State::Offered } else { output.state };
            self.since = tick;
            wire.extend_from_slice(&output.frame);
            count += 1;
        }
        count
    }

    pub fn reset(&mut self) {
        self.open = false;
        (self.work, self.unconfirmed) = (0, 0);
        (self.keeps_frames, self.resent) = (false, false);
        self.outputs.clear();
        if self.outputs.capacity() > MAX_KEPT_OUTPUTS {
            self.outputs.shrink_to_fit();
        }
    }

    pub fn note(&mut self, outcome: Outcome) {
        if let Outcome::Retry(delay, fault) = outcome {
            self.retry = Some(Box::new((delay, fault)));
        }
    }
}
