//! Calls by function: which file does it, and `size` and `matches`, which several types have.

use regex::Regex;

use crate::compare::{count, described};
use crate::evaluate::Fuel;
use crate::failure::Mishap;
use crate::functions::Function;
use crate::operand::Operand;
use crate::{calendar, conversions, mathematics, text};

/// Calls `function` with typed arguments, the receiver first. The arity was checked at compile time.
pub(crate) fn call<'a>(function: Function, arguments: &[Operand<'a>], fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    use Function as F;
    match function {
        F::Size => size(&arguments[0], fuel),
        F::Contains | F::StartsWith | F::EndsWith => text::search(function, arguments, fuel),
        F::CharAt | F::IndexOf | F::LastIndexOf | F::Substring => text::position(function, arguments, fuel),
        F::LowerAscii | F::UpperAscii | F::Trim | F::Replace | F::Split | F::Join => {
            text::build(function, arguments, fuel)
        }
        F::Int | F::Uint | F::Double | F::String | F::Bytes | F::Bool | F::Duration | F::Timestamp => {
            conversions::convert(function, &arguments[0], fuel)
        }
        F::Dyn => Ok(arguments[0].clone()),
        F::Type => Ok(Operand::Type(arguments[0].kind())),
        F::Abs | F::Ceil | F::Floor | F::Round | F::Trunc => mathematics::compute(function, &arguments[0]),
        _ => calendar::get(function, arguments),
    }
}

/// Characters of a string, bytes, elements of a list, entries of a map.
fn size<'a>(value: &Operand<'a>, fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    let size = match value {
        Operand::Text(text) => {
            fuel.charge_bytes(text.len())?;
            text.chars().count()
        }
        Operand::Bytes(bytes) => bytes.len(),
        _ => count(value, fuel)?
            .ok_or_else(|| Mishap::wrong_type(format!("size() does not take {}", described(value))))?,
    };
    Ok(Operand::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// Whether the pattern is found anywhere in the text. Linear in the text (the `regex` crate).
pub(crate) fn matches(value: &Operand<'_>, regex: &Regex, fuel: &mut Fuel) -> Result<bool, Mishap> {
    let Operand::Text(text) = value else {
        return Err(Mishap::wrong_type(format!("matches() takes a string, not {}", described(value))));
    };
    // A state machine takes longer over a byte than a comparison does, and the more the longer
    // its pattern is.
    fuel.charge_bytes(text.len() * (2 + regex.as_str().len() / 16))?;
    Ok(regex.is_match(text))
}

/// The error of a function for arguments that it has no overload for.
#[cold]
pub(crate) fn no_overload(function: Function, arguments: &[Operand<'_>]) -> Mishap {
    let types: Vec<&str> = arguments.iter().map(described).collect();
    let types = match types.as_slice() {
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
        [] => String::new(),
    };
    Mishap::wrong_type(format!("{}() does not take {types}", function.name()))
}
