//! From the model to what messages pass.
//!
//! ```text
//! PipelineFile ──► rules.rs   names, order, outs: what the schema cannot say
//!              ──► root.rs    paths that begin with `msg`
//!              ──► input.rs   in                                      ┐
//!              ──► source.rs  how a payload becomes a document        │
//!              ──► tables.rs  tables, each a file beside it          │
//!              ──► stages.rs  steps, each compiled by its own crate   ├─► Pipeline, by revision
//!              ──► outs.rs    out                                     ┘
//!
//! payload ─► parse ─► advance ─┬─► Done(outs) ─► emit         advance.rs: the hot path
//!               ▲              ├─► Dropped
//!               │              ├─► Failed(fault)
//!               │              └─► Script ─► (an executor) ─► advance, once per root
//!               └ not at all when there are no steps: needs_document()
//! ```

mod advance;
mod batch;
mod canary;
mod csv;
mod files;
mod input;
mod outs;
mod root;
mod rules;
mod source;
mod stages;
mod tables;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use connectors::http::source::HttpInput;
use connectors::kind::{Attach, SourceSpec};
use connectors::nats::Subscription;
use connectors::rate::Rate;
use message::{Fault, Limits, Outs};
use script::{Program, TaskContext, TaskOwner};

pub use advance::Progress;
pub use batch::{Compiled, compile_all};
pub use canary::check_canary;
pub use files::Files;
pub use outs::{Addresses, Target};
pub use source::detect;
pub use stages::RunKind;

use crate::model::PipelineFile;
use source::Source;
use stages::{Stage, StageKind};

/// A pipeline file, compiled. Immutable; shared by all threads.
pub struct Pipeline {
    file: PipelineFile,
    /// Whose its scripts' tasks are.
    owner: Arc<TaskOwner>,
    input: Arc<dyn SourceSpec>,
    source: Source,
    stages: Box<[Stage]>,
    outs: Box<[Target]>,
    /// Where a message goes when no `route` says otherwise.
    unrouted: Outs,
    limits: Arc<Limits>,
    rate: Option<Rate>,
}

impl Pipeline {
    /// Compiles `file`, whose scripts and tables are in `files`. Blocks for some milliseconds, since parsers of
    /// the customer's text run on a large stack of their own; not for a shard's thread.
    ///
    /// # Errors
    /// Every fault that was found: `config/...` and, for scripts, `script/...`, each with the pointer
    /// into the file, and the column, or the script's or table's file and line, where there is one.
    pub fn compile(file: PipelineFile, files: &dyn Files) -> Result<Arc<Pipeline>, Vec<Fault>> {
        let mut faults = rules::check(&file);
        root::check(&file, &mut faults);
        let outs = outs::compile(&file.out, &mut faults);
        let scripts = files::scripts(&file, files, &mut faults);
        let (tables, texts) = tables::compile(&file, files, &mut faults);
        let limits = Arc::new(file.limits.for_message());
        let source = source::compile(&file, &mut faults);
        let stages = stages::compile(&file, &scripts, &tables, &mut faults);
        let rate = file.limits.rate.as_ref().and_then(|rate| {
            let parsed = Rate::parse(rate).map_err(|fault| fault.at_pointer("/limits/rate"));
            parsed.map_err(|fault| faults.push(fault)).ok()
        });
        let input = input::compile(&file, source.expect(), outs.iter().any(Target::reads_payload));
        let input = match input {
            Ok(input) => {
                faults.extend(rules::dropped_headers(&file, &*input));
                faults.extend(rules::own_files(&outs, &*input));
                faults.extend(rules::own_topics(&outs, &*input));
                input
            }
            Err(found) => return Err(found.into_iter().chain(faults).collect()),
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let owner = Arc::new(TaskOwner {
            customer: file.customer.as_str().into(),
            pipeline: file.pipeline.as_str().into(),
            revision: file.revision(scripts.iter().map(|script| script.text.as_str()).chain(texts)).into(),
            tables,
        });
        let unrouted = Outs::one(0);
        Ok(Arc::new(Pipeline { owner, input, source, stages, outs, unrouted, limits, rate, file }))
    }

    /// Reads and compiles the JSON of a pipeline file; see [`crate::model::examine`].
    ///
    /// # Errors
    /// Those of reading, and those of compiling what could be read.
    pub fn from_json(json: &str, files: &dyn Files) -> Result<Arc<Pipeline>, Vec<Fault>> {
        let (file, mut faults) = crate::model::examine(json);
        let compiled = file.map(|file| Pipeline::compile(file, files));
        match compiled {
            Some(Ok(pipeline)) if faults.is_empty() => return Ok(pipeline),
            Some(Err(more)) => {
                let said: Vec<_> = faults.iter().map(|fault| fault.place().pointer.clone()).collect();
                faults.extend(more.into_iter().filter(|fault| !said.contains(&fault.place().pointer)));
            }
            _ => {}
        }
        Err(faults)
    }

    /// What was compiled.
    #[must_use]
    pub fn file(&self) -> &PipelineFile {
        &self.file
    }

    #[must_use]
    pub fn customer(&self) -> &str {
        &self.owner.customer
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.owner.pipeline
    }

    /// A hash of the file's canonical text, its scripts and its tables, 16 hex digits.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.owner.revision
    }

    #[must_use]
    pub fn input(&self) -> &dyn SourceSpec {
        &*self.input
    }

    /// The route of an HTTP in.
    #[must_use]
    pub fn http(&self) -> Option<&HttpInput> {
        match self.input.attach() {
            Attach::Route(http) => Some(http),
            Attach::Subscription(_) | Attach::Task(_) => None,
        }
    }

    /// What a NATS in reads.
    #[must_use]
    pub fn subscription(&self) -> Option<&Subscription> {
        match self.input.attach() {
            Attach::Subscription(subscription) => Some(subscription),
            Attach::Route(_) | Attach::Task(_) => None,
        }
    }

    /// What its tables cost in memory, bytes, about.
    #[must_use]
    pub fn table_memory(&self) -> usize {
        self.owner.tables.memory()
    }

    /// The outs, in the order that [`Outs`] counts.
    #[must_use]
    pub fn outs(&self) -> &[Target] {
        &self.outs
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    #[must_use]
    pub fn shared_limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Most messages that wait at one step.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.file.limits.backlog.into()
    }

    /// The names of all secrets that in and outs use; they resolve under the customer only.
    #[must_use]
    pub fn secret_names(&self) -> Vec<&str> {
        let mut names = self.input.secrets();
        names.extend(self.outs.iter().flat_map(|out| out.spec.secrets()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How many steps there are.
    #[must_use]
    pub fn stage_count(&self) -> usize {
        self.stages.len()
    }

    /// A step as it is named in places and reports: `1:filter`.
    #[must_use]
    pub fn stage_label(&self, stage: usize) -> &str {
        self.stages.get(stage).map_or("", |stage| &stage.label)
    }

    /// The stage of this label; `None` when this revision has no such step.
    #[must_use]
    pub fn stage_of(&self, label: &str) -> Option<usize> {
        self.stages.iter().position(|stage| *stage.label == *label)
    }

    /// What the run of steps does that a stage belongs to. A pipeline without steps has nothing but a decision, where to.
    #[must_use]
    pub fn run_kind(&self, stage: usize) -> RunKind {
        self.stages.get(stage).map_or(RunKind::Filter, |stage| stage.run)
    }

    /// The stage behind the run that a stage belongs to.
    #[must_use]
    pub fn run_end(&self, stage: usize) -> usize {
        self.stages.get(stage).map_or(usize::MAX, |stage| stage.run_end)
    }

    /// Where each run begins: the longest rows of steps of one kind.
    pub fn runs(&self) -> impl Iterator<Item = usize> {
        let is_first = |stage: &usize| *stage == 0 || self.run_kind(*stage) != self.run_kind(*stage - 1);
        (0..self.stages.len()).filter(is_first)
    }

    /// What the customer wrote there, on one line: the filter's expression, the script's file.
    #[must_use]
    pub fn stage_text(&self, stage: usize) -> &str {
        self.stages.get(stage).map_or("", |stage| &stage.text)
    }

    /// The script of a stage that is one.
    #[must_use]
    pub fn program(&self, stage: usize) -> Option<&Arc<Program>> {
        match self.stages.get(stage).map(|stage| &stage.kind) {
            Some(StageKind::Script(program)) => Some(program),
            _ => None,
        }
    }

    /// The scripts of all stages.
    pub fn programs(&self) -> impl Iterator<Item = &Arc<Program>> {
        (0..self.stages.len()).filter_map(|stage| self.program(stage))
    }

    /// What a script of this pipeline sees as `ctx`. `headers` is a NATS header block.
    #[must_use]
    pub fn task_context(&self, id: &Arc<str>, time_ms: u64, headers: &Arc<[u8]>) -> TaskContext {
        let (id, owner, headers) = (Arc::clone(id), Arc::clone(&self.owner), Arc::clone(headers));
        TaskContext { id, owner, time_ms, headers, seed: 0 }
    }
}

/// Faults of a connector, whose pointers begin at its options, as they are in the file.
fn beneath(base: &str, faults: Vec<Fault>) -> Vec<Fault> {
    faults.into_iter().map(|fault| fault.below(base)).collect()
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pipeline({}.{} {})", self.customer(), self.name(), self.revision())
    }
}
