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
//!                  api, worker: for callers outside a node
//!                  facts, summary: what other languages need to know
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod api;
pub mod catch_panic;
pub mod compile;
pub mod engine;
pub mod facts;
mod fan_out;
pub mod model;
pub mod process;
pub mod summary;
pub mod worker;
