//! Streams that refuse what a pipeline publishes: told once, and waited for before the steps.
//!
//! ```text
//! PubAck: refused ─► event, the out's condition
//!                 └► a lane is full, and the pipeline has other outs too: closed ─► watched until there is room
//!                                                                           ▲
//! the next inputs wait here, before their steps ────────────────────────────┘
//! ```
//!
//! An input whose outputs are not all stored comes again as a whole. While one lane is full, each of its
//! rounds would run the steps again and, after the streams' window for duplicates, reach the other outs again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};

use super::backlog::{Unknown, stored};
use super::core::{Core, Envelope, RETRY_PUBLISH};
use super::events::{Event, EventKind};
use super::install::{Installed, Route};
use super::ledger::{Outcome, Receipt};
use super::metrics::Metric;
use super::publish::Parent;
use super::shard::Shard;
use crate::compile::{OutKind, Target};
use crate::model::NatsMode;

/// A refusal is over when there was none for this long, in ticks; what was refused is tried again sooner.
const OVER: u64 = 15;
/// Between two looks at a lane: while there is room, and at most.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// What the streams of a pipeline's outs have refused.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// The last refusal, and at which tick.
    last: Cell<Option<(Code, u64)>>,
    /// Whether inputs wait for room, and for how many there is some.
    closed: Cell<bool>,
    room: Cell<u64>,
}

impl Core {
    /// A stream has refused an output, which is published again. What is the operator's to mend is said once for
    /// each reason, and again after a delivery.
    pub(super) fn refused(&mut self, receipt: Receipt, fault: &Fault) {
        let Some((installed, is_theirs)) = self.publisher.ledger.publishing(receipt) else { return };
        let crowd = &installed.crowd;
        if fault.code() == Code::LimitBacklog && !is_theirs {
            // With one out there is no other that could get it twice.
            if installed.targets.len() > 1 && !crowd.closed.replace(true) {
                crowd.room.set(0);
                self.crowded.push(Rc::clone(&installed));
            }
            return;
        }
        installed.counters.add(Metric::Retried, 1);
        let before = self.refusal(&installed);
        crowd.last.set(Some((fault.code(), self.publisher.tick)));
        if before != Some(fault.code()) {
            self.events.push_rare(|| {
                let out = if is_theirs { only_stream(&installed) } else { "" };
                Event::about(EventKind::Retried, self.now_ms, &installed, "").at(out, 0).with_fault(fault)
            });
        }
    }

    /// Why the streams of its outs do not take what it publishes, at present.
    pub(super) fn refusal(&self, installed: &Installed) -> Option<Code> {
        let (code, tick) = installed.crowd.last.get()?;
        (self.publisher.tick.saturating_sub(tick) < OVER).then_some(code)
    }

    /// Whether a lane of its outs is full; then the input has been sent back.
    pub(super) fn has_no_room(&mut self, envelope: &Envelope<'_>, out: &mut Vec<u8>) -> bool {
        let crowd = &envelope.installed.crowd;
        if !crowd.closed.get() || envelope.parent == Parent::Core {
            return false;
        }
        if let Some(left) = crowd.room.get().checked_sub(1) {
            crowd.room.set(left);
            return false;
        }
        let fault = Fault::new(Code::LimitBacklog, "the lane of one of its outs is full");
        self.settle(envelope.parent, Outcome::Retry(RETRY_PUBLISH, fault), out);
        true
    }
}

impl Crowd {
    /// A stream of the user's has taken something: what it refuses next is told again.
    pub(super) fn took(&self) {
        self.last.set(None);
    }
}

/// The out that is a stream; empty when more than one is, since a PubAck does not say which it is of.
fn only_stream(installed: &Installed) -> &str {
    let is_stream = |out: &&Target| matches!(out.kind, OutKind::Nats { mode: NatsMode::Jetstream, .. });
    let mut streams = installed.pipeline.outs().iter().filter(is_stream);
    match (streams.next(), streams.next()) {
        (Some(only), None) => &only.name,
        _ => "",
    }
}

/// Looks how much room there is until half of every lane is free, or the revision is replaced.
pub(super) async fn watch(shard: Rc<Shard>, installed: Rc<Installed>) {
    let mut pause = SHORTEST;
    loop {
        tokio::time::sleep(pause).await;
        if !shard.core.borrow().is_current(&installed) {
            return;
        }
        let room = room(&shard, &installed).await;
        pause = if room == Some(0) || room.is_none() { (pause * 2).min(LONGEST) } else { SHORTEST };
        let Some(room) = room else { continue };
        if room >= installed.outgoing_cap / 2 {
            installed.crowd.closed.set(false);
            return;
        }
        // What is on its way is not stored yet.
        installed.crowd.room.set(room.div_ceil(2));
    }
}

/// How many more messages its fullest lane takes; `None` when the server does not say.
async fn room(shard: &Shard, installed: &Installed) -> Option<u64> {
    let mut room = installed.outgoing_cap;
    for target in &installed.targets {
        let Route::Lane { subject } = &target.route else { continue };
        match stored(&shard.outbox, &installed.outgoing_stream, subject).await {
            Ok(stored) => room = room.min(installed.outgoing_cap.saturating_sub(stored)),
            // A stream that may not be looked at.
            Err(Unknown::Refused) => {}
            Err(Unknown::NoAnswer) => return None,
        }
    }
    Some(room)
}
