//! One message through a pipeline, here and now: no NATS, no connectors, no threads.
//!
//! ```text
//! Message ─► parse ─► advance ─► script, inline ─► advance, per part ─► emit ─► Processed
//!                        └─ a dry run also keeps what the message was after every step
//! ```
//!
//! It gives what the engine would publish, by the same code; the tests of a pipeline file, `vrsky
//! dry-run` and the Python API stand on it.

#[cfg(test)]
mod tests;

use message::{Code, Context, Document, Fault, Format, Headers, Outs, Verdict, Work};
use script::Runner;

use crate::compile::{OutKind, Pipeline, Progress};

/// One message as it comes in.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    pub payload: &'m [u8],
    /// May be empty.
    pub content_type: &'m str,
    /// A NATS header block, or empty.
    pub headers: &'m [u8],
    pub id: &'m str,
    /// When it was accepted, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// Now, as messages carry it: milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What became of a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It gave outputs.
    Ok,
    /// It gave none, and nothing failed.
    Dropped,
    /// It failed, or a part of it did; the outputs of its other parts stand.
    Failed,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Dropped => "dropped",
            Status::Failed => "failed",
        }
    }
}

/// What one out gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Position in [`Pipeline::outs`].
    pub out: usize,
    pub payload: Vec<u8>,
    pub content_type: String,
    /// The URL, for an HTTP out.
    pub url: Option<String>,
}

/// What became of a message.
#[derive(Debug)]
pub struct Processed {
    pub status: Status,
    /// In the order of the parts, and of the outs in each.
    pub outputs: Vec<Output>,
    /// The first failure.
    pub fault: Option<Fault>,
    /// The first stage that dropped it, or a part of it.
    pub dropped_by: Option<usize>,
}

/// The message after one step of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// `1:filter`; with `[2]` behind it for the third part of a split.
    pub label: String,
    pub payload: Vec<u8>,
    /// `pass`, `drop`, `to erp, audit`, or `failed` with code and reason.
    pub verdict: String,
}

/// Runs one message. Blocks for as long as its scripts may take.
pub fn process(pipeline: &Pipeline, message: &Message<'_>, runner: &mut Runner) -> Processed {
    run(pipeline, message, runner, None)
}

/// The same, with the message after every step.
pub fn dry_run(pipeline: &Pipeline, message: &Message<'_>, runner: &mut Runner) -> (Processed, Vec<Snapshot>) {
    let mut snapshots = Vec::new();
    let processed = run(pipeline, message, runner, Some(&mut snapshots));
    (processed, snapshots)
}

fn run(
    pipeline: &Pipeline,
    message: &Message<'_>,
    runner: &mut Runner,
    snapshots: Option<&mut Vec<Snapshot>>,
) -> Processed {
    let context = Context {
        id: message.id,
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        time_ms: message.time_ms,
        headers: Headers::new(message.headers),
    };
    let mut run = Run {
        pipeline,
        message,
        context,
        runner,
        snapshots,
        outputs: Vec::new(),
        parts: 0,
        bytes: 0,
        too_much: false,
        fault: None,
        dropped_by: None,
    };
    let mut document = Document::default();
    if !pipeline.needs_document() {
        run.forward(&mut document);
    } else {
        match pipeline.parse(message.payload, message.content_type, &mut document) {
            Ok(()) => run.advance(0, &mut document, ""),
            Err(fault) => run.fail(fault),
        }
    }
    run.end()
}

struct Run<'p, 'm, 'r> {
    pipeline: &'p Pipeline,
    message: &'m Message<'m>,
    context: Context<'m>,
    runner: &'r mut Runner,
    snapshots: Option<&'r mut Vec<Snapshot>>,
    outputs: Vec<Output>,
    parts: usize,
    bytes: usize,
    /// Over its limits, a message gives no output at all.
    too_much: bool,
    fault: Option<Fault>,
    dropped_by: Option<usize>,
}

impl<'p: 'm, 'm> Run<'p, 'm, '_> {
    /// Without steps, the bytes as they came; they are read only for a URL.
    fn forward(&mut self, document: &mut Document) {
        let templated = |kind: &OutKind| matches!(kind, OutKind::Http(http) if !http.url.is_static());
        if self.pipeline.outs().iter().any(|out| templated(&out.kind)) {
            let read = self.pipeline.parse_output(self.message.payload, self.message.content_type, document);
            if let Err(fault) = read {
                return self.fail(fault);
            }
        }
        self.put(Outs::one(0), document, self.message.payload.to_vec(), self.message.content_type.to_owned());
    }

    /// One part from `stage` on, to its end. Recurses once for every script behind another.
    fn advance(&mut self, stage: usize, document: &mut Document, part: &str) {
        match self.progress(stage, document, part) {
            Progress::Done(outs) => self.emit(outs, document),
            Progress::Dropped { stage } => self.dropped(stage),
            Progress::Failed(fault) => self.fail(fault),
            Progress::Script { stage } => self.script(stage, document, part),
        }
    }

    fn progress(&mut self, from: usize, document: &mut Document, part: &str) -> Progress {
        if self.snapshots.is_none() {
            return self.pipeline.advance(from, document, &self.context);
        }
        for stage in from..=self.pipeline.stage_count() {
            let limits = self.pipeline.limits();
            let applied = self.pipeline.apply(stage, &mut Work { document, context: self.context, limits });
            let verdict = match &applied {
                Ok(None) => return Progress::Script { stage },
                Ok(Some(Verdict::Pass)) => "pass".to_owned(),
                Ok(Some(Verdict::Drop)) => "drop".to_owned(),
                Ok(Some(Verdict::Route(outs))) => self.destinations(*outs),
                Err(fault) => failed(fault),
            };
            self.snapshot(stage, part, document, verdict);
            match applied {
                Ok(Some(Verdict::Drop)) => return Progress::Dropped { stage },
                Ok(Some(Verdict::Route(outs))) => return Progress::Done(outs),
                Err(fault) => return Progress::Failed(fault),
                Ok(_) => {}
            }
        }
        Progress::Done(Outs::default())
    }

    fn script(&mut self, stage: usize, document: &mut Document, part: &str) {
        let Some(program) = self.pipeline.program(stage) else { return };
        let context = self.pipeline.task_context(self.message.id, self.message.time_ms, self.message.headers);
        let done = self.runner.run(program, std::mem::take(document), &context, self.pipeline.limits());
        *document = done.document;
        let limit = self.pipeline.limits().outputs;
        let roots = match done.outcome {
            Ok(roots) if roots.len() > limit => {
                let reason = format!("{} messages, {limit} are allowed", roots.len());
                Err(Fault::new(Code::ScriptTooManyOutputs, reason))
            }
            outcome => outcome,
        };
        match roots {
            Ok(roots) if roots.is_empty() => {
                self.snapshot(stage, part, document, "drop".to_owned());
                self.dropped(stage);
            }
            Ok(roots) => self.parts(stage, document, &roots, part),
            Err(fault) => {
                let fault = fault.in_step(self.pipeline.stage_label(stage));
                self.snapshot(stage, part, document, failed(&fault));
                self.fail(fault);
            }
        }
    }

    fn parts(&mut self, stage: usize, document: &mut Document, roots: &[u32], part: &str) {
        // Every part begins as the script left it, whatever steps have made of the one before.
        let start = document.reading();
        for (number, root) in roots.iter().enumerate() {
            let label = if roots.len() > 1 { format!("{part}[{number}]") } else { part.to_owned() };
            document.read_as(&start, *root);
            self.snapshot(stage, &label, document, "pass".to_owned());
            self.advance(stage + 1, document, &label);
        }
    }

    fn emit(&mut self, outs: Outs, document: &Document) {
        let mut payload = Vec::new();
        if let Err(fault) = self.pipeline.emit(document, &mut payload) {
            // The last step sent it to outs that do not get it.
            if let Some(last) = self.snapshots.as_deref_mut().and_then(|all| all.last_mut()) {
                last.verdict = failed(&fault);
            }
            return self.fail(fault);
        }
        let content_type = match document.format() {
            _ if document.is_unchanged() && !self.message.content_type.is_empty() => self.message.content_type,
            Format::Json => "application/json",
            Format::Xml => "application/xml",
        };
        self.put(outs, document, payload, content_type.to_owned());
    }

    fn put(&mut self, outs: Outs, document: &Document, payload: Vec<u8>, content_type: String) {
        self.parts += 1;
        self.bytes += payload.len();
        let limits = self.pipeline.limits();
        if self.parts > limits.outputs || self.bytes > limits.output_bytes {
            let reason = format!("{} messages of {} bytes in all", self.parts, self.bytes);
            self.too_much = true;
            return self.fail(Fault::new(Code::DeliverTooManyOutputs, reason));
        }
        for out in outs.iter() {
            let Some(target) = self.pipeline.outs().get(out) else { continue };
            match target.url(document) {
                Ok(url) => {
                    let (payload, content_type) = (payload.clone(), content_type.clone());
                    self.outputs.push(Output { out, payload, content_type, url });
                }
                Err(fault) => self.fail(fault.in_step(format!("out:{}", target.name))),
            }
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn dropped(&mut self, stage: usize) {
        self.dropped_by.get_or_insert(stage);
    }

    fn end(mut self) -> Processed {
        if self.too_much {
            self.outputs.clear();
        }
        let status = match (&self.fault, self.outputs.is_empty()) {
            (Some(_), _) => Status::Failed,
            (None, true) => Status::Dropped,
            (None, false) => Status::Ok,
        };
        Processed { status, outputs: self.outputs, fault: self.fault, dropped_by: self.dropped_by }
    }

    fn destinations(&self, outs: Outs) -> String {
        let names = outs.iter().filter_map(|out| self.pipeline.outs().get(out)).map(|out| out.name.as_str());
        format!("to {}", names.collect::<Vec<_>>().join(", "))
    }

    fn snapshot(&mut self, stage: usize, part: &str, document: &Document, verdict: String) {
        let Some(snapshots) = self.snapshots.as_deref_mut() else { return };
        // Past the last step there is only the way out.
        let label = if stage < self.pipeline.stage_count() { self.pipeline.stage_label(stage) } else { "out" };
        let mut payload = Vec::new();
        if formats::emit(document, &mut payload).is_err() {
            // It has no counterpart in its format (yet): show the model.
            payload.clear();
            formats::json::emit(document, &mut payload);
        }
        snapshots.push(Snapshot { label: format!("{label}{part}"), payload, verdict });
    }
}

fn failed(fault: &Fault) -> String {
    format!("failed: {fault}")
}
