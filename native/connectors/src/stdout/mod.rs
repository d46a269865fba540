//! Standard output: for people to look at, one line per message.

mod options;
pub mod sink;
mod spec;

pub use options::StdoutOut;
pub use spec::StdoutSinkKind;
