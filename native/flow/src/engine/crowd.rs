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
use super::ledger::Outcome;
use super::metrics::Metric;
use super::publish::Parent;
use super::shard::Shard;

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
    /// A stream has refused an output; the input comes again.
    pub(super) fn refused(&mut self, installed: &Rc<Installed>, fault: &Fault) {
        let crowd = &installed.crowd;
        let to_lane = |installed: &Installed| installed.targets.iter().any(|to| matches!(to.route, Route::Lane { .. }));
        if fault.code() == Code::LimitBacklog && to_lane(installed) {
            // With one out there is no other that could get it twice.
            if installed.targets.len() > 1 && !crowd.closed.replace(true) {
                crowd.room.set(0);
                self.crowded.push(Rc::clone(installed));
            }
            return;
        }
        installed.counters.add(Metric::Retried, 1);
        let before = self.refusal(installed);
        crowd.last.set(Some((fault.code(), self.publisher.tick)));
        if before != Some(fault.code()) {
            self.events.push_rare(|| Event::about(EventKind::Retried, self.now_ms, installed, "").with_fault(fault));
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

/// Looks how much room there is until half of every lane is free, or the revision is replaced.
pub(super) async fn watch(shard: Rc<Shard>, installed: Rc<Installed>) {
    let mut pause = SHORTEST;
    loop {
        tokio::time::sleep(pause).await;
        let is_current = shard.core.borrow().pipelines.values().any(|one| Rc::ptr_eq(one, &installed));
        if !is_current {
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
