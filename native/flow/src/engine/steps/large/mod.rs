//! Payloads that take long to read: one thread per shard, so that other customers' messages go on meanwhile.
//!
//! ```text
//! run, url_of_large ──Job──► thread: parse ─► fan-out ──LargeDone──► on_large ─┬─► publish
//!      └─ no room: sent back; core NATS beyond its customer's bytes: lost      ├─► script executor
//!                                                                              ├─► dead letter
//!                                                                              └─► Effect::Addressed
//! ```

mod jobs;
mod work;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use message::{Code, Fault};

use jobs::Held;
pub use jobs::{Large, LargeDone, LargeReceiver};
use work::{Job, Wanted, Worked};

use super::handover::{AtEnd, Handed, Way, cut};
use super::publish::{self, Work};
use super::{Effect, FULL_DELAY, Steps};
use crate::engine::message::{Envelope, InputRef, OwnedMessage};
use crate::engine::registry::Revision;
use crate::engine::settlement::{Outcome, Settlement};
use crate::process::Snapshots;

impl Steps {
    /// What the thread has done comes here, for [`Steps::on_large`]. `None` from the second call on.
    #[must_use]
    pub fn large_receiver(&mut self) -> Option<LargeReceiver> {
        self.large.receiver.take()
    }

    /// The steps of a large payload, elsewhere.
    pub(super) fn run_large(
        &mut self,
        settlement: &mut Settlement,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        payload: &[u8],
        handed: Option<&Handed<'_>>,
    ) {
        let wanted = Wanted::Steps {
            cut: cut(settlement, revision, handed),
            way: Way::of(handed),
            fan_out: handed.and_then(|handed| handed.fan_out).map(Bytes::copy_from_slice),
        };
        match self.hand_over(revision, envelope, wanted, payload, settlement.watch(envelope)) {
            Ok(()) => {}
            Err(fault) if envelope.input == InputRef::Core => settlement.lose(envelope, &fault),
            Err(fault) => settlement.settle(envelope.input, Outcome::Retry(FULL_DELAY, fault)),
        }
    }

    /// Finds the URL of a large payload for an out, elsewhere. [`Effect::Addressed`] follows, once.
    ///
    /// # Errors
    /// `limit/memory`: the message has to come again.
    pub fn url_of_large(
        &mut self,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        target: usize,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.hand_over(revision, envelope, Wanted::Address(target), payload, None)
    }

    fn hand_over(
        &mut self,
        revision: &Rc<Revision>,
        envelope: &Envelope<'_>,
        wanted: Wanted,
        payload: &[u8],
        seen: Option<Snapshots>,
    ) -> Result<(), Fault> {
        let share = match envelope.input {
            // Nobody could send it again: its customer's share bounds it.
            InputRef::Core => Some(self.budget.take(envelope.input, envelope.owner.customer_id, payload.len())?),
            InputRef::Entry(_) if self.large.has_room(payload.len()) => None,
            InputRef::Entry(_) => return Err(Fault::new(Code::LimitMemory, "too many large payloads wait")),
        };
        let pipeline = Arc::clone(&revision.owner.pipeline);
        let message = OwnedMessage::of(envelope, Bytes::copy_from_slice(payload));
        self.large.submit(
            Held { revision: Rc::clone(revision), input: envelope.input, share },
            Job { token: 0, wanted, pipeline, message, seen: RefCell::new(seen) },
        );
        Ok(())
    }

    /// The thread is done with a payload.
    pub fn on_large(&mut self, settlement: &mut Settlement, done: LargeDone) {
        let LargeDone { job, worked, used } = done;
        let Some(Held { revision, input, share }) = self.large.release(&job) else { return };
        revision.owner.counters.used(used);
        let Job { wanted, mut message, seen, .. } = job;
        let way = match wanted {
            Wanted::Steps { way, .. } => way,
            Wanted::Address(target) => {
                let address = worked.map(|worked| if let Worked::Address(address) = worked { address } else { None });
                self.effects.push(Effect::Addressed { revision, input, message, target, address });
                return;
            }
        };
        if let Some(seen) = seen.take() {
            settlement.tap_steps(&message.envelope(&revision.owner, input), seen);
        }
        match worked {
            Ok(Worked::Steps(fan_out, next)) if !next.is_empty() => {
                message.payload = Bytes::new();
                self.submit_parts(settlement, (&revision, input, message), way, share, (fan_out, next));
                return;
            }
            Ok(Worked::Steps(fan_out, _)) => {
                let (revision, envelope, source) =
                    (&revision, &message.envelope(&revision.owner, input), &*message.payload);
                if fan_out.has_onward() {
                    let handed = Way::handed(way.as_ref());
                    let handed = handed.as_ref();
                    self.end_run(settlement, AtEnd { revision, envelope, handed, share, fan_out, source });
                    return;
                }
                publish::publish(settlement, &Work { revision, envelope }, &fan_out, source);
            }
            Ok(Worked::Address(_)) => {}
            Err(fault) => {
                publish::fail(settlement, &message.envelope(&revision.owner, input), &fault, &message.payload);
            }
        }
        settlement.settle(input, Outcome::Ok);
    }
}
