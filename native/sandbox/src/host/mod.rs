//! The host's side: an executor whose scripts run in worker processes, one for each customer.
//!
//! ```text
//! shard ──submit──► Queue ──turn of a customer──► one of a few threads     executor.rs, workers.rs, turn.rs
//!                                                  │ its customer's seat, the spare one, or a new one: when
//!                                                  │ there is memory for it             pool.rs, seat.rs, known.rs
//!                                                  ▼
//!                            request ═══════════► worker
//!                            progress, CPU time ◄─┤ looked at while it runs              watch.rs
//!                            replies, checked ◄═══┘ or killed, and a verdict             verdict.rs
//!                                                   again and again: a rest            strikes.rs
//! shard ◄──wake, completed──
//! ```
//!
//! What a hostile script can reach: its customer's worker, and through it wrong results for its customer's messages.
//! A thread waits for one worker at a time and no longer than its deadlines, so a worker that hangs holds up one of the
//! threads for that long, and its own customer.

mod counts;
mod executor;
mod executors;
mod known;
mod options;
mod pool;
mod seat;
mod strikes;
mod turn;
mod verdict;
mod watch;
mod workers;

#[cfg(test)]
mod tests;

pub use counts::{Counts, Reason};
pub use executor::ProcessExecutor;
pub use executors::{LazyZygote, executors};
pub use options::ProcessOptions;
pub use workers::{Workers, WorkersState};
