//! From the tape to CSV. A list of objects is a table, an object alone one of a single row.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use memchr::memchr;
use message::{Code, Dialect, Document, Fault, Kind, Path, Segment, Value};

use super::columns::MAX_COLUMNS;

/// Appends the document's root to `out` as CSV, by the document's dialect.
///
/// # Errors
/// `convert/not-representable` for what no table can hold; the place's field names it.
pub fn emit(document: &Document, out: &mut Vec<u8>) -> Result<(), Fault> {
    let dialect = document.dialect().unwrap_or(&DEFAULT);
    out.reserve(document.buffer().len());
    let root = document.root();
    let writer = Writer { dialect, first: out.len(), out };
    match root.kind() {
        Kind::List => writer.table(&|| root.items(), true),
        Kind::Object => writer.table(&|| std::iter::once(root), false),
        _ => Err(refused("only a list of objects, or an object, becomes CSV")),
    }
}

static DEFAULT: LazyLock<Arc<Dialect>> = LazyLock::new(Arc::default);

struct Writer<'d, 'o> {
    dialect: &'d Dialect,
    out: &'o mut Vec<u8>,
    /// Where the table begins in `out`.
    first: usize,
}

impl<'d> Writer<'d, '_> {
    fn table<I: Iterator<Item = Value<'d>>>(mut self, rows: &dyn Fn() -> I, is_list: bool) -> Result<(), Fault> {
        let table = Table::new(self.dialect, rows(), is_list)?;
        if self.dialect.header {
            self.header(&table)?;
        }
        let mut cells = vec![None; table.names.len()];
        for (at, row) in rows().enumerate() {
            cells.fill(None);
            for (position, (key, value)) in row.members().enumerate() {
                let column = table.column(position, &key).ok_or_else(|| {
                    place(refused("the field is none of the `columns`"), is_list.then_some(at), Some(&key))
                })?;
                cells[column] = Some(value);
            }
            let failed = |(fault, column): (Fault, Option<usize>)| {
                place(
                    fault,
                    is_list.then_some(at),
                    column.and_then(|column| table.names.get(column)).map(|name| &**name),
                )
            };
            self.row(&cells).map_err(failed)?;
        }
        Ok(())
    }

    fn header(&mut self, table: &Table<'_>) -> Result<(), Fault> {
        for (at, name) in table.names.iter().enumerate() {
            self.delimit(at);
            self.text(name, true)?;
        }
        self.end_line();
        Ok(())
    }

    /// The inner position is the column's.
    fn row(&mut self, cells: &[Option<Value<'_>>]) -> Result<(), (Fault, Option<usize>)> {
        let start = self.out.len();
        for (at, cell) in cells.iter().enumerate() {
            self.delimit(at);
            self.cell(*cell).map_err(|fault| (fault, Some(at)))?;
        }
        if self.out.len() == start {
            // A line of nothing would be no row.
            self.empty_row().map_err(|fault| (fault, None))?;
        }
        self.end_line();
        Ok(())
    }

    fn empty_row(&mut self) -> Result<(), Fault> {
        match self.dialect.quote {
            Some(quote) if !self.dialect.empty_is_null => self.out.extend_from_slice(&[quote, quote]),
            _ => return Err(refused("a row whose only field is empty cannot be told from a line of nothing")),
        }
        Ok(())
    }

    fn cell(&mut self, cell: Option<Value<'_>>) -> Result<(), Fault> {
        let Some(value) = cell else { return Ok(()) };
        match value.kind() {
            Kind::Null => {}
            Kind::True => self.out.extend_from_slice(b"true"),
            Kind::False => self.out.extend_from_slice(b"false"),
            Kind::Number => self.text(&value.text().unwrap_or_default(), false)?,
            Kind::Text => self.text(&value.text().unwrap_or_default(), true)?,
            Kind::Object | Kind::List => return Err(refused("objects and lists have no form in a field of CSV")),
        }
        Ok(())
    }

    fn text(&mut self, text: &str, is_text: bool) -> Result<(), Fault> {
        let bytes = text.as_bytes();
        if memchr(0, bytes).is_some() {
            return Err(refused("a NUL character is not written"));
        }
        if !self.needs_quotes(text, is_text) {
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        let Some(quote) = self.dialect.quote else {
            return Err(refused("without a quote, a delimiter or line end in a field cannot be written"));
        };
        self.out.push(quote);
        let mut rest = bytes;
        while let Some(at) = memchr(quote, rest) {
            self.out.extend_from_slice(&rest[..=at]);
            self.out.push(quote);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(quote);
        Ok(())
    }

    fn needs_quotes(&self, text: &str, is_text: bool) -> bool {
        let Dialect { delimiter, quote, empty_is_null, .. } = *self.dialect;
        let stops = |byte: u8| byte == delimiter || matches!(byte, b'\n' | b'\r') || Some(byte) == quote;
        text.bytes().any(stops)
            || text.is_empty() && is_text && empty_is_null
            // At the very beginning it would be a byte order mark.
            || self.out.len() == self.first && text.starts_with('\u{feff}')
    }

    fn delimit(&mut self, at: usize) {
        if at > 0 {
            self.out.push(self.dialect.delimiter);
        }
    }

    fn end_line(&mut self) {
        self.out.extend_from_slice(if self.dialect.crlf { b"\r\n" } else { b"\n" });
    }
}

/// The columns to write.
struct Table<'d> {
    names: Vec<Cow<'d, str>>,
    positions: HashMap<Cow<'d, str>, usize>,
}

impl<'d> Table<'d> {
    /// The dialect's columns, else those of all rows in the order in which they come.
    fn new(dialect: &'d Dialect, rows: impl Iterator<Item = Value<'d>>, is_list: bool) -> Result<Table<'d>, Fault> {
        let mut table = Table { names: Vec::new(), positions: HashMap::new() };
        for name in &dialect.columns {
            table.add(Cow::Borrowed(&**name));
        }
        for (at, row) in rows.enumerate() {
            if row.kind() != Kind::Object {
                return Err(place(refused("a row of CSV is an object"), is_list.then_some(at), None));
            }
            if dialect.columns.is_empty() {
                table.add_members(row).map_err(|fault| place(fault, is_list.then_some(at), None))?;
            }
        }
        if table.names.is_empty() {
            return Err(refused("there is no field to make a column of; name the columns with `columns`"));
        }
        Ok(table)
    }

    fn add_members(&mut self, row: Value<'d>) -> Result<(), Fault> {
        for (position, (key, _)) in row.members().enumerate() {
            if self.column(position, &key).is_some() {
                continue;
            }
            if key.is_empty() {
                return Err(refused("a column needs a name, and the key is empty"));
            }
            if self.names.len() >= MAX_COLUMNS {
                return Err(refused("there are more than 1,000 columns"));
            }
            self.add(key);
        }
        Ok(())
    }

    fn add(&mut self, name: Cow<'d, str>) {
        self.positions.insert(name.clone(), self.names.len());
        self.names.push(name);
    }

    /// The column of a member; most stand where they stood in the row before.
    fn column(&self, position: usize, key: &str) -> Option<usize> {
        match self.names.get(position) {
            Some(name) if *name == key => Some(position),
            _ => self.positions.get(key).copied(),
        }
    }
}

#[cold]
fn refused(reason: &str) -> Fault {
    Fault::new(Code::ConvertNotRepresentable, reason)
}

#[cold]
fn place(fault: Fault, row: Option<usize>, column: Option<&str>) -> Fault {
    let row = row.and_then(|row| u32::try_from(row).ok()).map(Segment::Index);
    let column = column.map(|name| Segment::Key(name.into()));
    let path = Path::from(row.into_iter().chain(column).collect::<Vec<_>>());
    fault.in_field(path.to_string())
}
