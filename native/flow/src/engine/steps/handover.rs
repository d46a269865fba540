//! From one run of steps to the next, where each is served from a lane of its own.
//!
//! ```text
//! a run ends ─► nothing with a script? ─► to the lane of the next run ─┬─► settled with its PubAck
//!                                                                      └─ too large: goes on here, to the last step
//! from a lane ─► fan-out as it was ─► go on
//! ```

use std::rc::Rc;
use std::time::Duration;

use message::Fault;

use super::budget::Share;
use super::publish::{self, Work};
use super::sampled::Timed;
use super::watched;
use super::{LARGE, Steps};
use crate::engine::message::{Envelope, OwnedMessage};
use crate::engine::registry::Revision;
use crate::engine::settlement::{HandOver, Outcome, PUBLISH_ID, Settlement};
use crate::fan_out::{FanOut, Run, Source};

/// A message begins anew so often, where nodes have different revisions; then all of its steps are run at one place.
const MAX_RESTARTS: u64 = 3;

/// What the lane of a run of steps has brought beside the message.
#[derive(Clone, Copy, Debug)]
pub struct Handed<'a> {
    /// The id of the publish.
    pub brought_by: &'a [u8],
    pub restarts: u64,
    /// What the steps before have made of it; `None` where it begins anew.
    pub fan_out: Option<&'a [u8]>,
}

impl Handed<'_> {
    /// Whether the message begins with its first step.
    pub(super) fn begins(handed: Option<&Handed<'_>>) -> bool {
        handed.is_none_or(|handed| handed.fan_out.is_none())
    }

    pub(super) fn bytes(handed: Option<&Handed<'_>>) -> usize {
        handed.and_then(|handed| handed.fan_out).map_or(0, <[u8]>::len)
    }
}

/// How a message that was handed over came, while it waits.
#[derive(Clone, Debug)]
pub struct Way {
    brought_by: Box<[u8]>,
    restarts: u64,
}

impl Way {
    pub fn of(handed: Option<&Handed<'_>>) -> Option<Way> {
        handed.map(|handed| Way { brought_by: handed.brought_by.into(), restarts: handed.restarts })
    }

    pub fn handed(way: Option<&Way>) -> Option<Handed<'_>> {
        way.map(|way| Handed { brought_by: &way.brought_by, restarts: way.restarts, fan_out: None })
    }
}

/// How much of a message may be handed over; `None` where its steps are run here, to the last one.
#[inline]
pub(super) fn cut(settlement: &Settlement, revision: &Revision, handed: Option<&Handed<'_>>) -> Option<usize> {
    if revision.step_lanes.len() < 2 || handed.is_some_and(|handed| handed.restarts >= MAX_RESTARTS) {
        return None;
    }
    Some(settlement.max_payload())
}

/// What the parts of a message are made of.
pub(super) fn source_of<'a>(envelope: &Envelope<'a>, bytes: &'a [u8]) -> Source<'a> {
    let resumed = envelope.resume.map(|label| envelope.owner.pipeline.stage_of(label).unwrap_or_default());
    Source { bytes, content_type: envelope.content_type, resumed }
}

/// Publishes what goes on in the next run of steps to its lane.
///
/// # Errors
/// It has to go on here.
pub(super) fn hand_over(
    settlement: &mut Settlement,
    work: &Work<'_>,
    handed: Option<&Handed<'_>>,
    fan_out: &FanOut,
    source: &[u8],
) -> Result<(), Fault> {
    let Work { revision, envelope } = work;
    let lane = revision
        .step_lane(fan_out.onward_stage())
        .ok_or_else(|| Fault::new(message::Code::DeliverBadHandover, "the next run of steps has no lane of its own"))?;
    let came_by = || envelope.headers.get(PUBLISH_ID).unwrap_or_default();
    let to = HandOver {
        subject: &lane.subject,
        stream: &lane.stream,
        key: &lane.publish_key,
        brought_by: handed.map_or_else(came_by, |handed| handed.brought_by),
        restarts: handed.map_or(0, |handed| handed.restarts),
        source,
    };
    settlement.hand_over(envelope, &to, |out| fan_out.write(out))
}

/// A message whose run of steps is through.
pub(super) struct AtEnd<'a> {
    pub revision: &'a Rc<Revision>,
    pub envelope: &'a Envelope<'a>,
    pub handed: Option<&'a Handed<'a>>,
    /// What it has of its customer's share already.
    pub share: Option<Share>,
    pub fan_out: FanOut,
    pub source: &'a [u8],
}

impl Steps {
    /// A message that a pipeline's own in has brought: where the topology is split, it goes to the lane of its first run.
    pub fn run_received(
        &mut self,
        settlement: &mut Settlement,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        payload: &[u8],
    ) {
        if !revision.step_lanes.is_empty() {
            self.spare.begin_elsewhere();
            let published = hand_over(settlement, &Work { revision, envelope }, None, &self.spare, payload);
            self.spare.clear();
            if published.is_ok() {
                return settlement.settle(envelope.input, Outcome::Ok);
            }
        }
        self.run(settlement, revision, envelope, payload, None);
    }

    /// A message goes on as it was handed over.
    pub(super) fn go_on_from(
        &mut self,
        settlement: &mut Settlement,
        (revision, envelope): (&Rc<Revision>, &Envelope<'_>),
        handed: &Handed<'_>,
        source: &[u8],
    ) {
        let mut fan_out = std::mem::take(&mut self.spare);
        match fan_out.read(handed.fan_out.unwrap_or_default()) {
            Ok(()) => {
                let at = AtEnd { revision, envelope, handed: Some(handed), share: None, fan_out, source };
                self.go_on(settlement, at);
            }
            Err(fault) => {
                publish::fail(settlement, envelope, &fault, source);
                settlement.settle(envelope.input, Outcome::Ok);
            }
        }
    }

    /// To the lane of the next run; what is too large for it goes on here.
    pub(super) fn end_run(&mut self, settlement: &mut Settlement, at: AtEnd<'_>) {
        let AtEnd { revision, envelope, handed, fan_out, source, .. } = &at;
        match hand_over(settlement, &Work { revision, envelope }, *handed, fan_out, source) {
            Ok(()) => self.through(settlement, envelope, at.fan_out),
            Err(_) => {
                let mut at = at;
                at.fan_out.go_on_here();
                self.go_on(settlement, at);
            }
        }
    }

    /// Takes what waits for a run of steps through it.
    fn go_on(&mut self, settlement: &mut Settlement, mut at: AtEnd<'_>) {
        let AtEnd { revision, envelope, handed, source, .. } = at;
        let cut = cut(settlement, revision, handed);
        let run = Run { pipeline: revision.pipeline(), context: envelope.context(), cut };
        let (mut document, mut next) = (self.documents.take(), Vec::new());
        let (made_of, measured) = (source_of(envelope, source), self.sampler.next());
        let passed = match settlement.watch(envelope) {
            Some(seen) => {
                let watched = (envelope, seen);
                watched::go_on(settlement, watched, &mut at.fan_out, &run, &made_of, (&mut document, &mut next))
            }
            None if measured.is_some() => {
                let mut timed = Timed { meters: settlement.meters(), steps: Duration::ZERO };
                at.fan_out.go_on(&run, &made_of, &mut document, &mut next, &mut timed)
            }
            None => at.fan_out.go_on(&run, &made_of, &mut document, &mut next, &mut ()),
        };
        self.documents.put(document);
        match passed {
            Ok(()) if !next.is_empty() => {
                let message = OwnedMessage::of(envelope, bytes::Bytes::new());
                let AtEnd { share, fan_out, .. } = at;
                let at = (revision, envelope.input, message);
                self.submit_parts(settlement, at, Way::of(handed), share, (fan_out, next));
            }
            Ok(()) if at.fan_out.has_onward() => self.end_run(settlement, at),
            Ok(()) => {
                at.fan_out.sort();
                publish::publish(settlement, &Work { revision, envelope }, &at.fan_out, source);
                self.through(settlement, envelope, at.fan_out);
            }
            Err(fault) => {
                publish::fail(settlement, envelope, &fault, source);
                self.through(settlement, envelope, at.fan_out);
            }
        }
    }

    fn through(&mut self, settlement: &mut Settlement, envelope: &Envelope<'_>, mut fan_out: FanOut) {
        fan_out.clear();
        self.spare = fan_out;
        settlement.settle(envelope.input, Outcome::Ok);
    }
}

/// Whether it is quicker to look at elsewhere, and so is not looked at on the shard's thread.
pub(super) fn is_large(payload: &[u8], handed: Option<&Handed<'_>>) -> bool {
    payload.len() + Handed::bytes(handed) > LARGE
}
