//! Messages that wait behind the parked ones.

use std::collections::VecDeque;

use super::{Held, Queue, Queued};

/// In the order in which they came.
#[derive(Default)]
pub struct Behind {
    messages: VecDeque<Queued>,
    held: Held,
}

impl Behind {
    pub fn push_back(&mut self, queued: Queued) {
        self.held.add(queued.bytes());
        self.messages.push_back(queued);
    }

    pub fn push_front(&mut self, queued: Queued) {
        self.held.add(queued.bytes());
        self.messages.push_front(queued);
    }

    pub fn pop_front(&mut self) -> Option<Queued> {
        let queued = self.messages.pop_front()?;
        self.held.remove(queued.bytes());
        Some(queued)
    }

    #[must_use]
    pub fn take(&mut self) -> VecDeque<Queued> {
        self.held = Held::default();
        std::mem::take(&mut self.messages)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    #[must_use]
    pub fn held(&self) -> Held {
        self.held
    }
}

impl Queue {
    /// A message that waits for parked ones.
    pub fn hold(&mut self, queued: Queued) {
        self.add(&queued);
        self.behind.push_back(queued);
    }

    /// Nothing is parked any more: what was held behind it is next.
    pub fn release(&mut self) {
        for queued in self.behind.take() {
            self.expires(&queued);
            self.fresh.push_back(queued);
        }
        self.outlet.arrived.notify_waiters();
    }

    /// Holds what is parked when the out fails: all that was not tried, but the batch that probes and what was parked.
    pub fn hold_surplus(&mut self) {
        let (mut kept, mut held) = (VecDeque::new(), Behind::default());
        for queued in std::mem::take(&mut self.fresh) {
            if kept.len() < self.outlet.batching.probe() || queued.is_parked {
                kept.push_back(queued);
            } else {
                held.push_back(queued);
            }
        }
        self.fresh = kept;
        self.behind.take().into_iter().for_each(|queued| held.push_back(queued));
        self.behind = held;
    }

    /// Whether the next message to be parked has to wait for those before it.
    #[must_use]
    pub fn parks_behind(&self) -> bool {
        self.holds_any() || self.parking.is_full()
    }

    /// Whether messages are held behind the parked ones.
    #[must_use]
    pub fn holds_any(&self) -> bool {
        !self.behind.is_empty()
    }

    /// The first message that is held; it counts no more.
    pub fn take_first_behind(&mut self) -> Option<Queued> {
        let queued = self.behind.pop_front()?;
        self.remove(&queued);
        Some(queued)
    }

    /// It is held again, in its place.
    pub fn hold_first(&mut self, queued: Queued) {
        self.add(&queued);
        self.behind.push_front(queued);
    }

    pub fn take_behind(&mut self) -> Vec<Queued> {
        self.behind.take().into()
    }
}
