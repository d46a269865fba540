//! What is random about a message: an id, a pause.

use super::Settlement;
use crate::engine::ids::Id;

impl Settlement {
    /// The id of a message that nothing distinguishes.
    pub fn random_id(&mut self, customer: &str) -> Id {
        Id::random(customer, &mut self.random)
    }

    /// A part of a pause, at least half of it, so that not all come back at once.
    pub fn jitter(&mut self) -> f64 {
        0.5 + self.random.f64() / 2.0
    }
}
