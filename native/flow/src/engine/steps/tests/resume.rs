//! Parts that were sent again from the dead letters.

use serde_json::json;

use super::*;

#[test]
fn a_part_goes_on_at_its_step_and_keeps_its_number() {
    let steps = json!([code("msg"), {"set": {"n": "n + 1"}}, code("msg")]);
    let mut shard = Shard::new(&steps, &stdout(), &json!({}));
    let sent = shard.resume("1:set", 5, r#"{"n": 1}"#);
    assert_eq!((payloads(&sent), parts(&sent)), (vec![r#"{"n":2}"#], vec![5]));
    assert_eq!(payloads(&shard.resume("2:script", 5, r#"{"n":1}"#)), [r#"{"n":1}"#]);
}

#[test]
fn what_a_resumed_part_becomes_has_numbers_that_no_other_part_has() {
    let steps = json!([code("msg.items"), code("msg.items || msg"), {"filter": "msg != 2.0"}]);
    let mut shard = Shard::new(&steps, &stdout(), &json!({}));
    let sent = shard.resume("1:script", 1, r#"{"items": [1, 2, 3]}"#);
    assert_eq!((payloads(&sent), parts(&sent)), (vec!["1", "3"], vec![200_000, 200_002]));
    let again = shard.resume("1:script", 200_002, r#"{"items": [4, 5]}"#);
    assert_eq!(parts(&again), [20_000_300_000, 20_000_300_001]);
    // Its numbers are those of a whole message elsewhere, but its original is not.
    let fails = json!([code("msg"), code("{ if (msg === 3) throw new Error('three'); return msg }")]);
    let mut shard = Shard::new(&fails, &stdout(), &json!({}));
    let sent = shard.resume("0:script", 1, "[3, 4]");
    assert_eq!((payloads(&sent), parts(&sent)), (vec!["3", "4"], vec![200_000, 200_001]));
    assert_eq!(sent[0].header("Vrsky-Original"), Some("acme.1"));
    let sent = shard.resume("1:script", 1, "3");
    assert_eq!((payloads(&sent), parts(&sent)), (vec!["3"], vec![1]));
    assert_eq!(sent[0].header("Vrsky-Original"), Some("acme.1"));
}

#[test]
fn a_part_that_died_behind_a_convert_is_what_it_was_there() {
    let convert = json!({"convert": {"from": "json", "to": "xml", "attribute_prefix": "-"}});
    let steps = json!([code("msg"), convert, {"filter": "o.n > 0"}]);
    let mut shard = Shard::new(&steps, &stdout(), &json!({}));
    let sent = shard.run("", r#"[{"o":{"n":"text","-id":1}},{"o":{"n":2,"-id":2}}]"#);
    let letter = sent.iter().find(|frame| frame.header("Vrsky-Code").is_some()).unwrap();
    assert_eq!((letter.kind(), letter.payload.as_str()), ("2:filter", r#"{"o":{"n":"text","-id":1}}"#));
    let repaired = letter.payload.replace("\"text\"", "7");
    let sent = shard.resume("2:filter", 0, &repaired);
    assert!(sent[0].payload.ends_with(r#"<o id="1"><n>7</n></o>"#), "{}", sent[0].payload);
    assert_eq!(sent[0].header("Content-Type"), Some("application/xml"));
}

#[test]
fn a_part_for_a_step_that_is_not_there_is_a_dead_letter() {
    let mut shard = Shard::new(&json!([code("msg")]), &stdout(), &json!({}));
    for label in ["1:script", "0:filter", ""] {
        let sent = shard.resume(label, 3, r#"{"n": 1}"#);
        assert_eq!((payloads(&sent), parts(&sent)), (vec![r#"{"n": 1}"#], vec![3]));
        assert_eq!(sent[0].header("Vrsky-Code"), Some("deliver/unknown-step"));
        assert_eq!(sent[0].header("Vrsky-Original"), Some("acme.1"));
    }
    let sent = Shard::new(&json!([]), &stdout(), &json!({})).resume("0:script", 0, "{}");
    assert_eq!(sent[0].header("Vrsky-Code"), Some("deliver/unknown-step"));
}
