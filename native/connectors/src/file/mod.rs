//! Files: a message is a line of one that is written, and a file, a line or a row of those that are read.
//!
//! ```text
//! Delivery ──► line.rs          one line: JSON without its line ends, or a JSON string
//!                 ▼
//!              sink/mod.rs      the batch as one block of lines, off the shard's thread
//!                 ▼
//!              sink/registry.rs one writer per file and process   sink/place.rs where it may lie
//!                 ▼                                                  │ folder.rs the way there
//!              sink/writer.rs   one write, fdatasync; back to the last good length on an error
//!              sink/repair.rs     a last line torn by a crash, on open
//!
//! Incoming ◄── source/mod.rs    the files of a folder, read and put away; its folders by folder.rs, too
//! ```

mod folder;
pub(crate) mod line;
mod options;
pub mod sink;
pub mod source;

pub use options::{FileIn, FileOut};
pub use sink::FileSinkKind;
pub use source::FileSourceKind;
