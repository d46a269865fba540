//! `simulate --seeds 2000` runs seeds; `simulate --seed 7` tells what happens in one.

mod arguments;
mod watchdog;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use arguments::{Arguments, Wanted};
use simulation::catalogue::Catalogue;
use simulation::rows::ROWS;
use simulation::run::{Outcome, run};
use watchdog::Watchdog;

/// Fewer seeds than this say nothing about rows that few of them reach.
const ENOUGH_SEEDS: usize = 1_000;
/// Every so many seeds one is run twice, and has to be the same.
const TWICE: u64 = 50;

fn main() -> ExitCode {
    match Arguments::read(std::env::args().skip(1)) {
        Ok(Wanted::Help) => {
            print!("{}", arguments::HELP);
            ExitCode::SUCCESS
        }
        Ok(Wanted::One(seed)) => one(seed),
        Ok(Wanted::Many(arguments)) => many(&arguments),
        Err(reason) => {
            eprintln!("{reason}\n\n{}", arguments::HELP);
            ExitCode::from(2)
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

fn one(seed: u64) -> ExitCode {
    let Some(catalogue) = catalogue() else { return ExitCode::FAILURE };
    let outcome = twice(seed, &catalogue, true);
    outcome.story.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: {} inputs, {} doubled, trace {:016x}", outcome.inputs, outcome.doubled, outcome.trace);
    outcome.faults.iter().for_each(|fault| println!("  {fault}"));
    if outcome.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a seed twice: it has to be the same both times.
fn twice(seed: u64, catalogue: &Rc<Catalogue>, readable: bool) -> Outcome {
    let (mut outcome, again) = (run(seed, catalogue, readable), run(seed, catalogue, false));
    if outcome.trace != again.trace {
        outcome.faults.push(format!("run again it has another trace: {:016x} and {:016x}", outcome.trace, again.trace));
    }
    outcome
}

fn many(arguments: &Arguments) -> ExitCode {
    let (next, outcomes, started) = (AtomicU64::new(arguments.from), Mutex::new(Vec::new()), Instant::now());
    let watchdog = Watchdog::new(arguments.threads);
    std::thread::scope(|scope| {
        scope.spawn(|| watchdog.watch().map_or((), stuck));
        let work = |thread: usize| {
            scope.spawn({
                let (next, outcomes, watchdog) = (&next, &outcomes, &watchdog);
                move || work(arguments, thread, next, outcomes, watchdog)
            })
        };
        let workers: Vec<_> = (0..arguments.threads as usize).map(work).collect();
        workers.into_iter().for_each(|worker| drop(worker.join()));
        watchdog.is_over();
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let is_kept = summary(&outcomes, started);
    if is_kept && outcomes.len() as u64 == arguments.seeds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ends the process: nothing else would end a seed that takes no virtual time.
#[allow(clippy::disallowed_methods)] // no extension module: a program of its own
fn stuck(seed: u64) {
    println!("seed {seed} does not end, and takes no virtual time");
    std::process::exit(1);
}

fn work(arguments: &Arguments, thread: usize, next: &AtomicU64, outcomes: &Mutex<Vec<Outcome>>, watchdog: &Watchdog) {
    let Some(catalogue) = catalogue() else { return };
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= arguments.from + arguments.seeds {
            return;
        }
        watchdog.begins(thread, seed);
        let is_twice = seed.is_multiple_of(TWICE);
        let outcome = if is_twice { twice(seed, &catalogue, false) } else { run(seed, &catalogue, false) };
        watchdog.ends(thread);
        if let Some(fault) = outcome.faults.first() {
            println!("seed {seed}, the first of {} faults: {fault}", outcome.faults.len());
        }
        let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.push(outcome);
        if std::io::stderr().is_terminal() && outcomes.len().is_multiple_of(20) {
            eprint!("\r{} of {} seeds", outcomes.len(), arguments.seeds);
        }
    }
}

/// Prints what was reached; `true` when every seed has kept every promise, and enough of them have reached every row.
fn summary(outcomes: &[Outcome], started: Instant) -> bool {
    let mut rows: BTreeMap<&str, usize> = ROWS.iter().map(|row| (*row, 0)).collect();
    for row in outcomes.iter().flat_map(|outcome| &outcome.rows) {
        *rows.entry(row).or_default() += 1;
    }
    let mut is_reached = true;
    for (row, count) in rows {
        let percent = 100.0 * count as f64 / outcomes.len().max(1) as f64;
        let is_rare = percent < 1.0 && ROWS.contains(&row) && outcomes.len() >= ENOUGH_SEEDS;
        is_reached &= !is_rare;
        println!("{percent:>6.1} %  {row}{}", if is_rare { ": too rare" } else { "" });
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.faults.is_empty()).count();
    let total = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    println!(
        "{} seeds in {:.1} s: {} inputs, {} doubled, {:.1} h of virtual time; {failed} failed",
        outcomes.len(),
        started.elapsed().as_secs_f64(),
        total(|one| one.inputs as u64),
        total(|one| one.doubled as u64),
        total(|one| one.virtual_ms) as f64 / 3_600_000.0,
    );
    failed == 0 && is_reached
}
