//! The steps of one message: parse once, decide and edit on the tape, emit once.
//!
//! ```text
//! payload ─► larger than 1 MiB ──► large/, and back in where it came to
//!        └─► no document needed ─────────────────────────────────► emit the bytes as they came
//!        └─► parse ─► advance ─┬─► done ──────────────────────────► emit to every out
//!                              ├─► dropped: counted, settled
//!                              ├─► failed: dead letter, then settled
//!                              └─► script ─► Waiting ─► executor ─► on_script ─► advance, per part
//! ```

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use message::{Code, Context, Document, Fault, Format, Headers, Outs};
use script::{Done, Task};

use super::core::{Core, Envelope, Payload};
use super::events::{Event, EventKind};
use super::install::Installed;
use super::kept::Kept;
use super::large::LARGE;
use super::ledger::{Origin, Outcome};
use super::metrics::Metric;
use super::publish::Parent;
use crate::compile::{Pipeline, Progress};

/// While a script does not end, messages that need one are offered again after this.
const STUCK_DELAY: Duration = Duration::from_secs(10);

/// What is kept of a message while a script has its document.
pub struct Held {
    installed: Rc<Installed>,
    parent: Parent,
    kept: Kept,
    stage: usize,
    /// How many outputs this part may still become, and the number of its first one.
    outputs: usize,
    first_part: u32,
}

/// One message of those that an input became.
pub(super) struct Part {
    pub number: u32,
    pub outs: Outs,
    /// Where it stands in the arena; `None` for the source as it came.
    pub range: Option<Range<usize>>,
}

/// Messages whose document is with a script, by the task's token; and the tasks of this burst.
#[derive(Default)]
pub struct Waiting {
    held: Vec<Option<Held>>,
    free: Vec<usize>,
    pub tasks: Vec<Task>,
}

impl Waiting {
    fn hold(&mut self, held: Held) -> u64 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.held.push(None);
            self.held.len() - 1
        });
        self.held[slot] = Some(held);
        slot as u64
    }

    fn release(&mut self, token: u64) -> Option<Held> {
        let slot = usize::try_from(token).ok()?;
        let held = self.held.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(held)
    }

    fn is_core(&self, token: u64) -> bool {
        let slot = usize::try_from(token).ok().and_then(|slot| self.held.get(slot));
        matches!(slot, Some(Some(Held { parent: Parent::Core, .. })))
    }

    /// Messages that wait for a script.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len() - self.free.len()
    }
}

impl Core {
    /// Takes one message through its pipeline. Its entry has one thing pending: this.
    pub fn run(&mut self, envelope: &Envelope<'_>, payload: &[u8], out: &mut Vec<u8>) {
        let installed = envelope.installed;
        let pipeline = &installed.pipeline;
        if !pipeline.needs_document() {
            for target in 0..installed.targets.len() {
                self.emit(envelope, target, 0, Payload::Source(payload), out);
            }
            self.settle(envelope.parent, Outcome::Ok, out);
            return;
        }
        if payload.len() > LARGE {
            self.run_large(envelope, payload, out);
            return;
        }
        let mut document = self.spare.take();
        match pipeline.parse(payload, envelope.content_type, &mut document) {
            Ok(()) => self.advance(envelope, 0, document, out),
            Err(fault) => {
                self.spare.keep(document);
                self.fail(envelope, &fault, 0, payload, out);
                self.settle(envelope.parent, Outcome::Ok, out);
            }
        }
    }

    /// From `stage` on, for a document that is one whole message.
    fn advance(&mut self, envelope: &Envelope<'_>, stage: usize, mut document: Document, out: &mut Vec<u8>) {
        let installed = envelope.installed;
        match installed.pipeline.advance(stage, &mut document, &context_of(envelope)) {
            Progress::Script { .. } if self.scripts_stuck && envelope.parent != Parent::Core => {
                self.spare.keep(document);
                let fault = Fault::new(Code::ScriptUnavailable, "another script of this shard does not end");
                self.settle(envelope.parent, Outcome::Retry(STUCK_DELAY, fault), out);
                return;
            }
            Progress::Script { stage } => {
                let outputs = installed.pipeline.limits().outputs;
                self.submit(envelope, stage, document, outputs, 0);
                return;
            }
            Progress::Done(outs) => {
                self.arena.clear();
                match render(&installed.pipeline, &document, installed.pipeline.limits().output_bytes, &mut self.arena)
                {
                    Ok(range) => {
                        let part = Part { number: 0, outs, range };
                        self.publish_part(envelope, document.source(), content_type(document.format()), &part, out);
                    }
                    Err(fault) => self.fail(envelope, &fault, 0, document.source(), out),
                }
            }
            Progress::Dropped { stage } => self.filtered(envelope, stage),
            Progress::Failed(fault) => self.fail(envelope, &fault, 0, document.source(), out),
        }
        self.spare.keep(document);
        self.settle(envelope.parent, Outcome::Ok, out);
    }

    /// What the executor's thread was seen at: whose turn is longer than it may be.
    pub fn on_scripts(&mut self, overlong: Option<(Box<str>, Duration)>) {
        let was = std::mem::replace(&mut self.scripts_stuck, overlong.is_some());
        let Some((customer, lasted)) = overlong.filter(|_| !was) else { return };
        let seconds = lasted.as_secs();
        let reason = format!("a script of {customer} runs for {seconds} s, in a built-in that cannot be stopped");
        self.node_event(EventKind::Node, &Fault::new(Code::ScriptUnavailable, reason));
    }

    /// One part to its outs; `content_type` is that of the arena's bytes.
    pub(super) fn publish_part(
        &mut self,
        envelope: &Envelope<'_>,
        source: &[u8],
        content_type: &'static str,
        part: &Part,
        out: &mut Vec<u8>,
    ) {
        for target in part.outs.iter() {
            let payload = match &part.range {
                None => Payload::Source(source),
                Some(range) => Payload::Arena(range.clone(), content_type),
            };
            self.emit(envelope, target, part.number, payload, out);
        }
    }

    pub(super) fn filtered(&self, envelope: &Envelope<'_>, stage: usize) {
        envelope.installed.counters.add(Metric::Filtered, 1);
        self.events.push(|| {
            let pipeline = &envelope.installed.pipeline;
            Event::about(EventKind::Filtered, self.now_ms, envelope.installed, envelope.root)
                .at(pipeline.stage_label(stage), 0)
                .because(pipeline.stage_text(stage))
        });
    }

    pub(super) fn fail(
        &mut self,
        envelope: &Envelope<'_>,
        fault: &Fault,
        part: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let step = fault.place().step.clone().unwrap_or_else(|| "in".to_owned());
        self.dead_letter(envelope, &step, fault, part, payload, out);
    }

    /// Hands the document to the executor with this burst's batch.
    pub(super) fn submit(
        &mut self,
        envelope: &Envelope<'_>,
        stage: usize,
        document: Document,
        outputs: usize,
        first_part: u32,
    ) {
        let installed = envelope.installed;
        let Some(program) = installed.pipeline.program(stage) else { return };
        let token = self.waiting.hold(Held {
            installed: Rc::clone(installed),
            parent: envelope.parent,
            kept: Kept::of(envelope),
            stage,
            outputs,
            first_part,
        });
        self.waiting.tasks.push(Task {
            token,
            program: program.clone(),
            document,
            context: installed.pipeline.task_context(envelope.id, envelope.time_ms, envelope.headers.block()),
            limits: installed.pipeline.shared_limits().clone(),
        });
    }

    /// A script is done with a message: none, one or many parts go on from the next stage.
    pub fn on_script(&mut self, done: Done, out: &mut Vec<u8>) {
        let Some(held) = self.waiting.release(done.token) else { return };
        let mut document = done.document;
        let envelope = held.kept.envelope(&held.installed, held.parent);
        match done.outcome {
            Ok(roots) if roots.is_empty() => self.filtered(&envelope, held.stage),
            Ok(roots) if roots.len() > held.outputs => {
                let reason = format!("{} messages, {} are allowed here", roots.len(), held.outputs);
                let fault = Fault::new(Code::ScriptTooManyOutputs, reason)
                    .in_step(held.installed.pipeline.stage_label(held.stage));
                self.fail(&envelope, &fault, held.first_part, document.source(), out);
            }
            Ok(roots) => self.go_on(&envelope, &held, &mut document, &roots, out),
            Err(fault) => {
                let fault = fault.in_step(held.installed.pipeline.stage_label(held.stage));
                self.fail(&envelope, &fault, held.first_part, document.source(), out);
            }
        }
        self.spare.keep(document);
        self.settle(held.parent, Outcome::Ok, out);
    }

    /// Every part from the next stage on. All are collected before the first is published, so that
    /// an input over its limits fails as a whole; a part that fails alone is a dead letter alone.
    fn go_on(
        &mut self,
        envelope: &Envelope<'_>,
        held: &Held,
        document: &mut Document,
        roots: &[u32],
        out: &mut Vec<u8>,
    ) {
        let pipeline = &held.installed.pipeline;
        let share = u32::try_from(held.outputs / roots.len()).unwrap_or(1).max(1);
        let mut ready: Vec<Part> = Vec::with_capacity(roots.len());
        self.arena.clear();
        for (position, root) in (0_u32..).zip(roots) {
            let number = held.first_part + position * share;
            document.set_root(*root);
            document.mark_edited();
            let rendered = match pipeline.advance(held.stage + 1, document, &context_of(envelope)) {
                Progress::Done(outs) => {
                    render(pipeline, document, usize::MAX, &mut self.arena).map(|range| Part { number, outs, range })
                }
                Progress::Failed(fault) => Err(fault),
                Progress::Dropped { stage } => {
                    self.filtered(envelope, stage);
                    continue;
                }
                Progress::Script { stage } => {
                    if let Parent::Entry(receipt) = envelope.parent {
                        self.publisher.ledger.expect(receipt);
                    }
                    self.submit(envelope, stage, document.clone(), share as usize, number);
                    continue;
                }
            };
            match rendered {
                Ok(part) => ready.push(part),
                Err(fault) => self.fail(envelope, &fault, number, &part_bytes(document), out),
            }
        }
        let limit = pipeline.limits().output_bytes;
        if self.arena.len() > limit {
            let reason = format!("{} bytes of output, {limit} are allowed", self.arena.len());
            let fault = Fault::new(Code::DeliverTooManyOutputs, reason);
            self.fail(envelope, &fault, held.first_part, document.source(), out);
            return;
        }
        for part in ready {
            self.publish_part(envelope, document.source(), content_type(document.format()), &part, out);
        }
    }

    /// What the executor would not take goes back to where it came from; a core NATS message, which
    /// nobody could send again, stays and is submitted with the next batch.
    pub fn refuse_tasks(&mut self, tasks: Vec<Task>, out: &mut Vec<u8>) {
        for task in tasks {
            if self.waiting.is_core(task.token) {
                self.waiting.tasks.push(task);
                continue;
            }
            let Some(held) = self.waiting.release(task.token) else { continue };
            self.spare.keep(task.document);
            let fault = Fault::new(Code::ScriptUnavailable, "the script executor's queue is full");
            self.settle(held.parent, Outcome::Retry(Duration::from_millis(250), fault), out);
        }
    }

    /// Core NATS messages have no entry; all others are entered when they arrive.
    pub fn enter(&mut self, origin: Origin, token: &[u8]) -> Parent {
        Parent::Entry(self.open(origin, token))
    }
}

fn context_of<'a>(envelope: &'a Envelope<'_>) -> Context<'a> {
    context(&envelope.installed.pipeline, envelope.id, envelope.time_ms, envelope.headers)
}

/// What expressions see of a message beside its payload.
pub(super) fn context<'a>(pipeline: &'a Pipeline, id: &'a str, time_ms: u64, headers: Headers<'a>) -> Context<'a> {
    Context {
        id,
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        time_ms,
        headers,
    }
}

/// Appends the document's root to the arena; `None` when the source can be forwarded as it is.
///
/// # Errors
/// `convert/...`; `deliver/too-many-outputs` above `limit` bytes.
pub(super) fn render(
    pipeline: &Pipeline,
    document: &Document,
    limit: usize,
    arena: &mut Vec<u8>,
) -> Result<Option<Range<usize>>, Fault> {
    if document.is_unchanged() {
        return Ok(None);
    }
    let start = arena.len();
    pipeline.emit(document, arena)?;
    if arena.len() > limit {
        return Err(Fault::new(Code::DeliverTooManyOutputs, format!("more than {limit} bytes of output")));
    }
    Ok(Some(start..arena.len()))
}

pub(super) fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Xml => "application/xml",
    }
}

/// A failed part as it is kept in the dead letters: as JSON, or as it came when it cannot be emitted.
fn part_bytes(document: &Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    if formats::emit(document, &mut bytes).is_err() {
        bytes = document.source().to_vec();
    }
    bytes
}
