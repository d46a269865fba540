//! Whether every input has come to exactly one end, and nothing to another.

use std::collections::{BTreeMap, BTreeSet};

use flow::engine::one_shard::Share;
use flow::process::{self, Message};

use crate::catalogue::{CANARY_MILLIONTHS, Catalogue, Entry, Intake};
use crate::message::{Input, MARK, number};
use crate::redrive::SentPart;
use crate::story::Story;
use crate::timeline::{BROKEN, CORE_REFUSED, REPEATED, RESTARTED, Row, Timeline, UNANSWERED};

/// What one input becomes under one revision: each output, as its destination and bytes.
struct Expected {
    outputs: Vec<(String, Vec<u8>)>,
    /// It is, or a part of it is, a dead letter.
    fails: bool,
}

/// Something that is where an out leads.
pub struct Output {
    /// As [`Entry::outs`] names it.
    pub destination: String,
    /// Customer and pipeline as the delivery says; nothing in a stream.
    pub owner: Option<(String, String)>,
    /// The `Idempotency-Key`; nothing in a stream.
    pub id: Option<String>,
    pub bytes: Vec<u8>,
    /// When it came, milliseconds since the simulation began.
    pub at_ms: u64,
    /// The answer to this delivery was lost.
    pub is_unanswered: bool,
}

/// A dead letter, or the whole message that is kept beside one.
pub struct Letter {
    pub subject: String,
    pub headers: Vec<u8>,
    pub bytes: Vec<u8>,
}

impl Letter {
    #[must_use]
    pub fn of(stored: &model::Stored) -> Letter {
        let (headers, bytes) = (stored.headers.to_vec(), stored.payload.to_vec());
        Letter { subject: stored.subject.clone(), headers, bytes }
    }

    /// Whether it is of this payload, kept or not.
    fn is_of(&self, bytes: &[u8]) -> bool {
        let omitted = self.header("Vrsky-Omitted-Bytes").and_then(|bytes| bytes.parse::<usize>().ok());
        omitted.map_or(self.bytes == bytes, |omitted| omitted == bytes.len())
    }

    fn header(&self, name: &str) -> Option<&str> {
        ::message::Headers::new(&self.headers).get_str(name)
    }
}

/// What was found at the end.
pub struct Found {
    pub outputs: Vec<Output>,
    pub letters: Vec<Letter>,
}

/// What is wrong; empty when nothing is.
pub struct Verdict {
    pub faults: Vec<String>,
    /// Outputs that are there more than once: which, and what lets them be.
    pub doubles: Vec<(String, BTreeSet<Row>)>,
}

/// The ends of one input.
#[derive(Default)]
struct Ends<'a> {
    outputs: BTreeMap<(&'a str, &'a [u8]), Vec<&'a Output>>,
    letters: Vec<&'a Letter>,
}

impl Ends<'_> {
    /// What there is of the input, for people.
    fn told(&self) -> String {
        let outputs = self.outputs.keys().map(|(destination, bytes)| format!("{destination} {}", text(bytes)));
        let letters = self.letters.iter().map(|letter| format!("{} {}", letter.subject, text(&letter.bytes)));
        outputs.chain(letters).collect::<Vec<_>>().join(", ")
    }
}

/// Compares what was found with what the steps make of every input. An output may be there twice when the timeline has
/// something within the life of its input that lets it be.
#[must_use]
pub fn judge(catalogue: &Catalogue, inputs: &[Input], found: &Found, story: &Story) -> Verdict {
    let timeline = &story.timeline;
    let (mut ends, mut faults) = by_input(found);
    let mut doubles = Vec::new();
    for input in inputs {
        let ends = ends.remove(&input.number).unwrap_or_default();
        let entry = &catalogue.entries[input.pipeline];
        let all: Vec<&Output> = ends.outputs.values().flatten().copied().collect();
        let may_double = !allows(timeline, input, &all).is_empty();
        let has_canary = story.canaries.borrow().contains(&input.pipeline);
        // Whatever comes again is run by the same revision, unless it was stored as another message.
        let mix = may_double && (!has_canary || input.is_repeated_late());
        let may = May { mix, lose_core: may_lose_core(story, input) };
        let wrong = wrong(catalogue, input, &ends, may).or_else(|| mixed_up(entry, &ends));
        let wrong = wrong.or_else(|| if has_canary { other_than_chosen(entry, &ends) } else { None });
        let told = |wrong| format!("input {} of {}: {wrong}; it has {}", input.number, entry.name, ends.told());
        faults.extend(wrong.map(told));
        for ((destination, _), outputs) in ends.outputs.iter().filter(|(_, outputs)| outputs.len() > 1) {
            let (what, rows) = (doubled(input, destination, outputs), allows(timeline, input, outputs));
            if rows.is_empty() {
                faults.push(format!("{what}, and no row of delivery.md says so"));
            }
            doubles.push((what, rows));
        }
    }
    faults.extend(ends.keys().map(|number| format!("nobody has sent input {number}")));
    Verdict { faults, doubles }
}

/// What may become of one input.
#[derive(Clone, Copy)]
struct May {
    /// Have outputs of both revisions.
    mix: bool,
    lose_core: bool,
}

/// Whether a publish to core NATS may be lost: the server refuses it, or the connection breaks.
fn may_lose_core(story: &Story, input: &Input) -> bool {
    let is_refused = story.losses.has_since(input.sent_ms, &[CORE_REFUSED]);
    is_refused || story.timeline.has_since(input.sent_ms, &[BROKEN, RESTARTED])
}

/// What lets these outputs of an input be there more than once.
fn allows(timeline: &Timeline, input: &Input, outputs: &[&Output]) -> BTreeSet<Row> {
    let last_ms = outputs.iter().map(|output| output.at_ms).max().unwrap_or(0);
    let mut rows = timeline.in_life_of(input.number, input.sent_ms, last_ms);
    rows.extend(outputs.iter().any(|output| output.is_unanswered).then_some(UNANSWERED));
    rows.extend(input.is_repeated_late().then_some(REPEATED));
    rows
}

fn doubled(input: &Input, destination: &str, outputs: &[&Output]) -> String {
    let seconds = |ms: u64| format!("{:.3}", ms as f64 / 1_000.0);
    let times: Vec<String> = outputs.iter().map(|output| seconds(output.at_ms)).collect();
    format!("input {}, sent at {}: {destination} got it at {}", input.number, seconds(input.sent_ms), times.join(", "))
}

fn by_input(found: &Found) -> (BTreeMap<u32, Ends<'_>>, Vec<String>) {
    let (mut ends, mut faults): (BTreeMap<u32, Ends<'_>>, _) = (BTreeMap::new(), Vec::new());
    for output in &found.outputs {
        let place = (output.destination.as_str(), output.bytes.as_slice());
        match number(&output.bytes) {
            Some(number) => ends.entry(number).or_default().outputs.entry(place).or_default().push(output),
            // Published by somebody who may.
            None if text(&output.bytes).contains("\"foreign\"") => {}
            None => faults.push(format!("{} has something foreign: {}", output.destination, text(&output.bytes))),
        }
    }
    for letter in &found.letters {
        if let Some(number) = number(&letter.bytes).or_else(|| number(letter.header(MARK)?.as_bytes())) {
            ends.entry(number).or_default().letters.push(letter);
        }
    }
    (ends, faults)
}

fn expected(catalogue: &Catalogue, input: &Input, revision: usize) -> Expected {
    let entry = &catalogue.entries[input.pipeline];
    let content_type = if matches!(entry.intake, Intake::Http(_)) { "application/json" } else { "" };
    let message = Message { payload: &input.payload, content_type, headers: b"", id: "x", time_ms: 0 };
    let processed = process::process(&entry.revisions[revision], &message, &mut catalogue.reference.borrow_mut());
    let outputs = processed.outputs.into_iter().map(|output| (entry.outs[output.out].clone(), output.payload));
    Expected { outputs: outputs.collect(), fails: processed.fault.is_some() }
}

/// What is wrong with the ends of an input, whichever revision it was run by. What is run again after a reload may be run
/// by another revision: then there may be outputs of both.
fn wrong(catalogue: &Catalogue, input: &Input, ends: &Ends<'_>, may: May) -> Option<String> {
    let entry = &catalogue.entries[input.pipeline];
    let judge = |allowed: &[Expected], revision: &Expected| {
        foreign(allowed, ends).or_else(|| if input.accepted { missing(revision, ends, may.lose_core) } else { None })
    };
    let first = expected(catalogue, input, 0);
    let fault = judge(std::slice::from_ref(&first), &first);
    if fault.is_none() {
        return stray_letter(entry, ends);
    }
    let both = [first, expected(catalogue, input, 1)];
    let one_of_both = |revision: &Expected| {
        let alone = judge(std::slice::from_ref(revision), revision);
        if may.mix { alone.and_then(|_| judge(&both, revision)) } else { alone }
    };
    let [first, second] = both.each_ref().map(one_of_both);
    second.and(first).or_else(|| stray_letter(entry, ends))
}

/// A dead letter by steps of another revision than the one of the two that the message's id chooses.
fn other_than_chosen(entry: &Entry, ends: &Ends<'_>) -> Option<String> {
    let share = Share::new(entry.name, CANARY_MILLIONTHS);
    let of_steps = ends.letters.iter().filter(|letter| {
        letter.subject.starts_with("vrsky.dead.")
            && !letter.header("Vrsky-Step").is_some_and(|step| step.starts_with("out:"))
    });
    let is_other = |letter: &&&Letter| {
        let chosen = letter.header("Vrsky-Id").map(|id| entry.revisions[usize::from(share.has(id))].revision());
        chosen.is_some() && letter.header("Vrsky-Revision") != chosen
    };
    let other = of_steps.into_iter().find(|letter| is_other(letter));
    other.map(|letter| format!("a dead letter of a revision that its id does not choose: {}", text(&letter.bytes)))
}

/// Parts that were sent again, and are now neither dead again nor delivered.
pub fn lost_parts(found: &Found, sent: &[SentPart]) -> Vec<String> {
    let is_dead = |part: &SentPart| {
        let is_it = |letter: &&Letter| {
            let own = (letter.header("Vrsky-Id"), letter.header("Vrsky-Part"));
            letter.subject.starts_with("vrsky.dead.") && own == (Some(&part.id), Some(&part.part))
        };
        found.letters.iter().any(|letter| is_it(&letter))
    };
    let is_there = |part: &SentPart| found.outputs.iter().any(|output| output.bytes == part.payload);
    let lost = sent.iter().filter(|part| !is_dead(part) && !is_there(part));
    lost.map(|part| format!("part {} of input {} was sent again, and is nowhere", part.part, part.number)).collect()
}

/// Something that no revision makes of the input.
fn foreign(allowed: &[Expected], ends: &Ends<'_>) -> Option<String> {
    let is_allowed = |destination: &str, bytes: &[u8]| {
        allowed.iter().flat_map(|one| &one.outputs).any(|(of, wanted)| of == destination && wanted == bytes)
    };
    let foreign = ends.outputs.keys().find(|(destination, bytes)| !is_allowed(destination, bytes));
    foreign.map(|(destination, bytes)| format!("{destination} has {}", text(bytes)))
}

/// An output that is neither there nor a dead letter.
fn missing(expected: &Expected, ends: &Ends<'_>, may_lose_core: bool) -> Option<String> {
    let is_there = |destination: &str, bytes: &[u8]| {
        ends.outputs.contains_key(&(destination, bytes))
            || may_lose_core && destination.starts_with("nats:tell.")
            || ends.letters.iter().any(|letter| letter.subject.contains(".out") && letter.is_of(bytes))
    };
    let is_dead = |letter: &&Letter| letter.subject.starts_with("vrsky.dead.");
    let missing = expected.outputs.iter().find(|(destination, bytes)| !is_there(destination, bytes));
    let missing = missing.map(|(destination, bytes)| format!("{destination} has not {}", text(bytes)));
    let without = (expected.fails && !ends.letters.iter().any(is_dead))
        .then(|| "it failed, and there is no dead letter".to_owned());
    missing.or(without)
}

fn stray_letter(entry: &Entry, ends: &Ends<'_>) -> Option<String> {
    let own = ["dead", "original"].map(|kind| format!("vrsky.{kind}.{}.{}.", entry.customer, entry.name));
    let stray = ends.letters.iter().find(|letter| !own.iter().any(|own| letter.subject.starts_with(own)));
    stray.map(|letter| format!("a dead letter under {}", letter.subject))
}

/// A delivery in another's name, or one output under two keys.
fn mixed_up(entry: &Entry, ends: &Ends<'_>) -> Option<String> {
    for ((destination, _), outputs) in &ends.outputs {
        let is_own = |(customer, name): &(String, String)| customer == entry.customer && name == entry.name;
        if let Some(other) = outputs.iter().filter_map(|output| output.owner.as_ref()).find(|owner| !is_own(owner)) {
            return Some(format!("{destination} got it from {}/{}", other.0, other.1));
        }
        let ids: BTreeSet<_> = outputs.iter().filter_map(|output| output.id.as_ref()).collect();
        if ids.len() > 1 {
            return Some(format!("{destination} got it under several keys: {ids:?}"));
        }
    }
    None
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn judged(destination: &str, owner: &str, bytes: &str, accepted: bool, times: usize) -> Vec<String> {
        judged_with(|_| (), destination, owner, bytes, accepted, times)
    }

    fn judged_with(
        happens: impl Fn(&Story),
        destination: &str,
        owner: &str,
        bytes: &str,
        accepted: bool,
        times: usize,
    ) -> Vec<String> {
        let story = Story::new(0, false);
        happens(&story);
        let catalogue = Catalogue::new().unwrap();
        let pipeline = catalogue.entries.iter().position(|entry| entry.name == "line").unwrap();
        let payload = Bytes::from_static(br#"{"n":"N7N"}"#);
        let input = Input { number: 7, pipeline, payload, accepted, sent_ms: 5, repeated_ms: None };
        let output = || Output {
            destination: destination.into(),
            owner: Some((owner.into(), "line".into())),
            id: Some("1".into()),
            bytes: bytes.into(),
            at_ms: 20,
            is_unanswered: false,
        };
        let outputs = (0..times).map(|_| output()).collect();
        judge(&catalogue, &[input], &Found { outputs, letters: Vec::new() }, &story).faults
    }

    #[test]
    fn what_is_lost_doubled_changed_or_somebody_elses_is_found() {
        let (line, whole) = ("http://nova-line.sim/", r#"{"n":"N7N"}"#);
        assert_eq!(judged(line, "nova", whole, true, 1), Vec::<String>::new());
        assert_eq!(judged(line, "nova", whole, false, 0), Vec::<String>::new());
        for (destination, owner, bytes, times, words) in [
            (line, "nova", whole, 0, "has not"),
            (line, "nova", whole, 2, "no row of delivery.md"),
            (line, "nova", r#"{"n":"N7N" }"#, 1, "has {"),
            (line, "acme", whole, 1, "got it from acme/line"),
            ("http://acme-orders.sim/", "nova", whole, 1, "acme-orders.sim/ has"),
            (line, "nova", r#"{"n":"N8N"}"#, 1, "nobody has sent input 8"),
        ] {
            let faults = judged(destination, owner, bytes, true, times);
            assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
        }
    }
    #[test]
    fn a_double_needs_something_in_its_own_life() {
        let (line, whole) = ("http://nova-line.sim/", r#"{"n":"N7N"}"#);
        for (at_ms, is_allowed) in [(4, false), (5, true), (20, true), (21, false)] {
            let happens = |story: &Story| story.timeline.at(crate::timeline::KILLED, at_ms);
            let faults = judged_with(happens, line, "nova", whole, true, 2);
            assert_eq!(faults.is_empty(), is_allowed, "{at_ms}: {faults:?}");
        }
    }
}
