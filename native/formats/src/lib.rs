//! XML, JSON and CSV: bytes to document to bytes. And lookup tables, in `table/`.
//!
//! ```text
//!            json::parse                      json::emit
//! payload ──────────────► message::Document ─────────────► payload
//!            xml::Reader    one tape, JSON     xml::emit
//!            csv::Reader    model; steps read  csv::emit
//!                           and edit it here
//! ```
//!
//! A scanner makes one pass over the bytes and settles everything that depends on the format:
//! well-formedness, conventions, declared types, caps. What it leaves on the tape are ranges of the
//! payload, so a text is decoded only when somebody reads it, and an emitter translates it straight
//! to the other format. Nothing here recurses, and no input makes it panic.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod csv;
pub mod json;
mod names;
mod swar;
pub mod table;
pub mod xml;

use message::{Code, Document, Fault, Format, Limits};

/// Offsets on the tape are `u32`, and edits append behind the payload; `limits` cannot go above.
const MAX_BYTES: usize = 1 << 30;

/// Working memory that a thread keeps from one payload to the next; what grew beyond is given back.
const KEPT_MEMORY: usize = 256 << 10;

/// Appends the document in the format it has now, in UTF-8; the text that was read when nothing was changed.
///
/// # Errors
/// Those of [`xml::emit`] and [`csv::emit`]; JSON has none.
pub fn emit(document: &Document, out: &mut Vec<u8>) -> Result<(), Fault> {
    if document.is_unchanged() {
        out.extend_from_slice(document.decoded());
        return Ok(());
    }
    match document.format() {
        Format::Json => {
            json::emit(document, out);
            Ok(())
        }
        Format::Xml => xml::emit(document, out),
        Format::Csv => csv::emit(document, out),
    }
}

#[cold]
fn too_large(code: Code, source: &[u8], limits: &Limits) -> Fault {
    let limit = limits.bytes.min(MAX_BYTES);
    Fault::new(code, format!("{} bytes, allowed are {limit}", source.len())).at_offset(limit)
}
