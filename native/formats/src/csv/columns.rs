//! The columns of a table: their names, and the types that are declared for them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use message::{Code, Dialect, Fault, Limits, Path, Segment};

use super::options::CsvOptions;
use super::scan::{End, Field, Scanner};
use crate::xml::NumberFormat;

/// Columns of one table.
pub const MAX_COLUMNS: usize = 1_000;

/// The type that a column's fields are declared to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Number,
    Boolean,
}

/// The declared types, by column.
#[derive(Debug, Default)]
pub(super) struct Types {
    by_name: HashMap<Box<str>, Type>,
    pub(super) number_format: NumberFormat,
}

impl Types {
    pub(super) fn compile(options: &CsvOptions) -> Result<Types, Fault> {
        let mut types = Types { by_name: HashMap::new(), number_format: options.number_format };
        for (option, paths, kind) in
            [("numbers", &options.numbers, Type::Number), ("booleans", &options.booleans, Type::Boolean)]
        {
            for (at, path) in paths.iter().enumerate() {
                let added = types.add(path, kind, options);
                added.map_err(|fault| fault.at_pointer(format!("/{option}/{at}")))?;
            }
        }
        Ok(types)
    }

    fn add(&mut self, text: &str, kind: Type, options: &CsvOptions) -> Result<(), Fault> {
        let invalid = |reason: String| Fault::new(Code::ConfigInvalidPath, reason);
        let path = Path::parse(text).map_err(|error| invalid(error.to_string()))?;
        let [Segment::Key(name)] = path.segments() else {
            let reason =
                "a path of CSV is the name of a column, and holds for every row: `price`, or `[\"unit price\"]`";
            return Err(invalid(reason.to_owned()));
        };
        if !options.columns.is_empty() && options.columns.iter().all(|column| **column != **name) {
            return Err(invalid(format!("`columns` has no column `{name}`")));
        }
        if self.by_name.insert(name.clone(), kind).is_some_and(|other| other != kind) {
            let reason = "the column is declared both a number and a boolean";
            return Err(Fault::new(Code::ConfigInvalidValue, reason));
        }
        Ok(())
    }
}

/// The columns of a table, in order.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// All names, one behind the other.
    pub(super) names: Vec<u8>,
    pub(super) columns: Vec<Column>,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: Range<usize>,
    pub(super) kind: Option<Type>,
}

impl Columns {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>, types: &Types) -> Columns {
        let mut columns = Columns::default();
        for name in names {
            columns.push(name, types);
        }
        columns
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| self.name(column))
    }

    pub(super) fn name(&self, column: &Column) -> &str {
        std::str::from_utf8(&self.names[column.name.clone()]).unwrap_or_default()
    }

    fn push(&mut self, name: &str, types: &Types) {
        let start = self.names.len();
        self.names.extend_from_slice(name.as_bytes());
        self.columns.push(Column { name: start..self.names.len(), kind: types.by_name.get(name).copied() });
    }

    /// Reads a header row, which has to name the dialect's columns where that has any.
    pub(super) fn read(
        scanner: &mut Scanner<'_>,
        dialect: &Dialect,
        types: &Types,
        limits: &Limits,
    ) -> Result<Columns, Fault> {
        let (mut columns, mut known) = (Columns::default(), HashSet::new());
        loop {
            let field = scanner.field()?;
            let name = scanner.text(field);
            check_name(scanner, field, &name, limits)?;
            if columns.columns.len() >= MAX_COLUMNS {
                let reason = format!("more than {MAX_COLUMNS} columns");
                return Err(scanner.fault(Code::ConvertCsvTooLarge, &reason, field.start));
            }
            if let Some(wanted) = mismatch(dialect, columns.columns.len(), &name) {
                return Err(scanner.fault(Code::ConvertCsvHeader, &wanted, field.start));
            }
            columns.push(&name, types);
            if !known.insert(name) {
                return Err(scanner.fault(Code::ConvertCsvHeader, "the header names a column twice", field.start));
            }
            if field.end != End::Field {
                break;
            }
        }
        match dialect.columns.get(columns.columns.len()) {
            Some(missing) => {
                let reason = format!("the header has no column `{missing}`, the next that `columns` names");
                Err(scanner.fault(Code::ConvertCsvHeader, &reason, scanner.at))
            }
            None => Ok(columns),
        }
    }
}

fn check_name(scanner: &Scanner<'_>, field: Field, name: &str, limits: &Limits) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(scanner.fault(Code::ConvertCsvHeader, "the header has a column without a name", field.start));
    }
    if name.len() > limits.name_bytes {
        let reason = format!("a column's name of more than {} bytes", limits.name_bytes);
        return Err(scanner.fault(Code::ConvertCsvTooLarge, &reason, field.start));
    }
    Ok(())
}

/// Why the header may not name this column there. What the header holds is not shown: it may be a row of data.
fn mismatch(dialect: &Dialect, at: usize, name: &str) -> Option<String> {
    if dialect.columns.is_empty() {
        return None;
    }
    match dialect.columns.get(at) {
        Some(wanted) if **wanted == *name => None,
        Some(wanted) => Some(format!("column {} of the header is not `{wanted}`, as `columns` has it", at + 1)),
        None => Some(format!("the header has more than the {} columns that `columns` names", dialect.columns.len())),
    }
}
