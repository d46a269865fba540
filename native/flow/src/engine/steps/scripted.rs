//! Messages of which something is with a script.
//!
//! ```text
//! begin ─► hold ─► submit ─► executor ─► on_script ─┬─► every part is through: publish, settle
//!                    ▲                              ├─► over its limits: one dead letter, settle
//!                    └──────────────────────────────┼─► another script
//!                                                   └─► core NATS beyond its customer's bytes: lost
//! ```

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Document, Fault};
use script::{Done, Task, TaskContext};

use super::budget::{Held, Share, document_bytes};
use super::handover::{AtEnd, Way, cut};
use super::publish::{self, Work};
use super::sampled::Timed;
use super::slab::Slab;
use super::voices::Voices;
use super::watched::{self, Made};
use super::{NOT_RUN_DELAY, REFUSED_DELAY, Steps};
use crate::engine::message::{Envelope, InputRef, OwnedMessage};
use crate::engine::registry::Revision;
use crate::engine::settlement::{Outcome, Settlement};
use crate::fan_out::{FanOut, NextScript, PartPath, Run};

/// A message of which something is with a script.
pub(super) struct InHand {
    pub revision: Rc<Revision>,
    pub input: InputRef,
    /// Without its payload: its document has that, or its fan-out.
    pub message: OwnedMessage,
    /// Of one that was handed over.
    pub way: Option<Way>,
    pub fan_out: FanOut,
    /// Tasks that have not come back, and what they hold.
    pub waiting: Held,
    pub share: Share,
}

/// What is with the executor: a message, or a part of one.
struct Waiting {
    message: u64,
    path: PartPath,
    stage: usize,
    /// What its document holds.
    bytes: usize,
}

/// Messages of which something is with a script; the tasks of this burst.
#[derive(Default)]
pub(super) struct Scripted {
    in_hand: Slab<InHand>,
    /// By the task's token. Some are left over from a message that has failed since.
    waiting: Slab<Waiting>,
    pub tasks: Vec<Task>,
    voices: Voices,
    next: Vec<NextScript>,
}

impl Scripted {
    pub fn hold(&mut self, message: InHand) -> u64 {
        self.in_hand.insert(message)
    }

    /// Adds a task for the executor.
    pub fn submit(&mut self, key: u64, next: NextScript) {
        let NextScript { path, stage, document } = next;
        let Some(InHand { revision, message, waiting, .. }) = self.in_hand.get_mut(key) else { return };
        let pipeline = revision.pipeline();
        let Some(program) = pipeline.program(stage) else { return };
        let bytes = document_bytes(&document);
        waiting.tasks += 1;
        waiting.bytes += bytes;
        let resumed = message.resume.is_some().then_some(message.part);
        let seed = path.seed(stage, resumed);
        let context = TaskContext { seed, ..pipeline.task_context(&message.id, message.time_ms, &message.headers) };
        let limits = pipeline.shared_limits().clone();
        let token = self.waiting.insert(Waiting { message: key, path, stage, bytes });
        self.tasks.push(Task { token, program: program.id(), document, context, limits });
    }

    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_idle(&self) -> bool {
        self.in_hand.len() == 0
    }
}

impl Steps {
    /// Whose message a script is done with; `None` where the message has failed since.
    #[must_use]
    pub fn revision_of(&self, done: &Done) -> Option<&Rc<Revision>> {
        let script = self.scripted.waiting.get(done.token)?;
        self.scripted.in_hand.get(script.message).map(|in_hand| &in_hand.revision)
    }

    /// A script is done with a message, or with a part of one.
    pub fn on_script(&mut self, settlement: &mut Settlement, done: Done) {
        let Steps { documents, spare, scripted, sampler, .. } = &mut *self;
        let Done { token, mut document, outcome, used, said } = done;
        let Some(script) = scripted.waiting.remove(token) else { return };
        settlement.meters().step("script", used);
        let Some(in_hand) = scripted.in_hand.get_mut(script.message) else {
            documents.put(document);
            return;
        };
        let InHand { revision, input, message, way, fan_out, waiting, share } = in_hand;
        revision.owner.counters.used(used);
        let envelope = &message.envelope(&revision.owner, *input);
        let outcome = match outcome {
            Err(fault) if fault.code().retryable() && *input != InputRef::Core => {
                // Nothing of the message is stored yet: it goes back to its stream as a whole, and its other parts find
                // it gone. A core NATS message has no stream, and fails.
                settlement.note_retry(envelope, revision.pipeline().stage_label(script.stage), &fault);
                settlement.settle(*input, Outcome::Retry(NOT_RUN_DELAY, fault));
                scripted.in_hand.remove(script.message);
                return documents.put(document);
            }
            outcome => outcome,
        };
        let work = Work { revision, envelope };
        let cut = cut(settlement, revision, Way::handed(way.as_ref()).as_ref());
        let run = Run { pipeline: revision.pipeline(), context: envelope.context(), cut };
        waiting.tasks -= 1;
        waiting.bytes -= script.bytes;
        fan_out.exchange(spare);
        let at = (&script.path, script.stage);
        if !said.is_empty() {
            scripted.voices.report(settlement, envelope, (run.pipeline, script.stage), &said);
        }
        let measured = sampler.next();
        let collected = match settlement.watch(envelope) {
            Some(seen) => {
                let made = Made { at, document: &mut document, outcome, said: &said };
                watched::on_script(settlement, (envelope, seen), fan_out, &run, made, &mut scripted.next)
            }
            None if measured.is_some() => {
                let mut timed = Timed { meters: settlement.meters(), steps: Duration::ZERO };
                fan_out.on_script(&run, at, &mut document, outcome, &mut scripted.next, &mut timed)
            }
            None => fan_out.on_script(&run, at, &mut document, outcome, &mut scripted.next, &mut ()),
        };
        let outcome = match collected {
            Ok(()) if waiting.tasks > 0 || !scripted.next.is_empty() => {
                let held = held(*waiting, &scripted.next, fan_out.held_bytes());
                share.hold(held).err().map(|fault| no_room(settlement, envelope, fault))
            }
            Ok(()) if fan_out.has_onward() => {
                fan_out.exchange(spare);
                return self.end_run_of(settlement, script.message, document);
            }
            Ok(()) => {
                fan_out.sort();
                publish::publish(settlement, &work, fan_out, fan_out.source(&document));
                Some(Outcome::Ok)
            }
            Err(fault) => {
                publish::fail(settlement, envelope, &fault, fan_out.source(&document));
                Some(Outcome::Ok)
            }
        };
        if let Some(outcome) = outcome {
            settlement.settle(*input, outcome);
            fan_out.clear();
            fan_out.exchange(spare);
            scripted.next.clear();
            scripted.in_hand.remove(script.message);
        } else {
            fan_out.exchange(spare);
            scripted.submit_next(script.message);
        }
        documents.put(document);
    }

    /// The last script of a message's run of steps is through.
    fn end_run_of(&mut self, settlement: &mut Settlement, key: u64, document: Document) {
        let Some(in_hand) = self.scripted.in_hand.remove(key) else { return };
        let InHand { revision, input, message, way, mut fan_out, share, .. } = in_hand;
        let source = fan_out.take_source();
        let source = source.as_deref().unwrap_or_else(|| document.source());
        let (envelope, handed) = (&message.envelope(&revision.owner, input), Way::handed(way.as_ref()));
        let (revision, handed) = (&revision, handed.as_ref());
        self.end_run(settlement, AtEnd { revision, envelope, handed, share: Some(share), fan_out, source });
        self.documents.put(document);
    }

    /// What the executor would not take goes back to where it came from. A core NATS message, which nobody could send
    /// again, stays and is submitted with the next batch; so does a part of a message.
    pub fn refuse_tasks(&mut self, settlement: &mut Settlement, tasks: Vec<Task>) {
        for task in tasks {
            if self.scripted.stays(task.token) {
                self.scripted.tasks.push(task);
                continue;
            }
            self.documents.put(task.document);
            let Some(waiting) = self.scripted.waiting.remove(task.token) else { continue };
            let Some(in_hand) = self.scripted.in_hand.remove(waiting.message) else { continue };
            let fault = Fault::new(Code::ScriptUnavailable, "the script executor's queue is full");
            settlement.settle(in_hand.input, Outcome::Retry(REFUSED_DELAY, fault));
        }
    }
}

/// There is no room for a message, or for what it has become: back to its stream, and lost without one.
pub(super) fn no_room(settlement: &mut Settlement, envelope: &Envelope<'_>, fault: Fault) -> Outcome {
    if envelope.input == InputRef::Core {
        settlement.lose(envelope, &fault);
        return Outcome::Ok;
    }
    Outcome::Retry(REFUSED_DELAY, fault)
}

/// What a message holds with its next tasks, and with what it has become so far.
pub(super) fn held(waiting: Held, next: &[NextScript], collected: usize) -> Held {
    let bytes = next.iter().map(|next| document_bytes(&next.document)).sum::<usize>();
    Held { tasks: waiting.tasks + next.len(), bytes: waiting.bytes + bytes + collected }
}

impl Scripted {
    fn submit_next(&mut self, key: u64) {
        let mut next = std::mem::take(&mut self.next);
        next.drain(..).for_each(|next| self.submit(key, next));
        self.next = next;
    }

    /// Whether a task that was refused is kept for the next batch.
    fn stays(&mut self, token: u64) -> bool {
        let Some(Waiting { message, path, .. }) = self.waiting.get_mut(token) else { return false };
        let in_hand = self.in_hand.get_mut(*message);
        in_hand.is_some_and(|in_hand| !path.is_whole() || in_hand.input == InputRef::Core)
    }
}
