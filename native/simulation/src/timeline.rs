//! When something happened, or was the case, that lets an output be delivered twice: the rows of `docs/delivery.md`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A row of the table in `docs/delivery.md`, in short.
pub type Row = &'static str;

pub const KILLED: Row = "a node is killed";
pub const CUT_OFF: Row = "a node is stopped with messages in hand";
pub const RESTARTED: Row = "the NATS server restarts";
pub const BROKEN: Row = "the connection to NATS breaks";
pub const UNANSWERED: Row = "a sink's answer is lost";
pub const CONSUMER_DELETED: Row = "a pull consumer is deleted";
pub const ANSWERS_REFUSED: Row = "answers are refused for more than 20 s";
pub const ANSWERS_REFUSED_PARKING: Row = "answers are refused while a message is parked";
pub const ACKS_REFUSED: Row = "acks are refused";
pub const REDRIVEN_TWICE: Row = "a redrive is killed, and run again after more than 30 s";
pub const REPEATED: Row = "a client repeats a POST after more than 30 s";

/// What is published to core NATS is refused.
pub const CORE_REFUSED: Row = "core NATS is refused";
/// No shard listens to a subject of core NATS.
pub const NOT_LISTENING: Row = "nobody listens";

/// For so long a stream remembers the ids of messages, milliseconds.
pub const DEDUPLICATED_MS: u64 = 30_000;

#[derive(Debug)]
struct Span {
    row: Row,
    from_ms: u64,
    /// The largest number while it lasts.
    until_ms: u64,
}

/// All of them, in milliseconds since the simulation began.
#[derive(Debug, Default)]
pub struct Timeline {
    spans: RefCell<Vec<Span>>,
    /// When an input, by its number, was parked.
    parked: RefCell<BTreeMap<u32, Vec<u64>>>,
    /// What is about one input alone: its number, the row, when.
    own: RefCell<Vec<(u32, Row, u64)>>,
}

impl Timeline {
    pub fn at(&self, row: Row, now_ms: u64) {
        self.span(row, now_ms, now_ms);
    }

    pub fn span(&self, row: Row, from_ms: u64, until_ms: u64) {
        self.spans.borrow_mut().push(Span { row, from_ms, until_ms });
    }

    /// Something that lasts until [`Timeline::end`].
    pub fn begin(&self, row: Row, now_ms: u64) -> usize {
        self.span(row, now_ms, u64::MAX);
        self.spans.borrow().len() - 1
    }

    pub fn end(&self, span: usize, now_ms: u64) {
        if let Some(span) = self.spans.borrow_mut().get_mut(span) {
            span.until_ms = now_ms;
        }
    }

    /// Something that is about one input alone.
    pub fn of(&self, number: u32, row: Row, now_ms: u64) {
        self.own.borrow_mut().push((number, row, now_ms));
    }

    pub fn park(&self, number: u32, now_ms: u64) {
        self.parked.borrow_mut().entry(number).or_default().push(now_ms);
    }

    /// What was the case at some time in the life of an input.
    #[must_use]
    pub fn in_life_of(&self, number: u32, from_ms: u64, until_ms: u64) -> BTreeSet<Row> {
        let mut rows = self.during(from_ms, until_ms);
        let own = self.own.borrow();
        let own = own.iter().filter(|(of, _, at)| *of == number && (from_ms..=until_ms).contains(at));
        rows.extend(own.map(|(_, row, _)| *row));
        let parked = self.parked.borrow();
        let mut parked = parked.get(&number).into_iter().flatten().filter(|at| **at <= until_ms);
        if !parked.any(|at| self.during(*at, *at).contains(ANSWERS_REFUSED_PARKING)) {
            rows.remove(ANSWERS_REFUSED_PARKING);
        }
        rows
    }

    /// Whether something of `rows` was the case at this time or later.
    #[must_use]
    pub fn has_since(&self, from_ms: u64, rows: &[Row]) -> bool {
        let rows = |row: &Row| rows.contains(row);
        self.during(from_ms, u64::MAX).iter().any(rows)
    }

    /// What was the case at some time between these two.
    #[must_use]
    pub fn during(&self, from_ms: u64, until_ms: u64) -> BTreeSet<Row> {
        let spans = self.spans.borrow();
        spans.iter().filter(|span| span.from_ms <= until_ms && span.until_ms >= from_ms).map(|span| span.row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_the_case_in_a_life_is_found() {
        let timeline = Timeline::default();
        timeline.at(KILLED, 10);
        let lasting = timeline.begin(ACKS_REFUSED, 20);
        assert_eq!(timeline.during(0, 9), BTreeSet::new());
        assert_eq!(timeline.during(10, 19), BTreeSet::from([KILLED]));
        assert_eq!(timeline.during(11, 30), BTreeSet::from([ACKS_REFUSED]));
        timeline.end(lasting, 25);
        assert_eq!(timeline.during(26, 30), BTreeSet::new());
        timeline.span(ANSWERS_REFUSED_PARKING, 30, 40);
        assert_eq!(timeline.in_life_of(7, 26, 50), BTreeSet::new());
        timeline.park(7, 35);
        assert_eq!(timeline.in_life_of(7, 26, 50), BTreeSet::from([ANSWERS_REFUSED_PARKING]));
    }
}
