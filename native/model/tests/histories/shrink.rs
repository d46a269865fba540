//! The shortest history found that still differs.

use std::time::{Duration, Instant};

use harness::Server;

use crate::lockstep::{Difference, run};
use crate::steps::History;

/// How long a shorter history is looked for.
const TIME: Duration = Duration::from_secs(90);

/// Runs a history alone, up to three times. A report with a shorter one if it differs each time.
pub fn confirm(server: &Server, history: &History) -> Option<String> {
    let mut difference = differs(server, history)?;
    let mut shortest = History { steps: history.steps[..cut(history, &difference)].to_vec(), ..history.clone() };
    let end = Instant::now() + TIME;
    let mut length = shortest.steps.len() / 2;
    while length > 0 && Instant::now() < end {
        match without_some(server, &shortest, length, end) {
            Some((shorter, found)) => (shortest, difference) = (shorter, found),
            None => length /= 2,
        }
    }
    Some(format!("{shortest}{difference}"))
}

fn cut(history: &History, difference: &Difference) -> usize {
    (difference.step + 1).min(history.steps.len())
}

fn differs(server: &Server, history: &History) -> Option<Difference> {
    let mut last = None;
    for _ in 0..2 {
        last = Some(run(server.port, history).err()?);
    }
    last
}

/// Leaves `length` steps out, from wherever it still differs.
fn without_some(server: &Server, history: &History, length: usize, end: Instant) -> Option<(History, Difference)> {
    let mut at = history.steps.len().saturating_sub(length);
    loop {
        let mut shorter = history.clone();
        shorter.steps.drain(at..(at + length).min(history.steps.len()));
        if let Some(difference) = differs(server, &shorter) {
            shorter.steps.truncate(cut(&shorter, &difference));
            return Some((shorter, difference));
        }
        if at == 0 || Instant::now() > end {
            return None;
        }
        at = at.saturating_sub(length);
    }
}
