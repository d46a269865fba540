//! The functions on strings. Positions count characters (Unicode code points), not bytes.

use crate::calls::no_overload;
use crate::compare::described;
use crate::evaluate::Fuel;
use crate::failure::Mishap;
use crate::functions::Function;
use crate::operand::{Operand, Text, walk};

/// `contains`, `startsWith`, `endsWith`
pub(crate) fn search<'a>(
    function: Function,
    arguments: &[Operand<'a>],
    fuel: &mut Fuel,
) -> Result<Operand<'a>, Mishap> {
    let [Operand::Text(text), Operand::Text(part)] = arguments else {
        return Err(no_overload(function, arguments));
    };
    let found = match function {
        Function::StartsWith => {
            fuel.charge_bytes(part.len())?;
            text.starts_with(&**part)
        }
        Function::EndsWith => {
            fuel.charge_bytes(part.len())?;
            text.ends_with(&**part)
        }
        _ => {
            fuel.charge_bytes(text.len() + part.len())?;
            text.contains(&**part)
        }
    };
    Ok(Operand::Bool(found))
}

/// `charAt`, `indexOf`, `lastIndexOf`, `substring`
pub(crate) fn position<'a>(
    function: Function,
    arguments: &[Operand<'a>],
    fuel: &mut Fuel,
) -> Result<Operand<'a>, Mishap> {
    let Some(Operand::Text(text)) = arguments.first() else {
        return Err(no_overload(function, arguments));
    };
    fuel.charge_bytes(2 * text.len())?;
    match (function, &arguments[1..]) {
        (Function::CharAt, [Operand::Int(at)]) => {
            let from = byte_of(text, *at)?;
            let end = text[from..].chars().next().map_or(from, |c| from + c.len_utf8());
            Ok(part(text, from, end))
        }
        (Function::Substring, [Operand::Int(from)]) => {
            let from = byte_of(text, *from)?;
            Ok(part(text, from, text.len()))
        }
        (Function::Substring, [Operand::Int(from), Operand::Int(end)]) => {
            if from > end {
                return Err(Mishap::failed(format!("substring() from {from} to {end} ends before it starts")));
            }
            let (from, end) = (byte_of(text, *from)?, byte_of(text, *end)?);
            Ok(part(text, from, end))
        }
        (Function::IndexOf | Function::LastIndexOf, [Operand::Text(wanted), rest @ ..]) => {
            let offset = match rest {
                [] => None,
                [Operand::Int(offset)] => Some(*offset),
                _ => return Err(no_overload(function, arguments)),
            };
            fuel.charge_bytes(wanted.len())?;
            index_of(text, wanted, offset, function == Function::LastIndexOf).map(Operand::Int)
        }
        _ => Err(no_overload(function, arguments)),
    }
}

/// Between two bytes of a text that are characters' borders; borrowed where the text is.
fn part<'a>(text: &Text<'a>, from: usize, end: usize) -> Operand<'a> {
    match text {
        Text::Borrowed(text) => Operand::borrowed(&text[from..end]),
        Text::Shared(text) => Operand::text(&text[from..end]),
    }
}

/// The byte at which character `at` starts; the end for the character after the last one.
fn byte_of(text: &str, at: i64) -> Result<usize, Mishap> {
    let out_of_range = || Mishap::failed(format!("index {at} is out of the string's range"));
    let at = usize::try_from(at).map_err(|_| out_of_range())?;
    let borders = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
    borders.into_iter().nth(at).ok_or_else(out_of_range)
}

fn index_of(text: &str, wanted: &str, offset: Option<i64>, last: bool) -> Result<i64, Mishap> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let offset = match offset {
        None if last => length,
        None => 0,
        Some(offset) if wanted.is_empty() && offset >= 0 => return Ok(offset.min(length)),
        Some(offset) if (0..length).contains(&offset) => offset,
        Some(offset) => return Err(Mishap::failed(format!("index {offset} is out of the string's range"))),
    };
    let from = byte_of(text, offset)?;
    let found = if last {
        // The match may start at the offset, so it may end behind it.
        let end = text.len().min(from + wanted.len());
        let end = (end..=text.len()).find(|byte| text.is_char_boundary(*byte)).unwrap_or(text.len());
        text[..end].rmatch_indices(wanted).map(|(byte, _)| byte).find(|byte| *byte <= from)
    } else {
        text[from..].find(wanted).map(|byte| from + byte)
    };
    Ok(found.map_or(-1, |byte| i64::try_from(text[..byte].chars().count()).unwrap_or(i64::MAX)))
}

/// `lowerAscii`, `upperAscii`, `trim`, `replace`, `split`, `join`
pub(crate) fn build<'a>(function: Function, arguments: &[Operand<'a>], fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    if function == Function::Join {
        return join(arguments, fuel);
    }
    let Some(Operand::Text(text)) = arguments.first() else {
        return Err(no_overload(function, arguments));
    };
    fuel.charge_bytes(text.len())?;
    match (function, &arguments[1..]) {
        (Function::LowerAscii, []) => Ok(Operand::text(text.to_ascii_lowercase())),
        (Function::UpperAscii, []) => Ok(Operand::text(text.to_ascii_uppercase())),
        (Function::Trim, []) => {
            let from = text.len() - text.trim_start().len();
            Ok(part(text, from, from + text.trim().len()))
        }
        (Function::Replace, [Operand::Text(from), Operand::Text(to)]) => replace(text, from, to, -1, fuel),
        (Function::Replace, [Operand::Text(from), Operand::Text(to), Operand::Int(times)]) => {
            replace(text, from, to, *times, fuel)
        }
        (Function::Split, [Operand::Text(by)]) => split(text, by, -1, fuel),
        (Function::Split, [Operand::Text(by), Operand::Int(most)]) => split(text, by, *most, fuel),
        _ => Err(no_overload(function, arguments)),
    }
}

/// Counts before it builds, so that the result's size is paid for before it exists.
fn replace<'a>(text: &str, from: &str, to: &str, times: i64, fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    let most = usize::try_from(times).unwrap_or(usize::MAX);
    let found = text.matches(from).take(most).count();
    fuel.charge_bytes(text.len() + found.saturating_mul(to.len()))?;
    Ok(Operand::text(text.replacen(from, to, most)))
}

/// At most `most` parts when it is not negative, the last with what remains.
fn split<'a>(text: &Text<'a>, by: &str, most: i64, fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut from = 0;
    let mut push = |parts: &mut Vec<Operand<'a>>, from: usize, end: usize| {
        fuel.charge(1)?;
        parts.push(part(text, from, end));
        Ok::<(), Mishap>(())
    };
    if most == 0 {
        return Ok(Operand::list(parts));
    }
    while parts.len() + 1 < most {
        // An empty separator splits between characters.
        let first = text[from..].chars().next();
        let (end, next) = match (by.is_empty(), first) {
            (true, Some(character)) => (from + character.len_utf8(), from + character.len_utf8()),
            (true, None) => return Ok(Operand::list(parts)),
            (false, _) => match text[from..].find(by) {
                Some(byte) => (from + byte, from + byte + by.len()),
                None => break,
            },
        };
        push(&mut parts, from, end)?;
        from = next;
    }
    if !by.is_empty() || from < text.len() {
        push(&mut parts, from, text.len())?;
    }
    Ok(Operand::list(parts))
}

fn join<'a>(arguments: &[Operand<'a>], fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    let by = match &arguments[1..] {
        [] => "",
        [Operand::Text(by)] => by,
        _ => return Err(no_overload(Function::Join, arguments)),
    };
    let list = matches!(arguments[0].kind(), crate::program::Type::List);
    let Some(items) = walk(&arguments[0]).filter(|_| list) else {
        return Err(no_overload(Function::Join, arguments));
    };
    let mut joined = String::new();
    for (position, item) in items.enumerate() {
        let Operand::Text(text) = item.typed(fuel)? else {
            return Err(Mishap::wrong_type(format!("join() takes a list of strings; element {position} is none")));
        };
        fuel.charge(1)?;
        fuel.charge_bytes(by.len() + text.len())?;
        if position > 0 {
            joined.push_str(by);
        }
        joined.push_str(&text);
    }
    Ok(Operand::text(joined))
}

/// The text of `string()`, and what a result that JSON cannot hold is written as.
pub(crate) fn string_of<'a>(value: &Operand<'a>, fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    Ok(match value {
        Operand::Text(_) => value.clone(),
        Operand::Bool(value) => Operand::borrowed(if *value { "true" } else { "false" }),
        Operand::Int(value) => Operand::text(value.to_string()),
        Operand::Uint(value) => Operand::text(value.to_string()),
        Operand::Double(value) => Operand::text(double(*value)),
        Operand::Timestamp(value) => Operand::text(value.to_string()),
        Operand::Duration(value) => Operand::text(value.to_string()),
        Operand::Bytes(bytes) => {
            fuel.charge_bytes(bytes.len())?;
            let text = std::str::from_utf8(bytes).map_err(|_| Mishap::failed("the bytes are not UTF-8"))?;
            Operand::text(text)
        }
        _ => return Err(Mishap::wrong_type(format!("string() does not take {}", described(value)))),
    })
}

/// Shortest digits that read back equal, without an exponent.
fn double(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}
