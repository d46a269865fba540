//! Tables in CSV (RFC 4180): a header, then a row each.

use csv::{ReaderBuilder, StringRecord};
use message::{Code, Document, Fault, Kind, NONE, Node, Span, Table};

use super::quotes::{check, field_start};
use super::{CsvOptions, MAX_ROWS, MAX_VALUES, invalid, list_of, quoted, too_large};
use crate::json::is_number;

/// What a column's cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Number,
    Boolean,
}

/// A record with the byte at which it begins.
struct Record<'t> {
    text: &'t str,
    delimiter: u8,
    start: usize,
    fields: StringRecord,
}

impl Record<'_> {
    #[cold]
    fn invalid(&self, field: usize, reason: impl Into<String>) -> Fault {
        invalid(self.text, field_start(self.text, self.start, field, self.delimiter), reason)
    }
}

pub fn parse(text: &str, options: &CsvOptions) -> Result<Table, Fault> {
    if let Some(at) = text.find('\0') {
        return Err(invalid(text, at, "a NUL character"));
    }
    check(text, options.delimiter)?;
    let mut records = records(text, options.delimiter);
    let header = records.next().transpose()?.ok_or_else(|| invalid(text, 0, "the table has no header"))?;
    let columns = names(&header)?;
    let types = types(&columns, options)?;
    let key = position(&columns, &options.key).map_err(|fault| fault.at_pointer("/key"))?;
    let mut rows = Rows::new(columns, types, key);
    for record in records {
        rows.push(&record?)?;
    }
    Ok(rows.table)
}

fn records(text: &str, delimiter: u8) -> impl Iterator<Item = Result<Record<'_>, Fault>> {
    let mut settings = ReaderBuilder::new();
    settings.has_headers(false).flexible(true).delimiter(delimiter);
    let mut reader = settings.from_reader(text.as_bytes());
    std::iter::from_fn(move || {
        let mut fields = StringRecord::new();
        match reader.read_record(&mut fields) {
            Ok(false) => None,
            Ok(true) => {
                let start = fields.position().map_or(0, csv::Position::byte);
                Some(Ok(Record { text, delimiter, start: usize::try_from(start).unwrap_or(0), fields }))
            }
            // The text is UTF-8, and records may differ in length: nothing is left that could fail.
            Err(error) => Some(Err(invalid(text, 0, error.to_string()))),
        }
    })
}

fn names(header: &Record<'_>) -> Result<Box<[Box<str>]>, Fault> {
    let mut names: Vec<Box<str>> = Vec::with_capacity(header.fields.len());
    for (at, name) in header.fields.iter().enumerate() {
        if name.is_empty() {
            return Err(header.invalid(at, "the header has a column without a name"));
        }
        if names.iter().any(|known| **known == *name) {
            return Err(header.invalid(at, format!("the header has the column {} twice", quoted(name))));
        }
        names.push(name.into());
    }
    Ok(names.into())
}

fn types(columns: &[Box<str>], options: &CsvOptions) -> Result<Vec<Type>, Fault> {
    let mut types = vec![Type::Text; columns.len()];
    for (option, names, kind) in
        [("numbers", &options.numbers, Type::Number), ("booleans", &options.booleans, Type::Boolean)]
    {
        for (at, name) in names.iter().enumerate() {
            let pointed = |fault: Fault| fault.at_pointer(format!("/{option}/{at}"));
            let column = position(columns, name).map_err(pointed)?;
            if types[column] != Type::Text {
                let reason = format!("the column {} has a type already", quoted(name));
                return Err(pointed(Fault::new(Code::ConfigInvalidTable, reason)));
            }
            types[column] = kind;
        }
    }
    Ok(types)
}

fn position(columns: &[Box<str>], name: &str) -> Result<usize, Fault> {
    columns.iter().position(|column| **column == *name).ok_or_else(|| {
        let reason = format!("the table has no column {}; it has {}", quoted(name), list_of(columns));
        Fault::new(Code::ConfigInvalidTable, reason)
    })
}

/// The table as far as it is read.
struct Rows {
    table: Table,
    types: Vec<Type>,
    /// The names of the columns, on the tape once for all rows.
    names: Vec<Span>,
    key: usize,
    /// The number of values.
    values: usize,
}

impl Rows {
    fn new(columns: Box<[Box<str>]>, types: Vec<Type>, key: usize) -> Rows {
        let mut document = Document::default();
        let names = columns.iter().map(|name| document.append(name.as_bytes())).collect();
        Rows { table: Table::new(document, columns), types, names, key, values: 0 }
    }

    fn push(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let (count, columns) = (record.fields.len(), self.names.len());
        if count != columns {
            return Err(record.invalid(0, format!("the row has {count} fields, the header {columns}")));
        }
        self.values += columns + 1;
        if self.table.len() == MAX_ROWS || self.values > MAX_VALUES {
            let reason = format!("the table has more than {MAX_ROWS} rows, or {MAX_VALUES} values");
            return Err(too_large(record.text, record.start, reason));
        }
        let row = self.row(record)?;
        let key = record.fields.get(self.key).unwrap_or_default();
        if key.is_empty() {
            return Err(record.invalid(self.key, "the row has no key"));
        }
        if !self.table.insert(key, row) {
            return Err(record.invalid(self.key, format!("the key {} stands twice", quoted(key))));
        }
        Ok(())
    }

    fn row(&mut self, record: &Record<'_>) -> Result<u32, Fault> {
        let document = self.table.document_mut();
        let row = document.push(Node::new(Kind::Object));
        let mut previous = NONE;
        for (at, (text, kind)) in record.fields.iter().zip(&self.types).enumerate() {
            let cell = push_cell(document, text, *kind).map_err(|reason| record.invalid(at, reason))?;
            document.node_mut(cell).key = self.names[at];
            document.link(row, previous, cell);
            previous = cell;
        }
        Ok(row)
    }
}

/// A cell that is empty is null where it should be a number or a boolean.
fn push_cell(document: &mut Document, text: &str, kind: Type) -> Result<u32, String> {
    match kind {
        Type::Text => Ok(document.push_text(text)),
        _ if text.is_empty() => Ok(document.push(Node::new(Kind::Null))),
        Type::Number if is_number(text.as_bytes()) => Ok(document.push_leaf(Kind::Number, text.as_bytes())),
        Type::Number => Err(format!("{} is no number", quoted(text))),
        Type::Boolean => match text {
            "true" | "1" => Ok(document.push_bool(true)),
            "false" | "0" => Ok(document.push_bool(false)),
            _ => Err(format!("{} is neither true nor false", quoted(text))),
        },
    }
}
