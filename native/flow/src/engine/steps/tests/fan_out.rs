//! What one message becomes.

use serde_json::json;

use super::*;

#[test]
fn a_message_without_steps_goes_on_as_it_came() {
    let mut shard = Shard::new(&json!([]), &stdout(), &json!({}));
    let sent = shard.run("text/plain", "\u{1}anything");
    assert_eq!((payloads(&sent), sent[0].header("Content-Type")), (vec!["\u{1}anything"], Some("text/plain")));
    assert_eq!((sent[0].kind(), sent[0].part()), ("default", Some(0)));
}

#[test]
fn xml_of_another_charset_goes_on_in_utf_8_and_dies_as_it_came() {
    let latin1 = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>";
    let utf8 = "<?xml version='1.0' encoding='UTF-8'?><a>\u{e9}</a>";
    // Bytes that nobody reads are as they came.
    let mut shard = Shard::new(&json!([]), &stdout(), &json!({}));
    let sent = shard.run("text/xml; charset=iso-8859-1", latin1);
    assert_eq!(sent[0].header("Content-Type"), Some("text/xml; charset=iso-8859-1"));
    // Unchanged by its steps.
    let mut shard = Shard::new(&json!([{"filter": "a == 'é'"}]), &stdout(), &json!({}));
    for (content_type, media) in [
        ("text/xml; charset=iso-8859-1", Some("text/xml")),
        ("a/b+xml ;x=1;charset=latin1", Some("a/b+xml")),
        ("application/xml", Some("application/xml")),
        ("", None),
    ] {
        let sent = shard.run(content_type, latin1);
        assert_eq!((payloads(&sent), sent[0].header("Content-Type")), (vec![utf8], media), "{content_type}");
    }
    let sent = shard.run("text/xml; charset=utf-8", "<a>é</a>");
    assert_eq!((payloads(&sent), sent[0].header("Content-Type")), (vec!["<a>é</a>"], Some("text/xml; charset=utf-8")));
    // Converted.
    let mut shard = Shard::new(&json!([{"convert": {"from": "xml"}}, code("msg")]), &stdout(), &json!({}));
    let sent = shard.run("text/xml; charset=iso-8859-1", latin1);
    assert_eq!((payloads(&sent), sent[0].header("Content-Type")), (vec![r#"{"a":"é"}"#], Some("application/json")));
    // Dead, at a step before and after a script: with its own bytes and charset, so that it can be sent again.
    for step in [json!({"filter": "b == 1"}), code("{ throw new Error('no') }")] {
        let mut shard = Shard::new(&json!([{"convert": {"from": "xml"}}, step]), &stdout(), &json!({}));
        let sent = shard.run("text/xml; charset=iso-8859-1", latin1);
        assert_eq!(sent[0].header("Content-Type"), Some("text/xml; charset=iso-8859-1"));
        assert_eq!(payloads(&sent), [String::from_utf8_lossy(latin1)], "{step}");
    }
}

#[test]
fn nothing_is_published_before_the_last_part_is_through_all_scripts() {
    let mut shard = Shard::new(&json!([code("msg"), code("[{n: msg}]")]), &stdout(), &json!({}));
    shard.begin("", "[1, 2, 3]");
    let mut tasks = shard.tasks();
    let split = shard.run_task(tasks.remove(0));
    shard.steps.on_script(&mut shard.settlement, split);
    tasks = shard.tasks();
    assert_eq!((tasks.len(), shard.steps.waiting()), (3, 3));
    // The second and the third come back first.
    for task in [tasks.remove(2), tasks.remove(1)] {
        let done = shard.run_task(task);
        shard.steps.on_script(&mut shard.settlement, done);
        assert!(shard.settlement.wire.is_empty() && !shard.steps.is_idle());
    }
    let done = shard.run_task(tasks.remove(0));
    shard.steps.on_script(&mut shard.settlement, done);
    let sent = shard.sent();
    assert_eq!(payloads(&sent), [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
    assert_eq!(parts(&sent), [0, 1, 2]);
    assert_eq!(shard.steps.waiting(), 0);
}

#[test]
fn the_limit_of_outputs_is_of_the_whole_message_and_not_of_each_part() {
    let steps = json!([code("Array.from({length: 400}, (_, n) => n)"), code("msg % 3 ? [msg] : [msg, -msg]")]);
    let mut shard = Shard::new(&steps, &stdout(), &json!({}));
    let sent = shard.run("", "{}");
    assert_eq!(sent.len(), 400 + 134);
    assert_eq!(shard.process("{}").outputs.len(), 400 + 134);
    assert_eq!(parts(&sent), (0..534).collect::<Vec<_>>());
}

#[test]
fn over_its_limits_a_message_is_one_dead_letter_with_the_bytes_that_came() {
    let split = [code("[1, 2, 3]"), code("msg === 2 ? Array(7).fill('x'.repeat(100)) : ['y'.repeat(100)]")];
    for (limits, code) in [
        (json!({"outputs": 8}), "deliver/too-many-outputs"),
        (json!({"outputs": 6}), "script/too-many-outputs"),
        (json!({"output_bytes": 900}), "deliver/too-many-outputs"),
    ] {
        for first in 0..3 {
            let mut shard = Shard::new(&json!(split), &stdout(), &limits);
            shard.begin("application/vnd.order+json", r#"{"a" : 1}"#);
            shard.run_scripts(|count| first % count);
            let sent = shard.sent();
            assert_eq!(payloads(&sent), [r#"{"a" : 1}"#], "{limits}");
            assert_eq!(sent[0].header("Vrsky-Code"), Some(code));
            assert_eq!(sent[0].header("Content-Type"), Some("application/vnd.order+json"));
            assert_eq!((sent[0].part(), sent[0].header("Vrsky-Original")), (Some(0), None));
            assert_eq!(shard.steps.waiting(), 0);
            assert_eq!(shard.process("{}").fault.unwrap().code().as_str(), code);
        }
    }
}

#[test]
fn dropped_parts_do_not_count_and_failed_ones_do() {
    let dropped = json!([code("[1, 2, 3, 4]"), {"filter": "msg > 2"}, code("[msg, -msg]"), {"filter": "msg > 0"}]);
    let mut shard = Shard::new(&dropped, &stdout(), &json!({"outputs": 4}));
    assert_eq!(payloads(&shard.run("", "{}")), ["3", "4"]);
    assert_eq!(shard.count(Metric::Filtered), 4);
    let failed = json!([code("[1, 2, 3]"), code("{ if (msg === 2) throw new Error('two'); return [msg, msg] }")]);
    let mut shard = Shard::new(&failed, &stdout(), &json!({"outputs": 4}));
    assert_eq!(shard.run("", "{}")[0].header("Vrsky-Code"), Some("deliver/too-many-outputs"));
}

#[test]
fn a_failing_part_is_a_dead_letter_with_its_own_bytes_and_the_original_is_kept_once() {
    let fails = code("{ if (msg.n % 2 === 0) throw new Error('even'); return msg }");
    let steps = json!([{"convert": {"from": "xml", "numbers": ["r.w.n"]}}, code("msg.r.w"), fails]);
    let mut shard = Shard::new(&steps, &stdout(), &json!({}));
    let xml = "<r><w><n>1</n></w><w><n>2</n></w><w><n>3</n></w><w><n>4</n></w></r>";
    let sent = shard.run("application/xml", xml);
    let kinds: Vec<&str> = sent.iter().map(Frame::kind).collect();
    assert_eq!(kinds, ["default", "2:script", "acme-1", "default", "2:script"]);
    assert_eq!(payloads(&sent), [r#"{"n":1}"#, r#"{"n":2}"#, xml, r#"{"n":3}"#, r#"{"n":4}"#]);
    assert_eq!(parts(&sent), [0, 1, 0, 2, 3]);
    let types: Vec<_> = sent.iter().map(|frame| frame.header("Content-Type").unwrap()).collect();
    let (json, xml) = ("application/json", "application/xml");
    assert_eq!(types, [json, json, xml, json, json]);
    assert_eq!([1, 4].map(|letter: usize| sent[letter].header("Vrsky-Original")), [Some("acme.1"); 2]);
    assert_eq!(sent[2].subject, "vrsky.original.acme.orders.acme-1");
}

#[test]
fn a_message_that_fails_after_a_script_that_did_not_split_it_is_kept_as_it_came() {
    let steps = json!([{"convert": {"from": "xml"}}, code("({ b: 1 })"), {"filter": "c == 1"}]);
    let sent = Shard::new(&steps, &stdout(), &json!({})).run("text/xml", "<a/>");
    assert_eq!(payloads(&sent), ["<a/>"]);
    assert_eq!((sent[0].header("Content-Type"), sent[0].header("Vrsky-Original")), (Some("text/xml"), None));
    assert_eq!(sent[0].header("Vrsky-Code"), Some("filter/missing-field"));
}

#[test]
fn a_part_without_a_url_is_a_letter_of_its_out_and_the_other_out_has_it() {
    let steps = json!([code("msg"), {"route": [{"to": ["erp", "log"]}]}]);
    let out = json!({"erp": {"http": {"url": "https://e.example/{id}"}}, "log": {"stdout": {}}});
    let mut shard = Shard::new(&steps, &out, &json!({}));
    let sent = shard.run("", r#"[{"id":"7"},{"id":".."}]"#);
    let kinds: Vec<&str> = sent.iter().map(Frame::kind).collect();
    assert_eq!(kinds, ["erp", "log", "out:erp", "acme-1", "log"]);
    assert!(sent[0].header("Vrsky-Url").unwrap().ends_with(" https://e.example/7"));
    let letter = &sent[2];
    assert_eq!((letter.payload.as_str(), letter.part()), (r#"{"id":".."}"#, Some(1)));
    assert_eq!(letter.header("Content-Type"), Some("application/json"));
    assert_eq!(letter.header("Vrsky-Code"), Some("http/bad-url"));
}

#[test]
fn what_cannot_be_written_as_xml_is_kept_as_json() {
    let steps = json!([code("msg"), {"convert": {"from": "json", "to": "xml"}}]);
    let sent = Shard::new(&steps, &stdout(), &json!({})).run("", r#"[{"a":1},{"a":1,"b":2}]"#);
    assert!(sent[0].payload.ends_with("\n<a>1</a>"), "{}", sent[0].payload);
    assert_eq!(sent[1].payload, r#"{"a":1,"b":2}"#);
    let types = [0, 1].map(|frame: usize| sent[frame].header("Content-Type").unwrap());
    assert_eq!(types, ["application/xml", "application/json"]);
}
