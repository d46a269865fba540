//! MQTT 3.1.1 and 5, in and out.
//!
//! ```text
//!  broker ──► link.rs ──► source/session.rs ──► source/inbox.rs ──► read_batch ──► the host
//!               ▲  ▲                                   │
//!               │  └── PUBACK, PUBREC ◄── settle(Stored)
//!               └── PUBLISH ◄── sink/session.rs ◄── sink/request.rs ◄── write_batch
//!
//!  options.rs  what a pipeline says          spec.rs    as a client's options
//!  broker.rs   how a broker is reached       topic.rs   filters, names, and topics with placeholders
//!  packet.rs   both versions as one          reason.rs  what a reason code of the broker means
//! ```
//!
//! The protocol itself is the crate `mqtt-protocol-core`, which does no I/O (docs/decisions/0014).

pub mod broker;
pub(crate) mod link;
pub mod options;
pub(crate) mod packet;
pub(crate) mod reason;
pub mod sink;
pub mod source;
mod spec;
pub mod topic;

pub use broker::{Broker, Qos, Version};
pub use sink::{MqttSink, MqttSinkKind, SinkOptions};
pub use source::{MqttSource, MqttSourceKind, SourceOptions};
pub use topic::TopicTemplate;

/// The user property that counts how often a message was passed on.
const HOPS: &str = "X-Vrsky-Hops";
