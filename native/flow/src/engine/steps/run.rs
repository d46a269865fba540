//! From a payload to its fan-out, up to the first script.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Document, Fault};
use tokio::time::Instant;

use super::budget::{Held, Share, document_bytes};
use super::handover::{AtEnd, Handed, Way, cut, is_large};
use super::publish::{self, Work};
use super::sampled::Timed;
use super::scripted::InHand;
use super::scripted::{held, no_room};
use super::{STUCK_DELAY, Steps, watched};
use crate::compile::Pipeline;
use crate::engine::message::{Body, CustomerId, Envelope, InputRef, OwnedMessage};
use crate::engine::observe::Meters;
use crate::engine::registry::Revision;
use crate::engine::settlement::{Outcome, Settlement};
use crate::fan_out::{FanOut, NextScript, PartPath, Run};

impl Steps {
    /// Takes one message through its pipeline, or through the run of steps that is served here, and ends its piece of work
    /// when it is through. `handed`: of a message from the lane of a run of steps.
    pub fn run(
        &mut self,
        settlement: &mut Settlement,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        payload: &[u8],
        handed: Option<&Handed<'_>>,
    ) {
        if settlement.is_tapped() && Handed::begins(handed) {
            settlement.tap_in(envelope, payload);
        }
        if Handed::begins(handed) && !revision.pipeline().needs_document() && envelope.resume.is_none() {
            let body = Body { bytes: payload, content_type: envelope.content_type };
            publish::forward(settlement, revision, envelope, body);
            settlement.settle(envelope.input, Outcome::Ok);
            return;
        }
        if is_large(payload, handed) {
            self.run_large(settlement, revision, envelope, payload, handed);
            return;
        }
        if let Some(handed) = handed.filter(|handed| handed.fan_out.is_some()) {
            return self.go_on_from(settlement, (revision, envelope), handed, payload);
        }
        let mut document = self.documents.take();
        let measured = self.sampler.next();
        let parsed = parse(revision.pipeline(), envelope.resume, payload, envelope.content_type, &mut document);
        if let Some(began) = measured {
            settlement.meters().step("parse", began.elapsed());
        }
        match parsed {
            Ok(stage) => self.advance(settlement, (revision, envelope), handed, (stage, measured.is_some()), document),
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
        (revision, envelope): (&Rc<Revision>, &Envelope<'_>),
        handed: Option<&Handed<'_>>,
        (stage, is_measured): (usize, bool),
        mut document: Document,
    ) {
        let cut = cut(settlement, revision, handed);
        let run = Run { pipeline: revision.pipeline(), context: envelope.context(), cut };
        let fan_out = &mut self.spare;
        let begun = match settlement.watch(envelope) {
            Some(seen) => watched::begin(settlement, (envelope, seen), fan_out, &run, stage, &mut document),
            None if is_measured => begin_measured(settlement.meters(), fan_out, &run, stage, &mut document),
            None => fan_out.begin(&run, stage, &mut document, &mut ()),
        };
        match begun {
            Ok(Some(stage)) => {
                let message = OwnedMessage::of(envelope, bytes::Bytes::new());
                let next = vec![NextScript { path: PartPath::default(), stage, document }];
                let parts = (FanOut::default(), next);
                self.submit_parts(settlement, (revision, envelope.input, message), Way::of(handed), None, parts);
                return;
            }
            Ok(None) if fan_out.has_onward() => {
                let (fan_out, source) = (std::mem::take(fan_out), document.source());
                self.end_run(settlement, AtEnd { revision, envelope, handed, share: None, fan_out, source });
                self.documents.put(document);
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

    /// A message, or its parts, to the first script that they need. `message`: without its payload, which a document has,
    /// or the fan-out. `share`: what it has of its customer's already.
    pub(super) fn submit_parts(
        &mut self,
        settlement: &mut Settlement,
        (revision, input, message): (&Rc<Revision>, InputRef, OwnedMessage),
        way: Option<Way>,
        share: Option<Share>,
        (fan_out, next): (FanOut, Vec<NextScript>),
    ) {
        if self.is_stuck && input != InputRef::Core {
            self.give_back(next);
            let fault = Fault::new(Code::ScriptUnavailable, "another script of this shard does not end");
            settlement.settle(input, Outcome::Retry(STUCK_DELAY, fault));
            return;
        }
        let share = match self.share_of(share, (input, revision.owner.customer_id), &fan_out, &next) {
            Ok(share) => share,
            Err(fault) => {
                self.give_back(next);
                let outcome = no_room(settlement, &message.envelope(&revision.owner, input), fault);
                return settlement.settle(input, outcome);
            }
        };
        let (revision, waiting) = (Rc::clone(revision), Held::default());
        let key = self.scripted.hold(InHand { revision, input, message, way, fan_out, waiting, share });
        next.into_iter().for_each(|next| self.scripted.submit(key, next));
    }

    fn share_of(
        &mut self,
        share: Option<Share>,
        (input, customer): (InputRef, CustomerId),
        fan_out: &FanOut,
        next: &[NextScript],
    ) -> Result<Share, Fault> {
        let mut share = match share {
            Some(share) => share,
            None => {
                let first = next.first().map_or(0, |next| document_bytes(&next.document));
                self.budget.take(input, customer, first)?
            }
        };
        // One is counted already.
        if next.len() > 1 {
            share.hold(held(Held::default(), next, fan_out.held_bytes()))?;
        }
        Ok(share)
    }

    fn give_back(&mut self, next: Vec<NextScript>) {
        next.into_iter().for_each(|next| self.documents.put(next.document));
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
