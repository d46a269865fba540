//! What a shard measures as a whole, beside what each pipeline counts. One writer each, as for counters.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use message::Code;

use super::histogram::{Histogram, MILLISECONDS, NANOSECONDS};
use super::runs::Runs;
use crate::engine::subjects::LaneType;

/// What a step's time is counted by: what stands in a pipeline file, and what comes before and after.
pub const STEPS: [&str; 9] = ["parse", "convert", "filter", "set", "remove", "rename", "route", "script", "emit"];

/// Where a message has waited for its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// In the stream that a pipeline's own NATS in reads.
    Incoming,
    /// In the lane between an in and its steps.
    Logic,
    /// In the lane before one of their runs, where the topology is split.
    Converter,
    Filter,
}

impl Waited {
    pub const ALL: [Waited; 4] = [Waited::Incoming, Waited::Logic, Waited::Converter, Waited::Filter];

    /// A lane of outs has no steps.
    #[must_use]
    pub const fn before(lane_type: LaneType) -> Option<Self> {
        match lane_type {
            LaneType::Logic => Some(Waited::Logic),
            LaneType::Converter => Some(Waited::Converter),
            LaneType::Filter => Some(Waited::Filter),
            LaneType::Outgoing => None,
        }
    }

    /// The type of the node that takes it from there.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Waited::Incoming => "incoming",
            Waited::Logic => LaneType::Logic.as_str(),
            Waited::Converter => LaneType::Converter.as_str(),
            Waited::Filter => LaneType::Filter.as_str(),
        }
    }
}

/// Of one shard.
#[derive(Debug)]
pub struct Meters {
    /// Seconds that its loop has lived through: one that does not move is stuck.
    ticks: AtomicU64,
    /// Rises behind what may have changed a counter or a condition: while it stands still, none has.
    activity: AtomicU64,
    connected: AtomicBool,
    messages: AtomicU64,
    bytes: AtomicU64,
    /// From the intake of a message to its delivery by an out.
    pub end_to_end: Histogram,
    /// From the stream's timestamp of a message to when its steps began, by [`Waited`].
    waits: [Histogram; Waited::ALL.len()],
    /// By [`STEPS`].
    steps: [Histogram; STEPS.len()],
    /// Dead letters, by the place of their code in `Code::ALL`.
    dead: Box<[AtomicU64]>,
    /// Attempts that are made again, likewise.
    retried: Box<[AtomicU64]>,
    /// Of the HTTP server.
    connections: AtomicU64,
    /// Calls of sinks that have begun, and that have ended.
    writes: [AtomicU64; 2],
    /// Of pipelines that have a canary.
    pub runs: Runs,
}

impl Default for Meters {
    fn default() -> Meters {
        Meters {
            ticks: AtomicU64::new(0),
            activity: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            end_to_end: Histogram::new(&MILLISECONDS),
            waits: std::array::from_fn(|_| Histogram::new(&MILLISECONDS)),
            steps: std::array::from_fn(|_| Histogram::new(&NANOSECONDS)),
            dead: Code::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            retried: Code::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            connections: AtomicU64::new(0),
            writes: Default::default(),
            runs: Runs::default(),
        }
    }
}

impl Meters {
    /// Whether the server is there, from now on.
    pub fn set_connected(&self, is_connected: bool) {
        self.connected.store(is_connected, Relaxed);
    }

    /// Once a second: what was asked of the server or is in hand.
    pub fn tick(&self, messages: u64, bytes: u64) {
        raise(&self.ticks, 1);
        self.messages.store(messages, Relaxed);
        self.bytes.store(bytes, Relaxed);
    }

    /// Something may have been counted, or have another condition.
    #[inline]
    pub fn note_activity(&self) {
        self.activity.store(self.activity.load(Relaxed).wrapping_add(1), Release);
    }

    #[must_use]
    pub fn activity(&self) -> u64 {
        self.activity.load(Acquire)
    }

    pub fn dead(&self, code: Code) {
        raise(&self.dead[code as usize], 1);
    }

    pub fn retried(&self, code: Code) {
        raise(&self.retried[code as usize], 1);
    }

    /// How many connections the HTTP server has, from now on.
    pub fn set_connections(&self, count: usize) {
        self.connections.store(count as u64, Relaxed);
    }

    /// A sink is called.
    pub fn write_begins(&self) {
        raise(&self.writes[0], 1);
    }

    /// It has answered.
    pub fn write_ends(&self) {
        raise(&self.writes[1], 1);
    }

    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Calls of sinks that wait for their answers.
    #[must_use]
    pub fn writes_in_flight(&self) -> u64 {
        // In this order: what has ended had begun.
        let ended = self.writes[1].load(Relaxed);
        self.writes[0].load(Relaxed).saturating_sub(ended)
    }

    /// A message has waited so long for its steps.
    pub fn waited(&self, place: Waited, ms: u64) {
        self.waits[place as usize].add(ms);
    }

    /// A step of one message has taken so long. What is none of [`STEPS`] is not counted.
    pub fn step(&self, name: &str, took: Duration) {
        if let Some(at) = STEPS.iter().position(|step| *step == name) {
            self.steps[at].add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// How long messages have waited, by the type of the node that took them.
    pub fn waits(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        Waited::ALL.iter().map(|place| place.as_str()).zip(&self.waits)
    }

    /// How long steps have taken, by their names.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        STEPS.into_iter().zip(&self.steps)
    }

    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Relaxed)
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Messages and bytes.
    #[must_use]
    pub fn in_hand(&self) -> (u64, u64) {
        (self.messages.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Those that there are.
    pub fn dead_by_code(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        by_code(&self.dead)
    }

    /// Those that there are.
    pub fn retried_by_code(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        by_code(&self.retried)
    }
}

fn by_code(counts: &[AtomicU64]) -> impl Iterator<Item = (Code, u64)> + '_ {
    let counts = counts.iter().map(|count| count.load(Relaxed));
    Code::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0)
}

pub(super) fn raise(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_a_sink_is_in_flight_until_it_has_ended() {
        let meters = Meters::default();
        (0..3).for_each(|_| meters.write_begins());
        meters.write_ends();
        assert_eq!(meters.writes_in_flight(), 2);
    }

    #[test]
    fn dead_letters_are_counted_by_their_code() {
        let meters = Meters::default();
        for code in [Code::XmlNotWellFormed, Code::LimitBacklog, Code::XmlNotWellFormed] {
            meters.dead(code);
        }
        let mut found: Vec<(&str, u64)> = meters.dead_by_code().map(|(code, count)| (code.as_str(), count)).collect();
        found.sort_unstable();
        assert_eq!(found, [("limit/backlog", 1), ("xml/not-well-formed", 2)]);
    }
}
