//! What messages may hold while they wait for scripts, or core NATS ones for the thread for large payloads: so much of
//! each customer, with room kept for everybody else.
//!
//! ```text
//! core NATS  within its customer's bytes: waits      beyond: lost, and counted, since nobody can send it again
//! a stream   while all hold little, or its customer: waits      else: back to its stream, and comes again
//! ```
//!
//! Neither takes from the other's room. The connection is read on, for everybody.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use message::{Code, Document, Fault};

use crate::engine::message::{CustomerId, InputRef};

/// Of one customer's core NATS messages, in one shard.
const MAX_CORE_BYTES: usize = 64 << 20;
/// Of all messages of streams in one shard.
const MAX_LANES: Held = Held { tasks: 4_096, bytes: 64 << 20 };
/// A customer's messages of streams may hold this much, whatever the others' hold.
const FLOOR: Held = Held { tasks: 256, bytes: 4 << 20 };
/// Scripts that are only busy work off what waits in less; after it the lanes are read on, for the other customers.
const FULL_TICKS: u64 = 1;
/// What a message holds beside its document: headers, ids, its places in what waits.
const OVERHEAD: usize = 1 << 10;

/// What a message holds while a script has its document, about.
pub(super) fn document_bytes(document: &Document) -> usize {
    document.size() + OVERHEAD
}

/// Tasks for the executor, and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub tasks: usize,
    pub bytes: usize,
}

impl Held {
    /// One document.
    pub fn one(bytes: usize) -> Held {
        Held { tasks: 1, bytes }
    }

    fn is_below(self, bound: Held) -> bool {
        self.tasks < bound.tasks && self.bytes < bound.bytes
    }

    fn fits(self, bound: Held) -> bool {
        self.tasks <= bound.tasks && self.bytes <= bound.bytes
    }

    fn half(self) -> Held {
        Held { tasks: self.tasks / 2, bytes: self.bytes / 2 }
    }
}

type Shared = Rc<Cell<Held>>;

/// What each customer's messages hold.
#[derive(Default)]
pub(super) struct Budget {
    core: BTreeMap<CustomerId, Shared>,
    lanes: BTreeMap<CustomerId, Shared>,
    /// Of `lanes`.
    total: Shared,
    /// The tick at which the messages of streams were too many; until they are half of that.
    full_since: Option<u64>,
}

/// The share of one message; dropped when the message is through.
pub(super) struct Share {
    customer: Shared,
    /// Of a message of a stream.
    total: Option<Shared>,
    held: Held,
}

impl Budget {
    /// The share of a message that holds so many bytes.
    ///
    /// # Errors
    /// `limit/memory`: a core NATS message is lost. `script/unavailable`: another goes back to its stream.
    pub fn take(&mut self, input: InputRef, customer: CustomerId, bytes: usize) -> Result<Share, Fault> {
        let mut share = match input {
            InputRef::Core => {
                let customer = Rc::clone(self.core.entry(customer).or_default());
                Share { customer, total: None, held: Held::default() }
            }
            InputRef::Entry(_) if self.admits(customer) => {
                let customer = Rc::clone(self.lanes.entry(customer).or_default());
                let mut share = Share { customer, total: Some(Rc::clone(&self.total)), held: Held::default() };
                share.set(Held::one(bytes));
                return Ok(share);
            }
            InputRef::Entry(_) => {
                return Err(Fault::new(Code::ScriptUnavailable, "too many messages wait for scripts"));
            }
        };
        share.hold(Held::one(bytes)).map(|()| share)
    }

    /// Whether a message of a stream may wait here.
    pub fn admits(&self, customer: CustomerId) -> bool {
        let has_floor = || self.lanes.get(&customer).is_none_or(|held| held.get().is_below(FLOOR));
        self.total.get().is_below(MAX_LANES) || has_floor()
    }

    /// Whether lanes should be left alone for a moment: what comes would only be sent back.
    pub fn is_full(&mut self, tick: u64) -> bool {
        let total = self.total.get();
        if total.is_below(MAX_LANES.half()) {
            self.full_since = None;
        }
        if total.is_below(MAX_LANES) {
            return false;
        }
        tick <= *self.full_since.get_or_insert(tick) + FULL_TICKS
    }
}

impl Share {
    /// From now on the message holds so much. One message of each customer may, whatever it becomes.
    ///
    /// # Errors
    /// It has grown, others of its customer wait beside it, and there is no room for all of them. `limit/memory`: a core
    /// NATS message is lost. `script/unavailable`: another goes back to its stream, as a whole.
    pub fn hold(&mut self, held: Held) -> Result<(), Fault> {
        let grows = held.tasks > self.held.tasks || held.bytes > self.held.bytes;
        if grows && self.customer.get() != self.held {
            let customer = self.after(&self.customer, held);
            match &self.total {
                None if customer.bytes > MAX_CORE_BYTES => {
                    return Err(Fault::new(Code::LimitMemory, "too many core NATS messages wait for scripts"));
                }
                Some(total) if !self.after(total, held).fits(MAX_LANES) && !customer.fits(FLOOR) => {
                    return Err(Fault::new(Code::ScriptUnavailable, "too many parts of messages wait for scripts"));
                }
                _ => {}
            }
        }
        self.set(held);
        Ok(())
    }

    /// What `cell` comes to when this message holds so much.
    fn after(&self, cell: &Cell<Held>, held: Held) -> Held {
        let Held { tasks, bytes } = cell.get();
        Held { tasks: tasks - self.held.tasks + held.tasks, bytes: bytes - self.held.bytes + held.bytes }
    }

    fn set(&mut self, held: Held) {
        for cell in [Some(&self.customer), self.total.as_ref()].into_iter().flatten() {
            cell.set(self.after(cell, held));
        }
        self.held = held;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(Held::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::EntryId;

    const ACME: CustomerId = CustomerId(1);
    const BETA: CustomerId = CustomerId(2);

    fn lane() -> InputRef {
        InputRef::Entry(EntryId::new(0, 0))
    }

    fn fill(budget: &mut Budget, input: InputRef, bytes: usize) -> (Vec<Share>, Fault) {
        let mut shares = Vec::new();
        loop {
            match budget.take(input, ACME, bytes) {
                Ok(share) => shares.push(share),
                Err(fault) => return (shares, fault),
            }
        }
    }

    #[test]
    fn core_messages_of_one_customer_are_bounded_and_stop_nobody_else() {
        let mut budget = Budget::default();
        let (mut shares, fault) = fill(&mut budget, InputRef::Core, 1 << 10);
        assert_eq!((fault.code(), shares.len()), (Code::LimitMemory, MAX_CORE_BYTES >> 10));
        assert!(!budget.is_full(0) && budget.admits(BETA) && budget.admits(ACME));
        assert!(budget.take(InputRef::Core, BETA, 1 << 10).is_ok() && budget.take(lane(), ACME, 1).is_ok());
        shares.pop();
        assert!(budget.take(InputRef::Core, ACME, 1 << 10).is_ok());
    }

    #[test]
    fn one_core_message_is_taken_whatever_its_size() {
        let mut budget = Budget::default();
        let share = budget.take(InputRef::Core, ACME, MAX_CORE_BYTES + 1);
        assert!(share.is_ok() && budget.take(InputRef::Core, ACME, 1).is_err());
        drop(share);
        assert!(budget.take(InputRef::Core, ACME, MAX_CORE_BYTES).is_ok());
    }

    #[test]
    fn what_a_core_message_becomes_counts_too() {
        let mut budget = Budget::default();
        let (mut first, mut second) =
            (budget.take(InputRef::Core, ACME, 1).unwrap(), budget.take(InputRef::Core, ACME, 1).unwrap());
        assert!(first.hold(Held { tasks: 9, bytes: MAX_CORE_BYTES - 1 }).is_ok());
        assert_eq!(second.hold(Held::one(2)).unwrap_err().code(), Code::LimitMemory);
        drop(first);
        assert!(second.hold(Held::one(MAX_CORE_BYTES + 1)).is_ok());
    }

    #[test]
    fn of_messages_of_streams_that_become_many_parts_one_of_each_customer_goes_on_and_the_others_go_back() {
        let mut budget = Budget::default();
        let mut shares: Vec<Share> = (0..100).map(|_| budget.take(lane(), ACME, 1).unwrap()).collect();
        let mut other = budget.take(lane(), BETA, 1).unwrap();
        let parts = Held { tasks: 1_000, bytes: 1_000 };
        let went_on = shares.iter_mut().filter_map(|share| share.hold(parts).ok()).count();
        assert!((3..=4).contains(&went_on), "{went_on}");
        assert!(budget.admits(BETA));
        assert!(other.hold(Held { tasks: 5_000, bytes: 1 << 30 }).is_ok());
        drop((shares, other));
        assert_eq!(budget.total.get(), Held::default());
    }

    #[test]
    fn a_customer_that_fills_the_room_of_the_lanes_leaves_a_floor_to_the_others() {
        for bytes in [1, 1 << 20] {
            let mut budget = Budget::default();
            let (shares, fault) = fill(&mut budget, lane(), bytes);
            assert_eq!(fault.code(), Code::ScriptUnavailable);
            assert_eq!(shares.len(), MAX_LANES.tasks.min(MAX_LANES.bytes / bytes));
            let floor = FLOOR.tasks.min(FLOOR.bytes / bytes);
            let others: Vec<_> = (0..floor).map(|_| budget.take(lane(), BETA, bytes).unwrap()).collect();
            assert!(!budget.admits(BETA) && budget.admits(CustomerId(3)));
            drop((shares, others));
            assert_eq!(budget.total.get(), Held::default());
        }
    }

    #[test]
    fn lanes_are_left_alone_for_a_moment_and_read_on_while_scripts_stay_slow() {
        let mut budget = Budget::default();
        let (mut shares, _) = fill(&mut budget, lane(), 1);
        assert!(budget.is_full(7) && budget.is_full(7 + FULL_TICKS) && !budget.is_full(8 + FULL_TICKS));
        // One is through, and another comes.
        shares.pop();
        assert!(!budget.is_full(20));
        shares.push(budget.take(lane(), ACME, 1).unwrap());
        assert!(!budget.is_full(20));
        shares.truncate(MAX_LANES.tasks / 2 - 1);
        assert!(!budget.is_full(30));
        shares.extend(fill(&mut budget, lane(), 1).0);
        assert!(budget.is_full(30));
    }
}
