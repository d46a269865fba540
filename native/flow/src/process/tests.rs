use std::collections::HashMap;
use std::sync::Arc;

use message::Code;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn pipeline(steps: Value, out: Value, limits: Value) -> Arc<Pipeline> {
    let file = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "steps": steps, "out": out, "limits": limits,
    });
    Pipeline::from_json(&file.to_string(), &HashMap::new()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn code(text: &str) -> Value {
    json!({"script": {"code": format!("export default (msg: any, ctx: any) => {text}")}})
}

fn message(payload: &str) -> Message<'_> {
    let headers = b"NATS/1.0\r\nSource: shop\r\n\r\n";
    Message { payload: payload.as_bytes(), content_type: "", headers, id: "m1", time_ms: 1_700_000_000_000 }
}

fn run(pipeline: &Pipeline, payload: &str) -> Processed {
    let (message, mut runner) = (message(payload), Runner::new());
    let processed = process(pipeline, &message, &mut runner);
    same_when_split(pipeline, &message, &mut runner, &processed);
    processed
}

/// Where each run of steps is served from its own lane, a message becomes the same, however much may be handed over.
fn same_when_split(pipeline: &Pipeline, message: &Message<'_>, runner: &mut Runner, fused: &Processed) {
    let parts = |one: &Processed| (one.status, one.outputs.clone(), one.fault.clone(), one.dropped_by);
    for most in [usize::MAX, 200, 0] {
        // What is more than this goes on where it is.
        let split = super::run(pipeline, message, runner, Some(most), &mut ());
        assert_eq!(parts(&split), parts(fused), "{pipeline:?} {most}");
    }
}

/// Out and payload of every output.
fn outputs(pipeline: &Pipeline, processed: &Processed) -> Vec<String> {
    let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
    processed.outputs.iter().map(|o| format!("{} {}", pipeline.outs()[o.out].name, text(&o.payload))).collect()
}

fn orders() -> Arc<Pipeline> {
    let steps = json!([
        {"convert": {"from": "xml", "arrays": ["order.items.item"], "numbers": ["order.total"]}},
        {"filter": "order.total > 100.0 && headers.Source == \"shop\""},
        {"set": {"order.net": "order.total / 2.0"}},
        code("msg.order.items.item.map((item: any, n: number) => ({...msg.order, items: undefined, item, n: n + 1})).map(({items, ...rest}: any) => rest)"),
        {"filter": "n < 3"},
        {"route": [{"when": "total > 1000.0", "to": ["audit", "erp"]}, {"to": "erp"}]},
    ]);
    let out =
        json!({"erp": {"http": {"url": "https://erp.example/{item}/{n}"}}, "audit": {"file": {"path": "a.ndjson"}}});
    pipeline(steps, out, json!({}))
}

#[test]
fn a_message_becomes_outputs_per_out() {
    let pipeline = orders();
    let order = "<order><total>2000</total><items><item>a</item><item>b b</item><item>c</item></items></order>";
    let processed = run(&pipeline, order);
    assert_eq!((processed.status, &processed.fault, processed.dropped_by), (Status::Ok, &None, Some(4)));
    let first = r#"{"total":2000,"net":1000,"item":"a","n":1}"#;
    let second = r#"{"total":2000,"net":1000,"item":"b b","n":2}"#;
    assert_eq!(
        outputs(&pipeline, &processed),
        [format!("erp {first}"), format!("audit {first}"), format!("erp {second}"), format!("audit {second}")]
    );
    assert_eq!(processed.outputs[2].url.as_deref(), Some("https://erp.example/b%20b/2"));
    assert!(processed.outputs[1].url.is_none());
    assert!(processed.outputs.iter().all(|output| output.content_type == "application/json"));
}

#[test]
fn a_drop_and_a_failure_name_their_step() {
    let pipeline = orders();
    let small = run(&pipeline, "<order><total>5</total></order>");
    assert_eq!((small.status, small.dropped_by, small.outputs.len()), (Status::Dropped, Some(1), 0));
    let failed = run(&pipeline, "<order><total>500</total></order>");
    assert_eq!((failed.status, failed.outputs.len()), (Status::Failed, 0));
    let fault = failed.fault.unwrap();
    assert_eq!((fault.code(), fault.place().step.as_deref()), (Code::ScriptThrew, Some("3:script")));
    let broken = run(&pipeline, "<order>");
    assert_eq!(broken.fault.unwrap().place().offset, Some(7));
}

#[test]
fn a_failing_part_leaves_the_others() {
    let steps = json!([code("msg"), code("[{a: 1}, {b: 2}, {a: 3}]"), {"filter": "a > 0"}]);
    let pipeline = pipeline(steps, json!({"stdout": {}}), json!({}));
    let processed = run(&pipeline, "{}");
    assert_eq!(processed.status, Status::Failed);
    assert_eq!(outputs(&pipeline, &processed), [r#"default {"a":1}"#, r#"default {"a":3}"#]);
    assert_eq!(processed.fault.unwrap().code(), Code::FilterMissingField);
}

#[test]
fn a_url_that_cannot_be_filled_fails_that_output_alone() {
    let out = json!({"erp": {"http": {"url": "https://e.example/{id}"}}, "log": {"stdout": {}}});
    let pipeline = pipeline(json!([{"route": [{"to": ["erp", "log"]}]}]), out, json!({}));
    let processed = run(&pipeline, r#"{"id": ".."}"#);
    assert_eq!(processed.status, Status::Failed);
    assert_eq!(outputs(&pipeline, &processed), [r#"log {"id": ".."}"#]);
    let fault = processed.fault.unwrap();
    assert_eq!((fault.code(), fault.place().step.as_deref()), (Code::HttpBadUrl, Some("out:erp")));
}

#[test]
fn equal_parts_can_be_edited_apart() {
    let steps = json!([code("[msg, msg]"), {"set": {"a": "a + 1"}}]);
    let pipeline = pipeline(steps, json!({"stdout": {}}), json!({}));
    assert_eq!(outputs(&pipeline, &run(&pipeline, r#"{"a":1}"#)), [r#"default {"a":2}"#, r#"default {"a":2}"#]);
}

#[test]
fn over_its_limits_a_message_gives_nothing() {
    let split = json!([code("Array.from({length: 3}, (_, n) => ({n, text: 'x'.repeat(100)}))"), code("[msg, msg]")]);
    for limits in [json!({"outputs": 5}), json!({"output_bytes": 500})] {
        let pipeline = pipeline(split.clone(), json!({"stdout": {}}), limits);
        let processed = run(&pipeline, "{}");
        assert_eq!((processed.status, processed.outputs.len()), (Status::Failed, 0));
        assert_eq!(processed.fault.unwrap().code(), Code::DeliverTooManyOutputs);
    }
    let pipeline = pipeline(json!([code("[1, 2, 3]")]), json!({"stdout": {}}), json!({"outputs": 2}));
    assert_eq!(run(&pipeline, "{}").fault.unwrap().code(), Code::ScriptTooManyOutputs);
}

#[test]
fn without_steps_bytes_go_through_as_they_are() {
    let relay = pipeline(json!([]), json!({"stdout": {}}), json!({}));
    let processed = run(&relay, "\u{1}not a format");
    assert_eq!(
        (processed.status, outputs(&relay, &processed)),
        (Status::Ok, vec!["default \u{1}not a format".to_owned()])
    );
    let http = pipeline(json!([]), json!({"http": {"url": "https://e.example/{order.id}"}}), json!({}));
    let processed = run(&http, "<order><id>7</id></order>");
    assert_eq!(processed.outputs[0].url.as_deref(), Some("https://e.example/7"));
    assert_eq!(processed.outputs[0].payload, b"<order><id>7</id></order>");
}

#[test]
fn an_unchanged_payload_keeps_its_bytes_and_its_type() {
    let pipeline = pipeline(json!([{"filter": "a == 1"}]), json!({"stdout": {}}), json!({}));
    let headers = b"NATS/1.0\r\n\r\n";
    let message = Message { payload: b" {\"a\" : 1}", content_type: "application/x+json", headers, id: "", time_ms: 0 };
    let processed = process(&pipeline, &message, &mut Runner::new());
    assert_eq!(processed.outputs[0].payload, message.payload);
    assert_eq!(processed.outputs[0].content_type, "application/x+json");
}

#[test]
fn a_dry_run_shows_the_message_after_every_step() {
    let pipeline = orders();
    let order = "<order><total>2000</total><items><item>a</item><item>b</item><item>c</item></items></order>";
    let (processed, snapshots) = dry_run(&pipeline, &message(order), &mut Runner::new());
    assert_eq!(processed.outputs, run(&pipeline, order).outputs);
    let lines: Vec<String> = snapshots.iter().map(|s| format!("{} {}", s.label, s.verdict)).collect();
    assert_eq!(
        lines,
        [
            "0:convert pass",
            "1:filter pass",
            "2:set pass",
            "3:script[0] pass",
            "4:filter[0] pass",
            "5:route[0] to erp, audit",
            "3:script[1] pass",
            "4:filter[1] pass",
            "5:route[1] to erp, audit",
            "3:script[2] pass",
            "4:filter[2] drop",
        ]
    );
    assert!(snapshots[0].payload.starts_with(br#"{"order":{"total":2000,"items""#));
    assert_eq!(snapshots[3].payload, br#"{"total":2000,"net":1000,"item":"a","n":1}"#);
    let (_, failed) = dry_run(&pipeline, &message("<order><total>500</total></order>"), &mut Runner::new());
    assert!(failed.last().unwrap().verdict.starts_with("failed: script/threw"));
    let (_, small) = dry_run(&pipeline, &message("<order><total>5</total></order>"), &mut Runner::new());
    assert_eq!(small.last().map(|s| (s.label.as_str(), s.verdict.as_str())), Some(("1:filter", "drop")));
}

#[test]
fn a_dry_run_of_what_cannot_become_xml_says_of_no_out_that_it_gets_it() {
    let steps = json!([{"set": {"b": "1"}}, {"convert": {"from": "json", "to": "xml"}}]);
    let pipeline = pipeline(steps, json!({"http": {"url": "https://e.example/"}}), json!({}));
    let (processed, snapshots) = dry_run(&pipeline, &message("{\"a\":1}"), &mut Runner::new());
    assert_eq!(processed.fault.unwrap().place().step.as_deref(), Some("1:convert"));
    let last = snapshots.last().unwrap();
    assert_eq!(last.label, "out");
    assert!(last.verdict.starts_with("failed: convert/no-single-root"), "{}", last.verdict);
}

/// Payloads that are nearly orders.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let order = "<order a='1'><total>150</total><items><item>a</item><item/></items><x>&amp;\u{e9}</x></order>";
    let bytes = any::<Vec<u8>>();
    let mutated = (any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(at, byte)| {
        let mut bytes = order.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    let cut = any::<prop::sample::Index>().prop_map(move |at| order.as_bytes()[..at.index(order.len())].to_vec());
    let json = r#"[{}\\[\\]",:a0-9.eE+ -]{0,40}"#.prop_map(String::into_bytes);
    prop_oneof![bytes, mutated, cut, json]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// No payload panics; each gives outputs, a drop, or a fault with a code and a step.
    #[test]
    fn any_payload_gives_a_verdict(payload in payload(), content_type in prop::sample::select(vec!["", "text/xml", "a/b+json"])) {
        thread_local!(static PIPELINES: Vec<Arc<Pipeline>> = vec![
            pipeline(json!([
                {"convert": {"from": "xml", "arrays": ["order.items.item"], "numbers": ["order.total"]}},
                {"filter": "order.total > 100.0 || has(order.x)"}, {"set": {"order.items.n": "size(order.items.item)"}},
                {"rename": {"order.items": "lines"}}, {"remove": ["order.x", "order[\"@a\"]"]},
                {"convert": {"from": "json"}},
            ]), json!({"http": {"url": "https://e.example/{order.total}"}}), json!({})),
            pipeline(json!([{"filter": "true"}]), json!({"stdout": {}}), json!({})),
            pipeline(json!([{"set": {"a.b": "1", "c": "msg"}}, {"convert": {"from": "json"}}]), json!({"stdout": {}}), json!({})),
        ]);
        let headers = b"NATS/1.0\r\n\r\n";
        let message = Message { payload: &payload, content_type, headers, id: "1", time_ms: 0 };
        PIPELINES.with(|pipelines| for pipeline in pipelines {
            let (processed, _) = dry_run(pipeline, &message, &mut Runner::new());
            assert_eq!(processed.status == Status::Failed, processed.fault.is_some());
            assert_eq!(processed.status == Status::Ok, !processed.outputs.is_empty() && processed.fault.is_none());
            assert!(processed.fault.iter().all(|fault| fault.place().step.is_some()), "{:?}", processed.fault);
            assert_eq!(processed.outputs, process(pipeline, &message, &mut Runner::new()).outputs);
            same_when_split(pipeline, &message, &mut Runner::new(), &processed);
        });
    }
}

/// Steps in any order, as far as they may stand in it.
fn steps() -> impl Strategy<Value = Vec<Value>> {
    let pool = vec![
        json!({"filter": "has(msg.order) || has(msg.n) || size(msg) > 0"}),
        json!({"filter": "msg.n > 1"}),
        json!({"set": {"n": "2", "order.net": "1.50"}}),
        json!({"set": {"order[\"-new\"]": "'a&b'"}}),
        json!({"rename": {"order.items": "lines", "a": "b"}}),
        json!({"remove": ["order.x", "n"]}),
        json!({"convert": {"from": "json", "to": "xml"}}),
        json!({"convert": {"from": "json", "to": "xml", "attribute_prefix": "-"}}),
        json!({"convert": {"from": "json", "to": "csv"}}),
        code("msg"),
        code("[msg, {...msg, n: Math.random()}, null].filter(part => part)"),
        code("[msg.order, msg]"),
        code("{ if (msg.n === 2) throw new Error('two'); return {...msg, n: 3, id: ctx.id}; }"),
    ];
    let xml = json!({"convert": {"from": "xml", "attribute_prefix": "-", "arrays": ["order.items.item"],
        "numbers": ["order.total"]}});
    let route = json!({"route": [{"when": "has(msg.n)", "to": ["a", "b"]}, {"to": "b"}]});
    let rest = prop::collection::vec(prop::sample::select(pool), 1..6);
    (any::<bool>(), rest, any::<bool>()).prop_map(move |(from_xml, rest, routes)| {
        let first = from_xml.then(|| xml.clone());
        first.into_iter().chain(rest).chain(routes.then(|| route.clone())).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_message_becomes_the_same_wherever_its_steps_are_cut(steps in steps(), text in "[ -~é\u{1F600}]{0,8}", n in 0_u8..4) {
        let out = json!({"a": {"http": {"url": "https://e.example/{n}"}}, "b": {"stdout": {}}});
        let file = json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "steps": steps, "out": out,
        });
        // Not every order of steps is one of a pipeline.
        let Ok(pipeline) = Pipeline::from_json(&file.to_string(), &HashMap::new()) else { return Ok(()) };
        let escaped = text.replace('&', "&amp;").replace('<', "&#60;").replace('"', "&quot;");
        let xml = format!(
            "<?xml version='1.0'?><order id=\"{escaped}\" a='1'><total>1.50</total><items><item>{escaped}</item><item/></items>\
             <x>&#233;{escaped}<y/></x></order>"
        );
        let text = serde_json::to_string(&text).unwrap();
        let json = format!(
            "{{ \"order\" : {{\"x\":[ 1.0, {text}], \"items\": {{\"\\u0069d\":12345678901234567890123}} }},\"a\":{text}, \"n\": {n} }}"
        );
        let runner = &mut Runner::new();
        for (payload, content_type) in [(&xml, ""), (&json, ""), (&json, "application/x+json")] {
            let headers = b"NATS/1.0\r\nSource: shop\r\n\r\n";
            let message = Message { payload: payload.as_bytes(), content_type, headers, id: "m1", time_ms: 7 };
            let fused = process(&pipeline, &message, runner);
            same_when_split(&pipeline, &message, runner, &fused);
        }
    }
}
