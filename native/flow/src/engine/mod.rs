//! The engine: what moves messages between NATS and the connectors.
//!
//! ```text
//! node/        the host's handle: configure, install, remove, start, stats, drain     one per process
//!   shard/     one thread: the order of things; routes what the rooms return          one per --threads
//!     ingress/     request ─► stored message ─► 202
//!     intake/      frame ─► whose message is it?
//!     steps/       parse ─► steps ─► outputs
//!     delivery/    outgoing lane ─► queue ─► sink
//!       registry/      which pipelines there are, which revision a message is run by
//!       consumers/     where messages come from, and how many are asked for
//!       settlement/    what every message ends in: output, dead letter, ack
//!         tap/             who watches the messages of a pipeline
//!         observe/, world/, message.rs, canary.rs, ids.rs, subjects.rs, nats_api.rs, settings.rs
//! ```
//!
//! Each room imports what stands below it and nothing beside it; a test holds that, file by file.

mod canary;
mod consumers;
mod delivery;
mod ids;
mod ingress;
mod intake;
mod message;
mod nats_api;
mod node;
mod observe;
mod registry;
mod settings;
mod settlement;
mod shard;
mod steps;
pub(crate) mod subjects;
mod tap;
mod world;

pub use consumers::{PULL_BATCH, PULL_EXPIRES_SECONDS};
pub use node::{
    CanaryInstall, Changes, Finding, Install, Installs, Key, MAX_LANES, MAX_THREADS, Node, PipelineCanary,
    PipelineStats,
};
pub use observe::{Condition, Event, EventKind, Metric};
pub use registry::Secrets;
pub use settings::{NatsSettings, NodeType, Settings, Topology, sign_nonce};

/// For a simulation and a bench: one shard, in a world of its own.
pub mod one_shard {
    pub use super::canary::Share;
    pub use super::observe::Counters;
    pub use super::registry::Prepared;
    pub use super::shard::{Command, Start, run_in};
    pub use super::world::{Elsewhere, SystemWorld, Work, World};
}
