//! How CSV becomes a list of objects, and back: what a `convert` step or a caller can choose.

use std::sync::Arc;

use message::{Code, Dialect, Fault};

use super::columns::MAX_COLUMNS;
use crate::xml::NumberFormat;

/// What the first row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// The names of the columns. Where `columns` are given, it has to name exactly these, in this order.
    #[default]
    Names,
    /// A header that is passed over: `columns` has the names.
    Skip,
    /// A row like any other: `columns` has the names.
    None,
}

/// What a field without a character and without quotes is; one of a number or boolean is null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    /// An empty text, and so is null when it is written.
    #[default]
    Text,
    /// Null. An empty text is a pair of quotes.
    Null,
}

/// What ends a line that is written. All of CR LF, LF and CR are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnd {
    #[default]
    CrLf,
    Lf,
}

/// The options of one conversion. The defaults are those of RFC 4180, with a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Between two fields.
    pub delimiter: char,
    /// Around a field that holds a delimiter or a line end; twice within it for one. `None`: nothing quotes.
    pub quote: Option<char>,
    pub header: Header,
    /// The names of the columns, in order.
    pub columns: Vec<String>,
    /// Paths of columns that hold a number: a name, or `["a name"]`.
    pub numbers: Vec<String>,
    /// Paths of columns that hold `true`, `false`, `1` or `0`.
    pub booleans: Vec<String>,
    pub number_format: NumberFormat,
    pub empty: Empty,
    pub line_end: LineEnd,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: ',',
            quote: Some('"'),
            header: Header::Names,
            columns: Vec::new(),
            numbers: Vec::new(),
            booleans: Vec::new(),
            number_format: NumberFormat::Json,
            empty: Empty::Text,
            line_end: LineEnd::CrLf,
        }
    }
}

impl CsvOptions {
    /// The part of the options that a document carries with it, to be written by: `document.set_dialect(...)`.
    ///
    /// # Errors
    /// `config/invalid-value`; the place's pointer names the option.
    pub fn dialect(&self) -> Result<Arc<Dialect>, Fault> {
        let delimiter = sign(self.delimiter).ok_or_else(|| {
            refused(
                "/csv/delimiter",
                "a delimiter is one ASCII character, such as `;`, and no letter, digit or line end",
            )
        })?;
        let quote = self.quote.map(|quote| {
            sign(quote).filter(|quote| *quote != delimiter).ok_or_else(|| {
                refused("/csv/quote", "a quote is one ASCII character other than the delimiter, such as `'`, or `none`")
            })
        });
        self.check_columns()?;
        Ok(Arc::new(Dialect {
            delimiter,
            quote: quote.transpose()?,
            crlf: self.line_end == LineEnd::CrLf,
            header: self.header != Header::None,
            columns: self.columns.iter().map(|name| name.as_str().into()).collect(),
            empty_is_null: self.empty == Empty::Null,
        }))
    }

    fn check_columns(&self) -> Result<(), Fault> {
        if self.columns.is_empty() && self.header != Header::Names {
            let reason = "without names in a header row, `columns` has to name the columns";
            return Err(refused("/csv/columns", reason));
        }
        if self.columns.len() > MAX_COLUMNS {
            return Err(refused("/csv/columns", &format!("there are more than {MAX_COLUMNS} columns")));
        }
        for (at, name) in self.columns.iter().enumerate() {
            let pointer = format!("/csv/columns/{at}");
            if name.is_empty() || name.contains('\0') {
                return Err(refused(&pointer, "a column's name has at least one character, and no NUL"));
            }
            if self.columns[..at].contains(name) {
                return Err(refused(&pointer, "the name stands twice"));
            }
        }
        Ok(())
    }
}

/// A character that can stand between or around fields.
fn sign(character: char) -> Option<u8> {
    let is_fit = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control() && !byte.is_ascii_alphanumeric();
    u8::try_from(character).ok().filter(u8::is_ascii).filter(is_fit)
}

fn refused(pointer: &str, reason: &str) -> Fault {
    Fault::new(Code::ConfigInvalidValue, reason).at_pointer(pointer)
}
