//! What a script reads equals `JSON.parse`, whatever it does to it; what it does not touch keeps its
//! bytes.

use std::sync::{Arc, LazyLock};

use crate::support::{program, run_in, run_task, task, texts};
use message::{Code, Limits};
use proptest::prelude::*;
use script::{Program, Runner, Task};
use serde_json::{Value, json};

/// Runs a list of operations on two objects that should be equal, and notes what can be observed.
const INTERPRETER: &str = include_str!("interpreter.js");

static RUNNER: LazyLock<Runner> = LazyLock::new(Runner::new);
static PROGRAM: LazyLock<Arc<Program>> = LazyLock::new(|| program(INTERPRETER));

static READING: LazyLock<Arc<Program>> =
    LazyLock::new(|| program("export default msg => { msg.a; Object.keys(msg); JSON.stringify(msg); return msg }"));
static WRITING: LazyLock<Arc<Program>> = LazyLock::new(|| program("export default msg => { msg.c = 1; return msg }"));

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-d]",
        1 => "[0-3]",
        1 => Just("__proto__".to_owned()),
        1 => Just("constructor".to_owned()),
        1 => Just("toString".to_owned()),
        1 => Just("toJSON".to_owned()),
        1 => Just("length".to_owned()),
        1 => Just("01".to_owned()),
        1 => Just("4294967295".to_owned()),
        1 => "[\\PC]{0,3}",
    ]
}

/// JSON text: members stay in the order in which they were made up.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i32>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| json!(number).to_string()),
        "-?[1-9][0-9]{15,24}(\\.[0-9]{1,9})?",
        Just("-0".to_owned()),
        Just("1.50e2".to_owned()),
        "[\\PC\n\"\\\\]{0,8}".prop_map(|text| json!(text).to_string()),
        Just(r#""\u00e9\ud83d\ude00""#.to_owned()),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key(), inner), 0..7).prop_map(|mut members| {
                let mut seen = std::collections::HashSet::new();
                members.retain(|(key, _)| seen.insert(key.clone()));
                let members = members.iter().map(|(key, value)| format!("{}:{value}", json!(key)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// A way into a document: keys that are not there are passed over by the interpreter.
fn path() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof![key(), "[0-2]"], 0..4)
}

fn operation() -> impl Strategy<Value = Value> {
    (0..32u8, path(), key(), value(), path()).prop_map(|(kind, path, key, value, other)| {
        let value: Value = serde_json::from_str(&value).unwrap();
        json!({ "kind": kind, "path": path, "key": key, "value": value, "other": other })
    })
}

/// Equal as JSON values: numbers by their double, members without their order.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_view_behaves_as_json_parse(document in value(), operations in prop::collection::vec(operation(), 0..14)) {
        let message = format!(
            r#"{{"document":{document},"text":{},"operations":{}}}"#,
            json!(document), json!(operations)
        );
        let limits = Arc::new(Limits { script_cpu_ms: 10_000, ..Limits::default() });
        let done = run_task(&RUNNER, &PROGRAM, Task { limits, ..task(&PROGRAM, &message) });
        let texts = texts(&done).unwrap();
        let results: Vec<Value> = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let [view, parsed, view_log, parsed_log] = &results[..] else { panic!("{texts:?}") };
        prop_assert_eq!(view_log, parsed_log);
        prop_assert!(same(view, parsed), "{}\n{}", view, parsed);
    }

    #[test]
    fn an_untouched_message_keeps_its_bytes(document in value()) {
        let text = document;
        let wrapped = format!("{{ \"a\" : {text},\n \"b\": 1.50 }}");
        let read = run_in(&RUNNER, &READING, &wrapped);
        prop_assert!(read.document.is_unchanged());
        prop_assert_eq!(texts(&read).unwrap(), [wrapped.clone()]);
        let written = run_in(&RUNNER, &WRITING, &wrapped);
        prop_assert_eq!(texts(&written).unwrap(), [format!("{{\"a\":{text},\"b\":1.50,\"c\":1}}")]);
    }
}

#[test]
fn a_name_is_not_taken_for_another_one_with_its_bytes_in_latin_1() {
    let copies = program("export default msg => [Object.keys(msg), { ...msg }]");
    let runner = Runner::new();
    for name in ["\u{c3}\u{a9}", "\u{e9}", "\u{c2}\u{a5}", "\u{a5}", "\u{e2}\u{82}\u{ac}", "\u{20ac}"] {
        let done = run_in(&runner, &copies, &format!(r#"{{"{name}":1}}"#));
        assert_eq!(texts(&done).unwrap(), [format!(r#"["{name}"]"#), format!(r#"{{"{name}":1}}"#)]);
    }
}

#[test]
fn untouched_parts_keep_their_bytes() {
    let message = r#"{"order":{"id":12345678901234567890,"total":1.50,"lines":[ {"n":1.0} , {"n":2.00} ],"tags":[1.0,2.50],"to":{"name":"\u00e9"}}}"#;
    for (script, expected) in [
        (
            "msg.order.net = 2; return msg",
            r#"{"order":{"id":12345678901234567890,"total":1.50,"lines":[ {"n":1.0} , {"n":2.00} ],"tags":[1.0,2.50],"to":{"name":"\u00e9"},"net":2}}"#,
        ),
        ("msg.order.lines[1].x = 1; return msg.order.lines", r#"[{"n":1.0},{"n":2.00,"x":1}]"#),
        (
            "msg.order.tags.push(3); return { tags: msg.order.tags, all: msg.order }",
            r#"{"tags":[1,2.5,3],"all":{"id":12345678901234567890,"total":1.50,"lines":[ {"n":1.0} , {"n":2.00} ],"tags":[1.0,2.50,3],"to":{"name":"\u00e9"}}}"#,
        ),
        (
            "delete msg.order.lines; delete msg.order.tags; return msg",
            r#"{"order":{"id":12345678901234567890,"total":1.50,"to":{"name":"\u00e9"}}}"#,
        ),
        (
            "msg.order.to.name += '!'; return { ...msg.order, lines: 0, tags: 0 }",
            r#"{"id":12345678901234567890,"total":1.5,"lines":0,"tags":0,"to":{"name":"é!"}}"#,
        ),
    ] {
        let done = crate::support::run(&format!("export default msg => {{ {script} }}"), message);
        let texts = texts(&done).unwrap();
        let got = if texts.len() == 1 { texts[0].clone() } else { format!("[{}]", texts.join(",")) };
        assert_eq!(got, expected, "{script}");
    }
}

#[test]
fn a_number_beyond_a_double_keeps_its_digits_wherever_it_is_put() {
    for (script, message, expected) in [
        (
            "m",
            "[12345678901234567890, 0.1000000000000000055,1e400]",
            "12345678901234567890 0.1000000000000000055 1e400",
        ),
        ("m", "[[1e400, 1.50], {\"a\":1e400}]", "[1e400, 1.50] {\"a\":1e400}"),
        ("m", "9007199254740993", "9007199254740993"),
        ("m", "1e400", "1e400"),
        ("[m]", "[1.50,1e400]", "[1.50,1e400]"),
        ("(m.push(2), [m])", "[1.50,[1e400]]", "[1.50,[1e400],2]"),
        ("(m[1].push(2), m)", "[1.50,[1e400]]", "1.50 [1e400,2]"),
        ("({ ...m, seen: 1 })", r#"{"id":12345678901234567890}"#, r#"{"id":12345678901234567890,"seen":1}"#),
        ("m.ids.map(id => ({ id }))", r#"{"ids":[-9007199254740993,3.0]}"#, r#"{"id":-9007199254740993} {"id":3}"#),
        ("(m.ids.shift(), m)", r#"{"ids":[1,12345678901234567890]}"#, r#"{"ids":[12345678901234567890]}"#),
        ("({ all: m.a })", r#"{"a":1234567890123.4567}"#, r#"{"all":1234567890123.4567}"#),
        // Read, and left where they are: nothing to tell apart.
        (
            "(m.a, m.b, m)",
            r#"{"a":12345678901234567890,"b":12345678901234567891}"#,
            r#"{"a":12345678901234567890,"b":12345678901234567891}"#,
        ),
        (
            "(m.a, m.c = 1, m)",
            r#"{"a":[12345678901234567890,12345678901234567891]}"#,
            r#"{"a":[12345678901234567890,12345678901234567891],"c":1}"#,
        ),
        ("m", "[12345678901234567890,12345678901234567891]", "12345678901234567890 12345678901234567891"),
        (
            "(m.ids.reverse(), m)",
            r#"{"ids":[9007199254740993,9007199254740992]}"#,
            r#"{"ids":[9007199254740993,9007199254740992]}"#,
        ),
        // A list that is changed in its place keeps what reads as it did there; what is assigned is written by value.
        (
            "([m.ids[0], m.ids[1]] = [m.ids[1], m.ids[0]], m)",
            r#"{"ids":[9007199254740993,9007199254740992]}"#,
            r#"{"ids":[9007199254740993,9007199254740992]}"#,
        ),
        ("(m.ids[0] = m.ids[0], m)", r#"{"ids":[1.50,2.50]}"#, r#"{"ids":[1.50,2.50]}"#),
        ("(m.ids[0] = 1.5, m)", r#"{"ids":[1.50,2.50]}"#, r#"{"ids":[1.50,2.50]}"#),
        ("(m.ids[0] = 3, m)", r#"{"ids":[1.50,2.50]}"#, r#"{"ids":[3,2.50]}"#),
        ("(m.ids.push(3), m)", r#"{"ids":[1.50,2.50]}"#, r#"{"ids":[1.50,2.50,3]}"#),
        ("(m.ids.unshift(3), m)", r#"{"ids":[1.50,2.50]}"#, r#"{"ids":[3,1.5,2.5]}"#),
        ("(m.ids.reverse(), m)", r#"{"ids":[1.50,1.5, 1.500]}"#, r#"{"ids":[1.50,1.5, 1.500]}"#),
        ("(m.a = m.a, m)", r#"{"a":1.50}"#, r#"{"a":1.5}"#),
        ("(m.o.k = m.o.k, m)", r#"{"o":{"k":1.50}}"#, r#"{"o":{"k":1.5}}"#),
        ("(m.ids = m.ids, m)", r#"{"ids":[1.50,2.50]}"#, r#"{"ids":[1.5,2.5]}"#),
        ("(m.o = m.o, m)", r#"{"o":{"k":1.50}}"#, r#"{"o":{"k":1.50}}"#),
        ("(m.ids = [...m.ids], m)", r#"{"ids":[1.50,2.50]}"#, r#"{"ids":[1.5,2.5]}"#),
        // Other numbers are not taken for one that was read.
        (
            "({ rate: 0.1, percent: 100, x: m.a + m.b })",
            r#"{"a":0.1000000000000000055,"b":100.00000000000000000001}"#,
            r#"{"rate":0.1,"percent":100,"x":100.1}"#,
        ),
        ("({ n: m.id / 10 })", r#"{"id":12345678901234567890}"#, r#"{"n":1234567890123456800}"#),
        ("({ n: m.tiny })", r#"{"tiny":1e-400}"#, r#"{"n":0}"#),
        // One that loses nothing is written as JavaScript writes it.
        (
            "({ list: [m.a, m.b, m.c] })",
            r#"{"a":1E16,"b":9007199254740992.0,"c":123456789012345680000}"#,
            r#"{"list":[10000000000000000,9007199254740992,123456789012345680000]}"#,
        ),
        (
            "({ list: [m.a, m.b] })",
            r#"{"a":1e16,"b":10000000000000000}"#,
            r#"{"list":[10000000000000000,10000000000000000]}"#,
        ),
        // What a script writes itself or computes is known again, too, if it is the same double.
        (
            "({ own: 12345678901234567000, next: m.id + 1, far: m.id + 4096 })",
            r#"{"id":12345678901234567890}"#,
            r#"{"own":12345678901234567890,"next":12345678901234567890,"far":12345678901234571000}"#,
        ),
    ] {
        let done = crate::support::run(&format!("export default m => {script}"), message);
        assert_eq!(texts(&done).unwrap().join(" "), expected, "{script} {message}");
    }
}

#[test]
fn numbers_that_javascript_cannot_tell_apart_are_refused_where_one_is_written() {
    for (script, field) in [
        ("({ first: { id: m.b } })", "first.id"),
        ("({ ...m })", "a"),
        ("(m.a = m.b, m)", "a"),
        ("(m.list.shift(), m)", "list[0]"),
        ("m.list.map(id => ({ id }))", "[0].id"),
    ] {
        let message = r#"{"a":12345678901234567890,"b":12345678901234567891,"list":[12345678901234567892,12345678901234567893,1]}"#;
        let script = format!("export default m => {{ m.a; m.b; m.list; return {script} }}");
        let fault = crate::support::run(&script, message).outcome.unwrap_err();
        assert_eq!(fault.code(), Code::ScriptNumberPrecision, "{script}: {fault}");
        assert_eq!(fault.place().field.as_deref(), Some(field), "{script}: {fault}");
    }
}

/// Also where one of them is exactly the double: it would be written in place of the other.
#[test]
fn a_number_that_loses_nothing_is_refused_beside_one_that_reads_the_same() {
    for (a, b) in [
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("12345678901234567890", "12345678901234567168"),
        ("10000000000000001", "1e16"),
        ("-10000000000000001", "-1e16"),
        ("0.30000000000000004", "0.3000000000000000444"),
    ] {
        for (a, b) in [(a, b), (b, a)] {
            let message = format!(r#"{{"a":{a},"b":{b},"list":[{a},{b}]}}"#);
            for (script, field) in [
                ("({ ids: [m.a, m.b] })", "ids[0]"),
                ("(m.a, { id: m.b })", "id"),
                ("(m.list.shift(), m)", "list[0]"),
                ("(m.list.pop(), m)", "list[0]"),
                ("(m.list.reverse(), { list: [...m.list] })", "list[0]"),
            ] {
                let fault =
                    crate::support::run(&format!("export default m => {script}"), &message).outcome.unwrap_err();
                assert_eq!(fault.code(), Code::ScriptNumberPrecision, "{script} {message}: {fault}");
                assert_eq!(fault.place().field.as_deref(), Some(field), "{script} {message}: {fault}");
            }
        }
    }
}

#[test]
fn the_numbers_of_one_message_are_forgotten_with_it() {
    let (runner, program) =
        (Runner::new(), program("export default m => m.id ? { id: m.id } : { id: 12345678901234567890 }"));
    let run = |json: &str| texts(&run_in(&runner, &program, json)).unwrap().remove(0);
    assert_eq!(run(r#"{"id":12345678901234567891}"#), r#"{"id":12345678901234567891}"#);
    assert_eq!(run("{}"), r#"{"id":12345678901234567000}"#);
    assert_eq!(run(r#"{"id":12345678901234567892}"#), r#"{"id":12345678901234567892}"#);
}

#[test]
fn parts_used_twice_can_be_edited_apart() {
    let message = r#"{"a":{"b":{"c":[1,{"d":2}]}}}"#;
    for script in [
        "return [msg, msg]",
        "return [msg, { a: msg.a }]",
        "return [{ a: msg.a }, msg]",
        "msg.a.b; return [msg, { a: { b: msg.a.b } }]",
        "return [{ a: { b: msg.a.b } }, msg]",
        "return [{ a: { b: { c: msg.a.b.c } } }, { a: msg.a }]",
        "msg.x = 1; delete msg.x; msg.a.b; return [msg, { a: msg.a }, msg]",
        "return [{ a: { b: { c: [1, msg.a.b.c[1]] } } }, msg]",
    ] {
        let done = crate::support::run(&format!("export default msg => {{ {script} }}"), message);
        let roots = done.outcome.unwrap();
        let mut document = done.document;
        for (number, root) in roots.iter().enumerate() {
            document.set_root(*root);
            let value = document.push_i64(i64::try_from(number).unwrap());
            document.set(&message::Path::parse("a.b.c[1].d").unwrap(), value).unwrap();
        }
        for (number, root) in roots.iter().enumerate() {
            document.set_root(*root);
            let mut text = Vec::new();
            formats::json::emit(&document, &mut text);
            let expected = format!(r#"{{"a":{{"b":{{"c":[1,{{"d":{number}}}]}}}}}}"#);
            assert_eq!(String::from_utf8(text).unwrap(), expected, "{script}");
        }
    }
}

#[test]
fn a_view_may_be_kept_for_later_messages() {
    let source = "let last, first; export default msg => {
      const seen = { n: msg.n, before: last?.n ?? null, deep: last?.a.b.c ?? null, first: first?.n ?? null, list: last?.list ?? [] };
      last = msg; first ??= msg;
      return seen
    }";
    let (runner, program) = (Runner::new(), program(source));
    let run = |n: u32| {
        let json = format!(r#"{{"n":{n},"a":{{"b":{{"c":"c{n}"}}}},"list":[{{"n":{n}}}]}}"#);
        texts(&run_in(&runner, &program, &json)).unwrap().remove(0)
    };
    assert_eq!(run(1), r#"{"n":1,"before":null,"deep":null,"first":null,"list":[]}"#);
    assert_eq!(run(2), r#"{"n":2,"before":1,"deep":"c1","first":1,"list":[{"n":1}]}"#);
    assert_eq!(run(3), r#"{"n":3,"before":2,"deep":"c2","first":1,"list":[{"n":2}]}"#);
}

#[test]
fn messages_that_are_kept_count_as_memory() {
    let source = "const kept = []; export default msg => { kept.push(msg); return kept.length }";
    let (runner, program) = (Runner::new(), program(source));
    let json = format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20));
    let failed = (0..60).any(|_| run_in(&runner, &program, &json).outcome.is_err());
    // The runtime was thrown away in between, with everything that was kept.
    let last = texts(&run_in(&runner, &program, &json));
    assert!(failed || last.unwrap()[0].parse::<u32>().unwrap() < 60);
}

#[test]
fn cycles_through_views_are_collected() {
    let source = "export default msg => { msg.self = msg; msg.list = [msg]; return { ok: msg.self === msg && msg.list[0] === msg } }";
    let (runner, program) = (Runner::new(), program(source));
    let json = format!(r#"{{"text":"{}","a":{{"b":[{{"c":1}}]}}}}"#, "x".repeat(1 << 16));
    for _ in 0..2000 {
        assert_eq!(texts(&run_in(&runner, &program, &json)).unwrap(), [r#"{"ok":true}"#]);
    }
}

#[test]
fn xml_reads_as_its_json_model() {
    let mut document = message::Document::default();
    let options = formats::xml::XmlOptions { arrays: vec!["order.note".parse().unwrap()], ..Default::default() };
    let xml = br#"<order id="1"><item n="a">x &amp; y</item><item n="b"/><note>only</note><to><name>M&#252;ller</name></to></order>"#;
    formats::xml::Reader::new(&options).unwrap().parse(xml, &Limits::default(), &mut document).unwrap();
    document.set_format(message::Format::Json);
    let source = "export default msg => {
      const { order } = msg;
      order.seen = [order['@id'], order.item.length, order.item[0]['#text'], order.item[1]['@n'], Array.isArray(order.note), order.note[0], order.to.name];
      return [msg, order.item[0], { item: order.item, note: order.note }]
    }";
    let program = program(source);
    let done = run_task(&Runner::new(), &program, Task { document, ..task(&program, "{}") });
    assert_eq!(
        texts(&done).unwrap(),
        [
            r##"{"order":{"@id":"1","item":[{"@n":"a","#text":"x & y"},{"@n":"b"}],"note":["only"],"to":{"name":"Müller"},"seen":["1",2,"x & y","b",true,"only","Müller"]}}"##,
            r##"{"@n":"a","#text":"x & y"}"##,
            r##"{"item":[{"@n":"a","#text":"x & y"},{"@n":"b"}],"note":["only"]}"##,
        ]
    );
}
