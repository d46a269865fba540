//! JSON exactly as RFC 8259 defines it.
//!
//! ```text
//! bytes ──► scan.rs ──► Document ──► emit.rs ──► bytes
//!             │ string.rs   what may stand in a string, and how
//!             └ number.rs   what a number looks like
//! ```
//!
//! Where the RFC leaves a choice: a byte order mark before the text is passed over, and a key that
//! stands twice in one object is refused, since a filter would see one value and a receiver another.

mod emit;
mod number;
mod scan;
mod string;

pub use emit::emit;
pub(crate) use number::{from_xml_schema, is_number};
pub use scan::parse;
