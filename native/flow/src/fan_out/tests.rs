use message::{Code, Limits};

use super::*;

fn path(positions: &[u32]) -> PartPath {
    positions.iter().fold(PartPath::default(), |path, position| path.child(*position))
}

#[test]
fn paths_sort_as_results_do_and_read_as_positions() {
    let sorted = [path(&[0]), path(&[1, 0]), path(&[1, 0, 9]), path(&[1, 2]), path(&[10])];
    assert!(sorted.is_sorted());
    assert_eq!(sorted[2].to_string(), "[1][0][9]");
    assert!(PartPath::default().is_whole() && !path(&[0]).is_whole());
}

#[test]
fn every_call_of_a_script_has_a_seed_of_its_own() {
    let paths: Vec<PartPath> =
        (0..20).flat_map(|a| (0..20).map(move |b| path(&[a, b]))).chain((0..20).map(|a| path(&[a]))).collect();
    let seeds =
        paths.iter().flat_map(|path| (0..9).flat_map(|stage| [path.seed(stage, None), path.seed(stage, Some(7))]));
    let different: std::collections::HashSet<u64> = seeds.clone().collect();
    // The second of part 7 and the second of the eighth result are two ways to the same place.
    assert!(different.len() >= seeds.count() - 9 * 21);
}

#[test]
fn limits_are_totals_over_the_input() {
    let limits = Limits { outputs: 2, output_bytes: 10, ..Limits::default() };
    let mut budget = OutputBudget::default();
    assert_eq!(budget.on_results(&limits, 3).unwrap_err().code(), Code::ScriptTooManyOutputs);
    budget.on_message(&limits, 5).unwrap();
    budget.on_message(&limits, 5).unwrap();
    assert_eq!(budget.on_message(&limits, 0).unwrap_err().code(), Code::DeliverTooManyOutputs);
    let mut budget = OutputBudget::default();
    assert_eq!(budget.on_message(&limits, 11).unwrap_err().code(), Code::DeliverTooManyOutputs);
    // What is dropped later is bounded too, and one message that passes script after script is not.
    let mut budget = OutputBudget::default();
    (0..1_000).for_each(|_| budget.on_results(&limits, 1).unwrap());
    let calls = (0..1_000).take_while(|_| budget.on_results(&limits, 2).is_ok()).count();
    assert_eq!(calls, 32);
}

#[test]
fn parts_that_wait_use_up_the_room() {
    let limits = Limits::default();
    let mut budget = OutputBudget::default();
    let room = budget.room(&limits);
    budget.on_waiting(100);
    assert_eq!(budget.room(&limits), room - 100);
    budget.on_waiting(room);
    assert_eq!(budget.room(&limits), 0);
}
