//! A document's value as a script sees it: exactly what `JSON.parse` would have made of it. Objects
//! are views, read when they are touched; lists are the engine's own arrays, of such values.

use std::rc::Rc;

use message::{Kind, Value};

use super::digits::Long;
use super::lent::Message;
use super::raw::{Js, Owned, Thrown};
use super::view;

/// The value at a position of the message's document.
pub fn value(js: Js, message: &Rc<Message>, node: u32, item: bool) -> Result<Owned, Thrown> {
    let document = message.document.borrow();
    of(js, message, document.value_at(node, item))
}

/// Recursion is as deep as lists in lists, which the document's parser has capped.
fn of(js: Js, message: &Rc<Message>, value: Value<'_>) -> Result<Owned, Thrown> {
    match value.kind() {
        Kind::Null => Ok(js.null()),
        Kind::False => Ok(js.boolean(false)),
        Kind::True => Ok(js.boolean(true)),
        Kind::Number => {
            let text = value.text().unwrap_or_default();
            let read = number(&text);
            if Long::may_be(&text, read) {
                let document = message.document.borrow();
                let span = document.node(value.position().0).value;
                let source = |span| String::from_utf8_lossy(document.bytes(span)).into_owned();
                message.long.note(&text, read, span, source);
            }
            Ok(js.number(read))
        }
        Kind::Text => js.text(&value.text().unwrap_or_default()),
        Kind::Object => {
            let (node, item) = value.position();
            view::create(js, message, node, item)
        }
        Kind::List => js.array(value.items().map(|item| of(js, message, item)).collect::<Result<_, _>>()?),
    }
}

/// A value of another document than the message's, made whole: views are of the message alone. As deep as that document's
/// parser has allowed.
pub fn copied(js: Js, value: Value<'_>) -> Result<Owned, Thrown> {
    match value.kind() {
        Kind::Null => Ok(js.null()),
        Kind::False => Ok(js.boolean(false)),
        Kind::True => Ok(js.boolean(true)),
        Kind::Number => Ok(js.number(number(&value.text().unwrap_or_default()))),
        Kind::Text => js.text(&value.text().unwrap_or_default()),
        Kind::List => js.array(value.items().map(|item| copied(js, item)).collect::<Result<_, _>>()?),
        Kind::Object => {
            let object = js.object()?;
            for (key, member) in value.members() {
                object.define(&js.key(&key)?, copied(js, member)?)?;
            }
            Ok(object)
        }
    }
}

/// The number that a script reads. Short integers, the most common by far, go without the general
/// parser.
pub fn number(digits: &str) -> f64 {
    let bytes = digits.as_bytes();
    if bytes.len() <= 9 && bytes.iter().all(u8::is_ascii_digit) {
        return f64::from(bytes.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')));
    }
    digits.parse().unwrap_or(f64::NAN)
}
