//! The hot path: one document through the steps, up to the end, a drop, a failure or a script.

use std::sync::Arc;

use message::{Context, Document, Fault, Outs, Verdict, Work};

use super::Pipeline;
use super::stages::{Stage, StageKind};

/// How far a message came.
#[derive(Debug)]
pub enum Progress {
    /// Through all steps, to these outs.
    Done(Outs),
    /// Dropped by this stage.
    Dropped { stage: usize },
    /// At a script: the caller has its executor run [`Pipeline::program`] and, for every root the
    /// script returned, calls [`Pipeline::advance`] with `stage + 1`.
    Script { stage: usize },
    /// At the end of the run of steps that it was to pass; other steps follow.
    RunEnd { stage: usize },
    /// Failed; the place names the step.
    Failed(Fault),
}

impl Pipeline {
    /// Runs the steps from `stage` on, on the document's root. Never blocks; allocates only where a
    /// step edits, and when a message fails.
    #[inline]
    pub fn advance(&self, stage: usize, document: &mut Document, context: &Context<'_>) -> Progress {
        self.advance_until(stage, usize::MAX, document, context)
    }

    /// The same, up to the stage `until`.
    #[inline]
    pub fn advance_until(
        &self,
        stage: usize,
        until: usize,
        document: &mut Document,
        context: &Context<'_>,
    ) -> Progress {
        let mut work = Work { document, context: *context, limits: &self.limits };
        for (at, current) in self.stages.iter().enumerate().take(until).skip(stage) {
            match current.apply(&mut work) {
                Ok(Some(Verdict::Pass)) => {}
                Ok(Some(Verdict::Drop)) => return Progress::Dropped { stage: at },
                Ok(Some(Verdict::Route(outs))) => return Progress::Done(outs),
                Ok(None) => return Progress::Script { stage: at },
                Err(fault) => return Progress::Failed(self.at(at, fault)),
            }
        }
        if until < self.stages.len() { Progress::RunEnd { stage: until } } else { Progress::Done(self.unrouted) }
    }

    /// One stage alone; `None` at a script.
    pub(crate) fn apply(&self, stage: usize, work: &mut Work<'_, '_>) -> Result<Option<Verdict>, Fault> {
        match self.stages.get(stage) {
            Some(current) => current.apply(work).map_err(|fault| self.at(stage, fault)),
            None => Ok(Some(Verdict::Route(self.unrouted))),
        }
    }

    /// Appends what an out gets: the source's bytes when nothing was changed.
    ///
    /// # Errors
    /// `convert/...` when the document has no counterpart in its format; the place names the step
    /// that converted it.
    #[inline]
    pub fn emit(&self, document: &Document, out: &mut Vec<u8>) -> Result<(), Fault> {
        formats::emit(document, out).map_err(|fault| {
            let converts = |stage: &Stage| matches!(stage.kind, StageKind::Convert { .. });
            let last = self.stages.iter().rposition(converts).unwrap_or(self.stages.len());
            self.at(last, fault)
        })
    }
}

impl Stage {
    #[inline]
    fn apply(&self, work: &mut Work<'_, '_>) -> Result<Option<Verdict>, Fault> {
        match &self.kind {
            StageKind::Step(step) => step.apply(work).map(Some),
            StageKind::Convert { .. } => {
                self.convert(work.document);
                Ok(Some(Verdict::Pass))
            }
            StageKind::Script(_) => Ok(None),
        }
    }

    /// Changes the document's format, where the stage is a `convert`.
    #[inline]
    pub(super) fn convert(&self, document: &mut Document) {
        let StageKind::Convert { to, conventions, dialect } = &self.kind else { return };
        document.set_format(*to);
        if let Some(conventions) = conventions
            && !Arc::ptr_eq(conventions, document.conventions())
        {
            document.set_conventions(conventions);
        }
        if let Some(dialect) = dialect {
            document.set_dialect(dialect);
        }
    }
}
