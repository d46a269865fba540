//! What becomes of workers, counted since the start of the process.

use super::verdict::End;

/// Why a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It had nothing to do for long.
    Idle,
    /// Others needed its place or its memory.
    Evicted,
    /// None of its programs is loaded any more.
    Unused,
    /// Its customer got one that may use more memory, or it was over.
    Replaced,
    /// It used a processor without having work.
    Busy,
    /// Killed past the hard deadline of CPU time.
    Late,
    /// Killed because it neither ran nor waited for a processor.
    Stopped,
    /// Killed because it got no processor.
    Starved,
    /// By itself: out of memory, killed by somebody, a fault of the engine.
    Died,
    /// Killed because its answer was none.
    Damaged,
}

impl Reason {
    pub const ALL: [Reason; 10] = [
        Reason::Idle,
        Reason::Evicted,
        Reason::Unused,
        Reason::Replaced,
        Reason::Busy,
        Reason::Late,
        Reason::Stopped,
        Reason::Starved,
        Reason::Died,
        Reason::Damaged,
    ];

    /// As metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Idle => "idle",
            Reason::Evicted => "evicted",
            Reason::Unused => "unused",
            Reason::Replaced => "replaced",
            Reason::Busy => "busy",
            Reason::Late => "late",
            Reason::Stopped => "stopped",
            Reason::Starved => "starved",
            Reason::Died => "died",
            Reason::Damaged => "damaged",
        }
    }
}

impl From<End> for Reason {
    fn from(end: End) -> Reason {
        match end {
            End::Late(_) => Reason::Late,
            End::Stopped => Reason::Stopped,
            End::Starved => Reason::Starved,
            End::Over => Reason::Died,
            End::Damaged(_) => Reason::Damaged,
        }
    }
}

/// Numbers that only grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub starts: u64,
    /// Turns that had to wait for a place.
    pub waits: u64,
    /// By [`Reason`].
    ends: [u64; Reason::ALL.len()],
}

impl Counts {
    pub fn end(&mut self, reason: Reason) {
        self.ends[reason as usize] += 1;
    }

    #[must_use]
    pub fn ends(&self, reason: Reason) -> u64 {
        self.ends[reason as usize]
    }
}
