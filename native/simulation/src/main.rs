//! `simulate --seeds 2000` runs seeds; `simulate --seed 7` tells what happens in one.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use simulation::catalogue::Catalogue;
use simulation::run::{Outcome, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    match number("--seed") {
        Some(seed) => one(seed),
        None => {
            many(number("--from").unwrap_or(0), number("--seeds").unwrap_or(2_000), number("--threads").unwrap_or(2))
        }
    }
}

fn catalogue() -> Option<Rc<Catalogue>> {
    match Catalogue::new() {
        Ok(catalogue) => Some(Rc::new(catalogue)),
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("a pipeline of the catalogue: {fault}"));
            None
        }
    }
}

/// Runs one seed twice: it has to be the same both times.
fn one(seed: u64) -> ExitCode {
    let Some(catalogue) = catalogue() else { return ExitCode::FAILURE };
    let (outcome, again) = (run(seed, &catalogue, true), run(seed, &catalogue, false));
    outcome.story.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: {} inputs, {} doubled, trace {:016x}", outcome.inputs, outcome.doubled, outcome.trace);
    outcome.faults.iter().for_each(|fault| println!("  {fault}"));
    if outcome.trace != again.trace {
        println!("  the second run of the seed has another trace: {:016x}", again.trace);
        return ExitCode::FAILURE;
    }
    if outcome.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(from: u64, seeds: u64, threads: u64) -> ExitCode {
    let (next, outcomes, started) = (AtomicU64::new(from), Mutex::new(Vec::new()), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let Some(catalogue) = catalogue() else { return };
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let outcome = run(seed, &catalogue, false);
                    report(&outcome);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed = summary(&outcomes, started);
    if failed == 0 && outcomes.len() as u64 == seeds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(outcome: &Outcome) {
    if let Some(fault) = outcome.faults.first() {
        println!("seed {}: {} of {} faults: {fault}", outcome.seed, 1, outcome.faults.len());
    }
}

fn summary(outcomes: &[Outcome], started: Instant) -> usize {
    let mut kinds: BTreeMap<_, usize> = BTreeMap::new();
    for kind in outcomes.iter().flat_map(|outcome| &outcome.kinds) {
        *kinds.entry(kind).or_default() += 1;
    }
    for (kind, count) in kinds {
        println!("{:>20} {count:>6} seeds", format!("{kind:?}"));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.faults.is_empty()).count();
    let (inputs, doubled): (usize, usize) =
        (outcomes.iter().map(|one| one.inputs).sum(), outcomes.iter().map(|one| one.doubled).sum());
    let hours = outcomes.iter().map(|one| one.virtual_ms).sum::<u64>() as f64 / 3_600_000.0;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} seeds, {inputs} inputs, {doubled} doubled, {hours:.1} h of virtual time in {seconds:.1} s",
        outcomes.len()
    );
    println!("{failed} failed");
    failed
}
