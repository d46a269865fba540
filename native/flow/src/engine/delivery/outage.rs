//! When an out as a whole pauses: different messages fail in a row. A state machine without I/O and without a clock.
//!
//! ```text
//!          a message fails            another one fails
//!  works ──────────────────► suspects ──────────────────► paused ──┐ one more fails after the pause: a longer pause
//!    ▲                          │ ▲ the suspect again        │  ▲  │
//!    │                          └─┘                          │  └──┘
//!    └───────────────────── any success ─────────────────────┘
//! ```
//!
//! A message that fails alone has a pause of its own, and others overtake it. Where order is kept, nothing overtakes,
//! so the first failure pauses the out. So does a server that is not reached at all.
//!
//! Messages that were not tried yet may probe earlier than those that have failed: only their failures make their
//! pause longer. So two messages that always fail hold up nobody.

use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A pause of messages that were not tried yet is at most this part of the time since the server has taken one. Among
/// many messages that it refuses there are runs of them that look like an outage, until the next one is taken.
const PART_OF_OUTAGE: u32 = 2;
/// The same of a server that answers, and the longest such pause: it may well take the next message, and a few more
/// answers cost it little.
const PART_OF_ANSWERED: u32 = 100;
const MAX_ANSWERED_PAUSE: Duration = Duration::from_secs(1);

/// One failed attempt.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// The number of the message.
    pub message: u64,
    /// Whether it was the message's first attempt.
    pub is_first: bool,
    /// Whether no server was reached: then no other message would reach it.
    pub is_unreached: bool,
    /// Whether the server is there, and says that it does not take the message.
    pub is_answered: bool,
    /// How long the server asks to wait.
    pub after: Option<Duration>,
    /// Between 0.5 and 1: spreads the attempts of outs that failed together.
    pub jitter: f64,
}

/// What an out's last attempts say of its server.
#[derive(Debug)]
pub struct Outage {
    keeps_order: bool,
    /// The message that failed first since the last success.
    suspect: Option<u64>,
    /// Different messages failed since the last success.
    is_outage: bool,
    /// Pauses since the last success, of all messages and of those that were not tried before.
    rounds: Rounds,
    fresh: Rounds,
    /// When the server has taken a message for the last time, or when the out was opened.
    answered: Instant,
    /// The first message of the batch that probes: one batch at a time does while the out is paused.
    probe: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    count: u32,
    until: Option<Instant>,
}

impl Rounds {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// One more failure; those of one pause count once. `true` when it begins a pause, of `most` unless the server asks
    /// for more.
    fn failed(&mut self, failure: &Failure, most: Duration, now: Instant) -> bool {
        let begins = self.is_over(now);
        if begins {
            self.count = self.count.saturating_add(1);
            self.wait(now + failure.after.unwrap_or_else(|| pause(self.count, failure.jitter).min(most)));
        }
        begins
    }

    fn wait(&mut self, until: Instant) {
        self.until = Some(self.until.map_or(until, |earlier| earlier.max(until)));
    }
}

/// The pause after so many failures.
#[must_use]
pub fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << (failures.clamp(1, 12) - 1));
    doubled.min(MAX_PAUSE).mul_f64(jitter)
}

impl Outage {
    #[must_use]
    pub fn new(keeps_order: bool, now: Instant) -> Outage {
        Outage {
            keeps_order,
            suspect: None,
            is_outage: false,
            rounds: Rounds::default(),
            fresh: Rounds::default(),
            answered: now,
            probe: None,
        }
    }

    /// Whether nothing may overtake a message that has failed.
    #[must_use]
    pub fn keeps_order(&self) -> bool {
        self.keeps_order
    }

    /// Whether the out is tried with one message at a time.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.rounds.until.is_some()
    }

    /// An attempt failed. `true` when that begins one more pause of the out.
    pub fn failed(&mut self, failure: &Failure, now: Instant) -> bool {
        let is_another = self.suspect.is_some_and(|suspect| suspect != failure.message);
        self.suspect.get_or_insert(failure.message);
        self.is_outage |= self.keeps_order || is_another || failure.is_unreached;
        let begins = self.is_outage && self.rounds.failed(failure, MAX_PAUSE, now);
        if self.is_outage && failure.is_first {
            let answered = (PART_OF_ANSWERED, MAX_ANSWERED_PAUSE);
            let (part, most) = if failure.is_answered { answered } else { (PART_OF_OUTAGE, MAX_PAUSE) };
            let lasts = now.saturating_duration_since(self.answered);
            self.fresh.failed(failure, (lasts / part).clamp(FIRST_PAUSE, most), now);
        }
        // What a server asks for is for all. A message that is always answered so does not hold up the others.
        if let Some(after) = failure.after
            && (failure.is_first || self.keeps_order)
        {
            self.rounds.wait(now + after);
            self.fresh.wait(now + after);
        }
        begins
    }

    /// The server answered. `true` when this ends a pause.
    pub fn succeeded(&mut self, now: Instant) -> bool {
        let was_paused = self.is_paused();
        *self = Outage::new(self.keeps_order, now);
        was_paused
    }

    /// Before when the out is not tried with a message; `None`: it may be tried now. `is_fresh`: the message was not
    /// tried before.
    #[must_use]
    pub fn not_before(&self, is_fresh: bool, now: Instant) -> Option<Instant> {
        let rounds = if is_fresh && !self.keeps_order { &self.fresh } else { &self.rounds };
        rounds.until.filter(|until| *until > now)
    }

    /// Whether a probe is under way.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// A batch that begins with this message is a probe.
    pub fn begin_probe(&mut self, message: u64) {
        self.probe = Some(message);
    }

    /// A batch that begins with this message has returned.
    pub fn end_probe(&mut self, message: u64) {
        self.probe = self.probe.filter(|probe| *probe != message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failure(message: u64, is_first: bool) -> Failure {
        Failure { message, is_first, is_unreached: false, is_answered: false, after: None, jitter: 1.0 }
    }

    #[test]
    fn one_message_that_always_fails_never_pauses_its_out() {
        let (mut outage, mut now) = (Outage::new(false, Instant::now()), Instant::now());
        for attempt in 0..1_000 {
            assert!(!outage.failed(&failure(7, attempt == 0), now) && !outage.is_paused());
            now += Duration::from_secs(30);
        }
    }

    #[test]
    fn different_messages_in_a_row_pause_it_and_a_success_of_any_ends_that() {
        let (mut outage, now) = (Outage::new(false, Instant::now()), Instant::now());
        assert!(!outage.failed(&failure(1, true), now));
        assert!(outage.failed(&failure(2, true), now));
        assert_eq!(outage.not_before(true, now), Some(now + FIRST_PAUSE));
        // Under way at the same time.
        assert!(!outage.failed(&failure(3, true), now));
        let later = now + FIRST_PAUSE;
        assert_eq!(outage.not_before(true, later), None);
        assert!(outage.failed(&failure(4, true), later));
        assert_eq!(outage.not_before(true, later), Some(later + FIRST_PAUSE));
        assert_eq!(outage.not_before(false, later), Some(later + 2 * FIRST_PAUSE));
        assert!(outage.succeeded(now) && !outage.is_paused() && !outage.succeeded(now));
        assert!(!outage.failed(&failure(5, true), later));
    }

    #[test]
    fn a_server_that_is_not_reached_pauses_it_with_the_first_failure() {
        let (mut outage, now) = (Outage::new(false, Instant::now()), Instant::now());
        assert!(outage.failed(&Failure { is_unreached: true, ..failure(1, true) }, now) && outage.is_paused());
    }

    #[test]
    fn where_order_is_kept_the_first_failure_pauses_it() {
        let (mut outage, now) = (Outage::new(true, Instant::now()), Instant::now());
        assert!(outage.failed(&failure(1, true), now) && outage.is_paused());
        assert!(outage.failed(&failure(1, false), now + FIRST_PAUSE));
        assert_eq!(outage.not_before(true, now + FIRST_PAUSE), Some(now + 3 * FIRST_PAUSE));
    }

    #[test]
    fn messages_that_fail_again_and_again_keep_the_pause_of_new_ones_short() {
        let (mut outage, mut now) = (Outage::new(false, Instant::now()), Instant::now());
        outage.failed(&failure(1, true), now);
        outage.failed(&failure(2, true), now);
        for _ in 0..20 {
            now += MAX_PAUSE;
            outage.failed(&failure(1, false), now);
        }
        assert_eq!(outage.not_before(false, now), Some(now + MAX_PAUSE));
        assert_eq!(outage.not_before(true, now), None);
    }

    #[test]
    fn the_pause_of_new_messages_grows_with_the_time_since_the_last_success() {
        let start = Instant::now();
        let mut outage = Outage::new(false, start);
        let (mut now, mut attempts) = (start, 0);
        while now < start + Duration::from_secs(600) {
            outage.failed(&failure(attempts, true), now);
            attempts += 1;
            let most = ((now - start) / PART_OF_OUTAGE).clamp(FIRST_PAUSE, MAX_PAUSE);
            let until = outage.not_before(true, now).unwrap_or(now);
            assert!(until <= now + most);
            now = until;
        }
        assert!((20..50).contains(&attempts), "{attempts}");
        // Of a server that answers it stays short.
        assert!(outage.not_before(true, now).is_none());
        outage.failed(&Failure { is_answered: true, ..failure(attempts, true) }, now);
        assert_eq!(outage.not_before(true, now), Some(now + MAX_ANSWERED_PAUSE));
        now += MAX_ANSWERED_PAUSE;
        // A run of refusals right after a success is over soon.
        outage.succeeded(now);
        for message in 0..12 {
            outage.failed(&failure(message, true), now);
            now = outage.not_before(true, now).unwrap_or(now);
        }
        assert!(now - start < Duration::from_secs(640));
    }

    #[test]
    fn what_a_server_asks_for_pauses_the_out_once_for_each_message() {
        let (mut outage, now) = (Outage::new(false, Instant::now()), Instant::now());
        let hour = Duration::from_secs(3_600);
        let asked = |is_first| Failure { after: Some(hour), ..failure(1, is_first) };
        assert!(!outage.failed(&asked(true), now));
        assert_eq!(outage.not_before(true, now), Some(now + hour));
        assert!(!outage.failed(&asked(false), now + hour));
        assert_eq!(outage.not_before(true, now + hour), None);
    }

    proptest! {
        #[test]
        fn the_out_pauses_only_while_two_different_messages_have_failed_since_the_last_success(
            acts in proptest::collection::vec((0_u64..4, any::<bool>(), 0_u64..60_000), 0..200)
        ) {
            let (mut outage, mut now) = (Outage::new(false, Instant::now()), Instant::now());
            let mut failed = std::collections::HashSet::new();
            for (message, succeeds, millis) in acts {
                now += Duration::from_millis(millis);
                if succeeds {
                    outage.succeeded(now);
                    failed.clear();
                } else {
                    let is_first = failed.insert(message);
                    outage.failed(&failure(message, is_first), now);
                }
                prop_assert_eq!(outage.is_paused(), failed.len() > 1);
                for is_fresh in [true, false] {
                    let until = outage.not_before(is_fresh, now);
                    prop_assert!(until.is_none_or(|until| until <= now + MAX_PAUSE));
                }
            }
        }
    }
}
