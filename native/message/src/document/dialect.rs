//! How a table is written as CSV.

/// What a document carries with it to be emitted as CSV. The default is RFC 4180.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Between two fields; ASCII.
    pub delimiter: u8,
    /// Around a field that holds a delimiter, a line end or a quote; ASCII. Without it no such field can be written.
    pub quote: Option<u8>,
    /// Lines end with CR LF, else with LF.
    pub crlf: bool,
    /// Whether the first row has the names of the columns.
    pub header: bool,
    /// The columns, in order. Empty: those that the rows have.
    pub columns: Box<[Box<str>]>,
    /// An empty field is null, and an empty text is a pair of quotes; else an empty field is both.
    pub empty_is_null: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect {
            delimiter: b',',
            quote: Some(b'"'),
            crlf: true,
            header: true,
            columns: Box::default(),
            empty_is_null: false,
        }
    }
}
