//! How much is in hand: of each customer, of each revision.

use crate::engine::message::{CustomerId, RevisionId};

/// Messages and the bytes that they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub messages: usize,
    pub bytes: usize,
}

#[derive(Debug, Default)]
pub struct Usages {
    total: Usage,
    customers: Vec<Usage>,
    revisions: Vec<Usage>,
}

impl Usages {
    /// One more message is in hand.
    #[inline]
    pub fn add(&mut self, revision: RevisionId, customer: CustomerId, bytes: usize) {
        self.each(revision, customer, |usage| {
            usage.messages += 1;
            usage.bytes += bytes;
        });
    }

    #[inline]
    pub fn remove(&mut self, revision: RevisionId, customer: CustomerId, bytes: usize) {
        self.each(revision, customer, |usage| {
            usage.messages -= 1;
            usage.bytes -= bytes;
        });
    }

    /// A message holds more bytes than before.
    pub fn grow(&mut self, revision: RevisionId, customer: CustomerId, bytes: usize) {
        self.each(revision, customer, |usage| usage.bytes += bytes);
    }

    pub fn shrink(&mut self, revision: RevisionId, customer: CustomerId, bytes: usize) {
        self.each(revision, customer, |usage| usage.bytes -= bytes);
    }

    #[inline]
    fn each(&mut self, revision: RevisionId, customer: CustomerId, change: impl Fn(&mut Usage)) {
        change(&mut self.total);
        change(at(&mut self.customers, customer.0));
        change(at(&mut self.revisions, revision.0));
    }

    #[must_use]
    pub fn bytes(&self) -> usize {
        self.total.bytes
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
