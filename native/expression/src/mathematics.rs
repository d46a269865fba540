//! The functions of CEL's math extension that amounts of money need.

use crate::calls::no_overload;
use crate::failure::Mishap;
use crate::functions::Function;
use crate::operand::Operand;

/// Ints stay as they are, but for `math.abs`; halves are rounded away from zero.
pub(crate) fn compute<'a>(function: Function, value: &Operand<'a>) -> Result<Operand<'a>, Mishap> {
    Ok(match (function, value) {
        (Function::Abs, Operand::Int(value)) => {
            let absolute = value.checked_abs();
            Operand::Int(absolute.ok_or_else(|| Mishap::failed("the result does not fit into a 64-bit int"))?)
        }
        (_, Operand::Int(value)) => Operand::Int(*value),
        (_, Operand::Uint(value)) => Operand::Uint(*value),
        (Function::Abs, Operand::Double(value)) => Operand::Double(value.abs()),
        (Function::Ceil, Operand::Double(value)) => Operand::Double(value.ceil()),
        (Function::Floor, Operand::Double(value)) => Operand::Double(value.floor()),
        (Function::Round, Operand::Double(value)) => Operand::Double(value.round()),
        (Function::Trunc, Operand::Double(value)) => Operand::Double(value.trunc()),
        _ => return Err(no_overload(function, std::slice::from_ref(value))),
    })
}
