//! The engine: what moves messages between NATS and the connectors.
//!
//! ```text
//! node.rs       configure, install, start, stats, drain        one per process
//!   check.rs     whether connectors would work, before anything runs
//!   node_type.rs  incoming, logic, outgoing: what it serves
//!   start.rs    a thread becomes a shard                        one per --threads
//!     shard.rs  its tasks, one turn of the connection at a time
//!       ingress.rs    HTTP request ─► stored message ─► 202
//!       intake.rs     NATS frame ─► whose message is it?
//!       logic.rs      parse ─► steps ─► outputs
//!       scripted.rs   what is with a script, and what becomes of it
//!       large/        the same for payloads above 1 MiB, on a thread of its own
//!       kept.rs       what is kept of a message meanwhile
//!       spare.rs      documents to be used again
//!       core.rs       publish an output, close an input, write a dead letter
//!       outgoing.rs   outgoing lane ─► queue ─► sink, with retries
//!       queue.rs      what waits for one sink, its workers, its pause
//!       breaker.rs    when an out's messages are parked, and when they come back
//!       parking.rs    to VRSKY_PARKED and back
//!       connect.rs    sinks connected at install, closed when replaced or drained
//!       health.rs     how each in and out is, for whoever asks
//!       ledger.rs     which inputs wait for which outputs
//!       crowd.rs      streams that refuse what is published, and full lanes
//!       tally.rs      what counts when an input's outputs are stored
//!       publish.rs    publishes and their PubAcks
//!       backlog.rs    how much a stream holds under a subject
//!       pulls.rs      pull consumers and their credit
//!       clock.rs      once a second: late PubAcks, +WPI, backlogs
//!       lifecycle.rs  connected, disconnected, installed, drained
//! ```

mod backlog;
mod breaker;
mod check;
mod clock;
mod connect;
mod core;
mod crowd;
mod events;
mod headers;
mod health;
mod ids;
mod ingress;
mod install;
mod intake;
mod kept;
mod large;
mod ledger;
mod lifecycle;
mod logic;
mod metrics;
mod node;
mod node_type;
mod outgoing;
mod parking;
mod publish;
mod pulls;
mod queue;
mod scripted;
mod shard;
mod sinks;
mod spare;
mod start;
mod subjects;
mod tally;

pub use check::Finding;
pub use events::{Event, EventKind};
pub use health::Condition;
pub use ids::MessageId;
pub use install::Secrets;
pub use metrics::Metric;
pub use node::{NatsSettings, Node, PipelineStats, Settings};
pub use node_type::NodeType;
