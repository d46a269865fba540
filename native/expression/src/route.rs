//! `route: [{when: EXPRESSION, to: OUTS}, ...]`: the first case that holds decides.

use message::{Code, Fault, Outs, Step, Tables, Verdict, Work};

use crate::compile::compile;
use crate::condition::holds;
use crate::failure::ROUTE;
use crate::program::Program;

/// One case of a route, as it stands in the pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The condition; `None` always holds.
    pub when: Option<String>,
    /// Where the message goes; `None` drops it.
    pub to: Option<Outs>,
}

/// A compiled route. Immutable; shared by all threads.
#[derive(Debug)]
pub struct Route {
    cases: Box<[(Option<Program>, Verdict)]>,
}

impl Route {
    /// Compiles the conditions. Blocks like [`crate::Filter::compile`].
    ///
    /// # Errors
    /// Those of an expression, with the case as pointer: `/0/when`.
    pub fn compile(cases: &[Case]) -> Result<Route, Fault> {
        Route::with_tables(cases, &Tables::default())
    }

    /// The same of conditions that may look into these tables.
    ///
    /// # Errors
    /// Those of [`Route::compile`].
    pub fn with_tables(cases: &[Case], tables: &Tables) -> Result<Route, Fault> {
        let compiled = cases.iter().enumerate().map(|(position, case)| {
            let pointed = |fault: Fault| fault.at_pointer(format!("/{position}/when"));
            let when = case.when.as_deref().map(|when| compile(when, tables)).transpose().map_err(pointed)?;
            Ok((when, case.to.map_or(Verdict::Drop, Verdict::Route)))
        });
        compiled.collect::<Result<_, _>>().map(|cases| Route { cases })
    }
}

impl Step for Route {
    fn name(&self) -> &'static str {
        "route"
    }

    /// A condition that fails fails the message, even when a later case would have held. Each
    /// condition has the whole fuel.
    fn apply(&self, work: &mut Work<'_, '_>) -> Result<Verdict, Fault> {
        for (when, verdict) in &self.cases {
            let chosen = match when {
                Some(when) => holds(when, work.document, &work.context, work.limits, &ROUTE)?,
                None => true,
            };
            if chosen {
                return Ok(verdict.clone());
            }
        }
        Err(Fault::new(Code::RouteNoMatch, format!("none of the {} cases matched", self.cases.len())))
    }
}
