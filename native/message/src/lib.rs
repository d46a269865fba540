//! What every other crate speaks: the batch, the document, verdicts, error codes, limits.
//!
//! ```text
//! envelope ──► headers by range, who sent it           envelope.rs
//! payload  ──► Document: one tape with a JSON model    document/
//!              read by Value, addressed by Path        document/value.rs, path.rs
//!              edited in place                         document/edit.rs
//! steps    ──► Verdict, or a Fault with code and place step.rs, fault.rs, code.rs
//! caps     ──► Limits                                  limits.rs, stack.rs
//! tables   ──► rows by key, shared by all messages       table.rs
//! traces   ──► what the next hop is told               trace.rs
//! ids, traces ──► hex digits                           hex.rs
//! bytes of ours ──► numbers and texts one after the other packed.rs
//! charsets ──► what XML may be written in             charset.rs
//! ```
//!
//! No sockets, no clocks, no threads: this crate only holds and moves data.

mod charset;
mod code;
mod document;
mod envelope;
mod fault;
mod hex;
mod limits;
mod name;
pub mod packed;
mod path;
mod stack;
mod step;
mod table;
mod trace;

pub use charset::{Charset, charset_parameters, other_parameters};
pub use code::{Code, Stage};
pub use document::{
    Conventions, Dialect, Document, EditError, Encoding, Extent, Flags, Format, Items, Kind, Members, NONE, Node,
    PartsBudget, PartsCheck, PartsError, Piece, Pieces, Reading, Span, Value, xml_reference,
};
pub use envelope::{Headers, Line, Lines};
pub use fault::{Fault, Place};
pub use hex::hex;
pub use limits::Limits;
pub use name::{NameError, check_name, check_secret_name};
pub use path::{Path, PathError, Segment};
pub use stack::{declare_stack, has_stack};
pub use step::{Context, Outs, Step, Verdict, Work};
pub use table::{Table, Tables};
pub use trace::{Hop, TRACEPARENT_LENGTH, hop_in_place, is_traceparent};
