//! Files, one line per message (NDJSON).
//!
//! ```text
//! Delivery ──► line.rs          one line: JSON without its line ends, or a JSON string
//!                 ▼
//!              sink/mod.rs      the batch as one block of lines, off the shard's thread
//!                 ▼
//!              sink/registry.rs one writer per file and process   sink/place.rs where it may lie
//!                 ▼
//!              sink/writer.rs   one write, fdatasync; back to the last good length on an error
//!              sink/repair.rs     a last line torn by a crash, on open
//! ```

pub(crate) mod line;
mod options;
pub mod sink;

pub use options::FileOut;
pub use sink::FileSinkKind;
