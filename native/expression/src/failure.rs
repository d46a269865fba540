//! What can go wrong while an expression runs, and the fault that the message gets for it.
//!
//! ```text
//! Mishap   what an operation reports: kind and reason          (arithmetic.rs, functions.rs, ...)
//!    └─► Failure   the same with the node that it happened at  (evaluate.rs; `||` may absorb it)
//!           └─► Fault   with code by stage, field and column   (only when it decides the message)
//! ```

use std::borrow::Cow;

use message::{Code, Fault};

use crate::program::{Node, Program};

/// The reasons by which the codes are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MissingField,
    WrongType,
    NotABoolean,
    /// Out of fuel. The only one that `&&`, `||` and the macros do not absorb.
    TooExpensive,
    Failed,
}

/// A failed operation that does not know yet where in the expression it stands.
#[derive(Debug)]
pub(crate) struct Mishap {
    pub kind: Kind,
    pub reason: Cow<'static, str>,
}

impl Mishap {
    #[cold]
    pub fn new(kind: Kind, reason: impl Into<Cow<'static, str>>) -> Mishap {
        Mishap { kind, reason: reason.into() }
    }

    #[cold]
    pub fn wrong_type(reason: impl Into<Cow<'static, str>>) -> Mishap {
        Mishap::new(Kind::WrongType, reason)
    }

    #[cold]
    pub fn failed(reason: impl Into<Cow<'static, str>>) -> Mishap {
        Mishap::new(Kind::Failed, reason)
    }

    #[cold]
    pub fn too_expensive() -> Mishap {
        Mishap::new(Kind::TooExpensive, "used up its fuel")
    }

    #[cold]
    pub fn at(self, node: &Node) -> Box<Failure<'_>> {
        Box::new(Failure { kind: self.kind, reason: self.reason, node, parts: usize::MAX })
    }
}

/// A failed node. Boxed where it is returned, so that results stay small on the way that succeeds.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    pub kind: Kind,
    pub reason: Cow<'static, str>,
    pub node: &'a Node,
    /// How many parts of the node's path lead to the failing place; all when it is no path.
    pub parts: usize,
}

/// The codes of one stage, by [`Kind`].
pub(crate) struct Codes {
    pub missing_field: Code,
    pub wrong_type: Code,
    pub not_a_boolean: Code,
    pub too_expensive: Code,
    pub failed: Code,
}

pub(crate) const FILTER: Codes = Codes {
    missing_field: Code::FilterMissingField,
    wrong_type: Code::FilterWrongType,
    not_a_boolean: Code::FilterNotABoolean,
    too_expensive: Code::FilterTooExpensive,
    failed: Code::FilterFailed,
};

pub(crate) const ROUTE: Codes = Codes {
    missing_field: Code::RouteMissingField,
    wrong_type: Code::RouteWrongType,
    not_a_boolean: Code::RouteNotABoolean,
    too_expensive: Code::RouteTooExpensive,
    failed: Code::RouteFailed,
};

pub(crate) const SET: Codes = Codes {
    missing_field: Code::SetMissingField,
    wrong_type: Code::SetWrongType,
    not_a_boolean: Code::SetWrongType,
    too_expensive: Code::SetTooExpensive,
    failed: Code::SetFailed,
};

impl Codes {
    const fn of(&self, kind: Kind) -> Code {
        match kind {
            Kind::MissingField => self.missing_field,
            Kind::WrongType => self.wrong_type,
            Kind::NotABoolean => self.not_a_boolean,
            Kind::TooExpensive => self.too_expensive,
            Kind::Failed => self.failed,
        }
    }
}

/// The fault for the message: reason, the expression's text around the place, field and column.
#[cold]
pub(crate) fn fault(program: &Program, failure: &Failure<'_>, codes: &Codes) -> Fault {
    let source = program.source();
    let at = failure.node.at as usize;
    let reason = format!("{} in `{}`", failure.reason, excerpt(source, at));
    let fault = place(Fault::new(codes.of(failure.kind), reason), source, at);
    match failure.node.field(failure.parts) {
        Some(field) => fault.in_field(field),
        None => fault,
    }
}

/// Names line (when there is more than one) and column of byte `at`.
pub(crate) fn place(fault: Fault, source: &str, at: usize) -> Fault {
    let before = source.get(..at).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line_start..].chars().count() + 1;
    let column = u32::try_from(column).unwrap_or(u32::MAX);
    if source.contains('\n') {
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        fault.at_line(u32::try_from(line).unwrap_or(u32::MAX), column)
    } else {
        fault.at_column(column)
    }
}

/// The whole expression when it is short, else what stands around byte `at`, on one line.
fn excerpt(source: &str, at: usize) -> String {
    const WHOLE: usize = 80;
    const BEFORE: usize = 30;
    let line: String = source.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WHOLE {
        return line;
    }
    let position = source.get(..at).unwrap_or_default().chars().count();
    let from = position.saturating_sub(BEFORE);
    let part: String = source.chars().skip(from).take(WHOLE).collect();
    let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = if from + WHOLE < source.chars().count() { "…" } else { "" };
    format!("{}{part}{end}", if from > 0 { "…" } else { "" })
}
