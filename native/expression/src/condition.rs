//! An expression that has to give true or false: a filter, or a case of a route.

use message::{Context, Document, Fault, Limits};

use crate::evaluate::Evaluation;
use crate::failure::{Codes, Kind, Mishap, fault};
use crate::operand::Operand;
use crate::program::Program;

#[inline]
pub(crate) fn holds(
    program: &Program,
    document: &Document,
    context: &Context<'_>,
    limits: &Limits,
    codes: &Codes,
) -> Result<bool, Fault> {
    let mut evaluation = Evaluation::new(document, context, limits.fuel);
    if program.root().is_decision() {
        return evaluation.truth(program.root(), "").map_err(|failure| fault(program, &failure, codes));
    }
    match evaluation.scalar(program.root()) {
        Ok(Operand::Bool(value)) => Ok(value),
        Ok(other) => {
            let reason = format!("the result is {}, neither true nor false,", other.kind().described());
            Err(fault(program, &Mishap::new(Kind::NotABoolean, reason).at(program.root()), codes))
        }
        Err(failure) => Err(fault(program, &failure, codes)),
    }
}
