//! Histories that go through one event of their server together.

use std::sync::{Barrier, Mutex};

use crate::lockstep::Difference;
use crate::steps::{History, Step};

/// A history has to differ as often: around an event the server's times are less exact.
const TRIES: usize = 3;

/// Runs those that differ once more, some times. The report of one that always does.
pub fn always_differs(mut seeds: Vec<u64>, mut run: impl FnMut(&[u64]) -> Vec<(u64, String)>) -> Option<String> {
    let mut reports = Vec::new();
    for _ in 0..TRIES {
        reports = run(&seeds);
        seeds = reports.iter().map(|(seed, _)| *seed).collect();
        eprintln!("{} differed: {seeds:?}", seeds.len());
        if seeds.is_empty() {
            return None;
        }
    }
    reports.into_iter().next().map(|(_, report)| report)
}

/// Runs each history on a thread of its own, and `event` beside them; they meet at the barrier. Those that differ, with a
/// report.
pub fn around(
    event: (&str, impl FnOnce(&Barrier)),
    seeds: &[u64],
    histories: fn(u64) -> (History, Vec<Step>),
    run: impl Fn(&Barrier, &History, &[Step]) -> Result<(), Difference> + Sync,
) -> Vec<(u64, String)> {
    let (name, event) = event;
    let barrier = Barrier::new(seeds.len() + 1);
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for seed in seeds {
            let (barrier, reports, run) = (&barrier, &reports, &run);
            scope.spawn(move || {
                let (history, later) = histories(*seed);
                if let Err(difference) = run(barrier, &history, &later) {
                    let later: Vec<String> = later.iter().map(|step| format!("     {step}\n")).collect();
                    let report = format!("{history}  {name}\n{}{difference}", later.concat());
                    reports.lock().unwrap().push((*seed, report));
                }
            });
        }
        event(&barrier);
    });
    reports.into_inner().unwrap()
}
