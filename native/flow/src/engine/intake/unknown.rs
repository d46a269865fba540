//! Messages of pipelines and outs that are not here: they wait, then they are set aside.
//!
//! A rolling deployment brings messages of a newer revision before the revision. So a message is offered again for
//! a while; then it is moved to the parked ones, where it costs nothing and is listed.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Names that are remembered; more of them are offered again without end, which loses nothing.
const MAX_NAMES: usize = 10_000;
/// A name of which nothing came for so many ticks is forgotten.
const FORGET_TICKS: u64 = 120;

/// What becomes of a message that nobody here knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownAction {
    OfferAgain,
    SetAside {
        /// Whether it is the first one of its name.
        is_first: bool,
    },
}

#[derive(Debug)]
struct Waiting {
    /// Tick of the first message, and of the last one.
    first: u64,
    last: u64,
    set_aside: u64,
}

/// What was met and is not here.
#[derive(Debug)]
pub struct Unknown {
    names: BTreeMap<Box<str>, Waiting>,
    set_aside_ticks: u64,
}

impl Unknown {
    /// `set_aside_ticks`: how long messages of a name are offered again.
    #[must_use]
    pub fn new(set_aside_ticks: u64) -> Unknown {
        Unknown { names: BTreeMap::new(), set_aside_ticks }
    }

    /// A message came for `name`, `<customer>.<pipeline>.<step>`, which is not here.
    pub fn met(&mut self, name: &str, tick: u64) -> UnknownAction {
        if !self.names.contains_key(name) {
            if self.names.len() < MAX_NAMES {
                self.names.insert(name.into(), Waiting { first: tick, last: tick, set_aside: 0 });
            }
            return UnknownAction::OfferAgain;
        }
        let Some(waiting) = self.names.get_mut(name) else { return UnknownAction::OfferAgain };
        waiting.last = tick;
        if tick.saturating_sub(waiting.first) < self.set_aside_ticks {
            return UnknownAction::OfferAgain;
        }
        waiting.set_aside += 1;
        UnknownAction::SetAside { is_first: waiting.set_aside == 1 }
    }

    /// A pipeline has come: its names are met anew when it goes again.
    pub fn installed(&mut self, customer: &str, pipeline: &str) {
        let prefix = format!("{customer}.{pipeline}.");
        let first = Bound::Included(&*prefix);
        let names = self.names.range::<str, _>((first, Bound::Unbounded)).map(|(name, _)| name);
        let gone: Vec<Box<str>> = names.take_while(|name| name.starts_with(&prefix)).cloned().collect();
        for name in &gone {
            self.names.remove(name);
        }
    }

    /// Forgets names of which nothing came for a while.
    pub fn on_tick(&mut self, tick: u64) {
        let limit = FORGET_TICKS.max(2 * self.set_aside_ticks);
        self.names.retain(|_, waiting| tick.saturating_sub(waiting.last) < limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_waits_for_a_minute_and_is_then_set_aside() {
        let mut unknown = Unknown::new(60);
        assert_eq!(unknown.met("acme.orders.in", 1), UnknownAction::OfferAgain);
        assert_eq!(unknown.met("acme.orders.in", 60), UnknownAction::OfferAgain);
        assert_eq!(unknown.met("acme.orders.in", 61), UnknownAction::SetAside { is_first: true });
        assert_eq!(unknown.met("acme.orders.in", 61), UnknownAction::SetAside { is_first: false });
        assert_eq!(unknown.met("acme.orders.erp", 61), UnknownAction::OfferAgain);
        unknown.installed("acme", "orders");
        assert_eq!(unknown.met("acme.orders.in", 62), UnknownAction::OfferAgain);
    }

    #[test]
    fn names_do_not_heap_up() {
        let mut unknown = Unknown::new(60);
        for number in 0..2 * MAX_NAMES {
            unknown.met(&format!("acme.p{number}.in"), 1);
        }
        assert_eq!(unknown.names.len(), MAX_NAMES);
        unknown.on_tick(200);
        assert!(unknown.names.is_empty());
    }
}
