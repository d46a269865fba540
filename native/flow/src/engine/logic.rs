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

use message::{Code, Context, Document, Fault, Format, Headers, Outs};

use super::core::{Core, Envelope, Payload};
use super::events::{Event, EventKind};
use super::large::LARGE;
use super::ledger::{Origin, Outcome};
use super::metrics::Metric;
use super::publish::Parent;
use super::scripted::Share;
use crate::compile::{Pipeline, Progress, Urls};

/// One message of those that an input became.
pub(super) struct Part {
    pub number: u32,
    pub outs: Outs,
    /// Where it stands in the arena, and its content type there; `None` for the source as it came.
    pub rendered: Option<(Range<usize>, &'static str)>,
    pub urls: Urls,
}

impl Part {
    /// Appends the document's root to the arena, unless the source can be forwarded as it is.
    ///
    /// # Errors
    /// `convert/...`; `deliver/too-many-outputs` above `limit` bytes.
    pub fn render(
        pipeline: &Pipeline,
        document: &Document,
        outs: Outs,
        number: u32,
        limit: usize,
        arena: &mut Vec<u8>,
    ) -> Result<Part, Fault> {
        let rendered = if document.is_unchanged() {
            None
        } else {
            let start = arena.len();
            pipeline.emit(document, arena)?;
            if arena.len() > limit {
                return Err(Fault::new(Code::DeliverTooManyOutputs, format!("more than {limit} bytes of output")));
            }
            Some((start..arena.len(), content_type(document.format())))
        };
        Ok(Part { number, outs, rendered, urls: pipeline.urls(document, outs) })
    }

    fn url(&self, target: usize) -> Result<Option<&str>, &Fault> {
        let found = self.urls.iter().find(|(out, _)| *out == target);
        found.map(|(_, url)| url.as_deref()).transpose()
    }
}

impl Core {
    /// Takes one message through its pipeline. Its entry has one thing pending: this.
    pub fn run(&mut self, envelope: &Envelope<'_>, payload: &[u8], out: &mut Vec<u8>) {
        let installed = envelope.installed;
        let pipeline = &installed.pipeline;
        if !pipeline.needs_document() {
            for target in 0..installed.targets.len() {
                self.emit(envelope, target, 0, Payload::Source(payload), Ok(None), out);
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
                self.offer_later(envelope, out);
                return;
            }
            Progress::Script { stage } => {
                self.submit(envelope, stage, document, Share::whole(&installed.pipeline));
                return;
            }
            Progress::Done(outs) => {
                self.arena.clear();
                let limit = installed.pipeline.limits().output_bytes;
                match Part::render(&installed.pipeline, &document, outs, 0, limit, &mut self.arena) {
                    Ok(part) => self.publish_part(envelope, document.source(), &part, out),
                    Err(fault) => self.fail(envelope, &fault, 0, document.source(), out),
                }
            }
            Progress::Dropped { stage } => self.filtered(envelope, stage),
            Progress::Failed(fault) => self.fail(envelope, &fault, 0, document.source(), out),
        }
        self.spare.keep(document);
        self.settle(envelope.parent, Outcome::Ok, out);
    }

    /// One part to its outs.
    pub(super) fn publish_part(&mut self, envelope: &Envelope<'_>, source: &[u8], part: &Part, out: &mut Vec<u8>) {
        for target in part.outs.iter() {
            let payload = match &part.rendered {
                None => Payload::Source(source),
                Some((range, content_type)) => Payload::Arena(range.clone(), content_type),
            };
            self.emit(envelope, target, part.number, payload, part.url(target), out);
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

    /// Core NATS messages have no entry; all others are entered when they arrive.
    pub fn enter(&mut self, origin: Origin, token: &[u8]) -> Parent {
        Parent::Entry(self.open(origin, token))
    }
}

pub(super) fn context_of<'a>(envelope: &'a Envelope<'_>) -> Context<'a> {
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

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Xml => "application/xml",
    }
}
