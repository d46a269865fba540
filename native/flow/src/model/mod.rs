//! The pipeline file: what a customer writes, once for Rust, Python and the docs.
//!
//! ```text
//! JSON ──► walk along the schema ──► typed model ──► canonical JSON ──► revision
//!          walk.rs, choice.rs        file.rs, input.rs, step.rs, out.rs,
//!          every fault at its        limits.rs, expectation.rs
//!          pointer, with a hint
//! ```
//!
//! The types are the source: [`schema`] is generated from them, the walk follows that schema, and so
//! does the YAML reader in Python, which asks it which scalars are texts. Formats that a schema
//! cannot say (`name`, `path`, `rate`, ...) are checked in format.rs.

mod ceilings;
mod choice;
mod connector;
mod expectation;
mod file;
mod format;
mod hint;
mod input;
mod limits;
mod out;
mod spec;
mod step;
mod table;
mod text;
mod walk;

#[cfg(test)]
mod tests;

pub use ceilings::Ceilings;
pub use connector::Connector;
pub use connectors::options::{Csv, Span};
pub use expectation::{Example, ExampleInput, Expected, ExpectedOut};
pub use file::{MAX_BYTES, PipelineFile, VERSION, examine, read, read_limits, read_value, schema};
pub use hint::instead;
pub use input::In;
pub use limits::{Limits, ScriptLimits};
pub use out::{Out, Outs, SINGLE_OUT};
pub use spec::{Spec, specs};
pub use step::{
    Case, Convert, Doctype, Format, Language, Namespaces, Nil, NumberFormat, OneOrMany, Script, ScriptSource, Step,
};
pub use table::TableFile;
pub use text::{Expression, FieldPath, FileName, OutName, Rate};
