//! A model of nats-server with JetStream, in memory: bytes in, bytes out, and a clock that the caller moves.
//!
//! ```text
//! harness ── connect, receive, take_output, disconnect ──► server/ ─► interest    who listens
//!         ── advance, next_deadline ────────────────────►    │    └► connection  what waits to be read
//!         ── restart, set_permissions, messages, … ─────►    ▼
//!                                                        jetstream/ ─► stream, consumer, api
//! ```
//!
//! It has no socket, thread, clock or unseeded randomness: the same calls give the same bytes. What the project's node
//! and its tests use of the server is here, by the server's own rules; `tests/histories.rs` holds it to a real
//! nats-server. What a request asks for and the model lacks is refused with `the model of the server has no …`.
//!
//! The real server handles publishes, requests, acks and the API in tasks of their own, so their effects may change
//! places. Here each operation is complete before the next begins: one of the orders that the server allows.

mod connection;
mod header;
mod interest;
mod jetstream;
mod json;
mod operation;
mod options;
mod server;
mod subject;

pub use jetstream::config::{AckPolicy, ConsumerConfig, DeliverPolicy, Discard, Retention, Storage, StreamConfig};
pub use jetstream::consumer::{ConsumerState, Pending, Position};
pub use jetstream::store::Stored;
pub use options::{Options, Permissions, Subjects, User};
pub use server::{ConnectionId, Server};
