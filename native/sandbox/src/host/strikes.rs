//! Programs that cost one worker after the other rest for a while, and are tried again by themselves.
//!
//! ```text
//! strike, strike, ... MAX ─► rest 1 s ─► probation ─► one strike: rest for twice as long, up to MAX_REST
//!    └─ one is forgotten every DECAY         └─ none for a while: as if nothing had been
//! ```

use std::collections::HashMap;
use std::time::{Duration, Instant};

use script::ProgramId;

/// Strikes that end a program's patience.
const MAX: u32 = 5;
/// A strike is forgotten after so long without a rest.
const DECAY: Duration = Duration::from_secs(10);
/// The first rest, and the longest.
const REST: Duration = Duration::from_secs(1);
const MAX_REST: Duration = Duration::from_mins(5);

/// The programs with strikes.
#[derive(Default)]
pub struct Strikes {
    programs: HashMap<ProgramId, Record>,
}

struct Record {
    strikes: u32,
    /// When the last strike was counted or forgotten, or the last rest began.
    since: Instant,
    /// How long it rests from then on; zero when it does not.
    rest: Duration,
}

impl Strikes {
    /// A worker was lost to a program.
    pub fn count(&mut self, program: ProgramId, now: Instant) {
        let record = self.programs.entry(program).or_insert(Record { strikes: 0, since: now, rest: Duration::ZERO });
        record.forget(now);
        record.strikes += 1;
        record.since = now;
        if record.strikes >= MAX {
            // One more after the rest is enough for the next.
            record.strikes = MAX - 1;
            record.rest = if record.rest.is_zero() { REST } else { (2 * record.rest).min(MAX_REST) };
            record.since = now + record.rest;
        }
    }

    /// How long a program still rests, if it does.
    pub fn rest(&self, program: ProgramId, now: Instant) -> Option<Duration> {
        let record = self.programs.get(&program).filter(|record| !record.rest.is_zero())?;
        Some(record.since.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// The program is no longer loaded.
    pub fn remove(&mut self, program: ProgramId) {
        self.programs.remove(&program);
    }
}

impl Record {
    fn forget(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let forgotten = u32::try_from(passed.as_millis() / DECAY.as_millis()).unwrap_or(u32::MAX);
        self.strikes = self.strikes.saturating_sub(forgotten);
        if self.strikes == 0 {
            self.rest = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use script::{Language, compile};

    use super::*;

    fn program() -> ProgramId {
        compile("export default msg => msg", Language::JavaScript, "t.js").unwrap().id()
    }

    fn strike(strikes: &mut Strikes, program: ProgramId, now: Instant, times: u32) -> Option<Duration> {
        (0..times).for_each(|_| strikes.count(program, now));
        strikes.rest(program, now)
    }

    #[test]
    fn a_few_strikes_are_forgiven_and_many_are_followed_by_longer_and_longer_rests() {
        let (mut strikes, program, other, now) = (Strikes::default(), program(), program(), Instant::now());
        assert_eq!(strike(&mut strikes, program, now, MAX - 1), None);
        assert_eq!(strike(&mut strikes, program, now, 1), Some(REST));
        assert_eq!(strikes.rest(other, now), None, "another program of the same customer");
        let mut now = now + REST;
        assert_eq!(strikes.rest(program, now), None, "it is tried again");
        for rest in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(strike(&mut strikes, program, now, 1), Some(Duration::from_secs(rest)));
            now += Duration::from_secs(rest);
        }
        now += MAX * DECAY;
        assert_eq!(strike(&mut strikes, program, now, MAX - 1), None, "forgotten");
        assert_eq!(strike(&mut strikes, program, now, 1), Some(REST));
        strikes.remove(program);
        assert_eq!(strikes.rest(program, now), None);
    }

    #[test]
    fn strikes_that_are_rare_never_add_up() {
        let (mut strikes, program, mut now) = (Strikes::default(), program(), Instant::now());
        for _ in 0..100 {
            assert_eq!(strike(&mut strikes, program, now, 1), None);
            now += DECAY;
        }
    }
}
