//! What the queues of a customer may hold, so that there is room for everybody else. A state machine without I/O.

use std::collections::BTreeMap;

use crate::engine::message::CustomerId;

/// Messages and the bytes of their payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub messages: usize,
    pub bytes: usize,
}

impl Held {
    const fn new(messages: usize, bytes: usize) -> Held {
        Held { messages, bytes }
    }

    fn is_below(self, bound: Held) -> bool {
        self.messages < bound.messages && self.bytes < bound.bytes
    }

    pub fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    pub fn remove(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Of all queues of a shard: half of what the shard takes in.
const MAX_TOTAL: Held = Held::new(8_192, 256 << 20);
/// Of one customer.
const MAX_CUSTOMER: Held = Held::new(4_096, 64 << 20);
/// Of one queue.
const MAX_QUEUE: Held = Held::new(4_096, 32 << 20);
/// A customer may hold this much, whatever the others hold.
const CUSTOMER_FLOOR: Held = Held::new(256, 8 << 20);
/// An out may hold this much, whatever the other outs of its customer hold.
const QUEUE_FLOOR: Held = Held::new(16, 1 << 20);

/// What the queues of a shard hold, by customer.
#[derive(Debug, Default)]
pub struct Budgets {
    total: Held,
    customers: BTreeMap<CustomerId, Held>,
}

impl Budgets {
    /// Whether a queue that holds `queue` may take one more message. One is taken whatever its size.
    #[must_use]
    pub fn admits(&self, customer: CustomerId, queue: Held) -> bool {
        let customer = self.customers.get(&customer).copied().unwrap_or_default();
        let has_customer_room = customer.is_below(MAX_CUSTOMER) || queue.is_below(QUEUE_FLOOR);
        let has_room = self.total.is_below(MAX_TOTAL) || customer.is_below(CUSTOMER_FLOOR);
        queue.is_below(MAX_QUEUE) && has_customer_room && has_room
    }

    pub fn add(&mut self, customer: CustomerId, bytes: usize) {
        self.total.add(bytes);
        self.customers.entry(customer).or_default().add(bytes);
    }

    pub fn remove(&mut self, customer: CustomerId, bytes: usize) {
        self.total.remove(bytes);
        if let Some(held) = self.customers.get_mut(&customer) {
            held.remove(bytes);
            if *held == Held::default() {
                self.customers.remove(&customer);
            }
        }
    }

    #[cfg(test)]
    pub fn of(&self, customer: CustomerId) -> Held {
        self.customers.get(&customer).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Fills one queue of a customer; gives how many it has taken.
    fn fill(budgets: &mut Budgets, customer: u32, bytes: usize) -> usize {
        let mut queue = Held::default();
        while budgets.admits(CustomerId(customer), queue) {
            queue.add(bytes);
            budgets.add(CustomerId(customer), bytes);
        }
        queue.messages
    }

    #[test]
    fn whatever_others_hold_everybody_gets_a_floor() {
        let mut budgets = Budgets::default();
        assert_eq!(fill(&mut budgets, 1, 100), MAX_QUEUE.messages);
        assert_eq!(fill(&mut budgets, 1, 100), QUEUE_FLOOR.messages);
        fill(&mut budgets, 2, 100);
        for customer in 3..30 {
            assert_eq!(fill(&mut budgets, customer, 100), CUSTOMER_FLOOR.messages);
        }
    }

    #[test]
    fn large_messages_are_bounded_by_their_bytes_and_one_is_always_taken() {
        let mut budgets = Budgets::default();
        assert_eq!(fill(&mut budgets, 1, 300_000), 112);
        assert_eq!(fill(&mut budgets, 2, 1 << 30), 1);
        assert_eq!(fill(&mut budgets, 3, 1 << 30), 1);
    }

    proptest! {
        #[test]
        fn what_is_given_back_leaves_nothing(messages in proptest::collection::vec((0_u32..5, 0_usize..9_999), 0..200)) {
            let mut budgets = Budgets::default();
            for (customer, bytes) in &messages {
                budgets.add(CustomerId(*customer), *bytes);
            }
            for (customer, bytes) in &messages {
                budgets.remove(CustomerId(*customer), *bytes);
            }
            prop_assert!(budgets.total == Held::default() && budgets.customers.is_empty());
        }
    }
}
