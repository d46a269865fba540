//! `+ - * / %` and unary minus. Ints and uints fail where they overflow; an int beside a double is
//! promoted to a double, which is an extension: the specification has no such overload.

use crate::compare::described;
use crate::evaluate::Fuel;
use crate::failure::Mishap;
use crate::operand::{Operand, walk};
use crate::program::{Arithmetic, Type};

pub(crate) fn compute<'a>(
    operator: Arithmetic,
    left: &Operand<'a>,
    right: &Operand<'a>,
    fuel: &mut Fuel,
) -> Result<Operand<'a>, Mishap> {
    #[allow(clippy::cast_precision_loss)] // promotion rounds to the nearest double
    match (left, right) {
        (Operand::Int(left), Operand::Int(right)) => ints(operator, *left, *right).map(Operand::Int),
        (Operand::Uint(left), Operand::Uint(right)) => uints(operator, *left, *right).map(Operand::Uint),
        (Operand::Double(left), Operand::Double(right)) => doubles(operator, *left, *right),
        (Operand::Int(left), Operand::Double(right)) => doubles(operator, *left as f64, *right),
        (Operand::Double(left), Operand::Int(right)) => doubles(operator, *left, *right as f64),
        _ => match operator {
            Arithmetic::Add => add(left, right, fuel),
            Arithmetic::Subtract => subtract(left, right),
            _ => Err(no_overload(operator, left, right)),
        },
    }
}

fn ints(operator: Arithmetic, left: i64, right: i64) -> Result<i64, Mishap> {
    if right == 0 {
        divisor(operator)?;
    }
    let result = match operator {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    };
    result.ok_or_else(|| overflow("int"))
}

fn uints(operator: Arithmetic, left: u64, right: u64) -> Result<u64, Mishap> {
    if right == 0 {
        divisor(operator)?;
    }
    let result = match operator {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    };
    result.ok_or_else(|| overflow("uint"))
}

fn divisor(operator: Arithmetic) -> Result<(), Mishap> {
    match operator {
        Arithmetic::Divide => Err(Mishap::failed("division by zero")),
        Arithmetic::Remainder => Err(Mishap::failed("remainder of a division by zero")),
        _ => Ok(()),
    }
}

#[cold]
fn overflow(kind: &str) -> Mishap {
    Mishap::failed(format!("the result does not fit into a 64-bit {kind}"))
}

/// As IEEE 754 has it: a division by zero is infinite.
fn doubles<'a>(operator: Arithmetic, left: f64, right: f64) -> Result<Operand<'a>, Mishap> {
    Ok(Operand::Double(match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => {
            return Err(no_overload(operator, &Operand::Double(left), &Operand::Double(right)));
        }
    }))
}

fn add<'a>(left: &Operand<'a>, right: &Operand<'a>, fuel: &mut Fuel) -> Result<Operand<'a>, Mishap> {
    match (left, right) {
        (Operand::Text(left), Operand::Text(right)) => {
            fuel.charge_bytes(left.len() + right.len())?;
            let mut text = String::with_capacity(left.len() + right.len());
            text.push_str(left);
            text.push_str(right);
            Ok(Operand::text(text))
        }
        (Operand::Bytes(left), Operand::Bytes(right)) => {
            fuel.charge_bytes(left.len() + right.len())?;
            Ok(Operand::Bytes(crate::operand::Bytes::Shared([&**left, &**right].concat().into())))
        }
        (Operand::Timestamp(time), Operand::Duration(length))
        | (Operand::Duration(length), Operand::Timestamp(time)) => time.plus(*length).map(Operand::Timestamp),
        (Operand::Duration(left), Operand::Duration(right)) => left.plus(*right).map(Operand::Duration),
        _ if left.kind() == Type::List && right.kind() == Type::List => {
            let mut items = Vec::new();
            for item in [left, right].into_iter().filter_map(walk).flatten() {
                fuel.charge(items.len() % 2)?; // two elements for a step
                items.push(item);
            }
            Ok(Operand::list(items))
        }
        _ => Err(no_overload(Arithmetic::Add, left, right)),
    }
}

fn subtract<'a>(left: &Operand<'a>, right: &Operand<'a>) -> Result<Operand<'a>, Mishap> {
    match (left, right) {
        (Operand::Timestamp(left), Operand::Timestamp(right)) => left.since(*right).map(Operand::Duration),
        (Operand::Timestamp(time), Operand::Duration(length)) => time.minus(*length).map(Operand::Timestamp),
        (Operand::Duration(left), Operand::Duration(right)) => left.minus(*right).map(Operand::Duration),
        _ => Err(no_overload(Arithmetic::Subtract, left, right)),
    }
}

pub(crate) fn negate<'a>(value: &Operand<'a>) -> Result<Operand<'a>, Mishap> {
    match value {
        Operand::Int(value) => value.checked_neg().map(Operand::Int).ok_or_else(|| overflow("int")),
        Operand::Double(value) => Ok(Operand::Double(-value)),
        _ => Err(Mishap::wrong_type(format!("`-` takes an int or a double, not {}", described(value)))),
    }
}

#[cold]
fn no_overload(operator: Arithmetic, left: &Operand<'_>, right: &Operand<'_>) -> Mishap {
    let sign = match operator {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::Remainder => "%",
    };
    Mishap::wrong_type(format!("`{sign}` does not take {} and {}", described(left), described(right)))
}
