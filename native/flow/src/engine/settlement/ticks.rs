//! What passing time brings: PubAcks that are late, and word to the server about what is in hand.

use std::cell::Cell;

use message::{Code, Fault};
use nats::jetstream;

use super::ledger::Origin;
use super::{PUB_ACK_TICKS, SUSPECT_TICKS, Settlement, WPI_TICKS};

impl Settlement {
    /// Once a second: PubAcks that are late, and word to the server about what is in hand.
    pub fn on_tick(&mut self) {
        self.tick += 1;
        let asked_for = self.ledger.asked_for();
        self.meters.tick(asked_for.messages as u64, asked_for.bytes as u64);
        let late = Fault::new(Code::NatsTimeout, "no PubAck came in time");
        let is_late = Cell::new(false);
        self.abandon(&late, |pick| {
            is_late.set(is_late.get() || pick.waits && pick.age >= SUSPECT_TICKS);
            pick.waits && !pick.keeps_frames && pick.age >= PUB_ACK_TICKS
        });
        self.is_late = is_late.get();
        if !self.connected {
            return;
        }
        self.taps.on_tick(self.tick, self.now_ms, &mut self.wire);
        self.try_to_hear();
        if !self.is_deaf() {
            self.ledger.resend_late(self.tick, PUB_ACK_TICKS, &mut self.wire);
        }
        if self.tick.is_multiple_of(WPI_TICKS) {
            for id in self.ledger.pick(self.tick, |pick| pick.origin == Origin::JetStream) {
                jetstream::encode_wpi(&mut self.wire, self.ledger.token(id));
            }
        }
    }

    /// A few times a second: what streams have refused is offered to them again.
    pub fn on_short_tick(&mut self) {
        if self.connected && !self.is_deaf() {
            self.ledger.resend_refused(self.tick, &mut self.wire);
        }
    }
}
