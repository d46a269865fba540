//! Messages between two runs of steps.
//!
//! ```text
//! made under a revision that is here ──► steps, from where the last run ended
//! under another one ───────────────────► steps, from the start, with the message as it came: of the active revision, or of
//!                                        its canary, as its id says
//! of another version of the program ───► offered again: a node of that version takes it
//! unreadable ──────────────────────────► dead letter, deliver/bad-handover
//! ```
//!
//! Nothing of a message is published before its last run, so one that begins anew has left nothing behind, and none is
//! made of two revisions.

use std::rc::Rc;

use message::{Code, Fault};
use nats::Message;
use nats::jetstream::AckReply;

use super::Parts;
use crate::engine::intake::{self, Arrival, unknown_delay};
use crate::engine::message::InputRef;
use crate::engine::observe::Waited;
use crate::engine::registry::Revision;
use crate::engine::settlement::{HANDOVER_VERSION, HandedOver, Outcome, REVISION};
use crate::engine::steps::Handed;
use crate::engine::subjects::LaneType;

impl Parts {
    /// One that the lane of a run of steps has brought, or that was set aside. `active`: of its pipeline.
    pub(super) fn on_handed_over(
        &mut self,
        (lane_type, ack): (LaneType, &AckReply<'_>),
        active: &Rc<Revision>,
        step: &str,
        (input, arrival): (InputRef, &Arrival<'_>),
        message: &Message<'_>,
    ) {
        let now_ms = self.settlement.now_ms();
        if arrival.parsed.handover != Some(HANDOVER_VERSION) {
            let fault = Fault::new(Code::DeliverBadHandover, "another version of the program has handed it over");
            return self.settlement.settle(input, Outcome::Retry(unknown_delay(ack.delivered), fault));
        }
        let mut own = None;
        let id = arrival.lane_id(&active.owner, ack, &mut own);
        let checked = arrival.check(&active.owner, Some((lane_type, ack)));
        let Some(handed) = HandedOver::read(message.payload) else {
            let fault = Fault::new(Code::DeliverBadHandover, "what another node has handed over cannot be read");
            let envelope = arrival.lane_envelope(&active.owner, input, id, now_ms);
            return self.end_with_letter(&envelope, step, &checked.err().unwrap_or(fault), message.payload);
        };
        let made_under = arrival.headers.get_str(REVISION).unwrap_or_default();
        let same = self.registry.made_under(active, made_under);
        let revision = same.as_ref().unwrap_or_else(|| active.chosen(id));
        let came = Arrival::of(handed.block);
        let envelope = arrival.handed_over_envelope(&revision.owner, input, id, &came, now_ms);
        intake::count_redelivered(&revision.owner, ack.delivered);
        if let Err(fault) = checked {
            return self.end_with_letter(&envelope, step, &fault, handed.source);
        }
        let brought_by = arrival.parsed.publish_id.unwrap_or_default();
        let handed_to_steps = match same {
            Some(_) => Handed { brought_by, restarts: handed.restarts, fan_out: Some(handed.fan_out) },
            None => Handed { brought_by, restarts: handed.restarts.saturating_add(1), fan_out: None },
        };
        let waited = Waited::before(lane_type).map(|place| (place, ack));
        self.run(revision, &envelope, handed.source, Some(&handed_to_steps), waited);
    }
}
