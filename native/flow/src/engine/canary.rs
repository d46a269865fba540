//! A canary: a second revision of a pipeline that runs a share of its messages.
//!
//! ```text
//! message id ─► 64 bits of SipHash ─► 0 ..= 999,999 ─┬─ below the share ─► canary
//!                                                    └─ others ──────────► active
//! ```
//!
//! The id of a message stays the same over redelivery, nodes and runs of steps, so the choice does too. A share that is
//! raised keeps the messages that it had.

use std::sync::Arc;

use message::Headers;

use super::ids::IdKey;
use super::observe::{Role, Runs};

/// On messages of the outgoing lane that a canary has made: its revision.
pub const CANARY: &str = "Vrsky-Canary";

/// All messages.
pub const WHOLE: u32 = 1_000_000;

/// Which messages of a pipeline its canary runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    key: IdKey,
    millionths: u32,
}

impl Share {
    #[must_use]
    pub fn new(pipeline: &str, millionths: u32) -> Share {
        Share { key: IdKey::new(&["canary", pipeline]), millionths }
    }

    /// Whether the message with this id is one of them. The same in every release.
    #[must_use]
    #[inline]
    pub fn has(&self, id: &str) -> bool {
        let place = (u128::from(self.key.bits_of(id.as_bytes())) * u128::from(WHOLE)) >> 64;
        place < u128::from(self.millionths)
    }
}

/// What both revisions of a pipeline with a canary know of it.
#[derive(Debug)]
pub struct Trial {
    /// Whose this one is.
    pub role: Role,
    pub share: Share,
    /// The revision of the canary.
    pub canary: Box<str>,
    /// What the two have counted in this shard.
    pub runs: Arc<Runs>,
}

impl Trial {
    /// Which of them has made a message of the outgoing lane.
    #[must_use]
    pub fn maker(&self, headers: Headers<'_>) -> Role {
        match headers.get_str(CANARY) {
            Some(revision) if *revision == *self.canary => Role::Canary,
            _ => Role::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ids::Id;
    use proptest::prelude::*;

    #[test]
    fn the_choice_is_the_same_in_every_release() {
        let share = Share::new("orders", 250_000);
        let chosen: Vec<u32> = (0..20).filter(|number| share.has(&format!("acme.{number:032x}"))).collect();
        assert_eq!(chosen, CHOSEN);
    }

    /// Found by another implementation of the hash: nodes of two versions of the program have to agree.
    const CHOSEN: [u32; 3] = [16, 17, 18];

    #[test]
    fn as_many_messages_as_the_share_says_are_chosen() {
        let mut random = fastrand::Rng::with_seed(7);
        for millionths in [10_000, 50_000, 500_000] {
            let share = Share::new("orders", millionths);
            let count = (0..100_000).filter(|_| share.has(Id::random("acme", &mut random).as_str())).count();
            let (wanted, part) = (f64::from(millionths) / 10.0, f64::from(millionths) / f64::from(WHOLE));
            // Five standard deviations.
            let deviation = 5.0 * (wanted * (1.0 - part)).sqrt();
            assert!((count as f64 - wanted).abs() < deviation, "{count} of 100,000, and {wanted} were asked for");
        }
    }

    proptest! {
        #[test]
        fn a_share_that_is_raised_keeps_its_messages(id in ".{0,80}", one in 0..=WHOLE, other in 0..=WHOLE) {
            let (small, large) = (Share::new("orders", one.min(other)), Share::new("orders", one.max(other)));
            prop_assert!(!small.has(&id) || large.has(&id));
            prop_assert!(Share::new("orders", WHOLE).has(&id) && !Share::new("orders", 0).has(&id));
        }
    }
}
