//! A document's value as a script sees it: exactly what `JSON.parse` would have made of it.

use message::{Kind, Value};

use super::raw::{Js, Owned, Thrown};

/// Builds the whole value. Recursion is as deep as the document, which its parser has capped.
pub fn value(js: Js, value: Value<'_>) -> Result<Owned, Thrown> {
    match value.kind() {
        Kind::Null => Ok(js.null()),
        Kind::False => Ok(js.boolean(false)),
        Kind::True => Ok(js.boolean(true)),
        Kind::Number => Ok(number(js, &value.text().unwrap_or_default())),
        Kind::Text => js.text(&value.text().unwrap_or_default()),
        Kind::Object => object(js, value),
        Kind::List => list(js, value),
    }
}

fn object(js: Js, value: Value<'_>) -> Result<Owned, Thrown> {
    let object = js.object()?;
    for (name, member) in value.members() {
        let key = js.key(&name)?;
        object.define(&key, self::value(js, member)?)?;
    }
    Ok(object)
}

fn list(js: Js, value: Value<'_>) -> Result<Owned, Thrown> {
    let items = value.items().map(|item| self::value(js, item)).collect::<Result<Vec<_>, _>>()?;
    js.array(items)
}

/// Short integers, the most common numbers by far, without the general parser.
pub fn number(js: Js, digits: &str) -> Owned {
    let bytes = digits.as_bytes();
    if bytes.len() <= 9 && bytes.iter().all(u8::is_ascii_digit) {
        return js.int(bytes.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0')));
    }
    js.number(digits.parse().unwrap_or(f64::NAN))
}
