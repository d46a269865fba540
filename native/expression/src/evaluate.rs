//! Running a program over a document: one recursive walk that pays fuel for every node.
//!
//! ```text
//! evaluate(node) ──► path      parts walked on the tape, nothing copied     (path.rs)
//!               ──► operator   compare.rs, arithmetic.rs
//!               ──► call       text.rs, conversions.rs, calendar.rs
//!               ──► macro      loops.rs
//! ```
//!
//! Nothing is allocated until an operation has to build a text, a list or a map, or fails.

use message::{Context, Document, Value};

use crate::arithmetic;
use crate::calls;
use crate::compare::{self, equal};
use crate::failure::{Failure, Kind, Mishap};
use crate::operand::{Operand, plain_text};
use crate::program::{Constant, Equality, Node, Operation, Ordering};
use crate::spent;

pub(crate) type Outcome<'a> = Result<Operand<'a>, Box<Failure<'a>>>;

/// The fields of the variable `meta`.
pub(crate) const META: [&str; 5] = ["id", "customer", "pipeline", "revision", "time"];

/// What is left of an expression's steps.
pub(crate) struct Fuel {
    given: u64,
    left: u64,
}

/// Members and elements walked for one step.
pub(crate) const ITEMS_PER_STEP: usize = 8;
/// Bytes of text read or built for one step.
pub(crate) const BYTES_PER_STEP: usize = 64;

impl Fuel {
    #[inline]
    pub fn charge(&mut self, steps: usize) -> Result<(), Mishap> {
        match self.left.checked_sub(steps as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Mishap::too_expensive())
            }
        }
    }

    #[inline]
    pub fn charge_items(&mut self, items: usize) -> Result<(), Mishap> {
        self.charge(items / ITEMS_PER_STEP)
    }

    #[inline]
    pub fn charge_bytes(&mut self, bytes: usize) -> Result<(), Mishap> {
        self.charge(bytes / BYTES_PER_STEP)
    }
}

impl Drop for Fuel {
    #[inline]
    fn drop(&mut self) {
        spent::count(self.given - self.left);
    }
}

/// One run of one expression over one message.
pub(crate) struct Evaluation<'a> {
    pub document: &'a Document,
    pub context: &'a Context<'a>,
    pub fuel: Fuel,
    /// The variables of the open macros, by slot.
    pub locals: Vec<Operand<'a>>,
}

impl<'a> Evaluation<'a> {
    pub fn new(document: &'a Document, context: &'a Context<'a>, fuel: u64) -> Evaluation<'a> {
        Evaluation { document, context, fuel: Fuel { given: fuel, left: fuel }, locals: Vec::new() }
    }

    /// The value of `node`, or why there is none. Recurses as deep as the program.
    pub fn evaluate(&mut self, node: &'a Node) -> Outcome<'a> {
        self.pay(node)?;
        match &node.operation {
            Operation::Constant(constant) => Ok(Operand::from(constant)),
            Operation::Path(path) => self.path(path, node),
            Operation::Conditional(parts) => {
                let [when, then, otherwise] = &**parts;
                let branch = if self.truth(when, "?:")? { then } else { otherwise };
                self.evaluate(branch)
            }
            _ if node.is_decision() => self.decision(node).map(Operand::Bool),
            _ => self.less_common(node),
        }
    }

    #[inline]
    fn pay(&mut self, node: &'a Node) -> Result<(), Box<Failure<'a>>> {
        self.fuel.charge(1).map_err(|mishap| mishap.at(node))
    }

    /// The value of `node`, typed when it is a scalar of the document.
    pub fn scalar(&mut self, node: &'a Node) -> Outcome<'a> {
        match self.evaluate(node)? {
            value @ Operand::Tape(_) => value.typed(&mut self.fuel).map_err(|mishap| mishap.at(node)),
            value => Ok(value),
        }
    }

    /// A node whose value has to be a boolean. Decisions on decisions, which is what a filter is,
    /// go from one to the next without making a value.
    #[inline]
    pub fn truth(&mut self, node: &'a Node, operator: &'static str) -> Result<bool, Box<Failure<'a>>> {
        if node.is_decision() {
            self.pay(node)?;
            return self.decision(node);
        }
        match self.scalar(node)? {
            Operand::Bool(value) => Ok(value),
            other => {
                let reason = format!("`{operator}` takes a boolean, not {}", other.kind().described());
                Err(Mishap::wrong_type(reason).at(node))
            }
        }
    }

    fn decision(&mut self, node: &'a Node) -> Result<bool, Box<Failure<'a>>> {
        match &node.operation {
            Operation::And(pair) => self.logic(pair, false),
            Operation::Or(pair) => self.logic(pair, true),
            Operation::Not(operand) => self.truth(operand, "!").map(|value| !value),
            Operation::Equal(pair, equality) => self.equality(pair, *equality, node),
            Operation::Order(pair, ordering) => self.ordering(pair, *ordering, node),
            _ => Ok(false),
        }
    }

    // Apart, so that the frame of the common operations stays small.
    #[inline(never)]
    fn less_common(&mut self, node: &'a Node) -> Outcome<'a> {
        match &node.operation {
            Operation::Arithmetic(pair, operator) => {
                let left = self.scalar(&pair[0])?;
                let right = self.scalar(&pair[1])?;
                arithmetic::compute(*operator, &left, &right, &mut self.fuel).map_err(|mishap| mishap.at(node))
            }
            Operation::Negate(operand) => {
                let value = self.scalar(operand)?;
                arithmetic::negate(&value).map_err(|mishap| mishap.at(node))
            }
            Operation::In(pair) => {
                let needle = self.evaluate(&pair[0])?;
                let range = self.evaluate(&pair[1])?;
                let found = compare::contains(&range, &needle, &mut self.fuel);
                found.map(Operand::Bool).map_err(|mishap| mishap.at(node))
            }
            Operation::Select(operand, name) => {
                let value = self.held(operand, node)?;
                self.member(&value, name).map_err(|mishap| mishap.at(node))
            }
            Operation::Index(operand, key) => {
                let value = self.held(operand, node)?;
                let key = self.scalar(key)?;
                self.index(&value, &key).map_err(|mishap| mishap.at(node))
            }
            Operation::Has(operand, name) => {
                let value = self.evaluate(operand)?;
                // No row has no field.
                if let (Operation::Lookup(_), Operand::Null) = (&operand.operation, &value) {
                    return Ok(Operand::Bool(false));
                }
                self.has(&value, name).map(Operand::Bool).map_err(|mishap| mishap.at(node))
            }
            Operation::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.evaluate(item)).collect();
                items.map(Operand::list)
            }
            Operation::Map(entries) => self.entries(entries, node),
            Operation::Matches(operand, regex) => {
                let text = self.scalar(operand)?;
                let found = calls::matches(&text, regex, &mut self.fuel);
                found.map(Operand::Bool).map_err(|mishap| mishap.at(node))
            }
            Operation::Call(function, arguments) => {
                let mut values: [Operand<'a>; crate::functions::MAX_ARGUMENTS] = std::array::from_fn(|_| Operand::Null);
                for (value, argument) in values.iter_mut().zip(arguments) {
                    *value = self.scalar(argument)?;
                }
                let count = arguments.len().min(values.len());
                calls::call(*function, &values[..count], &mut self.fuel).map_err(|mishap| mishap.at(node))
            }
            Operation::Macro(expanded) => self.walk(expanded, node),
            Operation::Lookup(lookup) => self.row(lookup, node),
            // The common ones are evaluated above.
            _ => Ok(Operand::Null),
        }
    }

    /// A value that something is read of, which no row is not.
    fn held(&mut self, operand: &'a Node, node: &'a Node) -> Outcome<'a> {
        match (self.evaluate(operand)?, &operand.operation) {
            (Operand::Null, Operation::Lookup(lookup)) => Err(self.no_row(lookup).at(node)),
            (value, _) => Ok(value),
        }
    }

    /// `&&` and `||`: `decisive` on either side is the result, even when the other side fails.
    fn logic(&mut self, pair: &'a [Node; 2], decisive: bool) -> Result<bool, Box<Failure<'a>>> {
        let sign = if decisive { "||" } else { "&&" };
        let failed = match self.truth(&pair[0], sign) {
            Ok(left) if left == decisive => return Ok(left),
            Ok(_) => return self.truth(&pair[1], sign),
            Err(failed) if failed.kind == Kind::TooExpensive => return Err(failed),
            Err(failed) => failed,
        };
        match self.truth(&pair[1], sign) {
            Ok(right) if right == decisive => Ok(right),
            Err(other) if other.kind == Kind::TooExpensive => Err(other),
            _ => Err(failed),
        }
    }

    /// The field and the literal of `field == literal` and the like, without making values of
    /// them. `None` for everything else, and for a field that is not there: that is told elsewhere.
    #[inline]
    fn field_and_literal(&mut self, pair: &'a [Node; 2]) -> Option<(Value<'a>, &'a Constant)> {
        match (&pair[0].operation, &pair[1].operation) {
            (Operation::Path(path), Operation::Constant(literal)) => Some((self.field(path)?, literal)),
            _ => None,
        }
    }

    fn equality(&mut self, pair: &'a [Node; 2], equality: Equality, node: &'a Node) -> Result<bool, Box<Failure<'a>>> {
        if let Some((field, Constant::Text(text))) = self.field_and_literal(pair)
            && let Some(bytes) = plain_text(&field)
        {
            self.fuel.charge(2 + text.len() / BYTES_PER_STEP).map_err(|mishap| mishap.at(node))?;
            return Ok((bytes == text.as_bytes()) == (equality == Equality::Equal));
        }
        let left = self.evaluate(&pair[0])?;
        let right = self.evaluate(&pair[1])?;
        let same = equal(&left, &right, &mut self.fuel).map_err(|mishap| mishap.at(node))?;
        Ok(same == (equality == Equality::Equal))
    }

    fn ordering(&mut self, pair: &'a [Node; 2], ordering: Ordering, node: &'a Node) -> Result<bool, Box<Failure<'a>>> {
        if let Some((field, literal)) = self.field_and_literal(pair)
            && let Some(order) = compare::with_number(&field, literal)
        {
            self.fuel.charge(2).map_err(|mishap| mishap.at(node))?;
            return Ok(order.is_some_and(|order| ordering.holds(order)));
        }
        let left = self.scalar(&pair[0])?;
        let right = self.scalar(&pair[1])?;
        let order = compare::order(&left, &right, &mut self.fuel).map_err(|mishap| mishap.at(node))?;
        Ok(order.is_some_and(|order| ordering.holds(order)))
    }

    fn entries(&mut self, nodes: &'a [[Node; 2]], node: &'a Node) -> Outcome<'a> {
        let mut entries: Vec<(Operand<'a>, Operand<'a>)> = Vec::with_capacity(nodes.len());
        for [key, value] in nodes {
            let place = key;
            let key = self.scalar(key)?;
            if !matches!(key, Operand::Bool(_) | Operand::Int(_) | Operand::Uint(_) | Operand::Text(_)) {
                let reason = format!("a map's key is a string, int, uint or boolean, not {}", key.kind().described());
                return Err(Mishap::wrong_type(reason).at(place));
            }
            for (other, _) in &entries {
                if equal(other, &key, &mut self.fuel).map_err(|mishap| mishap.at(node))? {
                    return Err(Mishap::failed("a map has the same key twice").at(place));
                }
            }
            self.fuel.charge_items(entries.len()).map_err(|mishap| mishap.at(node))?;
            let value = self.evaluate(value)?;
            entries.push((key, value));
        }
        Ok(Operand::map(entries))
    }
}
