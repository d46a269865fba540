//! From fields to the tape: an object for each row.

use message::{Code, Document, Fault, Kind, Limits, NONE, Node, Path, Segment, Span};

use super::columns::{Column, Columns, Type, Types};
use super::scan::{End, Field, Scanner, unescaped};
use crate::json;
use crate::xml::NumberFormat;

pub(super) struct Rows<'r> {
    columns: &'r Columns,
    number_format: NumberFormat,
    limits: &'r Limits,
    document: &'r mut Document,
    /// Where the names of the columns begin behind the source; all rows share them.
    names: usize,
    empty_is_null: bool,
    quote: u8,
}

impl<'r> Rows<'r> {
    pub(super) fn new(columns: &'r Columns, types: &Types, limits: &'r Limits, document: &'r mut Document) -> Rows<'r> {
        let names = document.append(&columns.names).start as usize;
        let dialect = document.dialect().cloned().unwrap_or_default();
        let (empty_is_null, quote) = (dialect.empty_is_null, dialect.quote.unwrap_or_default());
        Rows { columns, number_format: types.number_format, limits, document, names, empty_is_null, quote }
    }

    /// Makes the document a list of all rows.
    pub(super) fn all(mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let list = self.push(scanner, Node::new(Kind::List))?;
        let mut previous = NONE;
        loop {
            scanner.skip_empty_lines();
            if scanner.is_at_end() {
                break;
            }
            let row = self.row(scanner)?;
            self.document.link(list, previous, row);
            previous = row;
        }
        self.document.set_root(list);
        Ok(())
    }

    /// Makes the document the only row of a record.
    pub(super) fn one(mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let row = self.row(scanner)?;
        self.document.set_root(row);
        Ok(())
    }

    fn row(&mut self, scanner: &mut Scanner<'_>) -> Result<u32, Fault> {
        let (start, columns) = (scanner.at, self.columns);
        let row = self.push(scanner, Node::new(Kind::Object))?;
        let (mut previous, mut end) = (NONE, End::Field);
        for (count, column) in columns.columns.iter().enumerate() {
            if end != End::Field {
                return Err(self.uneven(scanner, start, count));
            }
            let field = scanner.field()?;
            let value = self.value(scanner, field, column)?;
            let value = self.push(scanner, value)?;
            self.document.link(row, previous, value);
            (previous, end) = (value, field.end);
        }
        let mut count = columns.columns.len();
        while end == End::Field {
            end = scanner.field()?.end;
            count += 1;
        }
        if count == columns.columns.len() { Ok(row) } else { Err(self.uneven(scanner, start, count)) }
    }

    fn push(&mut self, scanner: &Scanner<'_>, node: Node) -> Result<u32, Fault> {
        if self.document.node_count() >= self.limits.nodes {
            let reason = format!("more than {} values", self.limits.nodes);
            return Err(scanner.fault(Code::ConvertCsvTooLarge, &reason, scanner.at));
        }
        Ok(self.document.push(node))
    }

    #[inline]
    fn value(&mut self, scanner: &Scanner<'_>, field: Field, column: &Column) -> Result<Node, Fault> {
        let key = Span::between(self.names + column.name.start, self.names + column.name.end);
        let node = match column.kind {
            Some(kind) => self.typed(scanner, field, column, kind)?,
            None if self.empty_is_null && !field.is_quoted && field.start == field.stop => Node::new(Kind::Null),
            None => Node { value: self.text(scanner, field), ..Node::new(Kind::Text) },
        };
        Ok(Node { key, ..node })
    }

    fn text(&mut self, scanner: &Scanner<'_>, field: Field) -> Span {
        if !field.is_escaped {
            return Span::between(field.start, field.stop);
        }
        let text = unescaped(&scanner.source[field.start..field.stop], self.quote);
        self.document.append(&text)
    }

    /// Blanks around a number or boolean are none of its own; nothing at all is null.
    fn typed(&mut self, scanner: &Scanner<'_>, field: Field, column: &Column, kind: Type) -> Result<Node, Fault> {
        let whole = &scanner.source[field.start..field.stop];
        let text = whole.trim_ascii();
        let start = field.start + (whole.len() - whole.trim_ascii_start().len());
        let value = Span::between(start, start + text.len());
        match (kind, text) {
            (_, b"") => Ok(Node::new(Kind::Null)),
            (Type::Boolean, b"true" | b"1") => Ok(Node::new(Kind::True)),
            (Type::Boolean, b"false" | b"0") => Ok(Node::new(Kind::False)),
            (Type::Number, number) if json::is_number(number) => Ok(Node { value, ..Node::new(Kind::Number) }),
            (Type::Number, number) if self.number_format == NumberFormat::XmlSchema => {
                let number = json::from_xml_schema(number).ok_or_else(|| {
                    self.mistyped(
                        scanner,
                        field,
                        column,
                        Code::ConvertNotANumber,
                        "the field is no number of XML Schema",
                    )
                })?;
                Ok(Node { value: self.document.append(&number), ..Node::new(Kind::Number) })
            }
            (Type::Number, _) => {
                Err(self.mistyped(scanner, field, column, Code::ConvertNotANumber, "the field is no JSON number"))
            }
            (Type::Boolean, _) => {
                let reason = "the field is none of true, false, 1, 0";
                Err(self.mistyped(scanner, field, column, Code::ConvertNotABoolean, reason))
            }
        }
    }

    #[cold]
    fn mistyped(&self, scanner: &Scanner<'_>, field: Field, column: &Column, code: Code, reason: &str) -> Fault {
        let path = Path::from(vec![Segment::Key(self.columns.name(column).into())]);
        scanner.fault(code, reason, field.start).in_field(path.to_string())
    }

    #[cold]
    fn uneven(&self, scanner: &Scanner<'_>, start: usize, count: usize) -> Fault {
        let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (has, wants) = (counted(count, "field"), counted(self.columns.columns.len(), "column"));
        scanner.fault(Code::ConvertCsvColumns, &format!("the row has {has}, the table {wants}"), start)
    }
}
