//! One turn of the connection at a time.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use nats::{Handler, Message, Pace, ServerError, ServerInfo};
use tokio::time::Instant;

use super::{Shard, append};
use crate::engine::observe::EventKind;
use crate::engine::steps::LARGE;

/// A turn ends after this much work, so that the reactor, and other customers, get theirs.
const TURN_MESSAGES: u32 = 256;
const TURN: Duration = Duration::from_millis(2);
/// Steps of expressions that end a turn: some 2 ms, as [`TURN`].
pub(super) const TURN_FUEL: u64 = 10_000;
/// Between two looks at the clock.
const LOOK_MESSAGES: u32 = 8;

/// What the connection calls.
pub struct Turn {
    shard: Rc<Shard>,
    started: Instant,
    messages: u32,
    /// Why there is no connection, as it was reported last.
    reported: Option<Code>,
}

impl Turn {
    pub fn new(shard: Rc<Shard>) -> Turn {
        Turn { shard, started: Instant::now(), messages: 0, reported: None }
    }
}

impl Handler for Turn {
    fn on_connected(&mut self, info: &ServerInfo, out: &mut Vec<u8>) {
        self.reported = None;
        let mut parts = self.shard.parts.borrow_mut();
        parts.settlement.set_now(self.shard.world.now_ms());
        parts.on_connected(info.max_payload, out);
        self.shard.route(&mut parts);
        append(out, &mut parts.settlement.wire);
    }

    fn on_message(&mut self, message: Message<'_>, _out: &mut Vec<u8>) -> Pace {
        let mut parts = self.shard.parts.borrow_mut();
        if self.messages == 0 {
            self.started = Instant::now();
            parts.settlement.set_now(self.shard.world.now_ms());
        }
        parts.on_message(&message);
        self.messages += 1;
        // A large one is enough for a turn.
        let is_enough = message.payload.len() > LARGE
            || self.messages >= TURN_MESSAGES
            || expression::take_spent() > TURN_FUEL
            || self.messages.is_multiple_of(LOOK_MESSAGES) && self.started.elapsed() > TURN;
        if is_enough { Pace::Yield } else { Pace::Continue }
    }

    fn on_burst_end(&mut self, out: &mut Vec<u8>) {
        let had_messages = std::mem::take(&mut self.messages) > 0;
        let mut parts = self.shard.parts.borrow_mut();
        parts.cpu.end(|| self.shard.world.thread_cpu());
        parts.top_up();
        self.shard.route(&mut parts);
        if had_messages {
            parts.settlement.meters().note_activity();
        }
        if parts.settlement.is_connected() {
            append(out, &mut parts.settlement.wire);
        }
    }

    fn on_disconnected(&mut self, fault: &Fault, _dropped: usize) {
        let mut parts = self.shard.parts.borrow_mut();
        parts.node_event(EventKind::Node, fault);
        parts.settlement.on_disconnected(fault);
        if parts.leases.have_lapsed() {
            parts.on_lapse();
        }
        self.shard.route(&mut parts);
    }

    /// Reported once, not every other second, and again when it is for another reason.
    fn on_reconnect_failed(&mut self, fault: &Fault, _attempt: u32) {
        if self.reported.replace(fault.code()) != Some(fault.code()) {
            self.shard.parts.borrow().node_event(EventKind::Node, fault);
        }
    }

    fn on_server_error(&mut self, error: &ServerError) {
        let mut parts = self.shard.parts.borrow_mut();
        parts.on_server_error(error);
        parts.settlement.meters().note_activity();
    }
}
