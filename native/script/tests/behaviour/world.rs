//! What a script sees besides the message: `ctx`, the time, random numbers, and what it may keep.

use std::sync::Arc;

use formats::table::{JsonOptions, Options, parse};
use message::{Code, Tables};
use script::{Done, Runner, Task, TaskOwner};

use crate::support::{context, outputs, program, run_in, run_task, task, texts};

#[test]
fn ctx_tells_of_the_message() {
    let source = "export default (msg, ctx) => ({ ...ctx, random: typeof ctx.random(), lookup: typeof ctx.lookup, uuid: typeof ctx.uuid(), table: typeof ctx.table, headers: { ...ctx.headers }, keys: Object.keys(ctx) })";
    let expected = concat!(
        r#"{"id":"0123456789abcdef","customer":"acme","pipeline":"orders","revision":"7","now":1700000000123,"#,
        r#""headers":{"customer-id":"acme","x-trace":"a"},"random":"number","lookup":"function","uuid":"string","table":"function","#,
        r#""keys":["id","customer","pipeline","revision","now","headers","random","lookup","uuid","table"]}"#,
    );
    assert_eq!(outputs(source, "{}"), [expected]);
}

#[test]
fn ctx_is_the_current_messages_even_when_it_was_kept() {
    let source = "let kept; export default (msg, ctx) => { kept ??= ctx; return kept.id + kept.headers['x-trace'] }";
    let (runner, program) = (Runner::new(), program(source));
    assert_eq!(texts(&run_in(&runner, &program, "{}")).unwrap(), ["\"0123456789abcdefa\""]);
    let mut second = task(&program, "{}");
    second.context.id = "second".into();
    second.context.headers = (*b"NATS/1.0\r\nX-Trace: z\r\n\r\n").into();
    assert_eq!(texts(&run_task(&runner, &program, second)).unwrap(), ["\"secondz\""]);
}

#[test]
fn the_clock_stands_at_the_messages_time() {
    let source = "export default (msg, ctx) => [
      Date.now() === ctx.now, new Date().getTime() === ctx.now, new Date().toISOString(), new Date(0).toISOString(),
      new Date(2020, 1).getFullYear(), Date.UTC(2020, 0), Date.parse('2020-01-01T00:00:00Z'), typeof Date(),
      new Date() instanceof Date, new Date().constructor === Date, Date.length, Date.name,
      new (class Own extends Date { twice() { return 2 * this.getTime() } })(21).twice(),
      Object.prototype.toString.call(new Date()),
    ]";
    assert_eq!(
        outputs(source, "{}"),
        [
            "true",
            "true",
            "\"2023-11-14T22:13:20.123Z\"",
            "\"1970-01-01T00:00:00.000Z\"",
            "2020",
            "1577836800000",
            "1577836800000",
            "\"string\"",
            "true",
            "true",
            "7",
            "\"Date\"",
            "42",
            "\"[object Date]\"",
        ]
    );
}

#[test]
fn random_numbers_follow_from_the_message() {
    let source = "export default (msg, ctx) => [Math.random(), ctx.random(), Math.random(), ctx.random()]";
    let (runner, program) = (Runner::new(), program(source));
    let run = |id: &str, time_ms: u64| {
        let mut task = task(&program, "{}");
        task.context.id = id.into();
        task.context.time_ms = time_ms;
        texts(&run_task(&runner, &program, task)).unwrap()
    };
    let first = run("a", 1);
    assert_eq!(first, run("a", 1), "a redelivered message sees the same numbers");
    assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    assert_ne!(first, run("b", 1));
    assert_eq!(first, run("a", 2), "a request repeated under its key sees the same numbers");
    for number in first {
        assert!((0.0..1.0).contains(&number.parse::<f64>().unwrap()));
    }
}

#[test]
fn top_level_state_stays_within_the_customer_and_the_script() {
    let source = "let count = 0; export default () => ({ count: ++count })";
    let (runner, first, second) = (Runner::new(), program(source), program(source));
    let run = |program: &Arc<script::Program>, customer: &str| {
        let task = Task { context: context(customer), ..task(program, "{}") };
        texts(&run_task(&runner, program, task)).unwrap().remove(0)
    };
    assert_eq!(run(&first, "acme"), r#"{"count":1}"#);
    assert_eq!(run(&first, "acme"), r#"{"count":2}"#);
    assert_eq!(run(&second, "acme"), r#"{"count":1}"#);
    assert_eq!(run(&first, "other"), r#"{"count":1}"#);
    assert_eq!(run(&first, "acme"), r#"{"count":3}"#);
}

#[test]
fn frozen_prototypes_do_not_forbid_own_properties() {
    let source = "
class Refused extends Error { constructor(reason) { super(reason); this.name = 'Refused'; this.message = 'no: ' + reason } }
export default msg => {
  const o = {}; o.toString = () => 'own'; o.constructor = 1; o.valueOf = 2; o['hasOwnProperty'] = 3;
  const f = () => 1; f.toString = () => 'f';
  const error = new Refused('x');
  function Old() {} Old.prototype.toString = () => 'old'; Old.prototype.constructor = Old;
  return { a: `${o}`, b: Object.keys(o), c: `${f}`, d: error.name, e: error.message, f: `${error}`, g: `${new Old()}`, h: error instanceof Error }
}";
    let expected = r#"{"a":"own","b":["toString","constructor","valueOf","hasOwnProperty"],"c":"f","d":"Refused","e":"no: x","f":"Refused: no: x","g":"old","h":true}"#;
    assert_eq!(outputs(source, "{}"), [expected]);
}

#[test]
fn callbacks_of_promises_run_before_the_message_leaves() {
    let source =
        "let late = 0; export default msg => { Promise.resolve().then(() => { msg.late = ++late }); return msg }";
    let (runner, program) = (Runner::new(), program(source));
    assert_eq!(texts(&run_in(&runner, &program, "{}")).unwrap(), [r#"{"late":1}"#]);
    assert_eq!(texts(&run_in(&runner, &program, "{}")).unwrap(), [r#"{"late":2}"#]);
}

#[test]
fn the_language_is_whole() {
    let source = "export default msg => ({
      regex: 'a-b'.replace(/(\\w)-(\\w)/, '$2-$1'), named: /(?<y>\\d+)/.exec('a12').groups.y, dynamic: new RegExp('[ab]+', 'g').test('b'),
      map: [...new Map([[1, 2]]).entries()], set: [...new Set([1, 1])], spread: Math.max(...[1, 2, 3]), big: String(2n ** 64n),
      json: JSON.parse(JSON.stringify({ a: [1] })), sort: [3, 1, 2].sort(), flat: [[1], [2]].flat(), at: [1, 2].at(-1), group: Object.fromEntries([['a', 1]]),
      typed: [...new Uint8Array([1, 256])], template: `${1 + 1}`, optional: msg?.a?.b ?? 'none', date: new Date(0).getUTCFullYear(), generator: [...(function* () { yield 1 })()],
      proxy: new Proxy({ a: 1 }, { get: () => 2 }).a, symbol: typeof Symbol.iterator, weak: new WeakMap() instanceof WeakMap, uri: encodeURIComponent('ä'), number: (1.005).toFixed(2), intl: 'Ä'.toLowerCase(),
    })";
    let expected = concat!(
        r#"{"regex":"b-a","named":"12","dynamic":true,"map":[[1,2]],"set":[1],"spread":3,"big":"18446744073709551616","#,
        r#""json":{"a":[1]},"sort":[1,2,3],"flat":[1,2],"at":2,"group":{"a":1},"typed":[1,0],"template":"2","optional":"none","#,
        r#""date":1970,"generator":[1],"proxy":2,"symbol":"symbol","weak":true,"uri":"%C3%A4","number":"1.00","intl":"ä"}"#,
    );
    assert_eq!(outputs(source, "{}"), [expected]);
}

fn with_tables(source: &str, json: &str) -> Done {
    let rows = r#"{"DE": {"name": "Deutschland", "vat": [0.19, {"a": null}], "eu": true}, "7": "seven", "true": 1}"#;
    let table = parse(rows, &Options::Json(JsonOptions { key: None })).unwrap();
    let tables: Tables = [("countries".into(), Arc::new(table))].into_iter().collect();
    let program = program(source);
    let mut task = task(&program, json);
    task.context.owner = Arc::new(TaskOwner { tables, ..TaskOwner::clone(&task.context.owner) });
    run_task(&Runner::new(), &program, task)
}

#[test]
fn a_script_looks_rows_up_in_the_tables_of_its_pipeline() {
    for (expression, expected) in [
        ("ctx.lookup('countries', msg.c)", r#"{"name":"Deutschland","vat":[0.19,{"a":null}],"eu":true}"#),
        ("({x: ctx.lookup('countries', msg.c).vat[0] * 2})", r#"{"x":0.38}"#),
        (
            "({x: [ctx.lookup('countries', 7), ctx.lookup('countries', '7'), ctx.lookup('countries', true)]})",
            r#"{"x":["seven","seven",1]}"#,
        ),
        (
            "({x: [ctx.lookup('countries', 'FR'), ctx.lookup('countries', null), ctx.lookup('countries')]})",
            r#"{"x":[null,null,null]}"#,
        ),
        (
            "{ ctx.lookup('countries', 'DE').name = 'x'; return {x: ctx.lookup('countries', 'DE').name} }",
            r#"{"x":"Deutschland"}"#,
        ),
        (
            "(t => ({x: [t.get('DE').eu, t.has('DE'), t.has('FR'), t.has(7), t.get('FR'), t.get(), t.has()]}))(ctx.table('countries'))",
            r#"{"x":[true,true,false,true,null,null,false]}"#,
        ),
        ("(t => ({x: Object.isFrozen(t) && Object.isFrozen(t.get)}))(ctx.table('countries'))", r#"{"x":true}"#),
        ("({x: Object.isFrozen(ctx) && Object.isFrozen(ctx.lookup)})", r#"{"x":true}"#),
    ] {
        let done = with_tables(&format!("export default (msg, ctx) => {expression}"), r#"{"c":"DE"}"#);
        assert_eq!(texts(&done), Ok(vec![expected.to_owned()]), "{expression}");
    }
}

#[test]
fn a_lookup_that_can_find_nothing_throws() {
    for (expression, reason) in [
        ("ctx.lookup('cities', 1)", "`cities` is not in the pipeline's `tables`"),
        ("ctx.table('cities')", "`cities` is not in the pipeline's `tables`"),
        ("ctx.table('countries').get({})", "the key of a table is a text, a number or a boolean"),
        ("ctx.table('countries').has({})", "the key of a table is a text, a number or a boolean"),
        ("ctx.table(Symbol())", "symbol"),
        ("ctx.lookup()", "null"),
        ("ctx.lookup('countries', {})", "the key of a table is a text, a number or a boolean"),
        ("ctx.lookup('%s%n\\0', 1)", "`%s%n` is not in the pipeline's `tables`"),
        ("ctx.lookup(Symbol(), 1)", "cannot convert symbol to string"),
    ] {
        let done = with_tables(&format!("export default (msg, ctx) => ({{x: {expression}}})"), "{}");
        match texts(&done) {
            Ok(found) => assert_eq!(found, [format!("{{\"x\":{reason}}}")], "{expression}"),
            Err(fault) => {
                assert_eq!(fault.code(), Code::ScriptThrew, "{expression}");
                assert!(fault.reason().contains(reason), "{expression}: {fault}");
            }
        }
    }
}
