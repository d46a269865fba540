//! The result of a `set`, cut loose from the document so that the document can be changed. What is
//! part of the document is only referred to, and copied node by node when it is put in.

use message::{Document, Kind as JsonKind, NONE, Node, Value};

use crate::compare::entries;
use crate::evaluate::Fuel;
use crate::failure::Mishap;
use crate::operand::{Operand, walk};
use crate::program::Type;
use crate::text::string_of;

#[derive(Debug)]
pub(crate) enum Draft {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    /// A number by its digits.
    Number(Box<str>),
    /// A node of the document, and whether only that one element of a chain is meant.
    Copy(u32, bool),
    List(Vec<Draft>),
    Map(Vec<(Box<str>, Draft)>),
}

/// What a value adds to a document.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub nodes: usize,
    pub bytes: usize,
    pub depth: usize,
}

impl Size {
    fn leaf(bytes: usize) -> Size {
        Size { nodes: 1, bytes, depth: 1 }
    }

    fn hold(&mut self, child: Size) {
        self.nodes += child.nodes;
        self.bytes += child.bytes;
        self.depth = self.depth.max(child.depth + 1);
    }
}

/// The draft of a result for `document`, and its size. Bytes, timestamps and durations become strings as
/// `string()` makes them; a double that JSON cannot hold fails.
pub(crate) fn draft(value: &Operand<'_>, document: &Document, fuel: &mut Fuel) -> Result<(Draft, Size), Mishap> {
    fuel.charge(1)?;
    Ok(match value {
        // Of a table.
        Operand::Tape(value) if !std::ptr::eq(value.document(), document) => {
            let size = measure(value, fuel)?;
            (copied(value), size)
        }
        Operand::Tape(value) => {
            let size = measure(value, fuel)?;
            let (node, item) = value.position();
            (if node == NONE { Draft::Null } else { Draft::Copy(node, item) }, size)
        }
        Operand::Null => (Draft::Null, Size::leaf(4)),
        Operand::Bool(value) => (Draft::Bool(*value), Size::leaf(5)),
        Operand::Int(value) => (Draft::Int(*value), Size::leaf(20)),
        Operand::Uint(value) => (Draft::Uint(*value), Size::leaf(20)),
        Operand::Double(value) if value.is_finite() => (Draft::Double(*value), Size::leaf(24)),
        Operand::Double(value) => {
            return Err(Mishap::failed(format!("the result is {value}, which JSON cannot hold,")));
        }
        Operand::Text(text) => {
            fuel.charge_bytes(text.len())?;
            (Draft::Text((**text).into()), Size::leaf(text.len()))
        }
        Operand::Bytes(_) | Operand::Timestamp(_) | Operand::Duration(_) => {
            return draft(&string_of(value, fuel)?, document, fuel);
        }
        Operand::Type(kind) => {
            return Err(Mishap::wrong_type(format!("the result is the type {}, no JSON value,", kind.name())));
        }
        Operand::List(_) | Operand::Map(_) if value.kind() == Type::List => list(value, document, fuel)?,
        Operand::List(_) | Operand::Map(_) => map(value, document, fuel)?,
    })
}

fn list(value: &Operand<'_>, document: &Document, fuel: &mut Fuel) -> Result<(Draft, Size), Mishap> {
    let mut size = Size::leaf(2);
    let mut items = Vec::new();
    for item in walk(value).into_iter().flatten() {
        let (item, held) = draft(&item, document, fuel)?;
        size.hold(held);
        items.push(item);
    }
    Ok((Draft::List(items), size))
}

fn map(value: &Operand<'_>, document: &Document, fuel: &mut Fuel) -> Result<(Draft, Size), Mishap> {
    let mut size = Size::leaf(2);
    let mut members = Vec::new();
    for (key, value) in entries(value, fuel)? {
        // 1 and "1" are different keys of a map, and the same one of an object.
        let Operand::Text(key) = key else {
            return Err(Mishap::wrong_type(format!("an object's keys are strings, not {}", key.kind().described())));
        };
        let (value, held) = draft(&value, document, fuel)?;
        size.hold(held);
        size.bytes += key.len();
        members.push(((*key).into(), value));
    }
    Ok((Draft::Map(members), size))
}

/// A value of another document. It has been measured, which is as deep.
fn copied(value: &Value<'_>) -> Draft {
    let text = || value.text().unwrap_or_default().into();
    match value.kind() {
        JsonKind::Null => Draft::Null,
        JsonKind::False => Draft::Bool(false),
        JsonKind::True => Draft::Bool(true),
        JsonKind::Number => Draft::Number(text()),
        JsonKind::Text => Draft::Text(text()),
        JsonKind::List => Draft::List(value.items().map(|item| copied(&item)).collect()),
        JsonKind::Object => Draft::Map(value.members().map(|(key, member)| (key.into(), copied(&member))).collect()),
    }
}

/// What a copy of a value of the document adds to it. Recurses as deep as the document.
fn measure(value: &Value<'_>, fuel: &mut Fuel) -> Result<Size, Mishap> {
    fuel.charge_items(1)?;
    let mut size = Size::leaf(0);
    match value.kind() {
        JsonKind::Object => {
            for (position, (key, member)) in value.members().enumerate() {
                fuel.charge(usize::from(position % 8 == 7))?;
                size.hold(measure(&member, fuel)?);
                size.bytes += key.len();
            }
        }
        JsonKind::List => {
            for (position, item) in value.items().enumerate() {
                fuel.charge(usize::from(position % 8 == 7))?;
                size.hold(measure(&item, fuel)?);
            }
        }
        JsonKind::Text | JsonKind::Number => size.bytes = crate::operand::raw(value).len(),
        JsonKind::Null | JsonKind::False | JsonKind::True => {}
    }
    Ok(size)
}

impl Draft {
    /// Appends the value to the document, unlinked.
    pub fn push(self, document: &mut Document) -> u32 {
        match self {
            Draft::Null => document.push(Node::new(JsonKind::Null)),
            Draft::Bool(value) => document.push_bool(value),
            Draft::Int(value) => document.push_i64(value),
            Draft::Uint(value) => document.push_leaf(JsonKind::Number, value.to_string().as_bytes()),
            Draft::Double(value) => document.push_f64(value),
            Draft::Text(text) => document.push_text(&text),
            Draft::Number(digits) => document.push_leaf(JsonKind::Number, digits.as_bytes()),
            Draft::Copy(node, item) => document.push_copy(node, item),
            Draft::List(items) => {
                let list = document.push(Node::new(JsonKind::List));
                let mut previous = NONE;
                for item in items {
                    let child = item.push(document);
                    document.link(list, previous, child);
                    previous = child;
                }
                list
            }
            Draft::Map(members) => {
                let object = document.push(Node::new(JsonKind::Object));
                let mut previous = NONE;
                for (key, value) in members {
                    let child = value.push(document);
                    document.node_mut(child).key = document.append(key.as_bytes());
                    document.link(object, previous, child);
                    previous = child;
                }
                object
            }
        }
    }
}
