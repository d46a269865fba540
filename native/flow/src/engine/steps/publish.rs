//! What an input has become, to its outs and to the dead letters.

use message::Fault;

use crate::engine::message::{Body, Envelope, Target};
use crate::engine::observe::{Event, EventKind, Metric};
use crate::engine::registry::Revision;
use crate::engine::settlement::{Letter, Original, Settlement};
use crate::fan_out::{FanOut, Leaf, Output, Rendered};

/// A message and the revision that runs it.
pub(super) struct Work<'a> {
    pub revision: &'a Revision,
    pub envelope: &'a Envelope<'a>,
}

/// A message without steps, as it came.
pub(super) fn forward(settlement: &mut Settlement, revision: &Revision, envelope: &Envelope<'_>, body: Body<'_>) {
    if settlement.waits_for_core(envelope, revision.targets.iter()) {
        return;
    }
    if revision.targets.len() > 1 {
        settlement.keep_frames(envelope.input);
    }
    for target in &revision.targets {
        if let Err(fault) = settlement.emit(envelope, target, body, None) {
            let step = format!("out:{}", target.name);
            settlement.note_failed(envelope);
            settlement.dead_letter(envelope, &Letter::new(&step, &fault, body));
        }
    }
}

/// A whole message that fails: one dead letter, with the bytes that came.
pub(super) fn fail(settlement: &mut Settlement, envelope: &Envelope<'_>, fault: &Fault, source: &[u8]) {
    let step = fault.place().step.as_deref().unwrap_or("in");
    let body = Body { bytes: source, content_type: envelope.content_type };
    settlement.note_failed(envelope);
    settlement.dead_letter(envelope, &Letter { original: original_of(envelope), ..Letter::new(step, fault, body) });
}

/// What is known of the original of a message that has not been split here.
fn original_of<'a>(envelope: &Envelope<'_>) -> Original<'a> {
    if envelope.resume.is_some() { Original::Kept } else { Original::Same }
}

/// Everything that a message has become, sorted.
pub(super) fn publish(settlement: &mut Settlement, work: &Work<'_>, fan_out: &FanOut, source: &[u8]) {
    let envelope = work.envelope;
    let source = Body { bytes: source, content_type: envelope.content_type };
    if settlement.waits_for_core(envelope, targets(work.revision, fan_out)) {
        return;
    }
    let is_split = fan_out.is_split();
    if is_split || fan_out.messages() > 1 {
        settlement.keep_frames(envelope.input);
    }
    let original = match is_split && envelope.resume.is_none() {
        true => Original::Keep(source),
        false => original_of(envelope),
    };
    let mut publishing = Publishing { settlement, work, fan_out, source, original, has_failed: false };
    for (index, (_, leaf)) in (0..).zip(fan_out.leaves()) {
        let part = if is_split { part(envelope, index) } else { envelope.part };
        publishing.leaf(&Envelope { part, ..*envelope }, leaf);
    }
}

/// The outs that something goes to.
fn targets<'a>(revision: &'a Revision, fan_out: &'a FanOut) -> impl Iterator<Item = &'a Target> {
    let outputs = fan_out
        .leaves()
        .iter()
        .filter_map(|(_, leaf)| if let Leaf::Output(output) = leaf { Some(output) } else { None });
    outputs.flat_map(|output| output.outs.iter()).filter_map(|out| revision.targets.get(out))
}

/// A resumed part has this many numbers for what it becomes.
const PARTS: u64 = 100_000;

/// The number of a part: its position among all of its input, drops included. What a part becomes that was sent again
/// has numbers that no part of its input has: the second of what part 7 has become is 800001.
fn part(envelope: &Envelope<'_>, index: u64) -> u64 {
    match envelope.resume {
        None => index,
        Some(_) => envelope.part.wrapping_add(1).wrapping_mul(PARTS).wrapping_add(index),
    }
}

struct Publishing<'a, 's> {
    settlement: &'s mut Settlement,
    work: &'a Work<'a>,
    fan_out: &'a FanOut,
    source: Body<'a>,
    /// Of the next dead letter of a part.
    original: Original<'a>,
    /// Whether a part has failed.
    has_failed: bool,
}

impl<'a> Publishing<'a, '_> {
    fn leaf(&mut self, envelope: &Envelope<'_>, leaf: &Leaf) {
        match leaf {
            Leaf::Dropped { stage } => filtered(self.settlement, envelope, *stage),
            Leaf::Failed { fault, rendered } => {
                let step = fault.place().step.as_deref().unwrap_or("in");
                let body = self.body(rendered.as_ref());
                self.letter(envelope, &Letter::new(step, fault, body));
            }
            Leaf::Output(output) => self.output(envelope, output),
        }
    }

    fn body(&self, rendered: Option<&Rendered>) -> Body<'a> {
        let (bytes, content_type) = self.fan_out.body(rendered, (self.source.bytes, self.source.content_type));
        Body { bytes, content_type }
    }

    fn output(&mut self, envelope: &Envelope<'_>, output: &Output) {
        let body = self.body(output.rendered.as_ref());
        for out in output.outs.iter() {
            let Some(target) = self.work.revision.targets.get(out) else { continue };
            let address = output.address(out);
            let emitted = match address {
                Ok(address) => self.settlement.emit(envelope, target, body, address),
                Err(fault) => Err(fault.clone()),
            };
            if let Err(fault) = emitted {
                let step = format!("out:{}", target.name);
                self.letter(envelope, &Letter { url: address.ok().flatten(), ..Letter::new(&step, &fault, body) });
            }
        }
    }

    /// The original is kept once for all parts.
    fn letter(&mut self, envelope: &Envelope<'_>, letter: &Letter<'_>) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.settlement.note_failed(envelope);
        }
        self.settlement.dead_letter(envelope, &Letter { original: self.original, ..*letter });
        if let Original::Keep(_) = self.original {
            self.original = Original::Kept;
        }
    }
}

fn filtered(settlement: &Settlement, envelope: &Envelope<'_>, stage: usize) {
    let pipeline = &envelope.owner.pipeline;
    envelope.owner.counters.add(Metric::Filtered, 1);
    settlement.events().push(|| {
        Event::about(EventKind::Filtered, settlement.now_ms(), pipeline, envelope.id)
            .at(pipeline.stage_label(stage), 0)
            .because(pipeline.stage_text(stage))
    });
}
