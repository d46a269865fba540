//! `filter: EXPRESSION`: true passes the message on, false drops it, anything else fails it.

use message::{Context, Document, Fault, Limits, Step, Tables, Verdict, Work};

use crate::compile::compile;
use crate::condition::holds;
use crate::failure::FILTER;
use crate::program::Program;

/// A compiled filter. Immutable; shared by all threads.
#[derive(Debug)]
pub struct Filter {
    condition: Program,
}

impl Filter {
    /// Compiles `text`. Blocks while a thread with a large stack parses it; not for the hot path.
    ///
    /// # Errors
    /// `config/invalid-expression` and `config/expression-too-large`, with the column.
    pub fn compile(text: &str) -> Result<Filter, Fault> {
        Filter::with_tables(text, &Tables::default())
    }

    /// The same of an expression that may look into these tables.
    ///
    /// # Errors
    /// Those of [`Filter::compile`].
    pub fn with_tables(text: &str, tables: &Tables) -> Result<Filter, Fault> {
        compile(text, tables).map(|condition| Filter { condition })
    }

    /// Whether the message passes. Never blocks; takes at most `limits.fuel` steps.
    ///
    /// # Errors
    /// `filter/missing-field`, `filter/wrong-type`, `filter/not-a-boolean`, `filter/too-expensive`,
    /// `filter/failed`, with the field and the column.
    pub fn matches(&self, document: &Document, context: &Context<'_>, limits: &Limits) -> Result<bool, Fault> {
        holds(&self.condition, document, context, limits, &FILTER)
    }
}

impl Step for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn apply(&self, work: &mut Work<'_, '_>) -> Result<Verdict, Fault> {
        let passes = self.matches(work.document, &work.context, work.limits)?;
        Ok(if passes { Verdict::Pass } else { Verdict::Drop })
    }
}
