//! Worker processes for customers' scripts.
//!
//! ```text
//! node ── Launch::launch(memfd) ──► zygote ── fork ──► worker: layers, then worker::serve(memfd)
//!      ◄─ Worker { pid, pidfd } ───┘                     │
//!      ◄═ requests and replies in the shared memory ═════┘
//! ```
//!
//! A worker belongs to one customer. A bug in the script engine reaches that customer's messages and nothing else.

#![cfg(target_os = "linux")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod host;
pub mod launch;
pub mod layers;
mod memory;
mod wire;
pub mod worker;
pub mod zygote;

pub use host::{Counts, LazyZygote, ProcessExecutor, ProcessOptions, Reason, Workers, WorkersState, executors};
pub use launch::{Launch, Worker, WorkerLimits};
pub use layers::{Layer, LayerSet, Report, State};
pub use zygote::Zygote;
