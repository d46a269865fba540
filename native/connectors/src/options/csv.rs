//! How a table is written.

use formats::csv::{CsvOptions, Empty, Header, LineEnd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// How CSV is written. Without it: as RFC 4180 has it, with a header row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Csv {
    /// The character between two fields: `,`, `;`, `|`, or the tab as `"\t"`.
    #[serde(default = "delimiter", skip_serializing_if = "is_delimiter")]
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: String,
    /// The character around a field that holds a delimiter, a line end or the character itself, which then stands there
    /// twice; or `none`: no field is quoted, and `"` is a character like any other.
    #[serde(default = "quote", skip_serializing_if = "is_quote")]
    #[schemars(length(min = 1, max = 4))]
    pub quote: String,
    /// What the first row is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: CsvHeader,
    /// The names of the columns, in order. A header row that is read has to be the same. Without it, the header names
    /// them; to CSV, they are the fields that the objects have, in the order in which they come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 1024)))]
    pub columns: Vec<String>,
    /// What an empty field is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub empty: CsvEmpty,
    /// What ends a line that is written. CR LF, LF and CR are read alike.
    #[serde(default, skip_serializing_if = "is_default")]
    pub line_end: CsvLineEnd,
}

impl Default for Csv {
    fn default() -> Self {
        Csv {
            delimiter: delimiter(),
            quote: quote(),
            header: CsvHeader::default(),
            columns: Vec::new(),
            empty: CsvEmpty::default(),
            line_end: CsvLineEnd::default(),
        }
    }
}

impl Csv {
    /// As the format has it, without types.
    #[must_use]
    pub fn format(&self) -> CsvOptions {
        CsvOptions {
            delimiter: only(&self.delimiter),
            quote: (self.quote != "none").then(|| only(&self.quote)),
            header: match self.header {
                CsvHeader::Names => Header::Names,
                CsvHeader::Skip => Header::Skip,
                CsvHeader::None => Header::None,
            },
            columns: self.columns.clone(),
            empty: match self.empty {
                CsvEmpty::Text => Empty::Text,
                CsvEmpty::Null => Empty::Null,
            },
            line_end: match self.line_end {
                CsvLineEnd::Crlf => LineEnd::CrLf,
                CsvLineEnd::Lf => LineEnd::Lf,
            },
            ..CsvOptions::default()
        }
    }
}

/// The only character; one that is refused where there are several.
fn only(text: &str) -> char {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => character,
        _ => '\0',
    }
}

fn delimiter() -> String {
    ",".to_owned()
}

fn is_delimiter(text: &str) -> bool {
    text == ","
}

fn quote() -> String {
    "\"".to_owned()
}

fn is_quote(text: &str) -> bool {
    text == "\""
}

/// What the first row of CSV is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CsvHeader {
    /// The names of the columns. To CSV: it is written.
    #[default]
    Names,
    /// Something that is passed over; `columns` has the names.
    Skip,
    /// A row like any other; `columns` has the names. To CSV: no header is written.
    None,
}

/// What a field without a character is. In a column of `numbers` or `booleans` it is null in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CsvEmpty {
    /// An empty text.
    #[default]
    Text,
    /// Null; between quotes, `""`, an empty text.
    Null,
}

/// What ends a line of CSV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CsvLineEnd {
    /// CR LF, as RFC 4180 has it.
    #[default]
    Crlf,
    /// LF.
    Lf,
}
