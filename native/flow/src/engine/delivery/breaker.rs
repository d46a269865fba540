//! When an out's messages are parked, and when they come back: a state machine without I/O.
//!
//! ```text
//!            fails a few times, or is full while it fails
//!   Closed ────────────────────────────────────────────► Open ◄──────┐
//!      ▲                                                   │ probe   │ fails
//!      │ nothing is parked            few are left         ▼         │
//!      └──────────────── Closing ◄──────────────────── Draining ─────┤
//!                           └────────────────────────────────────────┘
//! ```
//!
//! A queue begins in `Closing`: what an earlier run has parked goes before what the lane brings. When all that is left
//! has been tried and fails alone, the lane's messages overtake it.

/// Where an out stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the lane to the sink.
    Closed,
    /// It fails: one batch probes, the lane's messages are parked.
    Open,
    /// It works again: what is parked is delivered, the lane's messages are parked behind it.
    Draining,
    /// The last parked ones are on their way; the lane's messages are held behind them.
    Closing,
}

/// Where a message of the lane goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Queue,
    Parked,
    Behind,
}

/// What the stream said of the parked messages.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// Messages in the stream, those in hand included.
    pub stored: u64,
    /// Those of them that were not tried yet; all of them where nothing may overtake a message that fails.
    pub untried: u64,
    /// Nothing was on its way to the stream meanwhile.
    pub quiet: bool,
    /// Nothing is in hand here.
    pub idle: bool,
}

#[derive(Debug)]
pub struct Breaker {
    phase: Phase,
    /// In a row; those of one pause count once.
    failures: u32,
    opens_after: u32,
    /// Whether parking was announced since it was last closed.
    announced: bool,
    /// In `Closing`: what is left of the parked ones fails alone.
    overtakes: bool,
}

/// So few parked messages that the lane is held behind them instead of parked as well.
const LOW_WATERMARK: u64 = 256;
/// So many that it is parked again.
const HIGH_WATERMARK: u64 = 1_024;

impl Breaker {
    #[must_use]
    pub fn new(opens_after: u32) -> Breaker {
        Breaker {
            phase: Phase::Closing,
            failures: 0,
            opens_after: opens_after.max(1),
            announced: false,
            overtakes: false,
        }
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    #[must_use]
    pub fn place(&self) -> Place {
        match self.phase {
            Phase::Closed => Place::Queue,
            Phase::Open | Phase::Draining => Place::Parked,
            Phase::Closing if self.overtakes => Place::Queue,
            Phase::Closing => Place::Behind,
        }
    }

    /// The out failed once more. `true` when this opens it.
    pub fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        match self.phase {
            Phase::Open => false,
            // Whether something is parked is not known before the first poll.
            Phase::Closed | Phase::Closing if !self.announced && self.failures < self.opens_after => false,
            _ => self.open(),
        }
    }

    /// There is no room for the lane's messages. `stalled`: and the sink has not answered for a while. `true` when they
    /// are to be parked from now on.
    pub fn filled(&mut self, stalled: bool) -> bool {
        match self.phase {
            Phase::Closed if self.failures > 0 || stalled => self.open(),
            Phase::Closing if self.overtakes => (self.failures > 0 || stalled) && self.open(),
            Phase::Closing => {
                self.phase = Phase::Draining;
                true
            }
            _ => false,
        }
    }

    fn open(&mut self) -> bool {
        (self.phase, self.overtakes) = (Phase::Open, false);
        true
    }

    /// Whether this opening, or this find, is the first since it was closed.
    pub fn announce(&mut self) -> bool {
        !std::mem::replace(&mut self.announced, true)
    }

    /// The out's server answered. `true` when this ends an outage.
    pub fn succeeded(&mut self) -> bool {
        self.failures = 0;
        let open = self.phase == Phase::Open;
        if open {
            self.phase = Phase::Draining;
        }
        open
    }

    /// The stream has answered. `Some`: nothing has to wait for parked messages any more; `true`: that is worth an event.
    pub fn polled(&mut self, poll: Poll) -> Option<bool> {
        match self.phase {
            Phase::Closing if poll.stored == 0 && poll.quiet => return Some(self.close()),
            // Nothing is left that could probe. Whether it works again is not known.
            Phase::Open if poll.stored == 0 && poll.quiet && poll.idle => {
                self.close();
                return Some(false);
            }
            Phase::Closing if poll.untried > HIGH_WATERMARK => (self.phase, self.overtakes) = (Phase::Draining, false),
            Phase::Closing if poll.untried == 0 && poll.stored > 0 && poll.quiet && !self.overtakes => {
                self.overtakes = true;
                return Some(std::mem::take(&mut self.announced));
            }
            Phase::Draining if poll.untried <= LOW_WATERMARK => self.phase = Phase::Closing,
            _ => {}
        }
        if poll.stored > 0 && !self.overtakes {
            self.announced = true;
        }
        None
    }

    /// There is something parked though it is closed.
    pub fn found(&mut self) {
        if self.phase == Phase::Closed {
            (self.phase, self.announced) = (Phase::Closing, true);
        }
    }

    fn close(&mut self) -> bool {
        (self.phase, self.overtakes) = (Phase::Closed, false);
        // One more failure is enough, if there were any.
        self.failures = self.failures.min(self.opens_after - 1);
        std::mem::take(&mut self.announced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOTHING: Poll = Poll { stored: 0, untried: 0, quiet: true, idle: true };

    fn stored(stored: u64) -> Poll {
        Poll { stored, untried: stored, ..NOTHING }
    }

    fn closed(opens_after: u32) -> Breaker {
        let mut breaker = Breaker::new(opens_after);
        assert_eq!(breaker.polled(NOTHING), Some(false));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_a_success_begins_the_row_anew() {
        let mut breaker = closed(3);
        assert!(!breaker.failed() && !breaker.failed());
        assert!(!breaker.succeeded());
        assert!(!breaker.failed() && !breaker.failed() && breaker.failed());
        assert_eq!((breaker.phase(), breaker.place()), (Phase::Open, Place::Parked));
    }

    #[test]
    fn a_full_queue_opens_it_only_when_the_out_fails() {
        let mut breaker = closed(3);
        assert!(!breaker.filled(false));
        assert!(!breaker.failed());
        assert!(breaker.filled(false));
        assert_eq!(breaker.phase(), Phase::Open);
    }

    #[test]
    fn a_full_queue_whose_sink_does_not_answer_opens_it() {
        let mut breaker = closed(3);
        assert!(breaker.filled(true) && !breaker.filled(true));
        assert_eq!(breaker.phase(), Phase::Open);
        assert!(breaker.succeeded());
    }

    #[test]
    fn after_an_outage_the_lane_is_parked_then_held_then_let_through() {
        let mut breaker = closed(1);
        assert!(breaker.failed() && breaker.announce());
        assert!(breaker.succeeded());
        assert_eq!(breaker.polled(stored(LOW_WATERMARK + 1)), None);
        assert_eq!((breaker.phase(), breaker.place()), (Phase::Draining, Place::Parked));
        assert_eq!(breaker.polled(stored(LOW_WATERMARK)), None);
        assert_eq!((breaker.phase(), breaker.place()), (Phase::Closing, Place::Behind));
        assert_eq!(breaker.polled(Poll { quiet: false, ..NOTHING }), None);
        assert_eq!(breaker.polled(NOTHING), Some(true));
        assert_eq!(breaker.place(), Place::Queue);
    }

    #[test]
    fn parked_messages_that_fail_alone_are_overtaken_until_the_out_fails() {
        let mut breaker = closed(3);
        assert!(breaker.filled(true) && breaker.announce() && breaker.succeeded());
        let tried = Poll { untried: 0, ..stored(10_000) };
        assert_eq!(breaker.polled(tried), None);
        assert_eq!((breaker.phase(), breaker.place()), (Phase::Closing, Place::Behind));
        assert_eq!(breaker.polled(Poll { quiet: false, ..tried }), None);
        assert_eq!(breaker.polled(tried), Some(true));
        assert_eq!((breaker.polled(tried), breaker.place()), (None, Place::Queue));
        assert!(!breaker.filled(false) && !breaker.failed() && !breaker.failed() && breaker.failed());
        assert_eq!(breaker.place(), Place::Parked);
        assert!(breaker.succeeded());
        assert_eq!((breaker.polled(tried), breaker.place()), (None, Place::Behind));
        assert_eq!((breaker.polled(tried), breaker.place()), (Some(true), Place::Queue));
        assert_eq!(breaker.polled(stored(HIGH_WATERMARK + 1)), None);
        assert_eq!(breaker.place(), Place::Parked);
        assert_eq!((breaker.polled(NOTHING), breaker.polled(NOTHING)), (None, Some(true)));
    }

    #[test]
    fn a_failure_while_draining_opens_it_again_and_is_not_announced_twice() {
        let mut breaker = closed(1);
        assert!(breaker.failed() && breaker.announce() && breaker.succeeded());
        assert!(breaker.failed() && !breaker.announce());
        assert_eq!(breaker.phase(), Phase::Open);
    }

    #[test]
    fn what_only_grew_too_old_is_not_announced_as_an_end_of_the_outage() {
        let mut breaker = closed(1);
        assert!(breaker.failed() && breaker.announce());
        assert_eq!(breaker.polled(NOTHING), Some(false));
        assert_eq!(breaker.phase(), Phase::Closed);
        assert!(breaker.failed() && breaker.announce());
    }

    proptest! {
        #[test]
        fn it_never_closes_while_something_is_parked_or_on_its_way(
            acts in proptest::collection::vec((0_u8..4, 0_u64..2_000, any::<bool>(), any::<bool>()), 0..200)
        ) {
            let mut breaker = Breaker::new(3);
            for (act, stored, quiet, idle) in acts {
                let before = breaker.phase();
                let stored = stored.saturating_sub(500);
                let poll = Poll { stored, untried: stored, quiet, idle };
                match act {
                    0 => { breaker.failed(); }
                    1 => { breaker.succeeded(); }
                    2 => { breaker.filled(false); }
                    _ => { breaker.polled(poll); }
                }
                let closes = before != Phase::Closed && breaker.phase() == Phase::Closed;
                prop_assert!(!closes || act == 3 && poll.stored == 0 && quiet);
            }
            // From wherever it stands, a server that works and an empty stream lead back.
            breaker.succeeded();
            for _ in 0..2 { breaker.polled(NOTHING); }
            prop_assert_eq!(breaker.phase(), Phase::Closed);
        }
    }
}
