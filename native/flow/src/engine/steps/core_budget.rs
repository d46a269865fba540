//! What core NATS messages may hold while they wait for a script, or for the thread for large payloads.
//!
//! Nobody can send them again, and nobody asks for them: what a customer's messages need beyond its bytes is lost, and
//! counted. The connection is read on, for everybody.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use message::{Code, Fault};

use crate::engine::message::CustomerId;

/// Of one customer, in one shard.
const MAX_BYTES: usize = 64 << 20;
/// A document with its tape is about so many times as large as its payload, and so much more.
const FACTOR: usize = 4;
const OVERHEAD: usize = 1 << 10;

/// What a small payload holds while a script has its document. A large one waits as it is.
pub(super) fn document_bytes(payload: usize) -> usize {
    payload * FACTOR + OVERHEAD
}

/// What each customer's messages hold.
#[derive(Default)]
pub(super) struct CoreBudget(BTreeMap<CustomerId, Rc<Cell<usize>>>);

/// The share of one message; dropped when the message is through.
pub(super) struct CoreShare {
    held: Rc<Cell<usize>>,
    bytes: usize,
}

impl CoreBudget {
    /// The share of a message that holds so many bytes. One is always taken.
    ///
    /// # Errors
    /// `limit/memory`: the message is lost.
    pub fn take(&mut self, customer: CustomerId, bytes: usize) -> Result<CoreShare, Fault> {
        let held = self.0.entry(customer).or_default();
        if held.get() > 0 && held.get() + bytes > MAX_BYTES {
            return Err(Fault::new(Code::LimitMemory, "too many core NATS messages wait for scripts"));
        }
        held.set(held.get() + bytes);
        Ok(CoreShare { held: Rc::clone(held), bytes })
    }
}

impl Drop for CoreShare {
    fn drop(&mut self) {
        self.held.set(self.held.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customers_messages_are_bounded_and_anothers_are_taken() {
        let (mut budget, acme, beta) = (CoreBudget::default(), CustomerId(1), CustomerId(2));
        let mut shares = Vec::new();
        let fault = loop {
            match budget.take(acme, 1 << 10) {
                Ok(share) => shares.push(share),
                Err(fault) => break fault,
            }
        };
        assert_eq!((fault.code(), shares.len()), (Code::LimitMemory, MAX_BYTES >> 10));
        assert!(budget.take(beta, 1 << 10).is_ok());
        shares.pop();
        assert!(budget.take(acme, 1 << 10).is_ok());
    }

    #[test]
    fn one_message_is_taken_whatever_its_size() {
        let mut budget = CoreBudget::default();
        let share = budget.take(CustomerId(1), MAX_BYTES);
        assert!(share.is_ok() && budget.take(CustomerId(1), 1).is_err());
        drop(share);
        assert!(budget.take(CustomerId(1), MAX_BYTES).is_ok());
    }
}
