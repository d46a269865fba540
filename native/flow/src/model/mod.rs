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

mod choice;
mod expectation;
mod file;
mod format;
mod hint;
mod input;
mod limits;
mod out;
mod scalar;
mod spec;
mod step;
mod text;
mod walk;

#[cfg(test)]
mod tests;

pub use expectation::{Example, ExampleInput, Expected, ExpectedOut};
pub use file::{MAX_BYTES, PipelineFile, VERSION, examine, read, read_limits, read_value, schema};
pub use hint::instead;
pub use input::{
    ContentType, HttpIn, In, InApiKey, InAuth, InBasic, InBearer, KnownKey, KnownUser, NatsIn, NatsMode, NoAuth,
    Secrets,
};
pub use limits::{Limits, ScriptLimits};
pub use out::{
    BasicAuth, BearerAuth, FileOut, HeaderValue, HttpOut, Method, NatsOut, Out, OutAuth, OutTls, OutUrl, Outs, Retry,
    SINGLE_OUT, Secret, StdoutOut, UserPassword,
};
pub use scalar::Span;
pub use spec::{Spec, specs};
pub use step::{
    Case, Convert, Doctype, Format, Language, Namespaces, Nil, NumberFormat, OneOrMany, Script, ScriptSource, Step,
};
pub use text::{Expression, FieldPath, FileName, HeaderText, OutName, PassedHeader, QueryName, Rate, UrlText};
