//! Whether every input has come to exactly one end, and nothing to another.

use std::collections::BTreeMap;

use flow::process::{self, Message};
use script::Runner;

use crate::catalogue::{Catalogue, Intake};
use crate::message::{Input, number};

/// What one input becomes under one revision: each output, as its destination and bytes.
struct Expected {
    outputs: Vec<(String, Vec<u8>)>,
    /// It is, or a part of it is, a dead letter.
    fails: bool,
}

/// What was found at the end: destinations with the bytes that are there, in the order in which they came.
pub struct Found {
    /// Destination, customer and pipeline as the delivery says, bytes.
    pub outputs: Vec<(String, String, Vec<u8>)>,
    /// Subject and bytes of dead letters.
    pub letters: Vec<(String, Vec<u8>)>,
}

/// What is wrong; empty when nothing is.
pub struct Verdict {
    pub faults: Vec<String>,
    /// How many outputs are there more than once.
    pub doubled: usize,
}

fn expected(catalogue: &Catalogue, input: &Input, revision: usize, runner: &mut Runner) -> Expected {
    let entry = &catalogue.0[input.pipeline];
    let content_type = if matches!(entry.intake, Intake::Http(_)) { "application/json" } else { "" };
    let message = Message { payload: &input.payload, content_type, headers: b"", id: "x", time_ms: 0 };
    let processed = process::process(&entry.revisions[revision], &message, runner);
    let outputs = processed.outputs.into_iter().map(|output| (entry.outs[output.out].clone(), output.payload));
    Expected { outputs: outputs.collect(), fails: processed.fault.is_some() }
}

/// The ends of one input.
#[derive(Default)]
struct Ends<'a> {
    outputs: BTreeMap<(&'a str, &'a [u8]), usize>,
    letters: Vec<(&'a str, &'a [u8])>,
}

fn by_input(found: &Found) -> (BTreeMap<u32, Ends<'_>>, Vec<String>) {
    let (mut ends, mut faults): (BTreeMap<u32, Ends<'_>>, _) = (BTreeMap::new(), Vec::new());
    for (destination, _, bytes) in &found.outputs {
        match number(bytes) {
            Some(number) => {
                *ends
                    .entry(number)
                    .or_default()
                    .outputs
                    .entry((destination.as_str(), bytes.as_slice()))
                    .or_default() += 1;
            }
            None if bytes.windows(9).any(|window| window == b"\"foreign\"") => {}
            None => faults.push(format!("{destination} has something foreign: {}", text(bytes))),
        }
    }
    for (subject, bytes) in &found.letters {
        if let Some(number) = number(bytes) {
            ends.entry(number).or_default().letters.push((subject, bytes));
        }
    }
    (ends, faults)
}

/// Compares what was found with what the steps make of every input.
#[must_use]
pub fn judge(catalogue: &Catalogue, inputs: &[Input], found: &Found, may_double: bool, runner: &mut Runner) -> Verdict {
    let (ends, mut faults) = by_input(found);
    let mut doubled = 0;
    let nothing = Ends::default();
    for input in inputs {
        let ends = ends.get(&input.number).unwrap_or(&nothing);
        let revisions = [0, 1].map(|revision| expected(catalogue, input, revision, runner));
        let wrong = wrong_in_both(catalogue, input, &revisions, ends, may_double);
        faults.extend(
            wrong.map(|wrong| format!("input {} of {}: {wrong}", input.number, catalogue.0[input.pipeline].name)),
        );
        doubled += ends.outputs.values().filter(|count| **count > 1).count();
    }
    if doubled > 0 && !may_double {
        faults.push(format!("{doubled} outputs were delivered more than once, and no row of delivery.md says so"));
    }
    for number in ends.keys() {
        if !inputs.iter().any(|input| input.number == *number) {
            faults.push(format!("nobody has sent {number}"));
        }
    }
    Verdict { faults, doubled }
}

/// What is wrong with the ends of an input, whichever revision it was run by. What is run again after a reload may be run
/// by another revision: then there may be the outputs of both.
fn wrong_in_both(
    catalogue: &Catalogue,
    input: &Input,
    revisions: &[Expected; 2],
    ends: &Ends<'_>,
    may_double: bool,
) -> Option<String> {
    let foreign = |with: &[Expected]| {
        let mut found = ends.outputs.keys();
        let is_expected = |destination: &str, bytes: &[u8]| {
            with.iter().flat_map(|one| &one.outputs).any(|(of, wanted)| of == destination && wanted == bytes)
        };
        let foreign = found.find(|(destination, bytes)| !is_expected(destination, bytes));
        foreign.map(|(destination, bytes)| format!("{destination} has {}", text(bytes)))
    };
    let [first, second] = revisions.each_ref().map(|revision| {
        let with = if may_double { &revisions[..] } else { std::slice::from_ref(revision) };
        foreign(with).or_else(|| wrong(catalogue, input, revision, ends))
    });
    second.and(first)
}

/// What is missing of the ends of an input, if it was run by this revision.
fn wrong(catalogue: &Catalogue, input: &Input, expected: &Expected, ends: &Ends<'_>) -> Option<String> {
    let entry = &catalogue.0[input.pipeline];
    let subject = format!("vrsky.dead.{}.{}.", entry.customer, entry.name);
    if let Some((other, _)) =
        ends.letters.iter().find(|(of, _)| !of.starts_with(&subject) && !of.starts_with("vrsky.original."))
    {
        return Some(format!("a dead letter under {other}"));
    }
    if !input.accepted {
        return None;
    }
    for (destination, bytes) in &expected.outputs {
        let is_there = ends.outputs.contains_key(&(destination.as_str(), bytes.as_slice()));
        let is_dead = ends.letters.iter().any(|(of, letter)| of.contains(".out") && letter == bytes);
        if !is_there && !is_dead {
            return Some(format!("{destination} has not {}", text(bytes)));
        }
    }
    (expected.fails && ends.letters.is_empty()).then(|| "it failed, and there is no dead letter".to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(120).collect()
}
