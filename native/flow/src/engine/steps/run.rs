//! From a payload to its fan-out, up to the first script.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Document, Fault};
use tokio::time::Instant;

use super::budget::{Held, Share, document_bytes};
use super::publish::{self, Work};
use super::sampled::Timed;
use super::scripted::InHand;
use super::scripted::no_room;
use super::{LARGE, STUCK_DELAY, Steps, watched};
use crate::compile::Pipeline;
use crate::engine::message::{Body, Envelope, InputRef, OwnedMessage};
use crate::engine::observe::Meters;
use crate::engine::registry::Revision;
use crate::engine::settlement::{Outcome, Settlement};
use crate::fan_out::{FanOut, NextScript, PartPath, Run};

impl Steps {
    /// Takes one message through its pipeline, and ends its piece of work when it is through.
    pub fn run(
        &mut self,
        settlement: &mut Settlement,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        payload: &[u8],
    ) {
        if settlement.is_tapped() {
            settlement.tap_in(envelope, payload);
        }
        if !revision.pipeline().needs_document() && envelope.resume.is_none() {
            let body = Body { bytes: payload, content_type: envelope.content_type };
            publish::forward(settlement, revision, envelope, body);
            settlement.settle(envelope.input, Outcome::Ok);
            return;
        }
        if payload.len() > LARGE {
            self.run_large(settlement, revision, envelope, payload);
            return;
        }
        let mut document = self.documents.take();
        let measured = self.sampler.next();
        let parsed = parse(revision.pipeline(), envelope.resume, payload, envelope.content_type, &mut document);
        if let Some(began) = measured {
            settlement.meters().step("parse", began.elapsed());
        }
        match parsed {
            Ok(stage) => self.advance(settlement, revision, envelope, stage, document, measured.is_some()),
            Err(fault) => {
                self.documents.put(document);
                publish::fail(settlement, envelope, &fault, payload);
                settlement.settle(envelope.input, Outcome::Ok);
            }
        }
    }

    fn advance(
        &mut self,
        settlement: &mut Settlement,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        stage: usize,
        mut document: Document,
        is_measured: bool,
    ) {
        let run = Run { pipeline: revision.pipeline(), context: envelope.context() };
        let fan_out = &mut self.spare;
        let begun = if settlement.is_tapped() {
            watched::begin(settlement, envelope, fan_out, &run, stage, &mut document)
        } else if is_measured {
            begin_measured(settlement.meters(), fan_out, &run, stage, &mut document)
        } else {
            fan_out.begin(&run, stage, &mut document, &mut ())
        };
        match begun {
            Ok(Some(stage)) => {
                let message = OwnedMessage::of(envelope, bytes::Bytes::new());
                self.submit_whole(settlement, (revision, envelope.input, message), None, stage, document);
                return;
            }
            // One leaf needs no order.
            Ok(None) => publish::publish(settlement, &Work { revision, envelope }, fan_out, document.source()),
            Err(fault) => publish::fail(settlement, envelope, &fault, document.source()),
        }
        fan_out.clear();
        self.documents.put(document);
        settlement.settle(envelope.input, Outcome::Ok);
    }

    /// A whole message to its first script. `message`: without its payload, which the document has. `share`: what it
    /// has of its customer's already.
    pub(super) fn submit_whole(
        &mut self,
        settlement: &mut Settlement,
        (revision, input, message): (&Rc<Revision>, InputRef, OwnedMessage),
        share: Option<Share>,
        stage: usize,
        document: Document,
    ) {
        if self.is_stuck && input != InputRef::Core {
            self.documents.put(document);
            let fault = Fault::new(Code::ScriptUnavailable, "another script of this shard does not end");
            settlement.settle(input, Outcome::Retry(STUCK_DELAY, fault));
            return;
        }
        let bytes = document_bytes(&document);
        let share = share.map_or_else(|| self.budget.take(input, revision.owner.customer_id, bytes), Ok);
        let share = match share {
            Ok(share) => share,
            Err(fault) => {
                self.documents.put(document);
                let outcome = no_room(settlement, &message.envelope(&revision.owner, input), fault);
                return settlement.settle(input, outcome);
            }
        };
        let (revision, fan_out) = (Rc::clone(revision), FanOut::default());
        let key = self.scripted.hold(InHand { revision, input, message, fan_out, waiting: Held::default(), share });
        self.scripted.submit(key, NextScript { path: PartPath::default(), stage, document });
    }
}

/// [`FanOut::begin`], each step measured; what is left of the time is that of writing the outputs.
#[cold]
fn begin_measured(
    meters: &Meters,
    fan_out: &mut FanOut,
    run: &Run<'_>,
    stage: usize,
    document: &mut Document,
) -> Result<Option<usize>, Fault> {
    let (began, mut timed) = (Instant::now(), Timed { meters, steps: Duration::ZERO });
    let begun = fan_out.begin(run, stage, document, &mut timed);
    if matches!(begun, Ok(None)) {
        meters.step("emit", began.elapsed().saturating_sub(timed.steps));
    }
    begun
}

/// Reads a payload for its first step, or, for a part that was sent again from the dead letters, for the step where it
/// died. Gives the step.
///
/// # Errors
/// Those of reading; `deliver/unknown-step`.
pub(super) fn parse(
    pipeline: &Pipeline,
    resume: Option<&str>,
    payload: &[u8],
    content_type: &str,
    document: &mut Document,
) -> Result<usize, Fault> {
    let Some(label) = resume else {
        return pipeline.parse(payload, content_type, document).map(|()| 0);
    };
    let stage = pipeline.stage_of(label).ok_or_else(|| {
        let reason = format!("this revision has no step `{label}`");
        Fault::new(Code::DeliverUnknownStep, reason).in_step(label)
    })?;
    pipeline.parse_part(stage, payload, content_type, document).map(|()| stage)
}
