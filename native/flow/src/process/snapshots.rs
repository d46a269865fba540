//! What a message is after every step of a dry run.

use message::{Document, Fault, Outs, Verdict, Work};

use script::{Line, Said};

use super::Snapshot;
use crate::compile::{Pipeline, Progress};
use crate::fan_out::{PartPath, Run, Trace};

/// Collects a snapshot after every step, within bounds where somebody watches a message that is not theirs alone.
pub struct Snapshots {
    taken: Vec<(PartPath, Snapshot)>,
    /// How many there may still be, and the bytes after which there is no further one.
    room: (usize, usize),
    left_out: u64,
}

impl Default for Snapshots {
    fn default() -> Snapshots {
        Snapshots::bounded(usize::MAX, usize::MAX)
    }
}

impl Snapshots {
    /// At most so many, and none after so many bytes.
    #[must_use]
    pub fn bounded(count: usize, bytes: usize) -> Snapshots {
        Snapshots { taken: Vec::new(), room: (count, bytes), left_out: 0 }
    }

    /// How many there was no room for.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Part by part, each from its script to its end.
    #[must_use]
    pub fn sorted(mut self) -> Vec<Snapshot> {
        self.taken.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.taken.into_iter().map(|(_, snapshot)| snapshot).collect()
    }

    fn push(&mut self, pipeline: &Pipeline, path: &PartPath, stage: usize, document: &Document, verdict: String) {
        let (count, bytes) = self.room;
        if count == 0 || bytes == 0 {
            self.left_out += 1;
            return;
        }
        let mut payload = Vec::new();
        if formats::emit(document, &mut payload).is_err() {
            // It has no counterpart in its format (yet): show the model.
            payload.clear();
            formats::json::emit(document, &mut payload);
        }
        self.take(pipeline, path, stage, (payload, verdict));
    }

    fn push_said(&mut self, pipeline: &Pipeline, path: &PartPath, stage: usize, shown: (Vec<u8>, String)) {
        let (count, bytes) = self.room;
        if count == 0 || bytes == 0 {
            self.left_out += 1;
            return;
        }
        self.take(pipeline, path, stage, shown);
    }

    fn take(&mut self, pipeline: &Pipeline, path: &PartPath, stage: usize, (payload, verdict): (Vec<u8>, String)) {
        // Past the last step there is only the way out.
        let label = if stage < pipeline.stage_count() { pipeline.stage_label(stage) } else { "out" };
        let (count, bytes) = self.room;
        self.room = (count - 1, bytes.saturating_sub(payload.len()));
        self.taken.push((path.clone(), Snapshot { label: format!("{label}{path}"), payload, verdict }));
    }
}

impl Trace for Snapshots {
    fn advance(
        &mut self,
        run: &Run<'_>,
        path: &PartPath,
        (from, until): (usize, usize),
        document: &mut Document,
    ) -> Progress {
        let pipeline = run.pipeline;
        for stage in from..=pipeline.stage_count() {
            // The rest is for whoever serves the next run of steps.
            if stage == until && stage < pipeline.stage_count() {
                return Progress::RunEnd { stage };
            }
            let work = &mut Work { document, context: run.context, limits: pipeline.limits() };
            let applied = pipeline.apply(stage, work);
            let verdict = match &applied {
                Ok(None) => return Progress::Script { stage },
                Ok(Some(Verdict::Pass)) => "pass".to_owned(),
                Ok(Some(Verdict::Drop)) => "drop".to_owned(),
                Ok(Some(Verdict::Route(outs))) => destinations(pipeline, *outs),
                Err(fault) => failed(fault),
            };
            self.push(pipeline, path, stage, document, verdict);
            match applied {
                Ok(Some(Verdict::Drop)) => return Progress::Dropped { stage },
                Ok(Some(Verdict::Route(outs))) => return Progress::Done(outs),
                Err(fault) => return Progress::Failed(fault),
                Ok(_) => {}
            }
        }
        Progress::Done(Outs::default())
    }

    /// A line is a snapshot of its own: the text in the place of the payload, and where it was said.
    fn on_said(&mut self, run: &Run<'_>, path: &PartPath, stage: usize, said: &Said) {
        let pipeline = run.pipeline;
        let file = pipeline.program(stage).map_or("", |program| program.file());
        for line in &said.lines {
            let verdict = where_said(file, line);
            self.push_said(pipeline, path, stage, (line.text.clone().into_bytes(), verdict));
        }
        if said.left_out > 0 {
            let verdict = format!("console: {} more lines left out", said.left_out);
            self.push_said(pipeline, path, stage, (Vec::new(), verdict));
        }
    }

    fn on_result(&mut self, run: &Run<'_>, path: &PartPath, stage: usize, document: &Document) {
        self.push(run.pipeline, path, stage, document, "pass".to_owned());
    }

    fn on_dropped(&mut self, run: &Run<'_>, path: &PartPath, stage: usize, document: &Document) {
        self.push(run.pipeline, path, stage, document, "drop".to_owned());
    }

    fn on_failed(&mut self, run: &Run<'_>, path: &PartPath, stage: usize, document: &Document, fault: &Fault) {
        self.push(run.pipeline, path, stage, document, failed(fault));
    }

    /// The last step sent it to outs that do not get it.
    fn on_not_rendered(&mut self, path: &PartPath, fault: &Fault) {
        let last = self.taken.iter_mut().rev().find(|(of, _)| of == path);
        if let Some((_, snapshot)) = last {
            snapshot.verdict = failed(fault);
        }
    }
}

fn destinations(pipeline: &Pipeline, outs: Outs) -> String {
    let names = outs.iter().filter_map(|out| pipeline.outs().get(out)).map(|out| out.name.as_str());
    format!("to {}", names.collect::<Vec<_>>().join(", "))
}

/// `console.warn (net.ts:3)`
fn where_said(file: &str, line: &Line) -> String {
    let name = line.level.as_str();
    match line.line {
        Some(at) => format!("console.{name} ({file}:{at})"),
        None => format!("console.{name}"),
    }
}

fn failed(fault: &Fault) -> String {
    format!("failed: {fault}")
}
