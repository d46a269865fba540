//! What one input becomes: all results of all of its scripts, collected before the first is published.
//!
//! ```text
//! document ─► begin ─┬─► Leaf: an output, a drop, a failure
//!                    └─► script ─► on_script ─┬─► Leaf, for each result
//!                                             └─► NextScript, for each result that needs another one
//! nothing waits for a script any more ─► sort, leaves: in the order of the scripts' results
//! ```
//!
//! The engine, `Pipeline.process`, `vrsky test` and `dry-run` all collect here, so that a message becomes the same
//! everywhere. Scripts may finish in any order: the leaves are ordered by their path. A leaf's position among all
//! leaves of the input, drops included, is the part's number.
//!
//! Where nodes run some of the steps each, a fan-out goes from one to the next (`handover.rs`): parts that have come to the
//! end of a run of steps wait in it (`onward.rs`) until nothing of the input is with a script.
//!
//! An input over its limits (`budget.rs`) fails as a whole: an `Err` here says so. A part that fails alone is a leaf.

mod budget;
mod handover;
mod onward;
mod path;
#[cfg(test)]
mod tests;
mod trace;

use std::ops::Range;

use message::{Code, Context, Document, Fault, Format, Limits, Outs};

pub use budget::OutputBudget;
use onward::Onwards;
pub use onward::Source;
pub use path::PartPath;
pub use trace::Trace;

use crate::compile::{Addresses, Pipeline, Progress};

/// What a message passes, and what its steps see of it beside its payload.
pub struct Run<'a> {
    pub pipeline: &'a Pipeline,
    pub context: Context<'a>,
    /// How much may be handed over to whoever runs the next run of steps, in bytes; `None` where all steps are run here.
    pub cut: Option<usize>,
}

impl Run<'_> {
    fn limits(&self) -> &Limits {
        self.pipeline.limits()
    }
}

/// What a part of an input became, or the input itself when no script has split it.
#[derive(Debug, PartialEq)]
pub enum Leaf {
    Output(Output),
    Dropped {
        stage: usize,
    },
    /// `rendered`: the part as JSON; `None` for the whole input, which is its source.
    Failed {
        fault: Fault,
        rendered: Option<Rendered>,
    },
}

/// What goes to outs.
#[derive(Debug, PartialEq)]
pub struct Output {
    pub outs: Outs,
    /// `None` for the source as it came.
    pub rendered: Option<Rendered>,
    pub addresses: Addresses,
}

impl Output {
    /// The URL of an out with placeholders.
    ///
    /// # Errors
    /// `http/bad-address`: this out gets nothing.
    pub fn address(&self, out: usize) -> Result<Option<&str>, &Fault> {
        let found = self.addresses.iter().find(|(of, _)| *of == out);
        found.map(|(_, address)| address.as_deref()).transpose()
    }
}

/// Where a part's bytes are, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    range: Range<usize>,
    /// `None`: the source's text in UTF-8, of the source's media type.
    format: Option<Format>,
}

/// A part that needs another script.
#[derive(Debug)]
pub struct NextScript {
    pub path: PartPath,
    pub stage: usize,
    pub document: Document,
}

/// What an input has become so far.
#[derive(Debug, Default)]
pub struct FanOut {
    leaves: Vec<(PartPath, Leaf)>,
    /// The bytes of all rendered leaves.
    bytes: Vec<u8>,
    budget: OutputBudget,
    /// The input's own bytes, kept when its parts go on without them.
    source: Option<Box<[u8]>>,
    /// Parts that go on with the next run of steps.
    onward: Onwards,
}

/// Kept for the next input; what a large one needed beyond is given back.
const MAX_KEPT_BYTES: usize = 1 << 20;
const MAX_KEPT_LEAVES: usize = 1 << 10;

impl FanOut {
    /// Takes a whole input from `stage` on, to its end or to a script, whose stage is given.
    ///
    /// # Errors
    /// The input is over its limits.
    pub fn begin(
        &mut self,
        run: &Run<'_>,
        stage: usize,
        document: &mut Document,
        trace: &mut impl Trace,
    ) -> Result<Option<usize>, Fault> {
        let run_end = self.run_end(run, stage);
        let advanced = self.advance(run, &PartPath::default(), (stage, run_end), false, document, trace);
        advanced.map_err(|fault| fault.in_step("in"))
    }

    /// A script is done with a part. What needs another script is added to `next`.
    ///
    /// # Errors
    /// The input is over its limits.
    pub fn on_script(
        &mut self,
        run: &Run<'_>,
        script: (&PartPath, usize),
        document: &mut Document,
        outcome: Result<Vec<u32>, Fault>,
        next: &mut Vec<NextScript>,
        trace: &mut impl Trace,
    ) -> Result<(), Fault> {
        let (path, stage) = script;
        let label = run.pipeline.stage_label(stage);
        let leaf = match outcome {
            Ok(roots) if roots.is_empty() => {
                trace.on_dropped(run, path, stage, document);
                Leaf::Dropped { stage }
            }
            Ok(roots) => {
                let split = self.on_results(run, script, document, &roots, next, trace);
                return split.map_err(|fault| fault.in_step(label));
            }
            Err(fault) => {
                let fault = fault.in_step(label);
                trace.on_failed(run, path, stage, document, &fault);
                // The executor counts results itself.
                if fault.code() == Code::ScriptTooManyOutputs {
                    return Err(fault);
                }
                self.fail(run, path, fault, document)?
            }
        };
        self.leaves.push((path.clone(), leaf));
        Ok(())
    }

    fn on_results(
        &mut self,
        run: &Run<'_>,
        (path, stage): (&PartPath, usize),
        document: &mut Document,
        roots: &[u32],
        next: &mut Vec<NextScript>,
        trace: &mut impl Trace,
    ) -> Result<(), Fault> {
        self.budget.on_results(run.limits(), roots.len())?;
        let is_split = roots.len() > 1;
        // Every part begins as the script left it, whatever steps have made of the one before.
        let start = document.reading();
        let run_end = self.run_end(run, stage);
        for (position, root) in (0..).zip(roots) {
            let path = if is_split { path.child(position) } else { path.clone() };
            document.read_as(&start, *root);
            trace.on_result(run, &path, stage, document);
            let stages = (stage + 1, run_end);
            let Some(stage) = self.advance(run, &path, stages, is_split, document, trace)? else { continue };
            let document = if is_split { self.detach(run, document)? } else { std::mem::take(document) };
            next.push(NextScript { path, stage, document });
        }
        Ok(())
    }

    /// The part alone, instead of the whole document.
    fn detach(&mut self, run: &Run<'_>, document: &Document) -> Result<Document, Fault> {
        if self.source.is_none() {
            self.source = Some(document.source().into());
        }
        let part = document.detached(self.budget.room(run.limits())).ok_or_else(|| {
            let reason = "the parts for the next script are larger together than one message";
            Fault::new(Code::DeliverTooManyOutputs, reason)
        })?;
        self.budget.on_waiting(part.size());
        Ok(part)
    }

    #[inline]
    fn advance(
        &mut self,
        run: &Run<'_>,
        path: &PartPath,
        stages: (usize, usize),
        is_shared: bool,
        document: &mut Document,
        trace: &mut impl Trace,
    ) -> Result<Option<usize>, Fault> {
        let mut progress = trace.advance(run, path, stages, document);
        if let Progress::RunEnd { stage } = progress {
            if self.onward.add(run.cut, (path, stage), is_shared, document) {
                return Ok(None);
            }
            progress = trace.advance(run, path, (stage, usize::MAX), document);
        }
        let leaf = match progress {
            Progress::Script { stage } => return Ok(Some(stage)),
            // Nothing comes behind the last step.
            Progress::RunEnd { stage } => Leaf::Dropped { stage },
            Progress::Done(outs) => match self.render(run, document)? {
                Ok(rendered) => {
                    Leaf::Output(Output { outs, rendered, addresses: run.pipeline.addresses(document, outs) })
                }
                Err(fault) => {
                    trace.on_not_rendered(path, &fault);
                    self.fail(run, path, fault, document)?
                }
            },
            Progress::Dropped { stage } => Leaf::Dropped { stage },
            Progress::Failed(fault) => self.fail(run, path, fault, document)?,
        };
        self.leaves.push((path.clone(), leaf));
        Ok(None)
    }

    /// The outer error is the input's, the inner one the part's.
    #[inline]
    fn render(&mut self, run: &Run<'_>, document: &Document) -> Result<Result<Option<Rendered>, Fault>, Fault> {
        if document.is_as_it_came() {
            self.budget.on_message(run.limits(), 0)?;
            return Ok(Ok(None));
        }
        let start = self.bytes.len();
        if let Err(fault) = run.pipeline.emit(document, &mut self.bytes) {
            self.bytes.truncate(start);
            return Ok(Err(fault));
        }
        self.budget.on_message(run.limits(), self.bytes.len() - start)?;
        let format = (!document.is_unchanged()).then(|| document.format());
        Ok(Ok(Some(Rendered { range: start..self.bytes.len(), format })))
    }

    /// A failed part is kept as the JSON that steps saw, whatever its format: so no type is lost.
    fn fail(&mut self, run: &Run<'_>, path: &PartPath, fault: Fault, document: &Document) -> Result<Leaf, Fault> {
        let start = self.bytes.len();
        let rendered = (!path.is_whole()).then(|| {
            formats::json::emit(document, &mut self.bytes);
            Rendered { range: start..self.bytes.len(), format: Some(Format::Json) }
        });
        self.budget.on_message(run.limits(), self.bytes.len() - start)?;
        Ok(Leaf::Failed { fault, rendered })
    }

    /// Brings the leaves into the order of the scripts' results. Call it when nothing waits for a script any more.
    pub fn sort(&mut self) {
        if self.leaves.len() > 1 {
            self.leaves.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
    }

    #[must_use]
    pub fn leaves(&self) -> &[(PartPath, Leaf)] {
        &self.leaves
    }

    /// Whether a script has made several messages of the input.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.leaves.first().is_some_and(|(path, _)| !path.is_whole())
    }

    /// Outputs, of each leaf to each of its outs, and failed parts.
    #[must_use]
    pub fn messages(&self) -> usize {
        let messages = self.leaves.iter().map(|(_, leaf)| match leaf {
            Leaf::Output(output) => output.outs.0.count_ones() as usize,
            Leaf::Failed { .. } => 1,
            Leaf::Dropped { .. } => 0,
        });
        messages.sum()
    }

    /// Bytes and content type of a leaf; those of the source where it was not rendered.
    #[must_use]
    pub fn body<'a>(&'a self, rendered: Option<&Rendered>, source: (&'a [u8], &'a str)) -> (&'a [u8], &'a str) {
        match rendered {
            Some(Rendered { range, format: Some(format) }) => (&self.bytes[range.clone()], content_type(*format)),
            // Its charset is no longer that of the bytes.
            Some(Rendered { range, format: None }) => {
                let media = source.1.split(';').next().unwrap_or_default().trim_ascii_end();
                (&self.bytes[range.clone()], media)
            }
            None => source,
        }
    }

    /// The input's bytes. `last`: the document that a script has given back last.
    #[must_use]
    pub fn source<'a>(&'a self, last: &'a Document) -> &'a [u8] {
        self.source.as_deref().unwrap_or_else(|| last.source())
    }

    /// The same, for who goes on with it; `None` where the document has it.
    pub fn take_source(&mut self) -> Option<Box<[u8]>> {
        self.source.take()
    }

    /// Memory it holds on to, about.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.onward.held_bytes() + self.source.as_ref().map_or(0, |source| source.len())
    }

    /// Exchanges the allocations of two of which neither has a leaf.
    pub fn exchange(&mut self, other: &mut FanOut) {
        if self.leaves.is_empty() && other.leaves.is_empty() {
            std::mem::swap(&mut self.leaves, &mut other.leaves);
            std::mem::swap(&mut self.bytes, &mut other.bytes);
        }
    }

    /// Forgets everything but the allocations.
    pub fn clear(&mut self) {
        self.leaves.clear();
        self.leaves.shrink_to(MAX_KEPT_LEAVES);
        self.bytes.clear();
        self.bytes.shrink_to(MAX_KEPT_BYTES);
        self.budget = OutputBudget::default();
        self.source = None;
        self.onward.clear();
    }
}

/// The content type of what is rendered.
#[must_use]
pub const fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Xml => "application/xml",
        Format::Csv => "text/csv",
    }
}
