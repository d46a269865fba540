//! CSV as RFC 4180 has it, with the delimiters and quotes that are out there: a list of objects, one for each row.
//!
//! ```text
//! bytes ──► scan.rs      fields and records: where each begins and ends, and nothing copied
//!             │ columns.rs   the names of the columns, and the types that are declared for them
//!             ▼
//!           rows.rs      an object for each row  ──► Document
//!
//! Document ──► emit.rs  ──► bytes
//! ```
//!
//! What csv-core makes of the same bytes is the same (a test compares), but for what is refused here: torn quotes, and
//! rows with another number of fields. csv-core does not tell the former, copies every field, and has no positions
//! within a record; the tape wants ranges of the payload.

mod columns;
mod emit;
mod options;
mod rows;
mod scan;

use std::sync::{Arc, LazyLock};

use message::{Code, Conventions, Dialect, Document, Fault, Format, Limits};

pub use columns::{Columns, MAX_COLUMNS};
pub use emit::emit;
pub use options::{CsvOptions, Empty, Header, LineEnd};
pub use scan::MAX_FIELD;

use columns::Types;
use rows::Rows;
use scan::Scanner;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

static CONVENTIONS: LazyLock<Arc<Conventions>> = LazyLock::new(Arc::default);

/// Compiled options, to parse any number of tables; may be shared by threads.
#[derive(Debug)]
pub struct Reader {
    dialect: Arc<Dialect>,
    header: Header,
    types: Types,
    /// Where they do not depend on a header.
    columns: Option<Columns>,
}

impl Reader {
    /// # Errors
    /// `config/invalid-path`, `config/invalid-value`; the place's pointer names the option, such as `/numbers/0` or
    /// `/csv/delimiter`.
    pub fn new(options: &CsvOptions) -> Result<Reader, Fault> {
        let dialect = options.dialect()?;
        let types = Types::compile(options)?;
        let names = dialect.columns.iter().map(|name| &**name);
        let columns = match options.header {
            Header::Names => None,
            Header::Skip | Header::None => Some(Columns::new(names, &types)),
        };
        Ok(Reader { dialect, header: options.header, types, columns })
    }

    /// Fills `document` with the rows of one table, as a list of objects. The document is empty when this fails.
    ///
    /// # Errors
    /// Every `convert/csv-...` code, `convert/not-a-number` and `convert/not-a-boolean`, with line, column and byte.
    pub fn parse(&self, source: &[u8], limits: &Limits, document: &mut Document) -> Result<(), Fault> {
        self.emptied_when_failed(document, |reader, document| {
            reader.begin(source, limits, document)?;
            let mut scanner = Scanner::new(source, &reader.dialect);
            scanner.skip(BYTE_ORDER_MARK);
            let named;
            let columns = match &reader.columns {
                Some(columns) => {
                    if reader.header == Header::Skip {
                        reader.header_row(&mut scanner, limits)?;
                    }
                    columns
                }
                None => {
                    named = reader.header_row(&mut scanner, limits)?;
                    &named
                }
            };
            Rows::new(columns, &reader.types, limits, document).all(&mut scanner)
        })
    }

    /// The columns of a table that is read row by row, by its header row, which may begin with a byte order mark. A
    /// table without a header row has [`Reader::fixed_columns`].
    ///
    /// # Errors
    /// `convert/csv-header`, and others of `convert/csv-...`, with the place in `record`.
    pub fn columns(&self, record: &[u8], limits: &Limits) -> Result<Columns, Fault> {
        check_text(record, limits)?;
        let mut scanner = Scanner::new(record, &self.dialect);
        scanner.skip(BYTE_ORDER_MARK);
        let named = self.header_row(&mut scanner, limits)?;
        Ok(self.columns.clone().unwrap_or(named))
    }

    /// The columns, where they do not depend on the table.
    #[must_use]
    pub fn fixed_columns(&self) -> Option<&Columns> {
        self.columns.as_ref()
    }

    /// Whether the first row is not one of the table's.
    #[must_use]
    pub fn has_header(&self) -> bool {
        self.header != Header::None
    }

    /// Fills `document` with one row, as an object. The document is empty when this fails.
    ///
    /// # Errors
    /// Those of [`Reader::parse`], with the place in `record`.
    pub fn row(&self, columns: &Columns, record: &[u8], limits: &Limits, document: &mut Document) -> Result<(), Fault> {
        self.emptied_when_failed(document, |reader, document| {
            reader.begin(record, limits, document)?;
            let mut scanner = Scanner::new(record, &reader.dialect);
            Rows::new(columns, &reader.types, limits, document).one(&mut scanner)
        })
    }

    /// How many bytes the first record of `bytes` has, its line end included. `None`: more bytes are needed to tell;
    /// never when these are `all` there are. A line of nothing is a record, which is no row.
    #[must_use]
    pub fn record_length(&self, bytes: &[u8], all: bool) -> Option<usize> {
        scan::record_length(bytes, &self.dialect, all)
    }

    fn begin(&self, source: &[u8], limits: &Limits, document: &mut Document) -> Result<(), Fault> {
        check_text(source, limits)?;
        document.reset(source, Format::Csv, &CONVENTIONS);
        document.set_dialect(&self.dialect);
        Ok(())
    }

    /// Reads the header row, and checks it against the columns where these are to be found there.
    fn header_row(&self, scanner: &mut Scanner<'_>, limits: &Limits) -> Result<Columns, Fault> {
        scanner.skip_empty_lines();
        if scanner.is_at_end() {
            return Err(scanner.fault(Code::ConvertCsvHeader, "there is no header row", scanner.at));
        }
        if self.header == Header::Skip {
            while scanner.field()?.end == scan::End::Field {}
            return Ok(Columns::default());
        }
        Columns::read(scanner, &self.dialect, &self.types, limits)
    }

    fn emptied_when_failed(
        &self,
        document: &mut Document,
        read: impl FnOnce(&Reader, &mut Document) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let done = read(self, document);
        if done.is_err() {
            document.reset(&[], Format::Csv, &CONVENTIONS);
        }
        done
    }
}

impl Default for Reader {
    fn default() -> Self {
        let (dialect, types) = (Arc::default(), Types::default());
        Reader { dialect, header: Header::Names, types, columns: None }
    }
}

fn check_text(source: &[u8], limits: &Limits) -> Result<(), Fault> {
    if source.len() > limits.bytes.min(crate::MAX_BYTES) {
        return Err(crate::too_large(Code::ConvertCsvTooLarge, source, limits));
    }
    if source.starts_with(b"\xFF\xFE") || source.starts_with(b"\xFE\xFF") {
        return Err(scan::fault(source, Code::ConvertCsvEncoding, "the bytes are UTF-16", 0));
    }
    if let Err(error) = std::str::from_utf8(source) {
        return Err(scan::fault(source, Code::ConvertCsvEncoding, "the bytes are not UTF-8", error.valid_up_to()));
    }
    match memchr::memchr(0, source) {
        Some(at) => Err(scan::fault(source, Code::ConvertCsvEncoding, "there is a NUL byte", at)),
        None => Ok(()),
    }
}
