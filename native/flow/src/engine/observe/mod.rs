//! What people and autoscalers are shown: counters, conditions, events. Imports nothing of the engine.

mod counters;
mod events;
mod health;
mod histogram;
mod meters;
mod runs;

pub use counters::{Counters, Metric, Usage};
pub use events::{Event, EventKind, Events};
pub use health::{Broken, Condition, Healths, broken_of, of_in, of_out};
pub use histogram::{Histogram, age_ms};
pub use meters::{Meters, Waited};
pub use runs::{Role, RunCounts, Runs};
