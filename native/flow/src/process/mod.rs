//! One message through a pipeline, here and now: no NATS, no connectors, no threads.
//!
//! ```text
//! Message ─► parse ─► fan-out ◄─► scripts, inline
//!                       ├─► leaves ─► Processed
//!                       └─► a dry run also keeps what the message was after every step    snapshots.rs
//! ```
//!
//! It gives what the engine would publish, by the same fan-out; the tests of a pipeline file, `vrsky
//! dry-run` and the Python API stand on it.

mod snapshots;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use message::{Context, Document, Fault, Headers};
use script::{Done, Runner, TaskContext};

use crate::compile::{Pipeline, Target, detect};
use crate::fan_out::{FanOut, Leaf, NextScript, Output as Outs, PartPath, Run, Source, Trace, content_type};
pub(crate) use snapshots::Snapshots;

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

/// Milliseconds since the machine started, those that it slept included. No setting of the time of day moves it.
#[must_use]
pub fn boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let [seconds, nanoseconds] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or_default());
    seconds * 1_000 + nanoseconds / 1_000_000
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
    run(pipeline, message, runner, None, &mut ())
}

/// The same, as nodes do it that each run some of the steps: between two runs everything is handed over as bytes.
pub fn process_split(pipeline: &Pipeline, message: &Message<'_>, runner: &mut Runner) -> Processed {
    run(pipeline, message, runner, Some(usize::MAX), &mut ())
}

/// The same, with the message after every step.
pub fn dry_run(pipeline: &Pipeline, message: &Message<'_>, runner: &mut Runner) -> (Processed, Vec<Snapshot>) {
    let mut snapshots = Snapshots::default();
    let processed = run(pipeline, message, runner, None, &mut snapshots);
    (processed, snapshots.sorted())
}

fn run(
    pipeline: &Pipeline,
    message: &Message<'_>,
    runner: &Runner,
    cut: Option<usize>,
    trace: &mut impl Trace,
) -> Processed {
    let mut gathered = Gathered { pipeline, outputs: Vec::new(), fault: None, dropped_by: None };
    if pipeline.needs_document() {
        let mut fan_out = FanOut::default();
        match collect((pipeline, cut), message, runner, &mut fan_out, trace) {
            Ok(()) => gathered.leaves(&mut fan_out, message),
            Err(fault) => gathered.fail(fault),
        }
    } else {
        gathered.forward(message);
    }
    gathered.end()
}

/// Everything that the message becomes. Scripts run in the order in which the engine hands them out.
///
/// # Errors
/// The message fails as a whole.
fn collect(
    (pipeline, cut): (&Pipeline, Option<usize>),
    message: &Message<'_>,
    runner: &Runner,
    fan_out: &mut FanOut,
    trace: &mut impl Trace,
) -> Result<(), Fault> {
    let run = Run { pipeline, context: context(pipeline, message), cut };
    let mut document = Document::default();
    pipeline.parse(message.payload, message.content_type, &mut document)?;
    let first = fan_out.begin(&run, 0, &mut document, trace)?;
    let first = first.map(|stage| NextScript { path: PartPath::default(), stage, document });
    let (mut waiting, mut next) = (VecDeque::from_iter(first), Vec::new());
    loop {
        while let Some(NextScript { path, stage, document }) = waiting.pop_front() {
            let done = script(pipeline, message, runner, &path, stage, document);
            let Some(Done { mut document, outcome, said, .. }) = done else { continue };
            if !said.is_empty() {
                trace.on_said(&run, &path, stage, &said);
            }
            fan_out.on_script(&run, (&path, stage), &mut document, outcome, &mut next, trace)?;
            waiting.extend(next.drain(..));
        }
        if !fan_out.has_onward() {
            return Ok(());
        }
        hand_over(fan_out)?;
        let source = Source { bytes: message.payload, content_type: message.content_type, resumed: None };
        fan_out.go_on(&run, &source, &mut Document::default(), &mut next, trace)?;
        waiting.extend(next.drain(..));
    }
}

/// What the next run of steps gets is what it can read of the bytes that are handed over.
fn hand_over(fan_out: &mut FanOut) -> Result<(), Fault> {
    let mut state = Vec::new();
    fan_out.write(&mut state);
    fan_out.clear();
    fan_out.read(&state)
}

fn script(
    pipeline: &Pipeline,
    message: &Message<'_>,
    runner: &Runner,
    path: &PartPath,
    stage: usize,
    document: Document,
) -> Option<Done> {
    let program = pipeline.program(stage)?;
    let context = pipeline.task_context(&message.id.into(), message.time_ms, &message.headers.into());
    let context = TaskContext { seed: path.seed(stage, None), ..context };
    Some(runner.run(program, document, &context, pipeline.limits()))
}

fn context<'a>(pipeline: &'a Pipeline, message: &Message<'a>) -> Context<'a> {
    Context {
        id: message.id,
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        time_ms: message.time_ms,
        headers: Headers::new(message.headers),
    }
}

/// What is reported of a message.
struct Gathered<'p> {
    pipeline: &'p Pipeline,
    outputs: Vec<Output>,
    fault: Option<Fault>,
    dropped_by: Option<usize>,
}

impl Gathered<'_> {
    /// Without steps, the bytes as they came; they are read only for a URL.
    fn forward(&mut self, message: &Message<'_>) {
        let Some(target) = self.pipeline.outs().first() else { return };
        let url =
            if target.reads_payload() { self.url_of(target, message) } else { target.address(&Document::default()) };
        self.put(0, url, message.payload, message.content_type);
    }

    fn url_of(&self, target: &Target, message: &Message<'_>) -> Result<Option<String>, Fault> {
        let mut document = Document::default();
        self.pipeline.parse_output(message.payload, message.content_type, &mut document)?;
        target.address(&document)
    }

    fn leaves(&mut self, fan_out: &mut FanOut, message: &Message<'_>) {
        fan_out.sort();
        for (_, leaf) in fan_out.leaves() {
            match leaf {
                Leaf::Output(output) => self.output(fan_out, output, message),
                Leaf::Dropped { stage } => {
                    self.dropped_by.get_or_insert(*stage);
                }
                Leaf::Failed { fault, .. } => self.fail(fault.clone()),
            }
        }
    }

    fn output(&mut self, fan_out: &FanOut, output: &Outs, message: &Message<'_>) {
        let as_it_came = match message.content_type {
            "" => content_type(detect(message.payload, "")),
            named => named,
        };
        let (payload, content_type) = fan_out.body(output.rendered.as_ref(), (message.payload, as_it_came));
        for out in output.outs.iter() {
            let Some(target) = self.pipeline.outs().get(out) else { continue };
            let url = match output.address(out) {
                Ok(Some(carried)) => Ok(target.carried(carried).map(str::to_owned)),
                Ok(None) => target.address(&Document::default()),
                Err(fault) => Err(fault.clone()),
            };
            self.put(out, url, payload, content_type);
        }
    }

    fn put(&mut self, out: usize, url: Result<Option<String>, Fault>, payload: &[u8], content_type: &str) {
        match url {
            Ok(url) => {
                let (payload, content_type) = (payload.to_vec(), content_type.to_owned());
                self.outputs.push(Output { out, payload, content_type, url });
            }
            Err(fault) => {
                let name = self.pipeline.outs().get(out).map_or("", |target| &target.name);
                self.fail(fault.in_step(format!("out:{name}")));
            }
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn end(self) -> Processed {
        let Gathered { outputs, fault, dropped_by, .. } = self;
        let status = match (&fault, outputs.is_empty()) {
            (Some(_), _) => Status::Failed,
            (None, true) => Status::Dropped,
            (None, false) => Status::Ok,
        };
        Processed { status, outputs, fault, dropped_by }
    }
}
