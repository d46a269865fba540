//! Sources that are read by tasks of their own: one for a pipeline, on every shard or on one of them.
//!
//! ```text
//! install ─► open ─► Effect::Run ─► tasks/sources.rs: connect, read_batch ─► offer ─► admit ─► store ─► settle
//!    │                                    ▲ with growing pauses │               └─ no room: the task waits
//!    └─ the options are the same: the source goes on            └─ NotConnected, an error
//! retire, the lease is over ─► Effect::Close ─► close ─► EndOfInput ─► forget
//! ```
//!
//! A source numbers its own messages; the shard puts the source's number in front, so that no two are alike.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use connectors::{Health, Settled, Source};
use message::{Code, Fault};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pace::Pace;
use crate::engine::message::RevisionId;
use crate::engine::registry::Revision;

/// Bytes of messages of one source that are read and not settled, at most.
const MAX_UNSETTLED_BYTES: usize = 32 << 20;
/// How long messages in flight may take when a source is replaced or removed.
const CLOSING: Duration = Duration::from_secs(10);
/// Bits of a source's own number of a message, and the mark of one that has a task; the HTTP server's numbers stay below.
const ITEM_BITS: u32 = 40;
const OWN: u64 = 1 << 63;

/// The number of a source in its shard; 0 is the HTTP server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(u64);

impl SourceId {
    /// That of the HTTP server.
    pub(super) const SHARED: SourceId = SourceId(0);

    /// Whose message it is, and the source's own number of it.
    pub fn of(item: u64) -> (SourceId, u64) {
        if item & OWN == 0 {
            return (SourceId::SHARED, item);
        }
        (SourceId((item & !OWN) >> ITEM_BITS), item & ((1 << ITEM_BITS) - 1))
    }

    pub(super) fn item(self, own: u64) -> u64 {
        OWN | (self.0 << ITEM_BITS) | (own & ((1 << ITEM_BITS) - 1))
    }
}

/// What is left to be done by a task.
pub enum Effect {
    /// Connects and reads it, after the one that it replaces has ended.
    Run { id: SourceId, source: Rc<dyn Source>, after: Option<Rc<Ended>> },
    /// Closes it, and lets what is in flight be settled until the deadline; the task that reads it goes on until its end.
    Close { source: Rc<dyn Source>, deadline: Duration },
}

/// What the task that reads a source does next.
pub enum Turn {
    /// Reads so many messages at most.
    Read(usize),
    /// Waits until one is settled, or for the time to try the lane again.
    Wait { settled: Rc<Notify>, until: Option<Instant> },
}

/// Whether the task that reads a source has ended.
#[derive(Default)]
pub struct Ended {
    is_over: std::cell::Cell<bool>,
    notify: Notify,
}

impl Ended {
    pub async fn wait(&self) {
        while !self.is_over.get() {
            self.notify.notified().await;
        }
    }

    fn say(&self) {
        self.is_over.set(true);
        self.notify.notify_waiters();
    }
}

struct Slot {
    source: Rc<dyn Source>,
    revision: Rc<Revision>,
    ended: Rc<Ended>,
    leaving: bool,
    /// Whether it is read by a lease.
    leased: bool,
    /// It connects for the first time.
    is_starting: bool,
    /// Why it is not connected, or may not go on.
    fault: Option<Code>,
    /// The fault that was reported last.
    said: Option<Code>,
    /// Bytes of the messages that are not settled.
    unsettled: BTreeMap<u64, usize>,
    unsettled_bytes: usize,
    settled: Rc<Notify>,
    pace: Pace,
}

/// The sources of a shard that have a task.
#[derive(Default)]
pub struct OwnSources {
    slots: BTreeMap<SourceId, Slot>,
    /// Which source a revision has, until it leaves.
    active: BTreeMap<RevisionId, SourceId>,
    last: u64,
    effects: Vec<Effect>,
}

impl OwnSources {
    /// Has the source of a revision read, after that of `replaced`, or one of the pipeline that was ended, has ended.
    pub fn open(&mut self, revision: &Rc<Revision>, source: Rc<dyn Source>, replaced: Option<&Revision>, leased: bool) {
        self.last += 1;
        let id = SourceId(self.last);
        let before = replaced.and_then(|replaced| self.of(replaced));
        let before = before.and_then(|id| self.slots.get(&id)).map(|slot| Rc::clone(&slot.ended));
        let after = before.or_else(|| self.leaving(revision.owner.customer(), revision.owner.name()).pop());
        let slot = Slot {
            source: Rc::clone(&source),
            revision: Rc::clone(revision),
            ended: Rc::default(),
            leaving: false,
            leased,
            is_starting: true,
            fault: Some(Code::ConnectorNotConnected),
            said: None,
            unsettled: BTreeMap::new(),
            unsettled_bytes: 0,
            settled: Rc::default(),
            pace: Pace::default(),
        };
        self.slots.insert(id, slot);
        self.active.insert(revision.owner.id, id);
        self.effects.push(Effect::Run { id, source, after });
    }

    /// Lets the source of a revision go on for the next one, which reads the same; `false` when there is none.
    pub fn hand_over(&mut self, replaced: &Revision, revision: &Rc<Revision>) -> bool {
        let Some(id) = self.active.remove(&replaced.owner.id) else { return false };
        self.active.insert(revision.owner.id, id);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.revision = Rc::clone(revision);
        }
        true
    }

    /// Ends the source of a revision, unless it was handed over.
    pub fn retire(&mut self, revision: &Revision) {
        let left = self.active.remove(&revision.owner.id);
        let Some(slot) = left.and_then(|id| self.slots.get_mut(&id)) else { return };
        slot.leaving = true;
        slot.settled.notify_one();
        self.effects.push(Effect::Close { source: Rc::clone(&slot.source), deadline: CLOSING });
    }

    /// Ends all that are read by a lease, which is over: what is in flight is not waited for. Their numbers.
    pub fn retire_leased(&mut self) -> BTreeSet<SourceId> {
        let leased = self.slots.iter_mut().filter(|(_, slot)| slot.leased && !slot.leaving);
        let mut retired = BTreeSet::new();
        for (id, slot) in leased {
            slot.leaving = true;
            slot.settled.notify_one();
            self.active.remove(&slot.revision.owner.id);
            self.effects.push(Effect::Close { source: Rc::clone(&slot.source), deadline: Duration::ZERO });
            retired.insert(*id);
        }
        retired
    }

    /// The sources of a pipeline that were ended and are not over yet.
    #[must_use]
    pub fn leaving(&self, customer: &str, pipeline: &str) -> Vec<Rc<Ended>> {
        let leaving = self.slots.values().filter(|slot| slot.leaving);
        let is_its =
            |slot: &&Slot| slot.revision.owner.customer() == customer && slot.revision.owner.name() == pipeline;
        leaving.filter(is_its).map(|slot| Rc::clone(&slot.ended)).collect()
    }

    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// All, at the end of the shard.
    pub fn sources(&self) -> Vec<Rc<dyn Source>> {
        self.slots.values().filter(|slot| !slot.leaving).map(|slot| Rc::clone(&slot.source)).collect()
    }

    fn of(&self, revision: &Revision) -> Option<SourceId> {
        self.active.get(&revision.owner.id).copied()
    }

    /// The pipeline that takes the messages of a source; `None` when it leaves.
    pub fn revision(&self, id: SourceId) -> Option<&Rc<Revision>> {
        self.slots.get(&id).filter(|slot| !slot.leaving).map(|slot| &slot.revision)
    }

    /// What the task does next.
    pub fn turn(&self, id: SourceId) -> Turn {
        // One that leaves or has left says so when it is read.
        let Some(slot) = self.slots.get(&id).filter(|slot| !slot.leaving) else { return Turn::Read(1) };
        let room = slot.pace.window().saturating_sub(slot.unsettled.len());
        let until = slot.pace.pause(Instant::now());
        if room == 0 || slot.unsettled_bytes >= MAX_UNSETTLED_BYTES || until.is_some() {
            return Turn::Wait { settled: Rc::clone(&slot.settled), until };
        }
        Turn::Read(room)
    }

    pub(super) fn take(&mut self, id: SourceId, own: u64, bytes: usize) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.fault = None;
        slot.unsettled.insert(own, bytes);
        slot.unsettled_bytes += bytes;
    }

    pub(super) fn settle(&mut self, id: SourceId, own: u64, mut settled: Settled) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.unsettled_bytes -= slot.unsettled.remove(&own).unwrap_or_default();
        match &mut settled {
            Settled::Stored { .. } => slot.pace.on_stored(),
            Settled::Refused { fault, retry_after } => {
                slot.fault = Some(fault.code());
                if fault.code() == Code::LimitBacklog {
                    *retry_after = Some(slot.pace.on_full(Instant::now()));
                }
            }
            Settled::Returned { .. } => {}
        }
        slot.source.settle(own, settled);
        slot.settled.notify_one();
    }

    /// It could not be connected. Gives its pipeline when that was not known.
    pub fn fail(&mut self, id: SourceId, fault: &Fault) -> Option<Rc<Revision>> {
        let slot = self.slots.get_mut(&id)?;
        let is_new = slot.said.replace(fault.code()) != Some(fault.code());
        (slot.is_starting, slot.fault) = (false, Some(fault.code()));
        is_new.then(|| Rc::clone(&slot.revision))
    }

    /// It is connected, or is not, and why.
    pub fn set_fault(&mut self, id: SourceId, fault: Option<&Fault>) {
        if let Some(slot) = self.slots.get_mut(&id) {
            (slot.is_starting, slot.fault) = (false, fault.map(Fault::code));
            slot.said = slot.said.filter(|_| fault.is_some());
        }
    }

    /// Its task has ended: nothing is left of it.
    pub fn forget(&mut self, id: SourceId) {
        if let Some(slot) = self.slots.remove(&id) {
            if !slot.leaving {
                self.active.remove(&slot.revision.owner.id);
            }
            slot.ended.say();
        }
    }

    /// Whether nothing is known yet of a revision's source.
    #[must_use]
    pub fn is_starting(&self, revision: &Revision) -> bool {
        self.of(revision).and_then(|id| self.slots.get(&id)).is_some_and(|slot| slot.is_starting)
    }

    /// The faults of single items that the source of a revision has met since the last call, and how many items are broken.
    #[must_use]
    pub fn item_faults(&self, revision: &Revision) -> (Vec<Fault>, Option<(usize, Fault)>) {
        let slot = self.of(revision).and_then(|id| self.slots.get(&id));
        slot.map_or_else(Default::default, |slot| (slot.source.take_item_faults(), slot.source.broken_items()))
    }

    /// How the source of a revision is; `None` when this shard does not have it.
    #[must_use]
    pub fn health(&self, revision: &Revision) -> Option<Health> {
        let slot = self.slots.get(&self.of(revision)?)?;
        Some(slot.fault.map_or_else(|| slot.source.health(), Health::Failing))
    }
}
