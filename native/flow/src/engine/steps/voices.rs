//! What scripts say to their `console`, as events: so many lines of each customer, and then how many were left out.

use std::collections::BTreeMap;

use script::{Line, Said};

use crate::compile::Pipeline;
use crate::engine::message::Envelope;
use crate::engine::observe::{Event, EventKind};
use crate::engine::settlement::Settlement;

/// Lines of a customer: at once, and from then on in a second.
const BURST: u64 = 20;
const A_SECOND: u64 = 10;

/// Customers that are remembered; of others, those that have said nothing for a while are forgotten.
const CUSTOMERS: usize = 1024;

/// How much a customer may still say.
struct Voice {
    /// Thousandths of a line.
    left: u64,
    at_ms: u64,
    left_out: u64,
}

impl Voice {
    fn new(now_ms: u64) -> Voice {
        Voice { left: BURST * 1000, at_ms: now_ms, left_out: 0 }
    }

    fn refill(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        self.left = self.left.saturating_add(passed.saturating_mul(A_SECOND)).min(BURST * 1000);
        self.at_ms = now_ms;
    }

    /// Whether there is room for one more line; counts it where there is none.
    fn take(&mut self) -> bool {
        let left = self.left.checked_sub(1000);
        match left {
            Some(left) => self.left = left,
            None => self.left_out += 1,
        }
        left.is_some()
    }

    fn is_quiet(&self) -> bool {
        self.left == BURST * 1000 && self.left_out == 0
    }
}

/// By customer.
#[derive(Default)]
pub(super) struct Voices(BTreeMap<Box<str>, Voice>);

impl Voices {
    /// What the script of a stage has said about a message.
    #[cold]
    pub fn report(
        &mut self,
        settlement: &Settlement,
        envelope: &Envelope<'_>,
        (pipeline, stage): (&Pipeline, usize),
        said: &Said,
    ) {
        let (now_ms, file) = (settlement.now_ms(), pipeline.program(stage).map_or("", |program| program.file()));
        self.each((now_ms, pipeline.customer()), said, |line, left_out| {
            settlement.events().push(|| {
                let event = Event::about(EventKind::Console, now_ms, pipeline, envelope.id);
                event.at(pipeline.stage_label(stage), 0).because(&why(line, file, left_out))
            });
        });
    }

    /// Calls `report` with each line that there is room for, and how many were left out before it.
    fn each(&mut self, (now_ms, customer): (u64, &str), said: &Said, mut report: impl FnMut(&Line, u64)) {
        if self.0.len() >= CUSTOMERS && !self.0.contains_key(customer) {
            self.0.retain(|_, voice| {
                voice.refill(now_ms);
                !voice.is_quiet()
            });
        }
        let voice = self.0.entry(customer.into()).or_insert_with(|| Voice::new(now_ms));
        voice.refill(now_ms);
        for line in &said.lines {
            if voice.take() {
                report(line, std::mem::take(&mut voice.left_out));
            }
        }
        voice.left_out += u64::from(said.left_out);
    }
}

/// `warn: text (net.ts:3)`
fn why(line: &Line, file: &str, left_out: u64) -> String {
    let place = line.line.map(|at| format!(" ({file}:{at})")).unwrap_or_default();
    let before = if left_out > 0 { format!(" [{left_out} lines before it left out]") } else { String::new() };
    format!("{}: {}{place}{before}", line.level.as_str(), line.text)
}

#[cfg(test)]
mod tests {
    use script::Level;

    use super::*;

    fn said(count: usize) -> Said {
        Said { lines: vec![Line { level: Level::Warn, text: "a".into(), line: Some(3) }; count], left_out: 0 }
    }

    #[test]
    fn a_customer_that_says_much_is_cut_short_and_what_was_left_out_is_counted() {
        let mut voices = Voices::default();
        let mut shown = |now_ms, customer, count| {
            let mut shown = Vec::new();
            voices.each((now_ms, customer), &said(count), |line, left_out| shown.push(why(line, "net.ts", left_out)));
            shown
        };
        assert_eq!(shown(0, "acme", 25).len(), 20);
        assert_eq!(shown(0, "acme", 1).len(), 0);
        assert_eq!(shown(0, "other", 1).len(), 1);
        let later = shown(200, "acme", 5);
        assert_eq!(later, ["warn: a (net.ts:3) [6 lines before it left out]", "warn: a (net.ts:3)"]);
        assert_eq!(shown(60_000, "acme", 25).len(), 20);
    }

    #[test]
    fn customers_that_are_quiet_are_forgotten() {
        let mut voices = Voices::default();
        for customer in 0..10_000_u64 {
            voices.each((customer * 100, &customer.to_string()), &said(1), |_, _| ());
        }
        assert!(voices.0.len() <= CUSTOMERS);
    }
}
