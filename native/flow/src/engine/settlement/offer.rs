//! How many refused outputs are offered to their streams again at a time.

/// A refused publish costs the server as much as an accepted one: few are offered while none is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub count: usize,
    pub next: usize,
    /// Whether one was taken since the last offer.
    pub is_taken: bool,
}

impl Default for Offer {
    fn default() -> Offer {
        Offer { count: MIN_OFFER, next: 0, is_taken: true }
    }
}

const MIN_OFFER: usize = 16;
const MAX_OFFER: usize = 2_048;

impl Offer {
    /// How many are offered now: more while they are taken, fewer while they are not.
    pub fn now(&self) -> usize {
        if self.is_taken { (self.count * 2).min(MAX_OFFER) } else { (self.count / 2).max(MIN_OFFER) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_are_offered_while_they_are_taken_and_few_while_they_are_not() {
        let mut offer = Offer::default();
        let mut rounds = |is_taken, count| {
            for _ in 0..count {
                offer = Offer { count: offer.now(), is_taken, ..offer };
            }
            offer.now()
        };
        assert_eq!((rounds(true, 20), rounds(false, 20)), (MAX_OFFER, MIN_OFFER));
    }
}
