//! What the two revisions of a pipeline with a canary have run, and how much of it has failed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::meters::raise;

/// Which of the two revisions. The name is the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Active,
    Canary,
}

impl Role {
    pub const ALL: [Role; 2] = [Role::Active, Role::Canary];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Active => "active",
            Role::Canary => "canary",
        }
    }
}

/// Of one revision. A message counts each time that its steps begin; it has failed when they make a dead letter of it or
/// of a part of it, and once more for each output that its out refuses for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    pub messages: u64,
    pub failed: u64,
}

/// Of both revisions, in one shard. One writer, as for counters.
#[derive(Debug, Default)]
pub struct Runs {
    messages: [AtomicU64; Role::ALL.len()],
    failed: [AtomicU64; Role::ALL.len()],
}

impl Runs {
    pub fn began(&self, role: Role) {
        raise(&self.messages[role as usize], 1);
    }

    pub fn failed(&self, role: Role) {
        raise(&self.failed[role as usize], 1);
    }

    #[must_use]
    pub fn of(&self, role: Role) -> RunCounts {
        let read = |counts: &[AtomicU64; 2]| counts[role as usize].load(Relaxed);
        RunCounts { messages: read(&self.messages), failed: read(&self.failed) }
    }
}

impl RunCounts {
    /// Of several shards.
    #[must_use]
    pub fn sum<'a>(runs: impl IntoIterator<Item = &'a Runs>, role: Role) -> RunCounts {
        runs.into_iter().map(|one| one.of(role)).fold(RunCounts::default(), |sum, one| RunCounts {
            messages: sum.messages + one.messages,
            failed: sum.failed + one.failed,
        })
    }
}
