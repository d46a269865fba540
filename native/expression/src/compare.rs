//! Equality, order and membership, as the specification has them: values of different types are
//! unequal, numbers compare by what they are worth, and only like types have an order.

use std::cmp::Ordering;

use message::{Kind as JsonKind, Value};

use crate::evaluate::Fuel;
use crate::failure::Mishap;
use crate::number::{self, Number, compare_int, compare_signs, compare_uint};
use crate::operand::{Map, Operand, Walk, header_entries, plain_text, raw, walk};
use crate::program::{Constant, Type};

/// Whether two values are the same. Pays for every element it walks; recurses as deep as they are.
#[inline]
pub(crate) fn equal<'a>(left: &Operand<'a>, right: &Operand<'a>, fuel: &mut Fuel) -> Result<bool, Mishap> {
    // The common case, a field against a literal, without decoding or copying the text.
    if let (Operand::Tape(value), Operand::Text(text)) = (left, right)
        && let Some(bytes) = plain_text(value)
    {
        fuel.charge_bytes(bytes.len().min(text.len()))?;
        return Ok(bytes == text.as_bytes());
    }
    let left = left.clone().typed(fuel)?;
    let right = right.clone().typed(fuel)?;
    equal_typed(&left, &right, fuel)
}

#[inline(never)]
fn equal_typed<'a>(left: &Operand<'a>, right: &Operand<'a>, fuel: &mut Fuel) -> Result<bool, Mishap> {
    Ok(match (left, right) {
        (Operand::Null, Operand::Null) => true,
        (Operand::Bool(left), Operand::Bool(right)) => left == right,
        (Operand::Text(left), Operand::Text(right)) => {
            fuel.charge_bytes(left.len().min(right.len()))?;
            **left == **right
        }
        (Operand::Bytes(left), Operand::Bytes(right)) => {
            fuel.charge_bytes(left.len().min(right.len()))?;
            **left == **right
        }
        (Operand::Timestamp(left), Operand::Timestamp(right)) => left == right,
        (Operand::Duration(left), Operand::Duration(right)) => left == right,
        (Operand::Type(left), Operand::Type(right)) => left == right,
        _ => match numbers(left, right) {
            Some(order) => order == Some(Ordering::Equal),
            None => return containers_equal(left, right, fuel),
        },
    })
}

fn containers_equal<'a>(left: &Operand<'a>, right: &Operand<'a>, fuel: &mut Fuel) -> Result<bool, Mishap> {
    match (left.kind(), right.kind()) {
        (Type::List, Type::List) => lists_equal(left, right, fuel),
        (Type::Map, Type::Map) => maps_equal(left, right, fuel),
        _ => Ok(false),
    }
}

fn lists_equal<'a>(left: &Operand<'a>, right: &Operand<'a>, fuel: &mut Fuel) -> Result<bool, Mishap> {
    let (Some(mut left), Some(mut right)) = (walk(left), walk(right)) else { return Ok(false) };
    loop {
        fuel.charge(1)?;
        match (left.next(), right.next()) {
            (None, None) => return Ok(true),
            (Some(left), Some(right)) if equal(&left, &right, fuel)? => {}
            _ => return Ok(false),
        }
    }
}

fn maps_equal<'a>(left: &Operand<'a>, right: &Operand<'a>, fuel: &mut Fuel) -> Result<bool, Mishap> {
    let (left, right) = (entries(left, fuel)?, entries(right, fuel)?);
    if left.len() != right.len() {
        return Ok(false);
    }
    for (position, (key, value)) in left.iter().enumerate() {
        // Most equal maps have their keys in the same order.
        let candidates = right[position..].iter().chain(&right[..position]);
        let mut found = None;
        for (other, value) in candidates {
            fuel.charge(1)?;
            if equal(key, other, fuel)? {
                found = Some(value);
                break;
            }
        }
        match found {
            Some(other) if equal(value, other, fuel)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// A map's keys and values, wherever they are.
pub(crate) fn entries<'a>(map: &Operand<'a>, fuel: &mut Fuel) -> Result<Vec<(Operand<'a>, Operand<'a>)>, Mishap> {
    let mut entries = Vec::new();
    match map {
        Operand::Tape(value) => {
            for (key, value) in value.members() {
                fuel.charge(1)?;
                entries.push((crate::operand::key_operand(key), Operand::Tape(value)));
            }
        }
        Operand::Map(Map::Shared(shared)) => {
            fuel.charge(shared.len())?;
            entries.extend(shared.iter().cloned());
        }
        Operand::Map(Map::Fixed(fixed)) => {
            fuel.charge(fixed.len())?;
            entries.extend(fixed.iter().map(|(key, value)| (Operand::from(key), Operand::from(value))));
        }
        Operand::Map(Map::Headers(headers)) => {
            fuel.charge(headers.iter().count())?;
            entries.extend(header_entries(*headers).iter().cloned());
        }
        _ => {}
    }
    Ok(entries)
}

/// `None` unless both are numbers; the inner `None` when one of them is NaN.
#[inline]
fn numbers(left: &Operand<'_>, right: &Operand<'_>) -> Option<Option<Ordering>> {
    Some(match (left, right) {
        (Operand::Double(left), Operand::Double(right)) => left.partial_cmp(right),
        (Operand::Int(left), Operand::Int(right)) => Some(left.cmp(right)),
        (Operand::Int(left), Operand::Double(right)) => compare_int(*left, *right),
        (Operand::Double(left), Operand::Int(right)) => compare_int(*right, *left).map(Ordering::reverse),
        (Operand::Uint(left), Operand::Uint(right)) => Some(left.cmp(right)),
        (Operand::Uint(left), Operand::Double(right)) => compare_uint(*left, *right),
        (Operand::Double(left), Operand::Uint(right)) => compare_uint(*right, *left).map(Ordering::reverse),
        (Operand::Int(left), Operand::Uint(right)) => Some(compare_signs(*left, *right)),
        (Operand::Uint(left), Operand::Int(right)) => Some(compare_signs(*right, *left).reverse()),
        _ => return None,
    })
}

/// The order of a field and a literal that are both numbers; `None` for others, and for digits
/// that are long enough to be paid for.
#[inline]
pub(crate) fn with_number(field: &Value<'_>, literal: &Constant) -> Option<Option<Ordering>> {
    const SHORT: usize = 64;
    let digits = raw(field);
    if field.kind() != JsonKind::Number || digits.len() > SHORT {
        return None;
    }
    let order = match (number::read(digits), literal) {
        (Number::Double(left), Constant::Double(right)) => left.partial_cmp(right),
        (Number::Int(left), Constant::Int(right)) => Some(left.cmp(right)),
        (Number::Int(left), Constant::Double(right)) => compare_int(left, *right),
        (Number::Double(left), Constant::Int(right)) => compare_int(*right, left).map(Ordering::reverse),
        _ => return None,
    };
    Some(order)
}

/// The order of two typed values; `None` when one is NaN, which is neither below nor above.
#[inline]
pub(crate) fn order(left: &Operand<'_>, right: &Operand<'_>, fuel: &mut Fuel) -> Result<Option<Ordering>, Mishap> {
    if let Some(order) = numbers(left, right) {
        return Ok(order);
    }
    Ok(Some(match (left, right) {
        (Operand::Text(left), Operand::Text(right)) => {
            fuel.charge_bytes(left.len().min(right.len()))?;
            (**left).cmp(&**right)
        }
        (Operand::Bytes(left), Operand::Bytes(right)) => {
            fuel.charge_bytes(left.len().min(right.len()))?;
            (**left).cmp(&**right)
        }
        (Operand::Bool(left), Operand::Bool(right)) => left.cmp(right),
        (Operand::Timestamp(left), Operand::Timestamp(right)) => left.cmp(right),
        (Operand::Duration(left), Operand::Duration(right)) => left.cmp(right),
        _ => {
            let reason = format!("{} cannot be compared with {}", described(left), described(right));
            return Err(Mishap::wrong_type(reason));
        }
    }))
}

/// `needle in range`: an element of a list, or a key of a map.
pub(crate) fn contains<'a>(range: &Operand<'a>, needle: &Operand<'a>, fuel: &mut Fuel) -> Result<bool, Mishap> {
    if let Some(known) = named_key(range, needle, fuel)? {
        return Ok(known);
    }
    let Some(items) = walk(range) else {
        return Err(Mishap::wrong_type(format!("`in` takes a list or a map, not {}", described(range))));
    };
    for item in items {
        fuel.charge(1)?;
        if equal(needle, &item, fuel)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A map's key is a string, a number or a boolean; to look for anything else is a mistake.
pub(crate) fn check_key(key: &Operand<'_>) -> Result<(), Mishap> {
    match key.kind() {
        Type::String | Type::Int | Type::Uint | Type::Double | Type::Bool => Ok(()),
        other => Err(Mishap::wrong_type(format!("{} cannot be the key of a map", other.described()))),
    }
}

/// Looks a string up in an object of the document, or in the headers, without walking its keys.
fn named_key(range: &Operand<'_>, needle: &Operand<'_>, fuel: &mut Fuel) -> Result<Option<bool>, Mishap> {
    if range.kind() == Type::Map {
        check_key(needle)?;
    }
    let object = matches!(range, Operand::Tape(value) if value.kind() == JsonKind::Object);
    let headers = matches!(range, Operand::Map(Map::Headers(_)));
    if !object && !headers {
        return Ok(None);
    }
    let Operand::Text(name) = needle.clone().typed(fuel)? else { return Ok(Some(false)) };
    match range {
        Operand::Tape(value) => {
            let (found, walked) = Value::find(value, &name);
            fuel.charge_items(walked)?;
            Ok(Some(found.is_some()))
        }
        Operand::Map(Map::Headers(headers)) => {
            fuel.charge_items(headers.iter().count())?;
            Ok(Some(headers.get(&name).is_some()))
        }
        _ => Ok(None),
    }
}

/// How many elements or entries; `None` when it is neither list nor map.
pub(crate) fn count(operand: &Operand<'_>, fuel: &mut Fuel) -> Result<Option<usize>, Mishap> {
    let counted = match walk(operand) {
        Some(Walk::SharedItems(items, _)) => items.len(),
        Some(Walk::SharedKeys(entries, _)) => entries.len(),
        Some(walked) => walked.count(),
        None => return Ok(None),
    };
    fuel.charge_items(counted)?;
    Ok(Some(counted))
}

/// The value's type, for an error's sentence.
pub(crate) fn described(operand: &Operand<'_>) -> &'static str {
    operand.kind().described()
}
