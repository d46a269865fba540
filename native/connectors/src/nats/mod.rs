//! NATS, in and out: the shard reads and publishes on its own connection, so there is neither a source nor a sink.
//!
//! ```text
//! options   what the file says
//! spec      Subscription and Publish, which the shard attaches
//! subject   what a subject and the name of a stream may be
//! ```

mod options;
mod spec;
pub mod subject;

pub use options::{NatsIn, NatsMode, NatsOut};
pub use spec::{NatsSinkKind, NatsSourceKind, Publish, Subscription};
