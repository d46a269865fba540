//! What each customer, or each peer, holds of something that all share.
//!
//! Whoever holds more than three times what is free gets no more of it (dynamic thresholds: Choudhury and Hahne, 1998).
//! One alone can have three quarters. Many come to have the same, as they give back and take again.

use std::collections::BTreeMap;

/// As many times as what is free.
const TIMES: usize = 3;
/// Names without a share are forgotten beyond this many.
const MOST_IDLE: usize = 1_024;

/// The place of a share in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShareId(usize);

#[derive(Debug)]
pub(super) struct Shares<K> {
    places: BTreeMap<K, usize>,
    held: Vec<Held>,
    free: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    units: usize,
    bytes: usize,
}

/// Whether someone who holds `held` may take `more` of what has so much `left`.
pub(super) fn is_fair(held: usize, more: usize, left: usize) -> bool {
    more <= left && (held == 0 || held + more <= TIMES * (left - more))
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Shares { places: BTreeMap::new(), held: Vec::new(), free: Vec::new() }
    }
}

impl<K: Ord> Shares<K> {
    pub(super) fn of<Q>(&mut self, name: &Q) -> ShareId
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized + ToOwned<Owned = K>,
    {
        if let Some(place) = self.places.get(name) {
            return ShareId(*place);
        }
        if self.places.len() >= MOST_IDLE {
            self.forget_idle();
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.held.push(Held::default());
            self.held.len() - 1
        });
        self.places.insert(name.to_owned(), place);
        ShareId(place)
    }

    fn forget_idle(&mut self) {
        let (held, free) = (&self.held, &mut self.free);
        self.places.retain(|_, place| {
            let is_used = held.get(*place).is_some_and(|held| held.units > 0);
            if !is_used {
                free.push(*place);
            }
            is_used
        });
    }

    pub(super) fn units(&self, share: ShareId) -> usize {
        self.held.get(share.0).map_or(0, |held| held.units)
    }

    pub(super) fn bytes(&self, share: ShareId) -> usize {
        self.held.get(share.0).map_or(0, |held| held.bytes)
    }

    pub(super) fn add_unit(&mut self, share: ShareId) {
        self.held.get_mut(share.0).into_iter().for_each(|held| held.units += 1);
    }

    pub(super) fn add_bytes(&mut self, share: ShareId, bytes: usize) {
        self.held.get_mut(share.0).into_iter().for_each(|held| held.bytes += bytes);
    }

    pub(super) fn give_back(&mut self, share: ShareId, bytes: usize) {
        self.held.get_mut(share.0).into_iter().for_each(|held| held.bytes = held.bytes.saturating_sub(bytes));
    }

    /// A unit and its bytes are free again.
    pub(super) fn release(&mut self, share: ShareId, bytes: usize) {
        self.give_back(share, bytes);
        self.held.get_mut(share.0).into_iter().for_each(|held| held.units = held.units.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_has_three_quarters() {
        let held = (0..1_000).take_while(|held| is_fair(*held, 1, 1_000 - held)).count();
        assert_eq!(held, 750);
        assert!(is_fair(0, 250, 250) && is_fair(0, 1, 1) && !is_fair(0, 2, 1) && !is_fair(1, 1, 1));
    }

    #[test]
    fn many_that_take_all_they_can_come_to_have_the_same() {
        let (total, mut held) = (1_000, vec![750, 187, 0, 0, 0]);
        for step in 0..10_000 {
            let gives_back = step * 7 % 5;
            held[gives_back] -= held[gives_back].min(5);
            for takes in (0..25).map(|n| (step + n) % 5) {
                let left = total - held.iter().sum::<usize>();
                held[takes] += usize::from(is_fair(held[takes], 1, left));
            }
        }
        assert!(held.iter().all(|held| (150..=200).contains(held)), "{held:?}");
        assert!(held.iter().sum::<usize>() <= 940, "{held:?}");
    }

    #[test]
    fn names_that_hold_nothing_are_forgotten() {
        let mut shares: Shares<String> = Shares::default();
        let kept = shares.of("kept");
        shares.add_unit(kept);
        shares.add_bytes(kept, 7);
        for number in 0..10 * MOST_IDLE {
            let share = shares.of(number.to_string().as_str());
            assert_eq!((shares.units(share), shares.bytes(share)), (0, 0));
        }
        assert!(shares.held.len() <= MOST_IDLE && shares.places.len() <= MOST_IDLE);
        assert_eq!((shares.of("kept"), shares.units(kept), shares.bytes(kept)), (kept, 1, 7));
        shares.release(kept, 7);
        assert_eq!((shares.units(kept), shares.bytes(kept)), (0, 0));
    }
}
