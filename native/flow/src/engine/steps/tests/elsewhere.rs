//! Messages that are with a script, or with the thread for large payloads.

use std::rc::Rc;

use message::Code;
use serde_json::{Value, json};

use super::*;

#[test]
fn random_numbers_follow_from_the_message_the_step_and_the_part() {
    let steps = json!([code("[Math.random(), Math.random()].map(a => ({a}))"), code("({...msg, b: Math.random()})")]);
    let mut shard = Shard::new(&steps, &stdout(), &json!({}));
    let first = shard.run("", "{}");
    shard.begin("", "{}");
    shard.run_scripts(|count| count - 1);
    assert_eq!(payloads(&shard.sent()), payloads(&first));
    let numbers: Vec<f64> = first
        .iter()
        .flat_map(|frame| {
            let value: Value = serde_json::from_str(&frame.payload).unwrap();
            [value["a"].as_f64().unwrap(), value["b"].as_f64().unwrap()]
        })
        .collect();
    let different: std::collections::HashSet<_> = numbers.iter().map(|number| number.to_bits()).collect();
    assert_eq!(different.len(), 4, "{numbers:?}");
    let processed = shard.process("{}");
    let outputs: Vec<_> = processed.outputs.iter().map(|output| &*output.payload).collect();
    assert_eq!(outputs, payloads(&first).iter().map(|payload| payload.as_bytes()).collect::<Vec<_>>());
}

#[test]
fn what_the_executor_refuses_is_sent_back_but_for_core_messages_and_parts() {
    let mut shard = Shard::new(&json!([code("msg"), code("msg")]), &stdout(), &json!({}));
    shard.begin("", "[1, 2]");
    let tasks = shard.tasks();
    shard.steps.refuse_tasks(&mut shard.settlement, tasks);
    assert!(shard.steps.is_idle() && shard.steps.waiting() == 0);
    let nak = String::from_utf8(std::mem::take(&mut shard.settlement.wire)).unwrap();
    assert!(nak.contains("-NAK"), "{nak}");
    let revision = Rc::clone(&shard.revision);
    shard.begin_as(envelope(&revision.owner, InputRef::Core), "[1, 2]");
    for expected in [1, 2] {
        let tasks = shard.tasks();
        assert_eq!(tasks.len(), expected);
        shard.steps.refuse_tasks(&mut shard.settlement, tasks);
        let mut tasks = shard.tasks();
        assert_eq!(tasks.len(), expected);
        let done = shard.run_task(tasks.remove(0));
        shard.steps.on_script(&mut shard.settlement, done);
        shard.steps.refuse_tasks(&mut shard.settlement, tasks);
    }
    shard.run_scripts(|_| 0);
    assert_eq!(payloads(&shard.sent()), ["1", "2"]);
}

#[test]
fn a_message_whose_script_was_not_run_is_sent_back_as_a_whole_and_fails_where_nobody_can_send_it_again() {
    let mut shard = Shard::new(&json!([code("msg"), code("msg")]), &stdout(), &json!({}));
    let rests = || Err(Fault::new(Code::ScriptQuarantined, "it rests"));
    shard.begin("", "[1, 2]");
    let mut tasks = shard.tasks();
    let done = shard.run_task(tasks.remove(0));
    shard.steps.on_script(&mut shard.settlement, done);
    let mut parts = shard.tasks();
    let resting = Done { outcome: rests(), ..shard.run_task(parts.remove(0)) };
    shard.steps.on_script(&mut shard.settlement, resting);
    let wire = String::from_utf8(std::mem::take(&mut shard.settlement.wire)).unwrap();
    assert!(wire.contains("-NAK") && !wire.contains("HPUB"), "{wire}");
    let late = shard.run_task(parts.remove(0));
    shard.steps.on_script(&mut shard.settlement, late);
    assert!(shard.steps.is_idle() && shard.steps.waiting() == 0 && shard.settlement.wire.is_empty());

    let revision = Rc::clone(&shard.revision);
    shard.begin_as(envelope(&revision.owner, InputRef::Core), "{}");
    let task = shard.tasks().remove(0);
    let resting = Done { outcome: rests(), ..shard.run_task(task) };
    shard.steps.on_script(&mut shard.settlement, resting);
    assert_eq!(shard.sent().len(), 1, "a dead letter");
}

#[test]
fn while_a_script_does_not_end_messages_for_scripts_are_sent_back() {
    let mut shard = Shard::new(&json!([code("msg")]), &stdout(), &json!({}));
    assert!(!shard.steps.set_stuck(true));
    shard.begin("", "{}");
    assert!(shard.tasks().is_empty() && shard.steps.is_idle());
    assert!(String::from_utf8_lossy(&shard.settlement.wire).contains("-NAK"));
    assert!(shard.steps.set_stuck(false));
    shard.settlement.wire.clear();
    assert_eq!(payloads(&shard.run("", "{}")), ["{}"]);
}

#[test]
fn a_large_payload_comes_back_from_the_thread_and_goes_on() {
    let text = "x".repeat(LARGE);
    let steps = json!([{"filter": "n > 0"}, code("({ n: msg.n })")]);
    let mut shard = Shard::new(&steps, &stdout(), &json!({}));
    let mut receiver = shard.steps.large_receiver().unwrap();
    for (n, expected) in [(1, vec![r#"{"n":1}"#]), (0, vec![])] {
        shard.begin("", json!({"n": n, "text": text}).to_string());
        let done = receiver.blocking_recv().unwrap();
        shard.steps.on_large(&mut shard.settlement, done);
        shard.run_scripts(|_| 0);
        assert_eq!(payloads(&shard.sent()), expected);
    }
    let broken = format!("{{\"text\": \"{text}\"");
    shard.begin("", &broken);
    let done = receiver.blocking_recv().unwrap();
    shard.steps.on_large(&mut shard.settlement, done);
    assert_eq!(payloads(&shard.sent()), [broken]);
}

#[test]
fn the_url_of_a_large_payload_comes_back_as_an_effect() {
    let out = json!({"http": {"url": "https://e.example/{id}"}});
    let mut shard = Shard::new(&json!([]), &out, &json!({}));
    let mut receiver = shard.steps.large_receiver().unwrap();
    let payload = json!({"id": "a b", "text": "x".repeat(LARGE)}).to_string();
    let (revision, input) = (Rc::clone(&shard.revision), shard.open());
    let envelope = envelope(&revision.owner, input);
    shard.steps.url_of_large(&revision, &envelope, 0, payload.as_bytes()).unwrap();
    let done = receiver.blocking_recv().unwrap();
    shard.steps.on_large(&mut shard.settlement, done);
    let mut effects = Vec::new();
    shard.steps.take_effects(&mut effects);
    let [Effect::Addressed { input: of, message, target, address: url, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((*of, *target, message.payload.len()), (input, 0, payload.len()));
    assert_eq!(url.as_ref().unwrap().as_deref(), Some("https://e.example/a%20b"));
}
