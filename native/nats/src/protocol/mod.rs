//! The client protocol of NATS, without I/O: bytes to frames, frames to bytes.
//!
//! ```text
//! from the server ──► parse ──► Frame: Info, Message, Ping, Pong, Ok, Err     frame.rs
//!                                 │                        └──► ServerError   server_error.rs
//!                                 └──► ServerInfo                             info.rs
//! to the server   ◄── encode_connect, _sub, _unsub, _pub, _hpub, _ping, _pong encode.rs
//! before that         check_subject, check_filter, check_header               subject.rs, header.rs
//! ```

mod encode;
mod error;
mod frame;
mod header;
mod info;
mod server_error;
mod subject;

pub use encode::{
    Connect, encode_connect, encode_hpub, encode_ping, encode_pong, encode_pub, encode_sub, encode_unsub, write_number,
};
pub use error::ProtocolError;
pub use frame::{Frame, Message, ParserLimits, parse};
pub use header::{check_header, status};
pub use info::ServerInfo;
pub use server_error::{Refusal, ServerError};
pub use subject::{SubjectError, check_filter, check_subject};
