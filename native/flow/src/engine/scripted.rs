//! Messages that are with a script, and what becomes of them when they are back.
//!
//! ```text
//! advance ─► Waiting ─► executor ─► on_script ─┬─► dropped: counted
//!                                              ├─► failed: dead letter
//!                                              └─► one or many parts ─► advance ─► emit, or the next script
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use message::{Code, Document, Fault, Limits, Node};
use script::{Done, Task};

use super::core::{Core, Envelope};
use super::events::EventKind;
use super::install::Installed;
use super::kept::Kept;
use super::ledger::Outcome;
use super::logic::{Part, context_of};
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
    share: Share,
}

/// What of an input's outputs a document may still become.
pub(super) struct Share {
    outputs: usize,
    /// The number of the first one.
    first: u32,
    /// Of a part: the bytes that the input has become so far, with those of the other parts.
    written: Option<Rc<Cell<usize>>>,
}

impl Share {
    /// For a document that is a whole input.
    pub fn whole(pipeline: &Pipeline) -> Share {
        Share { outputs: pipeline.limits().outputs, first: 0, written: None }
    }
}

/// A part that needs a script again.
struct Behind {
    number: u32,
    stage: usize,
    document: Document,
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
    /// Hands the document to the executor with this burst's batch.
    pub(super) fn submit(&mut self, envelope: &Envelope<'_>, stage: usize, document: Document, share: Share) {
        let installed = envelope.installed;
        let Some(program) = installed.pipeline.program(stage) else { return };
        let token = self.waiting.hold(Held {
            installed: Rc::clone(installed),
            parent: envelope.parent,
            kept: Kept::of(envelope),
            stage,
            share,
        });
        self.waiting.tasks.push(Task {
            token,
            program: program.id(),
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
        let start = document.reading();
        let label = held.installed.pipeline.stage_label(held.stage);
        let outputs = held.share.outputs;
        let failed = match done.outcome {
            Ok(roots) if roots.is_empty() => {
                self.filtered(&envelope, held.stage);
                None
            }
            Ok(roots) if roots.len() > outputs => {
                let reason = format!("{} messages, {outputs} are allowed here", roots.len());
                Some(Fault::new(Code::ScriptTooManyOutputs, reason).in_step(label))
            }
            Ok(roots) => self.go_on(&envelope, &held, &mut document, &roots, out).err(),
            Err(fault) => Some(fault.in_step(label)),
        };
        match failed {
            Some(fault) if held.share.written.is_some() => {
                document.read_as(&start, start.root);
                self.fail(&envelope, &fault, held.share.first, &part_bytes(&document), out);
            }
            Some(fault) => self.fail(&envelope, &fault, held.share.first, document.source(), out),
            None => {}
        }
        self.spare.keep(document);
        self.settle(held.parent, Outcome::Ok, out);
    }

    /// Every part from the next stage on. All are collected before the first is published, so that
    /// an input over its limits fails as a whole; a part that fails alone is a dead letter alone.
    ///
    /// # Errors
    /// `deliver/too-many-outputs`; nothing is published then.
    fn go_on(
        &mut self,
        envelope: &Envelope<'_>,
        held: &Held,
        document: &mut Document,
        roots: &[u32],
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let pipeline = &held.installed.pipeline;
        let share = u32::try_from(held.share.outputs / roots.len()).unwrap_or(1).max(1);
        let mut ready: Vec<Part> = Vec::with_capacity(roots.len());
        let mut behind: Vec<Behind> = Vec::new();
        let mut room = room_behind(pipeline.limits());
        self.arena.clear();
        // Every part begins as the script left it, whatever steps have made of the one before.
        let start = document.reading();
        for (position, root) in (0_u32..).zip(roots) {
            let number = held.share.first + position * share;
            document.read_as(&start, *root);
            let rendered = match pipeline.advance(held.stage + 1, document, &context_of(envelope)) {
                Progress::Done(outs) => Part::render(pipeline, document, outs, number, usize::MAX, &mut self.arena)
                    .map(|part| ready.push(part)),
                Progress::Failed(fault) => Err(fault),
                Progress::Dropped { stage } => {
                    self.filtered(envelope, stage);
                    Ok(())
                }
                Progress::Script { stage } => {
                    let document = take_part(document, roots.len(), &mut room)?;
                    behind.push(Behind { number, stage, document });
                    Ok(())
                }
            };
            if let Err(fault) = rendered {
                self.fail(envelope, &fault, number, &part_bytes(document), out);
            }
        }
        let (limit, before) = (pipeline.limits().output_bytes, held.share.written.as_ref().map_or(0, |all| all.get()));
        let written = before + self.arena.len();
        if written > limit {
            return Err(too_much(written, limit));
        }
        let all = held.share.written.clone().or_else(|| (roots.len() > 1).then(Rc::default));
        if let Some(all) = &all {
            all.set(written);
        }
        for part in ready {
            self.publish_part(envelope, document.source(), &part, out);
        }
        for Behind { number, stage, document } in behind {
            if let Parent::Entry(receipt) = envelope.parent {
                self.publisher.ledger.expect(receipt);
            }
            let share = Share { outputs: share as usize, first: number, written: all.clone() };
            self.submit(envelope, stage, document, share);
        }
        Ok(())
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

    /// Back to its stream while a script does not end.
    pub(super) fn offer_later(&mut self, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
        let fault = Fault::new(Code::ScriptUnavailable, "another script of this shard does not end");
        self.settle(envelope.parent, Outcome::Retry(STUCK_DELAY, fault), out);
    }

    /// What the executor's thread was seen at: whose turn is longer than it may be.
    pub fn on_scripts(&mut self, overlong: Option<(Box<str>, Duration)>) {
        let was = std::mem::replace(&mut self.scripts_stuck, overlong.is_some());
        let Some((customer, lasted)) = overlong.filter(|_| !was) else { return };
        let seconds = lasted.as_secs();
        let reason = format!("a script of {customer} runs for {seconds} s, in a built-in that cannot be stopped");
        self.node_event(EventKind::Node, &Fault::new(Code::ScriptUnavailable, reason));
    }
}

/// Bytes of all parts that wait for another script: as much text as may go out, on as large a tape as may
/// come in.
fn room_behind(limits: &Limits) -> usize {
    limits.output_bytes.saturating_add(limits.nodes.saturating_mul(size_of::<Node>()))
}

/// One of `parts` values of `document`, to go to another script: the document itself when there is no other.
fn take_part(document: &mut Document, parts: usize, room: &mut usize) -> Result<Document, Fault> {
    if parts == 1 {
        return Ok(std::mem::take(document));
    }
    let part = document.detached(*room).ok_or_else(|| {
        Fault::new(Code::DeliverTooManyOutputs, "the parts for the next script are larger together than one message")
    })?;
    *room -= part.size();
    Ok(part)
}

fn too_much(bytes: usize, limit: usize) -> Fault {
    Fault::new(Code::DeliverTooManyOutputs, format!("{bytes} bytes of output, {limit} are allowed"))
}

/// A failed part as it is kept in the dead letters: as JSON, or as it came when it cannot be emitted.
fn part_bytes(document: &Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    if formats::emit(document, &mut bytes).is_err() {
        bytes = document.source().to_vec();
    }
    bytes
}
