//! `msg` is the message in an expression, and a field like any other in a path: `set: {msg.total: msg.total * 2}`
//! leaves `total` as it was, and puts the product into a new field.

use message::{Code, Fault};

use super::rules::escaped;
use crate::model::{Expression, PipelineFile, Step};

/// Faults of `set` entries that mean the message by their `msg`: nothing in the file shows that messages have a field
/// `msg`, or are to get one. A script may give it to them: then only of entries whose expression reads `msg.total` as well.
pub fn check(file: &PipelineFile, faults: &mut Vec<Fault>) {
    if has_field(file) {
        return;
    }
    let may_be_made = file.steps.iter().any(|step| matches!(step, Step::Script(_)) || wraps(step));
    for (at, step) in file.steps.iter().enumerate() {
        let Step::Set(entries) = step else { continue };
        for (path, expression) in entries {
            let Some(meant) = path.strip_prefix("msg").and_then(below) else { continue };
            // `msg.total: msg.total` changes nothing if it means the message: it puts a field into a new `msg`.
            let is_meant = reads(expression, path) || !may_be_made;
            if expression.trim() == path || !is_meant || is_edited(file, meant) {
                continue;
            }
            let reason = format!(
                "the path `{path}` leads into a field called `msg`: for the message's own field write `{meant}`; to make \
                 a field `msg`, put `msg: '{{}}'` before it"
            );
            let pointer = format!("/steps/{at}/set/{}", escaped(path));
            faults.push(Fault::new(Code::ConfigInvalidPath, reason).at_pointer(pointer).at_column(1));
        }
    }
}

/// What of the path stands below its first field: `total` of `.total` and of `["total"]`.
fn below(rest: &str) -> Option<&str> {
    let quoted = |quote: &str| {
        let inner = rest.strip_prefix('[')?.strip_prefix(quote)?.strip_suffix(']')?.strip_suffix(quote)?;
        inner.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(inner)
    };
    rest.strip_prefix('.').or_else(|| quoted("\"")).or_else(|| quoted("'")).or(rest.starts_with('[').then_some(rest))
}

/// Whether it puts fields of the message into a field `msg` of it.
fn wraps(step: &Step) -> bool {
    let Step::Set(entries) = step else { return false };
    let is_in_msg = |path: &str| path.strip_prefix("msg").and_then(below).is_some();
    entries.iter().any(|(path, expression)| is_in_msg(path) && expression.trim() == &**path)
}

/// Whether anything shows a field `msg` of the message.
fn has_field(file: &PipelineFile) -> bool {
    let is_in_test =
        file.tests.iter().filter_map(|test| test.input.json.as_ref()).any(|json| json.get("msg").is_some());
    is_in_test || file.steps.iter().any(shows_field)
}

fn shows_field(step: &Step) -> bool {
    let begins = |path: &str| path == "msg" || path.starts_with("msg.") || path.starts_with("msg[");
    match step {
        Step::Convert(convert) => {
            [&convert.arrays, &convert.numbers, &convert.booleans].into_iter().flatten().any(|path| begins(path))
        }
        Step::Set(entries) => entries.contains_key("msg") || entries.values().any(names_field),
        Step::Rename(entries) => entries.iter().any(|(from, to)| begins(from) || to == "msg"),
        Step::Filter(expression) => names_field(expression),
        Step::Route(cases) => cases.iter().filter_map(|case| case.when.as_ref()).any(names_field),
        Step::Remove(_) | Step::Script(_) => false,
    }
}

fn names_field(expression: &Expression) -> bool {
    ["msg.msg", "msg[\"msg\"]", "msg['msg']"].iter().any(|name| expression.contains(name))
}

/// Whether a step takes the field away or renames it: then the same field of `msg` is another one.
fn is_edited(file: &PipelineFile, field: &str) -> bool {
    file.steps.iter().any(|step| match step {
        Step::Remove(paths) => paths.list().iter().any(|(path, _)| &***path == field),
        Step::Rename(entries) => entries.contains_key(field),
        _ => false,
    })
}

/// Whether an expression has the path as a word of its own, outside of its strings.
fn reads(expression: &str, path: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in expression.char_indices() {
        if quote.is_none() && !is_word(before) && before != '.' {
            let after = expression.get(at..).and_then(|rest| rest.strip_prefix(path));
            if after.is_some_and(|after| !after.starts_with(is_word)) {
                return true;
            }
        }
        match quote {
            Some(open) if c == open && before != '\\' => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        before = c;
    }
    false
}
