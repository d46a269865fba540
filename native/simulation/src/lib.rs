//! The engine in a simulated world: one seed drives clients, streams, sinks, faults and time, and every promise of
//! `docs/delivery.md` is checked after each run.
//!
//! ```text
//! seed ─► Story: randomness, virtual time, what happens
//!           ├─► clients (message, source)      ┐
//!           ├─► model of nats-server (network) ├─► shards of the engine, as they are ─► oracle: each input once, in
//!           ├─► receivers (sink)               │                                        exactly one end
//!           └─► faults                         ┘
//! ```
//!
//! The models are FoundationDB's and TigerBeetle's simulations. A seed that fails replays exactly.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod catalogue;
mod clients;
mod faults;
mod late;
mod listener;
mod message;
mod network;
mod node;
mod operator;
mod oracle;
mod redrive;
pub mod rows;
pub mod run;
mod sink;
mod size;
mod source;
mod story;
mod streams;
mod timeline;
mod world;
