//! From TypeScript to JavaScript by blanking: every type becomes spaces, so that each line and column
//! of an error is one in the customer's file.
//!
//! ```text
//! source ─► nesting.rs   size, brackets, length of expressions: before any recursive parser sees it
//!        ─► parse.rs     oxc, on a thread with a large stack
//!        ─► refuse.rs    what types cannot be blanked out of, and modules: script/unsupported
//!                        and, by export.rs, a default export that is async: script/async
//!        ─► types.rs, class.rs   what is to be blanked ─► blank.rs   the text with it blanked
//! ```

mod blank;
mod class;
mod export;
mod nesting;
mod parse;
mod position;
mod refuse;
mod types;

use message::Fault;

pub use nesting::MAX_SOURCE_BYTES;
pub use position::Origin;

use crate::program::Language;

/// Gives the JavaScript of `source`, as long as `source` in bytes and in UTF-16 units.
pub fn strip(source: &str, language: Language, file: &str) -> Result<String, Fault> {
    nesting::check(source).map_err(|fault| fault.in_file(file))?;
    parse::on_large_stack(source, language).map_err(|fault| fault.in_file(file))
}
