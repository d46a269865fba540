//! NATS without I/O, JetStream on top of it, and one thin tokio driver.
//!
//! ```text
//!            socket                                                           driver/
//!    read ──► ReadBuffer ──► protocol::parse ──► Handler::on_message(Message, out)
//!             one read       views, no copies     jetstream: AckReply, PullStatus, PubAck
//!                                                        │ encode_pub, encode_ack, encode_pull ...
//!    write ◄── one write a turn ◄── out ◄────────────────┤
//!                                    ▲                   ▼
//!                                  Outbox ◄── other tasks of the same thread
//! ```
//!
//! - [`protocol`]: frames and what they hold. Bytes in, views out; no socket, no clock.
//! - [`jetstream`]: what JetStream writes into subjects, headers and payloads of those frames.
//! - `driver`: the only part that knows sockets and time.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod driver;
pub mod jetstream;
pub mod protocol;

pub use driver::{
    Auth, Connection, Dialled, Handler, Network, Options, Outbox, Pace, Proof, Reply, Server, Socket, SystemNetwork,
    TlsOptions, Transport,
};
pub use protocol::{Message, Refusal, ServerError, ServerInfo};
