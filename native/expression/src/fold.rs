//! Constants are computed once, when the expression is compiled.

use message::{Context, Document, Headers};

use crate::evaluate::Evaluation;
use crate::operand::{List, Map, Operand};
use crate::program::{Constant, Node, Operation};

/// Steps that folding one node may take; what needs more is left for the message's own fuel.
const FUEL: u64 = 10_000;

/// Replaces an operation on constants by its result. One that fails is left as it is: it may stand
/// behind a `false &&`, and if it does not, the message's error names it.
pub(crate) fn fold(node: Node) -> Node {
    if !foldable(&node.operation) {
        return node;
    }
    let document = Document::default();
    let context = Context { id: "", customer: "", pipeline: "", revision: "", time_ms: 0, headers: Headers::default() };
    let folded = Evaluation::new(&document, &context, FUEL).evaluate(&node).ok().and_then(|operand| constant(&operand));
    match folded {
        Some(constant) => Node { at: node.at, operation: Operation::Constant(constant) },
        None => node,
    }
}

fn foldable(operation: &Operation) -> bool {
    let constant = |node: &Node| node.constant().is_some();
    match operation {
        Operation::Select(operand, _)
        | Operation::Has(operand, _)
        | Operation::Not(operand)
        | Operation::Negate(operand) => constant(operand),
        Operation::Matches(operand, _) => constant(operand),
        Operation::Index(operand, key) => constant(operand) && constant(key),
        Operation::And(pair) | Operation::Or(pair) | Operation::In(pair) => pair.iter().all(constant),
        Operation::Equal(pair, _) | Operation::Order(pair, _) | Operation::Arithmetic(pair, _) => {
            pair.iter().all(constant)
        }
        Operation::Conditional(parts) => parts.iter().all(constant),
        Operation::List(items) | Operation::Call(_, items) => items.iter().all(constant),
        Operation::Map(entries) => entries.iter().flatten().all(constant),
        Operation::Constant(_) | Operation::Path(_) | Operation::Macro(_) | Operation::Lookup(_) => false,
    }
}

fn constant(operand: &Operand<'_>) -> Option<Constant> {
    Some(match operand {
        Operand::Null => Constant::Null,
        Operand::Bool(value) => Constant::Bool(*value),
        Operand::Int(value) => Constant::Int(*value),
        Operand::Uint(value) => Constant::Uint(*value),
        Operand::Double(value) => Constant::Double(*value),
        Operand::Text(text) => Constant::Text((**text).into()),
        Operand::Bytes(bytes) => Constant::Bytes((**bytes).into()),
        Operand::Timestamp(value) => Constant::Timestamp(*value),
        Operand::Duration(value) => Constant::Duration(*value),
        Operand::List(List::Shared(items)) => Constant::List(items.iter().map(constant).collect::<Option<_>>()?),
        Operand::List(List::Fixed(items)) => Constant::List((*items).into()),
        Operand::Map(Map::Shared(entries)) => {
            let pair = |(key, value): &(Operand<'_>, Operand<'_>)| Some((constant(key)?, constant(value)?));
            Constant::Map(entries.iter().map(pair).collect::<Option<_>>()?)
        }
        Operand::Map(Map::Fixed(entries)) => Constant::Map((*entries).into()),
        // A type that is computed, as by `type(1)`, is not the name of a type.
        Operand::Type(_) | Operand::Map(Map::Headers(_)) | Operand::Tape(_) => return None,
    })
}
