//! When a pipeline's inputs wait before their steps: one of several outs' lanes is full.
//!
//! ```text
//! open ──a lane refuses──► throttled, room 0 ──looked at: some room──► throttled, that much room
//!   ▲                            │                                              │
//!   └────half of every lane is free───────────────────────────────────────────┘
//! ```
//!
//! A state machine without I/O: the shard looks at the lanes.

use std::cell::Cell;

use message::Code;

/// A refusal is over when there was none for this long, in ticks; what was refused is tried again sooner.
const REFUSAL_TICKS: u64 = 15;

/// What the streams of a pipeline's outs have refused.
#[derive(Debug, Default)]
pub struct Backpressure {
    /// The last refusal: of which out, `None` for all of them; and at which tick.
    last: Cell<Option<(Code, Option<u32>, u64)>>,
    /// The last refusal of what the in brings, and at which tick.
    intake: Cell<Option<(Code, u64)>>,
    throttled: Cell<bool>,
    /// Inputs that are let through while it is throttled.
    room: Cell<u64>,
}

impl Backpressure {
    /// A lane is full. `true` when it has to be watched from now on.
    pub fn throttle(&self) -> bool {
        let begins = !self.throttled.replace(true);
        if begins {
            self.room.set(0);
        }
        begins
    }

    /// Whether the next input may begin its steps.
    pub fn admits(&self) -> bool {
        if !self.throttled.get() {
            return true;
        }
        match self.room.get().checked_sub(1) {
            Some(left) => {
                self.room.set(left);
                true
            }
            None => false,
        }
    }

    /// The lanes were looked at: the fullest takes `room` more messages of `capacity`. `true` when it is open again.
    pub fn looked(&self, room: u64, capacity: u64) -> bool {
        if room >= capacity / 2 {
            self.throttled.set(false);
            return true;
        }
        // What is on its way is not stored yet.
        self.room.set(room.div_ceil(2));
        false
    }

    /// A stream has refused something that the operator has to look at. `true` when that is news.
    pub fn refused(&self, code: Code, target: Option<u32>, tick: u64) -> bool {
        let before = self.last.replace(Some((code, target, tick)));
        before.is_none_or(|(said, of, last)| (said, of) != (code, target) || is_over(last, tick))
    }

    /// A stream has refused what the in brings.
    pub fn refuse_intake(&self, code: Code, tick: u64) {
        self.intake.set(Some((code, tick)));
    }

    /// Why what the in brings is not taken, at present.
    #[must_use]
    pub fn intake_refusal(&self, tick: u64) -> Option<Code> {
        let (code, last) = self.intake.get()?;
        (!is_over(last, tick)).then_some(code)
    }

    /// Why what it publishes for an out is not taken, at present.
    #[must_use]
    pub fn refusal(&self, target: u32, tick: u64) -> Option<Code> {
        let (code, of, last) = self.last.get()?;
        (of.is_none_or(|of| of == target) && !is_over(last, tick)).then_some(code)
    }

    /// A stream of the user's has taken something: what it refuses next is news again.
    pub fn accepted(&self) {
        self.last.set(None);
    }
}

fn is_over(last: u64, tick: u64) -> bool {
    tick.saturating_sub(last) >= REFUSAL_TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_wait_until_half_of_every_lane_is_free() {
        let pressure = Backpressure::default();
        assert!(pressure.admits() && pressure.throttle() && !pressure.throttle());
        assert!(!pressure.admits());
        assert!(!pressure.looked(3, 100));
        assert_eq!([(); 3].map(|()| pressure.admits()), [true, true, false]);
        assert!(pressure.looked(50, 100) && pressure.admits());
    }

    #[test]
    fn a_refusal_is_news_once_for_each_reason_and_again_after_a_success() {
        let pressure = Backpressure::default();
        assert!(pressure.refused(Code::NatsNoStream, None, 1) && !pressure.refused(Code::NatsNoStream, None, 2));
        assert!(pressure.refused(Code::NatsStreamFull, None, 3));
        assert_eq!(pressure.refusal(0, 3 + REFUSAL_TICKS), None);
        pressure.accepted();
        assert!(pressure.refused(Code::NatsStreamFull, None, 4));
    }
}
