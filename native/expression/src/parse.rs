//! From text to the parser's tree, on a stack that is large enough for it, with its panics caught
//! and its errors in one sentence with a column.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::{ParseError, Parser};
use message::{Code, Fault, has_stack};

use crate::checks::{check, invalid};

/// What the parser needs for the deepest tree that `checks` lets through, with room to spare.
/// Reserved, not used: pages are only touched as far as the recursion goes.
const STACK_BYTES: usize = 32 << 20;

/// Expressions within expressions, by which the parser stops by itself; the checks stop before it.
const MAX_RECURSION: u16 = 300;

/// Checks and parses `source`, and hands the tree to `then` on the same large stack, since walking
/// and freeing it recurse as deep: the caller's, where that is known to be large. Blocks until it is done.
pub(crate) fn parse<T: Send>(
    source: &str,
    then: impl FnOnce(&IdedExpr, &SourceInfo) -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    check(source)?;
    let work = || {
        let (tree, positions) =
            Parser::default().max_recursion_depth(MAX_RECURSION).parse_with_source_info(source).map_err(|errors| {
                // What the grammar says comes first; "incomplete" nodes are its consequence.
                let says = |error: &&ParseError| error.msg.starts_with("Syntax error");
                let first = errors.errors.iter().find(says).or(errors.errors.first());
                first.map_or_else(|| invalid(source, 0, "does not parse"), |error| syntax(source, error))
            })?;
        then(&tree, &positions)
    };
    if has_stack(STACK_BYTES) {
        return catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_panic| Err(invalid(source, 0, "does not parse")));
    }
    let finished = thread::scope(|scope| {
        let builder = thread::Builder::new().name("expression".into()).stack_size(STACK_BYTES);
        builder.spawn_scoped(scope, work).map(thread::ScopedJoinHandle::join)
    });
    match finished {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(invalid(source, 0, "does not parse")),
        Err(error) => Err(Fault::new(Code::InternalPanic, format!("no thread to compile an expression on: {error}"))),
    }
}

/// The parser's words are those of its grammar; ours name what stands at the place.
fn syntax(source: &str, error: &ParseError) -> Fault {
    let at = byte_at(source, error.pos);
    let text = error.msg.trim_start_matches("Syntax error: ");
    let found = ["input '", "at: '", "at '"].iter().find_map(|lead| {
        let rest = &text[text.find(lead)? + lead.len()..];
        rest.split_once('\'').map(|(found, _)| found)
    });
    let reason = match found {
        // What stands behind the colon is the parser's own structure.
        _ if text.starts_with("invalid string literal") => {
            "has a string with an escape that is no character".to_owned()
        }
        _ if text.starts_with("invalid bytes literal") => "has bytes with an escape that is no byte".to_owned(),
        _ if text.contains("has() macro") => {
            "asks `has()` for something else than a field; write `has(order.total)`, and of a root field `has(msg.order)`"
                .to_owned()
        }
        _ if text.starts_with("invalid") || text.starts_with("reserved") => {
            format!("has an {}", text.replace("reserved identifier:", "name that CEL reserves:"))
        }
        _ if text.contains("macro") || text.contains("simple name") => {
            format!("has an {text}").replace("an argument", "a macro whose first argument")
        }
        Some("<EOF>") => "ends too early".to_owned(),
        _ => match source[at..].chars().next() {
            Some(character) => format!("does not parse here, at `{}`", token(&source[at..], character)),
            None => "ends too early".to_owned(),
        },
    };
    invalid(source, at, reason)
}

fn token(rest: &str, first: char) -> &str {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    if word(first) {
        return &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())];
    }
    &rest[..first.len_utf8()]
}

/// The byte of the parser's line and column, both 1-based, columns in characters.
fn byte_at(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let start: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    source[start..].char_indices().nth(column - 1).map_or(source.len(), |(offset, _)| start + offset)
}
