//! Lookup tables: a file of CSV or JSON becomes rows by key.
//!
//! ```text
//! text ─┬─ CSV:  quotes.rs   every quote has its partner, and where a field stands
//!       │        csv.rs      header, rows, declared types           (the csv crate)  ──► message::Table
//!       └─ JSON: json.rs     an object by its names, or a list by a member of its objects
//! ```
//!
//! For the control path: a table is read once, when its pipeline is compiled. What is wrong with it has a line and a
//! column of the file, or a pointer to the option that does not fit it.

mod csv;
mod json;
mod quotes;

use message::{Code, Fault, Table};

/// Bytes of one file.
pub const MAX_BYTES: usize = 4 << 20;
/// Rows of one table.
pub const MAX_ROWS: usize = 100_000;
/// Values of one table: a row counts as one, and each of its values.
pub const MAX_VALUES: usize = 500_000;

/// How a file is read.
#[derive(Clone, Debug)]
pub enum Options {
    Csv(CsvOptions),
    Json(JsonOptions),
}

#[derive(Clone, Debug)]
pub struct CsvOptions {
    /// Between fields; ASCII, and neither a quote nor the end of a line.
    pub delimiter: u8,
    /// The column that finds a row.
    pub key: String,
    /// Columns that are numbers, as JSON writes them.
    pub numbers: Vec<String>,
    /// Columns that are `true`, `false`, `1` or `0`.
    pub booleans: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct JsonOptions {
    /// The member that finds a row of a list. `None`: the file is an object, and its names are the keys.
    pub key: Option<String>,
}

/// Reads a table. Blocks for as long as it takes to read the text once.
///
/// # Errors
/// `config/invalid-table` and `config/too-large`, with the line and column in the file, or with the pointer of an option
/// that does not fit it, such as `/key`.
pub fn parse(text: &str, options: &Options) -> Result<Table, Fault> {
    if text.len() > MAX_BYTES {
        let reason = format!("the table has {} bytes, allowed are {MAX_BYTES}", text.len());
        return Err(Fault::new(Code::ConfigTooLarge, reason).at_line(1, 1));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match options {
        Options::Csv(options) => csv::parse(text, options),
        Options::Json(options) => json::parse(text, options),
    }
}

/// A fault at a byte of the file.
#[cold]
fn invalid(text: &str, at: usize, reason: impl Into<String>) -> Fault {
    let (line, column) = place(text, at);
    Fault::new(Code::ConfigInvalidTable, reason).at_line(line, column)
}

#[cold]
fn too_large(text: &str, at: usize, reason: impl Into<String>) -> Fault {
    invalid(text, at, reason).with_code(Code::ConfigTooLarge)
}

/// Line and column, both from 1. Lines end with LF, CR LF or CR.
fn place(text: &str, at: usize) -> (u32, u32) {
    let before = text.get(..at).unwrap_or(text);
    let ends = before.match_indices(['\n', '\r']).filter(|(end, found)| {
        let is_half = *found == "\r" && text.as_bytes().get(end + 1) == Some(&b'\n');
        !is_half
    });
    let (line, start) = ends.fold((1u32, 0), |(line, _), (end, _)| (line.saturating_add(1), end + 1));
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, u32::try_from(column).unwrap_or(u32::MAX))
}

/// A value of the file, short enough for a message.
fn quoted(value: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = value.chars().take(SHOWN).collect();
    format!("`{shown}{}`", if shown.len() < value.len() { "…" } else { "" })
}

fn list_of(names: &[Box<str>]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| quoted(name)).collect();
    format!("{}{}", shown.join(", "), if names.len() > SHOWN { ", …" } else { "" })
}

#[cfg(test)]
mod tests;
