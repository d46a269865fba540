//! Who watches a message on its way through the steps: nobody, or a dry run.

use message::{Document, Fault};
use script::Said;

use super::{PartPath, Run};
use crate::compile::Progress;

/// Called beside the steps. `()` watches nothing and costs nothing.
pub trait Trace {
    /// Runs the steps from the first of these stages on and before the second one. Whoever watches is shown all steps, in
    /// one run.
    fn advance(&mut self, run: &Run<'_>, path: &PartPath, stages: (usize, usize), document: &mut Document) -> Progress;

    /// A script has said something; its result follows.
    fn on_said(&mut self, run: &Run<'_>, path: &PartPath, stage: usize, said: &Said) {
        let _ = (run, path, stage, said);
    }

    /// A script has made this of a message.
    fn on_result(&mut self, run: &Run<'_>, path: &PartPath, stage: usize, document: &Document) {
        let _ = (run, path, stage, document);
    }

    /// A script has dropped a message.
    fn on_dropped(&mut self, run: &Run<'_>, path: &PartPath, stage: usize, document: &Document) {
        let _ = (run, path, stage, document);
    }

    /// A script has failed.
    fn on_failed(&mut self, run: &Run<'_>, path: &PartPath, stage: usize, document: &Document, fault: &Fault) {
        let _ = (run, path, stage, document, fault);
    }

    /// What has passed all steps cannot be written in its format.
    fn on_not_rendered(&mut self, path: &PartPath, fault: &Fault) {
        let _ = (path, fault);
    }
}

impl Trace for () {
    #[inline]
    fn advance(
        &mut self,
        run: &Run<'_>,
        _: &PartPath,
        (stage, until): (usize, usize),
        document: &mut Document,
    ) -> Progress {
        run.pipeline.advance_until(stage, until, document, &run.context)
    }
}
