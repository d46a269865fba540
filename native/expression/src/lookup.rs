//! `lookup("countries", msg.country).name`: the rows of the pipeline's tables. The table is found when the expression is
//! compiled, the row by one look at its index; a row is read where it lies.

use std::sync::Arc;

use cel::common::ast::CallExpr;
use message::{Fault, Kind as JsonKind, Table};

use crate::checks::invalid;
use crate::compare::described;
use crate::compile::Compiler;
use crate::evaluate::{Evaluation, Fuel, Outcome};
use crate::failure::{Kind, Mishap};
use crate::operand::{Operand, Text, raw};
use crate::program::{Constant, Node, Operation};
use crate::text::string_of;

pub(crate) const NAME: &str = "lookup";

/// A call of `lookup`.
#[derive(Debug)]
pub(crate) struct Lookup {
    table: Arc<Table>,
    name: Box<str>,
    pub key: Node,
    /// What there is in place of a row that is not there; null without it.
    otherwise: Option<Node>,
}

impl Compiler<'_> {
    pub(crate) fn lookup(&mut self, call: &CallExpr, at: usize) -> Result<Operation, Fault> {
        let wrong = |source, reason: String| Err(invalid(source, at, reason));
        if call.target.is_some() || !(2..=3).contains(&call.args.len()) {
            return wrong(self.source, format!("writes `{NAME}` in another way than `{NAME}(\"table\", key)`"));
        }
        let mut arguments = Vec::with_capacity(3);
        for tree in &call.args {
            let argument = self.node(tree)?;
            self.refuse_type_name(&argument, "passes it to a function")?;
            arguments.push(argument);
        }
        let mut arguments = arguments.into_iter();
        let (Some(first), Some(key)) = (arguments.next(), arguments.next()) else {
            return wrong(self.source, format!("calls `{NAME}` without a key"));
        };
        let Some(Constant::Text(name)) = first.constant() else {
            return wrong(self.source, format!("calls `{NAME}` without the name of a table in quotes"));
        };
        let Some(table) = self.tables.get(name) else {
            let known: Vec<String> = self.tables.names().map(|name| format!("`{name}`")).collect();
            let there =
                if known.is_empty() { "it has none".to_owned() } else { format!("there is {}", known.join(", ")) };
            return wrong(
                self.source,
                format!("looks into `{name}`, which is not in the pipeline's `tables`; {there}"),
            );
        };
        let (table, name) = (Arc::clone(table), name.clone());
        Ok(Operation::Lookup(Box::new(Lookup { table, name, key, otherwise: arguments.next() })))
    }

    /// The columns of a table are known, so a wrong one is an error at once.
    pub(crate) fn check_column(&self, operand: &Node, column: &str, at: usize) -> Result<(), Fault> {
        let Operation::Lookup(lookup) = &operand.operation else { return Ok(()) };
        let Lookup { table, name, otherwise: None, .. } = &**lookup else { return Ok(()) };
        let columns = table.columns();
        if columns.is_empty() || columns.iter().any(|known| **known == *column) {
            return Ok(());
        }
        let known: Vec<String> = columns.iter().take(10).map(|name| format!("`{name}`")).collect();
        let more = if columns.len() > known.len() { ", …" } else { "" };
        let known = known.join(", ");
        Err(invalid(self.source, at, format!("reads `{column}` of the table `{name}`, which has {known}{more}")))
    }
}

impl<'a> Evaluation<'a> {
    pub fn row(&mut self, lookup: &'a Lookup, node: &'a Node) -> Outcome<'a> {
        let key = self.evaluate(&lookup.key)?;
        let row = row(&lookup.table, &key, &mut self.fuel).map_err(|mishap| mishap.at(node))?;
        match (row, &lookup.otherwise) {
            (Some(row), _) => Ok(row),
            (None, Some(otherwise)) => self.evaluate(otherwise),
            (None, None) => Ok(Operand::Null),
        }
    }

    /// What `.name` and `[key]` say of a row that is not there.
    #[cold]
    pub fn no_row(&mut self, lookup: &'a Lookup) -> Mishap {
        const SHOWN: usize = 60;
        let key = self.evaluate(&lookup.key).ok();
        let text = key.and_then(|key| text_of(&key, &mut self.fuel).ok().flatten());
        let shown: String = text.as_deref().unwrap_or("null").chars().take(SHOWN).collect();
        Mishap::new(Kind::MissingField, format!("the table {} has no row \"{shown}\"", lookup.name))
    }
}

fn row<'a>(table: &'a Table, key: &Operand<'a>, fuel: &mut Fuel) -> Result<Option<Operand<'a>>, Mishap> {
    let Some(key) = text_of(key, fuel)? else { return Ok(None) };
    fuel.charge_bytes(key.len())?;
    Ok(table.row(&key).map(Operand::Tape))
}

/// A key as a text; none for null. A number of the message has the digits that it came with.
fn text_of<'a>(key: &Operand<'a>, fuel: &mut Fuel) -> Result<Option<Text<'a>>, Mishap> {
    if let Operand::Tape(value) = key
        && value.kind() == JsonKind::Number
        && let Ok(digits) = std::str::from_utf8(raw(value))
    {
        return Ok(Some(Text::Borrowed(digits)));
    }
    match key.clone().typed(fuel)? {
        Operand::Null => Ok(None),
        Operand::List(_) | Operand::Map(_) | Operand::Tape(_) | Operand::Type(_) => {
            Err(Mishap::wrong_type(format!("a table's key is a text, number or boolean, not {}", described(key))))
        }
        scalar => match string_of(&scalar, fuel)? {
            Operand::Text(text) => Ok(Some(text)),
            _ => Ok(None),
        },
    }
}
