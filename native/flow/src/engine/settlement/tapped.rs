//! Messages are shown to whoever watches their pipeline: the frames go where all frames go.

use std::sync::Arc;

use message::Fault;

use super::Settlement;
use crate::compile::Pipeline;
use crate::engine::message::{Body, Envelope};
use crate::process::Snapshots;

impl Settlement {
    /// Whether anybody watches anything. Nothing is kept for them while there is no connection.
    #[inline]
    #[must_use]
    pub fn is_tapped(&self) -> bool {
        self.taps.is_any() && self.connected
    }

    /// Somebody asks to see the messages of a pipeline.
    pub fn on_tap_request(&mut self, pipeline: &Arc<Pipeline>, payload: &[u8]) {
        self.taps.on_request((self.tick, self.now_ms), pipeline, payload, &mut self.wire);
    }

    /// The server does not permit that messages are shown there; `false` when the subject is not of a tap.
    pub fn refuse_tap(&mut self, subject: &str) -> bool {
        self.taps.refuse(subject)
    }

    /// A message has come in.
    #[cold]
    pub fn tap_in(&mut self, envelope: &Envelope<'_>, payload: &[u8]) {
        self.taps.came_in(self.now_ms, envelope, payload, &mut self.wire);
    }

    /// What watches the steps of a message, if anybody does: [`Settlement::tap_steps`] takes it back.
    #[inline]
    pub fn watch(&mut self, envelope: &Envelope<'_>) -> Option<Snapshots> {
        if self.is_tapped() { self.taps.watch(envelope) } else { None }
    }

    /// What was seen of the steps of a message.
    pub fn tap_steps(&mut self, envelope: &Envelope<'_>, seen: Snapshots) {
        self.taps.steps(self.now_ms, envelope, seen, &mut self.wire);
    }

    /// A message has become a dead letter.
    pub(super) fn tap_dead(&mut self, envelope: &Envelope<'_>, step: &str, fault: &Fault, body: Body<'_>) {
        if self.is_tapped() {
            self.taps.died(self.now_ms, envelope, (step, fault), body, &mut self.wire);
        }
    }
}
