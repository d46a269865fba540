//! What people and autoscalers are shown: counters, conditions, events. Imports nothing of the engine.

mod counters;
mod events;
mod health;
mod meters;

pub use counters::{Counters, Metric};
pub use events::{Event, EventKind, Events};
pub use health::{Condition, Healths, of_in, of_out};
pub use meters::{BOUNDS_MS, Meters};
