//! The values that an evaluation works with. What lies in the document stays there: a [`Operand::Tape`]
//! is a reference, typed only when an operation asks. Built lists and maps are shared, not copied.

use std::rc::Rc;

use message::{Document, Encoding, Headers, Kind, Value};

use crate::evaluate::Fuel;
use crate::failure::Mishap;
use crate::number::{self, Number};
use crate::program::{Constant, Type};
use crate::time::{Duration, Timestamp};

#[derive(Clone, Debug)]
pub(crate) enum Operand<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Bytes<'a>),
    Timestamp(Timestamp),
    Duration(Duration),
    Type(Type),
    /// A value of the document, of whatever type.
    Tape(Value<'a>),
    List(List<'a>),
    Map(Map<'a>),
}

#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Rc<str>),
}

#[derive(Clone, Debug)]
pub(crate) enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Shared(Rc<[u8]>),
}

#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    Shared(Rc<[Operand<'a>]>),
    Fixed(&'a [Constant]),
}

#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    Shared(Rc<[(Operand<'a>, Operand<'a>)]>),
    Fixed(&'a [(Constant, Constant)]),
    Headers(Headers<'a>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl std::ops::Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl<'a> Operand<'a> {
    pub fn text(text: impl Into<Rc<str>>) -> Operand<'a> {
        Operand::Text(Text::Shared(text.into()))
    }

    pub fn borrowed(text: &'a str) -> Operand<'a> {
        Operand::Text(Text::Borrowed(text))
    }

    pub fn list(items: Vec<Operand<'a>>) -> Operand<'a> {
        Operand::List(List::Shared(items.into()))
    }

    pub fn map(entries: Vec<(Operand<'a>, Operand<'a>)>) -> Operand<'a> {
        Operand::Map(Map::Shared(entries.into()))
    }

    /// Types a scalar of the document; objects and lists stay where they are. Reads the whole of a
    /// text or number, and pays for it.
    #[inline]
    pub fn typed(self, fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
        match self {
            Operand::Tape(value) => {
                fuel.charge_bytes(raw(&value).len())?;
                Ok(typed(value))
            }
            other => Ok(other),
        }
    }

    pub fn kind(&self) -> Type {
        match self {
            Operand::Null => Type::Null,
            Operand::Bool(_) => Type::Bool,
            Operand::Int(_) => Type::Int,
            Operand::Uint(_) => Type::Uint,
            Operand::Double(_) => Type::Double,
            Operand::Text(_) => Type::String,
            Operand::Bytes(_) => Type::Bytes,
            Operand::Timestamp(_) => Type::Timestamp,
            Operand::Duration(_) => Type::Duration,
            Operand::Type(_) => Type::Type,
            Operand::List(_) => Type::List,
            Operand::Map(_) => Type::Map,
            Operand::Tape(value) => match value.kind() {
                Kind::Null => Type::Null,
                Kind::False | Kind::True => Type::Bool,
                Kind::Number => match number::read(raw(value)) {
                    Number::Int(_) => Type::Int,
                    Number::Double(_) => Type::Double,
                },
                Kind::Text => Type::String,
                Kind::Object => Type::Map,
                Kind::List => Type::List,
            },
        }
    }
}

impl<'a> From<&'a Constant> for Operand<'a> {
    #[inline]
    fn from(constant: &'a Constant) -> Operand<'a> {
        match constant {
            Constant::Null => Operand::Null,
            Constant::Bool(value) => Operand::Bool(*value),
            Constant::Int(value) => Operand::Int(*value),
            Constant::Uint(value) => Operand::Uint(*value),
            Constant::Double(value) => Operand::Double(*value),
            Constant::Text(text) => Operand::borrowed(text),
            Constant::Bytes(bytes) => Operand::Bytes(Bytes::Borrowed(bytes)),
            Constant::Timestamp(value) => Operand::Timestamp(*value),
            Constant::Duration(value) => Operand::Duration(*value),
            Constant::Type(value) => Operand::Type(*value),
            Constant::List(items) => Operand::List(List::Fixed(items)),
            Constant::Map(entries) => Operand::Map(Map::Fixed(entries)),
        }
    }
}

#[inline]
fn typed(value: Value<'_>) -> Operand<'_> {
    match value.kind() {
        Kind::Null => Operand::Null,
        Kind::False => Operand::Bool(false),
        Kind::True => Operand::Bool(true),
        Kind::Number => match number::read(raw(&value)) {
            Number::Int(number) => Operand::Int(number),
            Number::Double(number) => Operand::Double(number),
        },
        Kind::Text => match value.text() {
            Some(std::borrow::Cow::Borrowed(text)) => Operand::borrowed(text),
            Some(std::borrow::Cow::Owned(text)) => Operand::text(text),
            None => Operand::Null,
        },
        Kind::Object | Kind::List => Operand::Tape(value),
    }
}

/// The bytes of a leaf as they stand in the payload.
#[inline]
pub(crate) fn raw<'a>(value: &Value<'a>) -> &'a [u8] {
    let document: &'a Document = value.document();
    match value.kind() {
        Kind::Text | Kind::Number => document.bytes(document.node(value.position().0).value),
        _ => &[],
    }
}

/// The text of a leaf when its bytes are its characters.
#[inline]
pub(crate) fn plain_text<'a>(value: &Value<'a>) -> Option<&'a [u8]> {
    let node = value.document().node(value.position().0);
    let plain = node.encoding == Encoding::Plain && value.kind() == Kind::Text;
    plain.then(|| value.document().bytes(node.value))
}

/// A list's elements, or a map's keys: what `in`, the macros and `size` walk.
pub(crate) enum Walk<'a> {
    Items(message::Items<'a>),
    Keys(message::Members<'a>),
    SharedItems(Rc<[Operand<'a>]>, usize),
    SharedKeys(Rc<[(Operand<'a>, Operand<'a>)]>, usize),
    FixedItems(std::slice::Iter<'a, Constant>),
    FixedKeys(std::slice::Iter<'a, (Constant, Constant)>),
}

impl<'a> Iterator for Walk<'a> {
    type Item = Operand<'a>;

    fn next(&mut self) -> Option<Operand<'a>> {
        match self {
            Walk::Items(items) => items.next().map(Operand::Tape),
            Walk::Keys(members) => members.next().map(|(key, _)| key_operand(key)),
            Walk::SharedItems(items, at) => {
                *at += 1;
                items.get(*at - 1).cloned()
            }
            Walk::SharedKeys(entries, at) => {
                *at += 1;
                entries.get(*at - 1).map(|(key, _)| key.clone())
            }
            Walk::FixedItems(items) => items.next().map(Operand::from),
            Walk::FixedKeys(entries) => entries.next().map(|(key, _)| Operand::from(key)),
        }
    }
}

pub(crate) fn key_operand(key: std::borrow::Cow<'_, str>) -> Operand<'_> {
    match key {
        std::borrow::Cow::Borrowed(key) => Operand::borrowed(key),
        std::borrow::Cow::Owned(key) => Operand::text(key),
    }
}

/// Walks a list or a map; `None` for anything else. Headers are walked by name, each once.
pub(crate) fn walk<'a>(operand: &Operand<'a>) -> Option<Walk<'a>> {
    Some(match operand {
        Operand::Tape(value) => match value.kind() {
            Kind::List => Walk::Items(value.items()),
            Kind::Object => Walk::Keys(value.members()),
            _ => return None,
        },
        Operand::List(List::Shared(items)) => Walk::SharedItems(Rc::clone(items), 0),
        Operand::List(List::Fixed(items)) => Walk::FixedItems(items.iter()),
        Operand::Map(Map::Shared(entries)) => Walk::SharedKeys(Rc::clone(entries), 0),
        Operand::Map(Map::Fixed(entries)) => Walk::FixedKeys(entries.iter()),
        Operand::Map(Map::Headers(headers)) => Walk::SharedKeys(header_entries(*headers), 0),
        _ => return None,
    })
}

/// The headers as a map: of a name that comes twice, in whatever case, the first. A value that is
/// not UTF-8 reads as bytes.
pub(crate) fn header_entries<'a>(headers: Headers<'a>) -> Rc<[(Operand<'a>, Operand<'a>)]> {
    let mut seen = std::collections::HashSet::new();
    let entries = headers.iter().filter_map(|(name, value)| {
        let name = std::str::from_utf8(name).ok()?;
        let first = seen.insert(name.to_ascii_lowercase());
        first.then(|| (Operand::borrowed(name), header_value(value)))
    });
    entries.collect()
}

pub(crate) fn header_value(value: &[u8]) -> Operand<'_> {
    match std::str::from_utf8(value) {
        Ok(text) => Operand::borrowed(text),
        Err(_) => Operand::Bytes(Bytes::Borrowed(value)),
    }
}
