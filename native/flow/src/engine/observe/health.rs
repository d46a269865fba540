//! How the in and the outs of a pipeline are. Each shard writes what it knows once a second; whoever
//! asks reads it without a lock, and sees the worst of all shards.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use connectors::Health;
use message::{Code, Fault};
use serde::Serialize;

/// As it stands in `stats()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// Items of an in, such as files, that cannot be read on. As it stands in `stats()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    pub items: usize,
    /// Of the newest one.
    pub code: &'static str,
    pub why: String,
}

impl Broken {
    #[must_use]
    pub fn of(items: usize, newest: &Fault) -> Broken {
        Broken { items, code: newest.code().as_str(), why: newest.why() }
    }
}

/// One pipeline's, in one shard: the in, then the outs. A word holds since when, in its upper 48
/// bits, and below them 0 for what this node does not look after, 1 for up, or a code's number and 2.
#[derive(Debug)]
pub struct Healths {
    words: Box<[AtomicU64]>,
    /// Of the in; seldom set.
    broken: Mutex<Option<Broken>>,
}

const STATE_BITS: u32 = 16;
const UP: u64 = 1;

impl Healths {
    #[must_use]
    pub fn new(outs: usize) -> Healths {
        Healths { words: (0..=outs).map(|_| AtomicU64::new(0)).collect(), broken: Mutex::default() }
    }

    /// Whether it is another one than before.
    pub fn set_in(&self, health: Health, now_ms: u64) -> bool {
        self.set(0, health, now_ms)
    }

    /// Whether it is otherwise than before.
    pub fn set_broken(&self, now: Option<Broken>) -> bool {
        let Ok(mut broken) = self.broken.lock() else { return false };
        let is_new = *broken != now;
        *broken = now;
        is_new
    }

    /// Whether it is another one than before.
    pub fn set_out(&self, target: usize, health: Health, now_ms: u64) -> bool {
        self.set(target + 1, health, now_ms)
    }

    /// Only the owning shard sets; the time stays while the state does.
    fn set(&self, at: usize, health: Health, now_ms: u64) -> bool {
        let state = match health {
            Health::Up => UP,
            Health::Failing(code) => code as u64 + UP + 1,
        };
        let is_new = self.words[at].load(Relaxed) & ((1 << STATE_BITS) - 1) != state;
        if is_new {
            self.words[at].store(now_ms << STATE_BITS | state, Relaxed);
        }
        is_new
    }

    fn get(&self, at: usize) -> Option<Condition> {
        let word = self.words[at].load(Relaxed);
        let (since_ms, state) = (word >> STATE_BITS, word & ((1 << STATE_BITS) - 1));
        match state.checked_sub(UP)? {
            0 => Some(Condition { state: "up", code: None, since_ms }),
            number => {
                let code = usize::try_from(number - 1).ok().and_then(|number| Code::ALL.get(number));
                Some(Condition { state: "failing", code: code.map(|code| code.as_str()), since_ms })
            }
        }
    }
}

/// The in's, over all shards.
#[must_use]
pub fn of_in<'h>(shards: impl IntoIterator<Item = &'h Healths>) -> Option<Condition> {
    worst(shards, 0)
}

/// The in's broken items, of the shard that has some: one alone reads items.
#[must_use]
pub fn broken_of<'h>(shards: impl IntoIterator<Item = &'h Healths>) -> Option<Broken> {
    shards.into_iter().find_map(|shard| shard.broken.lock().ok()?.clone())
}

/// An out's, over all shards.
#[must_use]
pub fn of_out<'h>(shards: impl IntoIterator<Item = &'h Healths>, target: usize) -> Option<Condition> {
    worst(shards, target + 1)
}

/// Failing before up; of those, the one that is so for the longest time.
fn worst<'h>(shards: impl IntoIterator<Item = &'h Healths>, at: usize) -> Option<Condition> {
    let known = shards.into_iter().filter_map(|shard| shard.get(at));
    known.min_by_key(|condition| (condition.code.is_none(), condition.since_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_told_and_the_time_stays_while_the_state_does() {
        let healths = Healths::new(1);
        assert_eq!(healths.get(1), None);
        for (number, code) in (1_700_000_000_000..).zip(Code::ALL) {
            healths.set_out(0, Health::Failing(*code), number);
            healths.set_out(0, Health::Failing(*code), number + 5_000);
            let told = Condition { state: "failing", code: Some(code.as_str()), since_ms: number };
            assert_eq!(of_out([&healths], 0), Some(told));
        }
        healths.set_out(0, Health::Up, 7);
        assert_eq!(of_out([&healths], 0), Some(Condition { state: "up", code: None, since_ms: 7 }));
        assert_eq!(of_in([&healths]), None);
    }

    #[test]
    fn a_failing_shard_is_seen_through_all_that_are_up() {
        let shards = [Healths::new(0), Healths::new(0), Healths::new(0), Healths::new(0)];
        shards[0].set_in(Health::Up, 1);
        shards[1].set_in(Health::Failing(Code::LimitMemory), 9);
        shards[2].set_in(Health::Failing(Code::NatsDisconnected), 8);
        assert_eq!(of_in(&shards).and_then(|condition| condition.code), Some("nats/disconnected"));
    }
}
