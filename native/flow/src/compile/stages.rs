//! `steps`, compiled.

use std::sync::Arc;

use expression::{Filter, Remove, Rename, Route, Set};
use message::{Conventions, Dialect, Fault, Format, Outs, Step as Apply, Tables};
use script::Program;

use super::csv;
use super::files::ScriptText;
use super::rules::target;
use super::source::{at_option, options, wire};
use crate::model::{Case, Convert, PipelineFile, Step};

/// A step with its name in places and reports.
pub struct Stage {
    /// `1:filter`
    pub label: Box<str>,
    /// What the customer wrote, on one line.
    pub text: Box<str>,
    pub kind: StageKind,
    /// Which nodes run it where topologies are split.
    pub run: RunKind,
    /// The stage behind the run that it belongs to.
    pub run_end: usize,
}

/// What the steps of a run do: the longest row of steps of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// Reads and decides: `filter`, `route`.
    Filter,
    /// Changes the message.
    Converter,
}

pub enum StageKind {
    /// From here on the document is of another format.
    Convert { to: Format, conventions: Option<Arc<Conventions>>, dialect: Option<Arc<Dialect>> },
    /// Decides on the spot.
    Step(Box<dyn Apply>),
    /// Goes through an executor.
    Script(Arc<Program>),
}

/// Every step that compiles; the faults of the others.
pub fn compile(file: &PipelineFile, scripts: &[ScriptText], tables: &Tables, faults: &mut Vec<Fault>) -> Box<[Stage]> {
    let outs: Vec<&str> = file.out.list().into_iter().map(|(name, ..)| name).collect();
    let stages = file.steps.iter().enumerate().filter_map(|(at, step)| {
        let kind = match step {
            Step::Convert(convert) => self::convert(convert).map_err(|fault| at_option(fault, at)),
            Step::Filter(text) => boxed(Filter::with_tables(text, tables), at, "filter"),
            Step::Set(entries) => boxed(Set::with_tables(&pairs(entries), tables), at, "set"),
            Step::Remove(paths) => {
                let paths: Vec<&str> = paths.list().into_iter().map(|(path, _)| &**path).collect();
                boxed(Remove::compile(&paths), at, "remove")
            }
            Step::Rename(entries) => boxed(Rename::compile(&pairs(entries)), at, "rename"),
            Step::Route(cases) => boxed(Route::with_tables(&self::cases(cases, &outs), tables), at, "route"),
            // A missing file is already a fault.
            Step::Script(_) => self::script(scripts.iter().find(|script| script.step == at)?),
        };
        let kind = kind.map_err(|fault| faults.push(fault)).ok()?;
        let label = format!("{at}:{}", step.name()).into();
        let run = if step.decides() { RunKind::Filter } else { RunKind::Converter };
        Some(Stage { label, text: text(step).into(), kind, run, run_end: 0 })
    });
    with_runs(stages.collect())
}

fn with_runs(mut stages: Vec<Stage>) -> Box<[Stage]> {
    let mut start = 0;
    for run in stages.chunk_by_mut(|one, next| one.run == next.run) {
        let end = start + run.len();
        run.iter_mut().for_each(|stage| stage.run_end = end);
        start = end;
    }
    stages.into()
}

fn boxed<S: Apply + 'static>(step: Result<S, Fault>, at: usize, name: &str) -> Result<StageKind, Fault> {
    match step {
        Ok(step) => Ok(StageKind::Step(Box::new(step))),
        Err(fault) => {
            let inner = fault.place().pointer.clone().unwrap_or_default();
            Err(fault.at_pointer(format!("/steps/{at}/{name}{inner}")))
        }
    }
}

fn convert(convert: &Convert) -> Result<StageKind, Fault> {
    let to = wire(target(convert));
    // Into XML: which keys become attributes and text.
    let conventions = (to == Format::Xml).then(|| options(convert).conventions()).transpose()?;
    let dialect = (to == Format::Csv).then(|| csv::dialect(convert)).transpose()?;
    Ok(StageKind::Convert { to, conventions, dialect })
}

fn script(script: &ScriptText) -> Result<StageKind, Fault> {
    let compiled = script::compile(&script.text, script.language, &script.name);
    let program = compiled.map_err(|fault| fault.at_pointer(script.pointer.as_str()))?;
    Ok(StageKind::Script(Arc::new(program)))
}

fn pairs<T: std::ops::Deref<Target = str>>(entries: &indexmap::IndexMap<String, T>) -> Vec<(&str, &str)> {
    entries.iter().map(|(path, text)| (path.as_str(), &**text)).collect()
}

/// Names become positions; an unknown one is already a fault.
fn cases(cases: &[Case], outs: &[&str]) -> Vec<expression::Case> {
    let position = |name: &str| outs.iter().position(|out| *out == name);
    let chosen = |case: &Case| {
        let to = case.to.as_ref()?;
        Some(to.list().into_iter().filter_map(|(out, _)| position(out)).fold(Outs::default(), Outs::with))
    };
    cases
        .iter()
        .map(|case| expression::Case { when: case.when.as_deref().map(str::to_owned), to: chosen(case) })
        .collect()
}

fn text(step: &Step) -> String {
    let whole = match step {
        Step::Convert(convert) => format!("{:?} to {:?}", convert.from, target(convert)).to_lowercase(),
        Step::Filter(expression) => expression.to_string(),
        Step::Set(entries) => entries.keys().cloned().collect::<Vec<_>>().join(", "),
        Step::Remove(paths) => paths.list().iter().map(|(path, _)| &***path).collect::<Vec<_>>().join(", "),
        Step::Rename(entries) => {
            entries.iter().map(|(from, to)| format!("{from}: {to}")).collect::<Vec<_>>().join(", ")
        }
        Step::Script(crate::model::Script::File(name)) => name.to_string(),
        Step::Script(crate::model::Script::Inline(_)) => "inline".to_owned(),
        Step::Route(cases) => {
            let conditions = cases.iter().map(|case| case.when.as_deref().unwrap_or("otherwise"));
            conditions.collect::<Vec<_>>().join(", ")
        }
    };
    whole.split_whitespace().collect::<Vec<_>>().join(" ")
}
