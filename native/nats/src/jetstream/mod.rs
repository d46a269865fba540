//! What JetStream says in subjects, headers and payloads; no I/O here either.
//!
//! ```text
//! request: its subject is one of an Api, such as $JS.API.STREAM.INFO.S                          api.rs
//! pull:    encode_pull ──► $JS.API.CONSUMER.MSG.NEXT.S.C ──► messages, ended by a PullStatus   pull.rs
//! message: its reply subject is an AckReply; answered by encode_ack, _nak, _wpi, _term        ack.rs
//! publish: encode_hpub with a reply subject ──► PubAck, or the fault of an ApiError           pub_ack.rs, api_error.rs
//! ```

mod ack;
mod api;
mod api_error;
mod pub_ack;
mod pull;

pub use ack::{AckReply, encode_ack, encode_nak, encode_term, encode_wpi};
pub use api::Api;
pub use api_error::ApiError;
pub use pub_ack::PubAck;
pub use pull::{PullEnd, PullRequest, PullStatus, encode_pull};
