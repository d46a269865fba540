//! The conversions: `int`, `uint`, `double`, `string`, `bytes`, `bool`, `duration`, `timestamp`.

use crate::calls::no_overload;
use crate::evaluate::Fuel;
use crate::failure::Mishap;
use crate::functions::Function;
use crate::operand::{Bytes, Operand, Text};
use crate::text::string_of;
use crate::time::{Duration, Timestamp};

pub(crate) fn convert<'a>(function: Function, value: &Operand<'a>, fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    if let Operand::Text(text) = value {
        fuel.charge_bytes(text.len())?;
    }
    match function {
        Function::Int => int(value).map(Operand::Int),
        Function::Uint => uint(value).map(Operand::Uint),
        Function::Double => double(value).map(Operand::Double),
        Function::String => string_of(value, fuel),
        Function::Bytes => bytes(value),
        Function::Bool => boolean(value).map(Operand::Bool),
        Function::Duration => match value {
            Operand::Duration(value) => Ok(Operand::Duration(*value)),
            Operand::Text(text) => Duration::parse(text).map(Operand::Duration),
            _ => Err(no_overload(function, std::slice::from_ref(value))),
        },
        _ => match value {
            Operand::Timestamp(value) => Ok(Operand::Timestamp(*value)),
            Operand::Text(text) => Timestamp::parse(text).map(Operand::Timestamp),
            Operand::Int(seconds) => Timestamp::from_seconds(*seconds).map(Operand::Timestamp),
            _ => Err(no_overload(Function::Timestamp, std::slice::from_ref(value))),
        },
    }
}

#[cold]
fn unreadable(text: &str, kind: &str) -> Mishap {
    let short: String = text.chars().take(40).collect();
    Mishap::failed(format!("the string \"{short}\" is not {kind}"))
}

#[cold]
fn out_of_range(kind: &str) -> Mishap {
    Mishap::failed(format!("the number does not fit into {kind}"))
}

/// A double is cut towards zero; a timestamp gives its seconds.
fn int(value: &Operand<'_>) -> Result<i64, Mishap> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Operand::Int(value) => Ok(*value),
        Operand::Uint(value) => i64::try_from(*value).map_err(|_| out_of_range("an int")),
        // The largest double below the limit is an int; the limit itself is not.
        #[allow(clippy::cast_possible_truncation)]
        Operand::Double(value) if *value > -LIMIT && *value < LIMIT => Ok(*value as i64),
        Operand::Double(_) => Err(out_of_range("an int")),
        Operand::Text(text) => text.parse().map_err(|_| unreadable(text, "an int")),
        Operand::Timestamp(value) => Ok(value.seconds),
        _ => Err(no_overload(Function::Int, std::slice::from_ref(value))),
    }
}

fn uint(value: &Operand<'_>) -> Result<u64, Mishap> {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    match value {
        Operand::Uint(value) => Ok(*value),
        Operand::Int(value) => u64::try_from(*value).map_err(|_| out_of_range("a uint")),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Operand::Double(value) if *value >= 0.0 && *value < LIMIT => Ok(*value as u64),
        Operand::Double(_) => Err(out_of_range("a uint")),
        Operand::Text(text) => text.parse().map_err(|_| unreadable(text, "a uint")),
        _ => Err(no_overload(Function::Uint, std::slice::from_ref(value))),
    }
}

#[allow(clippy::cast_precision_loss)] // as the specification has it
fn double(value: &Operand<'_>) -> Result<f64, Mishap> {
    match value {
        Operand::Double(value) => Ok(*value),
        Operand::Int(value) => Ok(*value as f64),
        Operand::Uint(value) => Ok(*value as f64),
        Operand::Text(text) => text.parse().map_err(|_| unreadable(text, "a double")),
        _ => Err(no_overload(Function::Double, std::slice::from_ref(value))),
    }
}

fn bytes<'a>(value: &Operand<'a>) -> Result<Operand<'a>, Mishap> {
    match value {
        Operand::Bytes(_) => Ok(value.clone()),
        Operand::Text(Text::Borrowed(text)) => Ok(Operand::Bytes(Bytes::Borrowed(text.as_bytes()))),
        Operand::Text(Text::Shared(text)) => Ok(Operand::Bytes(Bytes::Shared(text.as_bytes().into()))),
        _ => Err(no_overload(Function::Bytes, std::slice::from_ref(value))),
    }
}

fn boolean(value: &Operand<'_>) -> Result<bool, Mishap> {
    match value {
        Operand::Bool(value) => Ok(*value),
        Operand::Text(text) => match &**text {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(unreadable(text, "a boolean")),
        },
        _ => Err(no_overload(Function::Bool, std::slice::from_ref(value))),
    }
}
