//! What an expression is compiled to: a tree of small nodes, with paths resolved to their parts,
//! functions to an enum and constants folded. Immutable, `Send + Sync`, shared by all shards.

use std::fmt::Write;

use regex::Regex;

use crate::functions::Function;
use crate::lookup::Lookup;
use crate::time::{Duration, Timestamp};

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Program {
    source: Box<str>,
    root: Node,
}

impl Program {
    pub fn new(source: &str, root: Node) -> Program {
        Program { source: source.into(), root }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn root(&self) -> &Node {
        &self.root
    }
}

/// One operation, and the byte of the source that errors of it point at.
#[derive(Debug)]
pub(crate) struct Node {
    pub at: u32,
    pub operation: Operation,
}

#[derive(Debug)]
pub(crate) enum Operation {
    Constant(Constant),
    Path(Path),
    /// `.name` on something that is no path.
    Select(Box<Node>, Box<str>),
    Index(Box<Node>, Box<Node>),
    /// `has(operand.name)`
    Has(Box<Node>, Box<str>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Conditional(Box<[Node; 3]>),
    Equal(Box<[Node; 2]>, Equality),
    Order(Box<[Node; 2]>, Ordering),
    Arithmetic(Box<[Node; 2]>, Arithmetic),
    In(Box<[Node; 2]>),
    List(Box<[Node]>),
    Map(Box<[[Node; 2]]>),
    Call(Function, Box<[Node]>),
    Matches(Box<Node>, Box<Regex>),
    Macro(Box<Macro>),
    Lookup(Box<Lookup>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Equality {
    Equal,
    NotEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ordering {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Ordering {
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Ordering::Less => order.is_lt(),
            Ordering::LessOrEqual => order.is_le(),
            Ordering::Greater => order.is_gt(),
            Ordering::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A variable and the parts that lead on from it.
#[derive(Debug)]
pub(crate) struct Path {
    pub start: Start,
    pub parts: Vec<Part>,
}

#[derive(Debug)]
pub(crate) enum Start {
    /// The document's root; its fields are the expression's variables.
    Message,
    Headers,
    Meta,
    /// The variable of a macro: its slot, and its name for errors.
    Local(usize, Box<str>),
}

#[derive(Debug)]
pub(crate) enum Part {
    Name(Box<str>),
    Position(u32),
}

/// `all`, `exists`, `exists_one`, `map`, `filter`.
#[derive(Debug)]
pub(crate) struct Macro {
    pub kind: MacroKind,
    pub range: Node,
    /// Where the variable stands among the open macros' variables.
    pub slot: usize,
    pub filter: Option<Node>,
    pub body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacroKind {
    All,
    Exists,
    ExistsOne,
    /// `map` with and without a filter; `filter` is the one whose body is its variable.
    Collect,
}

/// A value that stands in the expression itself.
#[derive(Clone, Debug)]
pub(crate) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Timestamp(Timestamp),
    Duration(Duration),
    Type(Type),
    List(Box<[Constant]>),
    Map(Box<[(Constant, Constant)]>),
}

/// What `type()` gives.
#[allow(clippy::enum_variant_names)] // the type of a type is called so
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    List,
    Map,
    Timestamp,
    Duration,
    Type,
}

impl Type {
    /// The type that an expression calls `name`.
    pub fn named(name: &str) -> Option<Type> {
        Some(match name {
            "null_type" => Type::Null,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "list" => Type::List,
            "map" => Type::Map,
            "google.protobuf.Timestamp" => Type::Timestamp,
            "google.protobuf.Duration" => Type::Duration,
            "type" => Type::Type,
            _ => return None,
        })
    }

    /// As the specification calls it.
    pub fn name(self) -> &'static str {
        match self {
            Type::Null => "null_type",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::List => "list",
            Type::Map => "map",
            Type::Timestamp => "google.protobuf.Timestamp",
            Type::Duration => "google.protobuf.Duration",
            Type::Type => "type",
        }
    }

    /// With its article, for an error's sentence.
    pub fn described(self) -> &'static str {
        match self {
            Type::Null => "null",
            Type::Bool => "a boolean",
            Type::Int => "an int",
            Type::Uint => "a uint",
            Type::Double => "a double",
            Type::String => "a string",
            Type::Bytes => "bytes",
            Type::List => "a list",
            Type::Map => "a map",
            Type::Timestamp => "a timestamp",
            Type::Duration => "a duration",
            Type::Type => "a type",
        }
    }
}

impl Path {
    /// The path as it would be written, with its first `parts` parts.
    pub fn display(&self, parts: usize) -> String {
        let mut text = match &self.start {
            Start::Message if self.parts.is_empty() || parts == 0 => "msg".to_owned(),
            Start::Message => String::new(),
            Start::Headers => "headers".to_owned(),
            Start::Meta => "meta".to_owned(),
            Start::Local(_, name) => name.to_string(),
        };
        for part in self.parts.iter().take(parts) {
            // Writing to a String cannot fail.
            let _ = match part {
                Part::Name(name) if is_identifier(name) && text.is_empty() => write!(text, "{name}"),
                Part::Name(name) if is_identifier(name) => write!(text, ".{name}"),
                Part::Name(name) => write!(text, "[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\"")),
                Part::Position(index) => write!(text, "[{index}]"),
            };
        }
        text
    }
}

fn is_identifier(name: &str) -> bool {
    name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Node {
    /// The field that an error of this node is about: its own path, or its operands' first one.
    pub fn field(&self, parts: usize) -> Option<String> {
        match &self.operation {
            Operation::Path(path) => Some(path.display(parts)),
            Operation::Select(operand, name) => Some(format!("{}.{name}", operand.field(usize::MAX)?)),
            Operation::Has(operand, name) => Some(format!("{}.{name}", operand.field(usize::MAX)?)),
            Operation::Index(operand, _) | Operation::Not(operand) | Operation::Negate(operand) => {
                operand.field(usize::MAX)
            }
            Operation::Matches(operand, _) => operand.field(usize::MAX),
            Operation::And(pair) | Operation::Or(pair) | Operation::In(pair) => first_field(&**pair),
            Operation::Equal(pair, _) | Operation::Order(pair, _) | Operation::Arithmetic(pair, _) => {
                first_field(&**pair)
            }
            Operation::Conditional(parts) => parts[0].field(usize::MAX),
            Operation::Call(_, arguments) => first_field(arguments),
            Operation::Macro(expanded) => expanded.range.field(usize::MAX),
            Operation::Lookup(lookup) => lookup.key.field(usize::MAX),
            Operation::Constant(_) | Operation::List(_) | Operation::Map(_) => None,
        }
    }

    /// Whether its value is a boolean, if it has one.
    #[inline]
    pub fn is_decision(&self) -> bool {
        use Operation::{And, Equal, Not, Or, Order};
        matches!(self.operation, And(_) | Or(_) | Not(_) | Equal(..) | Order(..))
    }

    pub fn constant(&self) -> Option<&Constant> {
        match &self.operation {
            Operation::Constant(constant) => Some(constant),
            _ => None,
        }
    }
}

fn first_field(nodes: &[Node]) -> Option<String> {
    nodes.iter().find_map(|node| node.field(usize::MAX))
}
