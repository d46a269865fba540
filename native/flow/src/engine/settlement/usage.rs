//! How much is in hand: of each customer, of each revision.

use crate::engine::message::{CustomerId, RevisionId};

/// Messages and the bytes that they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub messages: usize,
    pub bytes: usize,
}

/// Whose a message is.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    pub revision: RevisionId,
    pub customer: CustomerId,
    /// It came by core NATS.
    pub is_core: bool,
}

#[derive(Debug, Default)]
pub struct Usages {
    /// Of all but core NATS messages.
    asked_for: Usage,
    customers: Vec<Usage>,
    revisions: Vec<Usage>,
}

impl Usages {
    /// One more message is in hand.
    #[inline]
    pub fn add(&mut self, of: Of, bytes: usize) {
        self.each(of, |usage| {
            usage.messages += 1;
            usage.bytes += bytes;
        });
    }

    #[inline]
    pub fn remove(&mut self, of: Of, bytes: usize) {
        self.each(of, |usage| {
            usage.messages -= 1;
            usage.bytes -= bytes;
        });
    }

    /// A message holds more bytes than before.
    pub fn grow(&mut self, of: Of, bytes: usize) {
        self.each(of, |usage| usage.bytes += bytes);
    }

    pub fn shrink(&mut self, of: Of, bytes: usize) {
        self.each(of, |usage| usage.bytes -= bytes);
    }

    #[inline]
    fn each(&mut self, of: Of, change: impl Fn(&mut Usage)) {
        if !of.is_core {
            change(&mut self.asked_for);
        }
        change(at(&mut self.customers, of.customer.0));
        change(at(&mut self.revisions, of.revision.0));
    }

    #[must_use]
    pub fn asked_for(&self) -> Usage {
        self.asked_for
    }

    #[must_use]
    pub fn of_customer(&self, customer: CustomerId) -> Usage {
        self.customers.get(customer.0 as usize).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn of_revision(&self, revision: RevisionId) -> Usage {
        self.revisions.get(revision.0 as usize).copied().unwrap_or_default()
    }
}

#[inline]
fn at(usages: &mut Vec<Usage>, number: u32) -> &mut Usage {
    let number = number as usize;
    if usages.len() <= number {
        usages.resize(number + 1, Usage::default());
    }
    &mut usages[number]
}
