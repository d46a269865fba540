//! Two revisions of one pipeline: what each has run and failed is counted as its own, and told to the outs.

use super::*;
use crate::engine::canary::CANARY;
use crate::engine::observe::{Role, RunCounts};

/// The active revision and a canary, of these steps; both of one shard.
fn both(active: &Value, canary: &Value) -> (Shard, Rc<Revision>) {
    let file = |steps: &Value| {
        let file = json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "steps": steps,
            "out": {"stdout": {}},
        });
        Pipeline::from_json(&file.to_string(), &()).unwrap()
    };
    let settings = json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": "."});
    let settings = serde_json::from_value(settings).unwrap();
    let counters = vec![Arc::new(Counters::default())];
    let prepared = Prepared::new(file(active), Secrets::default(), counters, &settings).unwrap();
    let prepared = prepared.with_canary(file(canary), 500_000, None).unwrap();
    let mut shard = Shard { split: None, ..Shard::new(&json!([]), &stdout(), &json!({})) };
    shard.revision = Registry::new(0).install(&prepared, Vec::new()).0;
    let canary = Rc::clone(shard.revision.canary().unwrap());
    (shard, canary)
}

fn counted(shard: &Shard) -> [RunCounts; 2] {
    let runs = &shard.revision.owner.trial.as_ref().unwrap().runs;
    let meters = &shard.settlement.meters().runs;
    let found = Role::ALL.map(|role| runs.of(role));
    assert_eq!(found, Role::ALL.map(|role| meters.of(role)), "a scrape sees the same");
    found
}

#[test]
fn a_message_fails_once_however_many_of_its_parts_do_and_for_its_own_revision() {
    let split = code("[1, 2, 3].map(part => ({part}))");
    let (mut shard, canary) = both(&json!([split, {"filter": "part > 0"}]), &json!([split, {"filter": "nothing > 0"}]));
    let active = Rc::clone(&shard.revision);
    for revision in [&active, &canary, &canary] {
        shard.revision = Rc::clone(revision);
        shard.settlement.note_run(&revision.owner);
        shard.run("application/json", "{}");
    }
    shard.run("application/json", "no JSON");
    let counts = |messages, failed| RunCounts { messages, failed };
    assert_eq!(counted(&shard), [counts(1, 0), counts(2, 3)]);
}

#[test]
fn an_output_says_whether_a_canary_has_made_it() {
    let (mut shard, canary) = both(&json!([{"set": {"v": "1"}}]), &json!([{"set": {"v": "2"}}]));
    let of_active = shard.run("application/json", "{}");
    shard.revision = Rc::clone(&canary);
    let of_canary = shard.run("application/json", "{}");
    assert_eq!((payloads(&of_active), of_active[0].header(CANARY)), (vec![r#"{"v":1}"#], None));
    assert_eq!(
        (payloads(&of_canary), of_canary[0].header(CANARY)),
        (vec![r#"{"v":2}"#], Some(canary.owner.revision()))
    );
}
