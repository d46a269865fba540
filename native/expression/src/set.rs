//! `set: {PATH: EXPRESSION, ...}`: computes values and puts them into the document, in order.

use message::{Fault, Path, Step, Tables, Verdict, Work};

use crate::compile::compile;
use crate::draft::{Draft, draft};
use crate::edit::{depth_of, parse_path, pointer, refused};
use crate::evaluate::Evaluation;
use crate::failure::{Kind, Mishap, SET, fault};
use crate::program::Program;

/// Compiled assignments. Immutable; shared by all threads.
#[derive(Debug)]
pub struct Set {
    assignments: Box<[(Path, Program)]>,
}

impl Set {
    /// Compiles `(path, expression)` entries. Blocks like [`crate::Filter::compile`].
    ///
    /// # Errors
    /// `config/invalid-path` and those of an expression, with the entry's path as pointer.
    pub fn compile<P: AsRef<str>, E: AsRef<str>>(entries: &[(P, E)]) -> Result<Set, Fault> {
        Set::with_tables(entries, &Tables::default())
    }

    /// The same of expressions that may look into these tables.
    ///
    /// # Errors
    /// Those of [`Set::compile`].
    pub fn with_tables<P: AsRef<str>, E: AsRef<str>>(entries: &[(P, E)], tables: &Tables) -> Result<Set, Fault> {
        let compiled = entries.iter().map(|(path, expression)| {
            let (path, expression) = (path.as_ref(), expression.as_ref());
            let pointed = |fault: Fault| fault.at_pointer(pointer(path));
            Ok((parse_path(path).map_err(pointed)?, compile(expression, tables).map_err(pointed)?))
        });
        compiled.collect::<Result<_, _>>().map(|assignments| Set { assignments })
    }
}

impl Step for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    /// A later entry sees what the earlier ones set. Each expression has the whole fuel.
    fn apply(&self, work: &mut Work<'_, '_>) -> Result<Verdict, Fault> {
        for (path, program) in &self.assignments {
            let draft = compute(path, program, work)?;
            let value = draft.push(work.document);
            work.document.set(path, value).map_err(|error| refused(path, error))?;
        }
        Ok(Verdict::Pass)
    }
}

/// The value of one entry, apart from the document, and small enough to be put into it.
fn compute(path: &Path, program: &Program, work: &Work<'_, '_>) -> Result<Draft, Fault> {
    let mut evaluation = Evaluation::new(work.document, &work.context, work.limits.fuel);
    let failed = |mishap: Mishap| fault(program, &mishap.at(program.root()), &SET).in_field(path.to_string());
    let value = evaluation.evaluate(program.root()).map_err(|failure| fault(program, &failure, &SET))?;
    let (draft, size) = draft(&value, work.document, &mut evaluation.fuel).map_err(failed)?;
    let limits = work.limits;
    let excess = if work.document.node_count() + size.nodes + depth_of(path) > limits.nodes {
        format!("the document would have more than {} values", limits.nodes)
    } else if size.bytes > limits.output_bytes {
        format!("the value has more than {} bytes", limits.output_bytes)
    } else if size.depth + depth_of(path) > limits.depth {
        format!("the document would be nested deeper than {}", limits.depth)
    } else {
        return Ok(draft);
    };
    Err(failed(Mishap::new(Kind::TooExpensive, excess)))
}
