//! What the compiler reads out of the parser's tree beyond operators: macros, which the parser has
//! expanded to loops with an accumulator, and arguments that have to be literals.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use message::Fault;
use regex::{Regex, RegexBuilder};

use crate::checks::invalid;
use crate::compile::Compiler;
use crate::functions::Function;
use crate::program::{Constant, Macro, MacroKind, Node, Operation};
use crate::time::{Duration, Timestamp, zone_offset};

/// Bytes of one compiled pattern.
const PATTERN_BYTES: usize = 1 << 20;

/// A loop, taken apart again: which macro, its condition and what it makes of each element.
struct Parts<'t> {
    kind: MacroKind,
    filter: Option<&'t IdedExpr>,
    body: &'t IdedExpr,
}

impl Compiler<'_> {
    pub(crate) fn comprehension(&mut self, tree: &ComprehensionExpr, at: usize) -> Result<Operation, Fault> {
        let Some(parts) = parts(tree) else {
            return Err(invalid(self.source, at, "uses a macro that is not supported"));
        };
        let range = self.node(&tree.iter_range)?;
        self.refuse_type_name(&range, "walks it")?;
        let slot = self.scope.len();
        self.scope.push(tree.iter_var.clone());
        let filter = parts.filter.map(|filter| self.node(filter)).transpose()?;
        let body = self.node(parts.body)?;
        self.scope.pop();
        Ok(Operation::Macro(Box::new(Macro { kind: parts.kind, range, slot, filter, body })))
    }

    /// Only a literal pattern is taken: it is compiled once, and its cost is known.
    pub(crate) fn pattern(&self, node: &Node) -> Result<Regex, Fault> {
        let at = node.at as usize;
        let Some(Constant::Text(pattern)) = node.constant() else {
            return Err(invalid(self.source, at, "gives `matches` a pattern that is not a literal string"));
        };
        let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build();
        built.map_err(|error| {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
                other => last_line(&other.to_string()),
            };
            invalid(self.source, at, format!("has an unusable pattern: {reason}"))
        })
    }

    /// Times, durations and zones that stand in the expression are wrong at once, not per message.
    pub(crate) fn check_literals(&self, function: Function, arguments: &[Node]) -> Result<(), Fault> {
        let literal = |position: usize| match arguments.get(position).map(|node| (node, node.constant())) {
            Some((node, Some(Constant::Text(text)))) => Some((node.at as usize, text)),
            _ => None,
        };
        let (place, checked) = match function {
            Function::Timestamp => (literal(0), (|text| Timestamp::parse(text).err()) as fn(&str) -> _),
            Function::Duration => (literal(0), (|text| Duration::parse(text).err()) as fn(&str) -> _),
            getter if getter.is_getter() => (literal(1), (|text| zone_offset(text).err()) as fn(&str) -> _),
            _ => return Ok(()),
        };
        match place.and_then(|(at, text)| checked(text).map(|mishap| (at, mishap))) {
            Some((at, mishap)) => Err(invalid(self.source, at, format!("does not hold: {}", mishap.reason))),
            None => Ok(()),
        }
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn parts(tree: &ComprehensionExpr) -> Option<Parts<'_>> {
    match (&tree.accu_init.expr, &tree.loop_step.expr) {
        (Expr::Literal(LiteralValue::Boolean(_)), Expr::Call(CallExpr { func_name, args, .. })) => {
            let kind = match func_name.as_str() {
                operators::LOGICAL_AND => MacroKind::All,
                operators::LOGICAL_OR => MacroKind::Exists,
                _ => return None,
            };
            Some(Parts { kind, filter: None, body: args.get(1)? })
        }
        (Expr::Literal(LiteralValue::Int(_)), Expr::Call(call)) if call.func_name == operators::CONDITIONAL => {
            Some(Parts { kind: MacroKind::ExistsOne, filter: None, body: call.args.first()? })
        }
        (Expr::List(_), Expr::Call(call)) if call.func_name == operators::CONDITIONAL => {
            Some(Parts { kind: MacroKind::Collect, filter: call.args.first(), body: appended(call.args.get(1)?)? })
        }
        (Expr::List(_), Expr::Call(_)) => {
            Some(Parts { kind: MacroKind::Collect, filter: None, body: appended(&tree.loop_step)? })
        }
        _ => None,
    }
}

/// What `@result + [x]` appends.
fn appended(step: &IdedExpr) -> Option<&IdedExpr> {
    let Expr::Call(call) = &step.expr else { return None };
    match (call.func_name.as_str(), call.args.get(1).map(|list| &list.expr)) {
        (operators::ADD, Some(Expr::List(list))) => list.elements.first(),
        _ => None,
    }
}
