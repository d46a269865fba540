//! Messages that wait behind the parked ones.

use std::collections::VecDeque;

use super::{Held, Queued};

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
