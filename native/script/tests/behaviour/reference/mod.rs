//! The lazy view against its reference: random scripts on random messages give what they give on
//! `JSON.parse` of the message's text, written by `JSON.stringify`, in the same engine.
//!
//! ```text
//! seed ─► case.rs: messages (documents.rs), scripts (statements.rs)
//!           ├─► the engine, lazily: reads, outputs ──────┐
//!           └─► reference.js: parse, run, stringify ─────┴─► compare; the smallest case that differs
//! ```
//!
//! `FUZZ_SECONDS=n` sets for how long it looks (2 s when it is not set), `SEED=n` runs one case alone. What
//! differs by intention is named in `reference.js`.

mod case;
mod documents;
mod random;
mod statements;

use std::time::{Duration, Instant, SystemTime};

use case::{Batch, Case};

/// Cases in one program: their scripts have to fit into one.
const BATCH: u64 = 40;

fn number_of(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

fn check(case: &Case) -> Result<(), String> {
    Batch::new(std::slice::from_ref(case)).check(0)
}

/// The smallest case that still fails, and how it does.
fn shrink(mut case: Case, mut difference: String) -> (Case, String) {
    while let Some((smaller, why)) =
        case.smaller().into_iter().find_map(|smaller| check(&smaller).err().map(|why| (smaller, why)))
    {
        (case, difference) = (smaller, why);
    }
    (case, difference)
}

/// Fails the test with the smallest case. `before` is the first case that ran in the same runtime.
fn report(seed: u64, before: u64, case: Case, difference: &str) -> ! {
    let Err(alone) = check(&case) else {
        panic!("SEED={seed} fails only after the cases from SEED={before} on:\n\n{case}\n{difference}\n");
    };
    let (case, difference) = shrink(case, alone);
    panic!("SEED={seed} fails; its smallest case:\n\n{case}\n{difference}\n");
}

#[test]
fn scripts_give_what_json_parse_and_stringify_give() {
    if let Some(seed) = number_of("SEED") {
        let case = Case::random(seed);
        println!("SEED={seed}\n{case}");
        if let Err(difference) = check(&case) {
            report(seed, seed, case, &difference);
        }
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let first = now.as_secs() << 20;
    let (begun, time) = (Instant::now(), Duration::from_secs(number_of("FUZZ_SECONDS").unwrap_or(2)));
    let mut seed = first;
    while begun.elapsed() < time {
        let cases: Vec<Case> = (seed..seed + BATCH).map(Case::random).collect();
        let batch = Batch::new(&cases);
        for (index, case) in cases.iter().enumerate() {
            if let Err(difference) = batch.check(index) {
                report(seed + index as u64, seed, case.clone(), &difference);
            }
        }
        seed += BATCH;
    }
    println!("{} cases from SEED={first} on, in {} s", seed - first, begun.elapsed().as_secs());
}
