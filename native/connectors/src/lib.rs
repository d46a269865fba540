//! Source and Sink, and the built-in connectors.
//!
//! ```text
//!  the sender                                                              the receiver
//!      │                          contract.rs                                   ▲
//!      ▼                                                                        │
//!  http/source ──► read_batch ──►  the host (flow)  ──► write_batch ──► http/sink │ file/sink │ stdout/sink
//!      ▲                            rate.rs: token bucket                  http/template.rs: the URL
//!      └── 202 or a problem ◄── settle                                     http/guard.rs: where it may lead
//! ```
//!
//! kind.rs says what a kind of connector is, registry.rs which kinds there are, options/ what their options share,
//! placeholders.rs how fields of a message get into an address, gzip.rs how much gzip may cost, tls.rs whom servers may be certified by, dial.rs how a
//! checked address is reached. NATS is a kind without a source and a sink: the host reads and publishes on its own
//! connection.
//!
//! Everything runs on a shard's own thread, in a `LocalSet`; one shard owns its instances.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod contract;
mod dial;
pub mod file;
mod gzip;
mod hops;
pub mod http;
pub mod kind;
pub mod mqtt;
pub mod nats;
pub mod options;
mod placeholders;
pub mod rate;
pub mod registry;
pub mod stdout;
pub mod tls;

pub use contract::{ConnectorError, Delivery, Health, Incoming, LocalFuture, Outcome, Read, Settled, Sink, Source};
