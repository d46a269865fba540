//! From a pipeline file to messages that flow.
//!
//! ```text
//! pipeline file (JSON) ──► model::PipelineFile   what the customer wrote        model/
//!                             │ compile
//!                             ▼
//!                      compile::Pipeline         what a message passes          compile/
//!                         │            │
//!                         ▼            ▼
//!                  process (pure)   engine (shards, NATS, connectors)
//!                  direct, worker: for callers outside a node
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod compile;
pub mod direct;
pub mod engine;
mod house;
pub mod model;
pub mod process;
pub mod worker;
