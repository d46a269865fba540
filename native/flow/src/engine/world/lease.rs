//! Until when a node may read the sources that no two nodes may read.
//!
//! ```text
//! control plane ── begin, renew ──► until ◄── has_lapsed ── shards, before each burst; files, before each change
//! ```
//!
//! The node's own: its time is measured by a clock that goes on while the machine sleeps, and that nobody sets. What is
//! told it as `until` lies before the moment at which another node takes the sources.

use std::sync::atomic::{AtomicU64, Ordering};

use connectors::kind::Fence;

use crate::process::boot_ms;

/// Nothing is held: it has not begun, or somebody has seen that it was over.
const NONE: u64 = 0;

/// Shared by all threads of a node.
#[derive(Debug, Default)]
pub struct Lease {
    /// By [`boot_ms`].
    until: AtomicU64,
}

impl Lease {
    /// Begins anew. Only when no shard has a source of what was held before.
    pub fn begin(&self, until: u64) {
        self.until.store(until, Ordering::SeqCst);
    }

    /// Holds on until then; `false` when a shard has given its sources up meanwhile, and all have to.
    pub fn renew(&self, until: u64) -> bool {
        let later = |now: u64| (now != NONE).then_some(now.max(until));
        self.until.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later).is_ok()
    }

    /// Whether it is over. Once a caller was told so it stays so, for all of them, until it begins anew.
    #[must_use]
    pub fn has_lapsed(&self) -> bool {
        self.has_lapsed_at(boot_ms())
    }

    fn has_lapsed_at(&self, now: u64) -> bool {
        let over = |until: u64| (until <= now).then_some(NONE);
        self.until.fetch_update(Ordering::SeqCst, Ordering::SeqCst, over).is_ok()
    }
}

impl Fence for Lease {
    fn holds(&self) -> bool {
        !self.has_lapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_from_its_begin_until_its_end() {
        let lease = Lease::default();
        assert!(lease.has_lapsed_at(1));
        lease.begin(10);
        assert!(!lease.has_lapsed_at(9) && lease.has_lapsed_at(10));
    }

    #[test]
    fn one_that_was_seen_to_be_over_cannot_be_renewed() {
        let lease = Lease::default();
        assert!(!lease.renew(20));
        lease.begin(10);
        assert!(lease.has_lapsed_at(10) && !lease.renew(20) && lease.has_lapsed_at(1));
        lease.begin(20);
        assert!(!lease.has_lapsed_at(19));
    }

    #[test]
    fn a_renewal_that_nobody_missed_goes_on_and_an_earlier_one_takes_nothing_away() {
        let lease = Lease::default();
        lease.begin(10);
        assert!(lease.renew(20) && lease.renew(15));
        assert!(!lease.has_lapsed_at(19) && lease.has_lapsed_at(20));
    }

    #[test]
    fn its_clock_goes_forward() {
        let before = boot_ms();
        assert!(before > 0 && boot_ms() >= before);
        let lease = Lease::default();
        lease.begin(before + 3_600_000);
        assert!(lease.holds());
    }
}
