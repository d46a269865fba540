//! One connection, driven by its owner, turn by turn. The only part of this crate with sockets and
//! time; it needs a tokio runtime of one thread.
//!
//! ```text
//! Connection::turn                                                           connection.rs
//!   │ not connected: the next server, back-off, dial,                        pool.rs, backoff.rs, network.rs
//!   │                handshake, Handler::on_connected                        handshake.rs, tls.rs, credentials.rs
//!   ▼
//! Link: wait for bytes, the outbox or the ping timer ──► one read            link.rs, stream.rs, read_buffer.rs
//!       frames ──► Handler::on_message until none is left, or it yields      handler.rs
//!       outbox and what the handler wrote ──► one write, reading on meanwhile
//! ```
//!
//! `turn` may be dropped at any await and called again: what it was doing goes on from there.

mod backoff;
mod connection;
mod credentials;
mod handler;
mod handshake;
mod link;
mod network;
mod options;
mod outbox;
mod pool;
mod read_buffer;
mod requests;
mod stream;
mod tls;

pub use connection::Connection;
pub use credentials::Proof;
pub use handler::{Handler, Pace};
pub use network::{Dialled, Network, Socket, SystemNetwork, Transport};
pub use options::{Auth, Options, Server};
pub use outbox::Outbox;
pub use requests::Reply;
pub use tls::TlsOptions;
