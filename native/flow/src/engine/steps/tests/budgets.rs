//! One customer's messages wait for a slow script: what that leaves to the others.

use std::rc::Rc;

use serde_json::json;

use super::*;

/// More than all messages of streams may be together.
const MANY: usize = 10_000;

/// A shard of two customers; the second's revision.
fn shared() -> (Shard, Rc<Revision>) {
    let mut registry = Registry::new(0);
    let mut install = |customer| install(&mut registry, customer, (&json!([code("msg")]), &stdout(), &json!({})));
    let (busy, quiet) = (install("busy"), install("quiet"));
    let shard = Shard::new(&json!([]), &stdout(), &json!({}));
    (Shard { revision: busy, ..shard }, quiet)
}

/// A message of a stream; whether it waits for its script.
fn pulled(shard: &mut Shard, revision: &Rc<Revision>) -> bool {
    let (owner, waiting) = (&revision.owner, shard.steps.waiting());
    let (revision_id, customer) = (owner.id, owner.customer_id);
    let input = Input { origin: Origin::JetStream, revision: revision_id, customer, bytes: 1, token: ACK };
    let input = shard.settlement.open(&input);
    shard.steps.run(&mut shard.settlement, revision, &envelope(owner, input), b"{}", None);
    shard.steps.waiting() > waiting
}

/// Runs the scripts of both customers, each once.
fn run_all(shard: &mut Shard, quiet: &Rc<Revision>) {
    let busy = Rc::clone(&shard.revision);
    for task in shard.tasks() {
        let is_quiet = quiet.pipeline().programs().any(|program| program.id() == task.program);
        shard.revision = Rc::clone(if is_quiet { quiet } else { &busy });
        let done = shard.run_task(task);
        shard.steps.on_script(&mut shard.settlement, done);
    }
    shard.revision = busy;
}

#[test]
fn core_messages_that_wait_for_a_script_take_no_room_of_what_is_asked_for() {
    let (mut shard, quiet) = shared();
    let busy = Rc::clone(&shard.revision);
    for _ in 0..MANY {
        shard.begin_as(envelope(&busy.owner, InputRef::Core), "{}");
    }
    assert_eq!((shard.steps.waiting(), shard.count(Metric::Lost)), (MANY, 0));
    assert!(!shard.steps.is_full(0) && shard.steps.has_room(&busy) && shard.steps.has_room(&quiet));
    assert!(pulled(&mut shard, &quiet) && pulled(&mut shard, &busy));
    run_all(&mut shard, &quiet);
    assert_eq!(shard.sent().len(), MANY + 2);
}

#[test]
fn messages_of_streams_beyond_their_room_are_sent_back_but_for_a_floor_of_each_customer() {
    let (mut shard, quiet) = shared();
    let busy = Rc::clone(&shard.revision);
    let waiting = (0..MANY).filter(|_| pulled(&mut shard, &busy)).count();
    assert!(waiting < MANY && !shard.steps.has_room(&busy));
    let naks = String::from_utf8_lossy(&shard.settlement.wire).matches("-NAK").count();
    assert_eq!(waiting + naks, MANY);
    assert!(shard.steps.has_room(&quiet) && pulled(&mut shard, &quiet));
    shard.settlement.wire.clear();
    run_all(&mut shard, &quiet);
    assert_eq!(shard.sent().len(), waiting + 1);
    assert!(shard.steps.has_room(&busy) && pulled(&mut shard, &busy));
}

#[test]
fn what_core_messages_become_beyond_their_customers_bytes_is_lost_and_others_go_on() {
    let results = code("Array.from({ length: 2 }, () => ({ text: 'x'.repeat(7 << 20) }))");
    let mut shard = Shard::new(&json!([results, code("msg")]), &stdout(), &json!({"script": {"cpu_ms": 10_000}}));
    let revision = Rc::clone(&shard.revision);
    (0..6).for_each(|_| shard.begin_as(envelope(&revision.owner, InputRef::Core), "{}"));
    for task in shard.tasks() {
        let done = shard.run_task(task);
        shard.steps.on_script(&mut shard.settlement, done);
    }
    let lost = shard.count(Metric::Lost);
    assert!((1..6).contains(&lost), "{lost}");
    shard.run_scripts(|_| 0);
    assert_eq!(shard.sent().len() as u64, 2 * (6 - lost));
}
