//! Whole scripts, run on documents.

use crate::support::{outputs, run, run_ts};
use message::Code;
use script::{Language, compile};

/// Silently taken, they would give wrong dates and orders.
#[test]
fn locales_and_intl_are_refused_by_name_and_place() {
    for (used, name) in [
        ("new Date(0).toLocaleString('de-CH')", "`toLocaleString`"),
        ("new Date(0).toLocaleDateString('de')", "`toLocaleDateString`"),
        ("new Date(0).toLocaleDateString(undefined, { dateStyle: 'long' })", "`toLocaleDateString`"),
        ("new Date(0).toLocaleTimeString('de', {})", "`toLocaleTimeString`"),
        ("(1234.5).toLocaleString('de-CH')", "`toLocaleString`"),
        ("(1234.5).toLocaleString(undefined, { minimumFractionDigits: 2 })", "`toLocaleString`"),
        ("10n.toLocaleString('de')", "`toLocaleString`"),
        ("[1.5].toLocaleString('de')", "`toLocaleString`"),
        ("new Uint8Array(2).toLocaleString('de')", "`toLocaleString`"),
        ("'a'.localeCompare('b', 'de')", "`localeCompare`"),
        ("'a'.localeCompare('b', undefined, { numeric: true })", "`localeCompare`"),
        ("'a'.toLocaleUpperCase('tr')", "`toLocaleUpperCase`"),
        ("'A'.toLocaleLowerCase(['tr'])", "`toLocaleLowerCase`"),
        ("new Intl.NumberFormat('de').format(1)", "`Intl`"),
        ("Intl.DateTimeFormat().resolvedOptions()", "`Intl`"),
        ("Reflect.apply(Date.prototype.toLocaleString, new Date(0), ['de'])", "`toLocaleString`"),
    ] {
        let fault = run(&format!("export default msg => {{\n  return {used}\n}}"), "{}").outcome.unwrap_err();
        assert_eq!(fault.code(), Code::ScriptLocale, "{used}: {fault}");
        assert!(fault.reason().contains(name), "{used}: {fault}");
        assert_eq!((fault.place().line, fault.place().file.as_deref()), (Some(2), Some("t.js")), "{used}: {fault}");
    }
    let loading =
        script::compile("const f = new Intl.Collator('de');\nexport default msg => msg", Language::JavaScript, "t.js");
    assert_eq!(loading.unwrap_err().code(), Code::ScriptLocale);
}

#[test]
fn without_a_locale_the_functions_are_what_they_were() {
    let source = "export default () => ({
        number: (1234.5).toLocaleString(), big: 10n.toLocaleString(), list: [1, 'a', null].toLocaleString(),
        typed: new Uint8Array(2).toLocaleString(), nothing: (1).toLocaleString(undefined, undefined),
        upper: 'a'.toLocaleUpperCase(), lower: 'A'.toLocaleLowerCase(undefined),
        compared: ['b', 'a'].sort((a, b) => a.localeCompare(b)), length: ''.localeCompare.length,
        date: new Date(0).toLocaleDateString().length > 0, intl: typeof Intl,
    })";
    let expected = r#"{"number":"1234.5","big":"10","list":"1,a,","typed":"0,0","nothing":"1","upper":"A","lower":"a","compared":["a","b"],"length":1,"date":true,"intl":"undefined"}"#;
    assert_eq!(outputs(source, "{}"), [expected]);
}

#[test]
fn a_script_cannot_undo_that_locales_are_refused() {
    for change in [
        "Date.prototype.toLocaleString = () => 'x'",
        "delete String.prototype.localeCompare",
        "Object.defineProperty(Number.prototype, 'toLocaleString', { value: () => 'x' })",
        "globalThis.Intl = {}",
        "(1).toLocaleString.call = () => 'x'",
    ] {
        let fault =
            run(&format!("'use strict'; export default msg => {{ {change}; return msg }}"), "{}").outcome.unwrap_err();
        assert_eq!(fault.code(), Code::ScriptThrew, "{change}: {fault}");
    }
}

#[test]
fn a_message_becomes_none_one_or_many() {
    assert_eq!(
        outputs(
            "export default (msg) => { msg.order.net = msg.order.total / 1.077; return msg }",
            r#"{"order":{"total":107.7}}"#
        ),
        [r#"{"order":{"total":107.7,"net":100}}"#]
    );
    assert_eq!(outputs("export default () => null", "{}"), [""; 0]);
    assert_eq!(outputs("export default () => []", "{}"), [""; 0]);
    assert_eq!(
        outputs(
            "export default msg => msg.items.map(item => ({ id: msg.id, ...item }))",
            r#"{"id":"A","items":[{"n":1},{"n":2}]}"#
        ),
        [r#"{"id":"A","n":1}"#, r#"{"id":"A","n":2}"#]
    );
    assert_eq!(outputs("export default msg => [msg]", "[1,2]"), ["[1,2]"]);
    assert_eq!(outputs("export default msg => msg", "[1,2]"), ["1", "2"]);
    assert_eq!(outputs("export default msg => [null, 'a', 1.5, true]", "{}"), ["null", "\"a\"", "1.5", "true"]);
}

#[test]
fn typescript_runs() {
    let source = "interface Order { total: number; net?: number }
type Message = { order: Order }
const VAT: number = 1.077
export default function (msg: Message, ctx: { id: string }): Message {
  const order = msg.order as Order
  order.net = order!.total / VAT
  return msg satisfies Message
}";
    let done = run_ts(source, r#"{"order":{"total":1077}}"#);
    assert_eq!(crate::support::texts(&done).unwrap(), [r#"{"order":{"total":1077,"net":1000}}"#]);
}

#[test]
fn a_throw_names_line_and_column_of_the_customers_file() {
    let source = "type Größe = 1\ninterface A { b: string }\nfunction f(é: A, x: Größe | '😀'): string {\n  /* äö€😀 */ return é.b.c.d\n}\nexport default (msg: A) => f(msg, 1 as any)";
    let fault = run_ts(source, r#"{"b":{}}"#).outcome.unwrap_err();
    assert_eq!(fault.code(), Code::ScriptThrew);
    assert_eq!((fault.place().line, fault.place().column), (Some(4), Some(21)), "{fault}");
    assert_eq!(fault.place().file.as_deref(), Some("t.ts"));
    assert!(fault.reason().starts_with("TypeError: "), "{fault}");
}

#[test]
fn syntax_errors_have_a_place() {
    for (source, line, column) in [
        ("export default (msg) => {\n  let = 5 6\n}", 2, 10),
        ("export default msg => msg\nlet a = 1; let a = 2", 2, 18),
        ("let x = 'abc\nexport default m => m", 1, 9),
    ] {
        for language in [Language::JavaScript, Language::TypeScript] {
            let fault = compile(source, language, "a.js").unwrap_err();
            assert_eq!(fault.code(), Code::ScriptSyntax, "{fault}");
            assert_eq!((fault.place().line, fault.place().column), (Some(line), Some(column)), "{fault}");
        }
    }
}

#[test]
fn a_default_function_is_required() {
    for source in [
        "const a = 1",
        "export const a = 1",
        "export default 5",
        "export default class {}",
        "export default {}",
        "const a = 1; export { a as default }",
    ] {
        let fault = compile(source, Language::TypeScript, "a.ts").unwrap_err();
        assert_eq!(fault.code(), Code::ScriptNoDefaultExport, "{source}: {fault}");
    }
    assert!(compile("const a = m => m; export { a as default }", Language::JavaScript, "a.js").is_ok());
}

#[test]
fn values_that_are_no_json_are_refused_by_name() {
    for (returned, code, field) in [
        ("undefined", Code::ScriptNoReturn, None),
        ("() => 1", Code::ScriptBadReturn, None),
        ("Symbol('a')", Code::ScriptBadReturn, None),
        ("({ a: { b: [1, NaN] } })", Code::ScriptBadReturn, Some("a.b[1]")),
        ("({ a: Infinity })", Code::ScriptBadReturn, Some("a")),
        ("({ a: 5n })", Code::ScriptBadReturn, Some("a")),
        ("({ a: new Map([[1, 2]]) })", Code::ScriptBadReturn, Some("a")),
        ("({ a: new Set() })", Code::ScriptBadReturn, Some("a")),
        ("({ a: new Uint8Array(4) })", Code::ScriptBadReturn, Some("a")),
        ("({ a: new Error('x') })", Code::ScriptBadReturn, Some("a")),
        ("({ a: /x/ })", Code::ScriptBadReturn, Some("a")),
        ("({ a() {} })", Code::ScriptBadReturn, Some("a")),
        ("({ a: new Proxy({}, {}) })", Code::ScriptBadReturn, Some("a")),
        ("new Proxy([], {})", Code::ScriptBadReturn, None),
        ("({ a: '\\ud800' })", Code::ScriptBadReturn, Some("a")),
        ("({ '\\ud800': 1 })", Code::ScriptBadReturn, Some("[\"\u{fffd}\u{fffd}\u{fffd}\"]")),
        ("({ order: { '@id': [0, -Infinity] } })", Code::ScriptBadReturn, Some("order[\"@id\"][1]")),
        ("new Date('when')", Code::ScriptBadReturn, None),
        ("({ a: { at: new Date(NaN) } })", Code::ScriptBadReturn, Some("a.at")),
        ("({ a: [0, new Date(8.64e15 + 1)] })", Code::ScriptBadReturn, Some("a[1]")),
        ("({ a: new (class extends Date {})(NaN) })", Code::ScriptBadReturn, Some("a")),
        (
            "(Object.defineProperty(msg, 'a', { get: () => new Date(NaN), enumerable: true }))",
            Code::ScriptBadReturn,
            Some("a"),
        ),
        ("({ a: { toJSON: () => new Date(0) } })", Code::ScriptBadReturn, Some("a")),
        ("({ a: { toJSON: () => NaN } })", Code::ScriptBadReturn, Some("a")),
        ("({ a: new Number(NaN) })", Code::ScriptBadReturn, Some("a")),
        ("({ a: Object(5n) })", Code::ScriptBadReturn, Some("a")),
        ("({ a: Object(Symbol('x')) })", Code::ScriptBadReturn, Some("a")),
        ("({ a: [1].values() })", Code::ScriptBadReturn, Some("a")),
        ("(() => { const a = {}; a.a = a; return a })()", Code::ScriptBadReturn, None),
        ("(() => { const a = []; a[0] = a; return a })()", Code::ScriptBadReturn, None),
        (
            "(() => { let a = {}; for (let i = 0; i < 300; i++) a = { a }; return a })()",
            Code::ScriptOutputTooLarge,
            None,
        ),
        ("(() => { let a = []; for (let i = 0; i < 300; i++) a = [a]; return a })()", Code::ScriptOutputTooLarge, None),
        ("({ a: Promise.resolve(1) })", Code::ScriptBadReturn, Some("a")),
        ("[1, Promise.resolve(1)]", Code::ScriptBadReturn, Some("[1]")),
        ("(async () => [1, Promise.resolve(1)])()", Code::ScriptBadReturn, Some("[1]")),
        ("({ get a() { throw new Error('no') } })", Code::ScriptThrew, None),
        ("({ toJSON() { throw new Error('no') } })", Code::ScriptThrew, None),
        ("[1, undefined]", Code::ScriptBadReturn, Some("[1]")),
        ("Array(10000).fill(1)", Code::ScriptTooManyOutputs, None),
        ("(() => { const a = []; a.length = 4294967295; return [a] })()", Code::ScriptOutputTooLarge, None),
        (
            "(() => { let a = 'x'.repeat(1000); for (let i = 0; i < 9; i++) a = [a,a,a,a,a,a,a,a]; return { a } })()",
            Code::ScriptOutputTooLarge,
            None,
        ),
    ] {
        let done = run(&format!("export default msg => {returned}"), "{}");
        let fault = done.outcome.expect_err(returned);
        assert_eq!(fault.code(), code, "{returned}: {fault}");
        if field.is_some() {
            assert_eq!(fault.place().field.as_deref(), field, "{returned}: {fault}");
        }
        assert_eq!(fault.place().file.as_deref(), Some("t.js"));
    }
}

#[test]
fn values_are_written_as_json_stringify_does() {
    for (returned, expected) in [
        ("({ a: undefined, b: [undefined, , 1], [Symbol('x')]: 1 })", r#"{"b":[null,null,1]}"#),
        ("({ a: new Date(0) })", r#"{"a":"1970-01-01T00:00:00.000Z"}"#),
        ("({ a: { toJSON() { return { b: 1 } } } })", r#"{"a":{"b":1}}"#),
        ("({ a: new (class extends Map { toJSON() { return [...this] } })([[1, 2]]) })", r#"{"a":[[1,2]]}"#),
        ("({ a: new (class extends Error { toJSON() { return this.message } })('no') })", r#"{"a":"no"}"#),
        ("({ a: new (class extends Date { toJSON() { return null } })(NaN) })", r#"{"a":null}"#),
        (
            "({ a: Object.assign(new String('x'), { toJSON: () => 5 }), b: { toJSON: () => new String('y') } })",
            r#"{"a":5,"b":"y"}"#,
        ),
        ("({ a: new String('x'), b: new Number(2), c: new Boolean(false) })", r#"{"a":"x","b":2,"c":false}"#),
        ("new (class { constructor() { this.a = 1 } get b() { return 2 } })()", r#"{"a":1}"#),
        (
            "Object.create({ inherited: 1 }, { own: { value: 2, enumerable: true }, hidden: { value: 3 } })",
            r#"{"own":2}"#,
        ),
        (
            "({ a: -0, b: 1e21, c: 0.1, d: 123456789012, e: 1e-7 })",
            r#"{"a":0,"b":1e21,"c":0.1,"d":123456789012,"e":1e-7}"#,
        ),
        ("({ b: 1, 2: 1, a: 1, 1: 1 })", r#"{"1":1,"2":1,"b":1,"a":1}"#),
        ("({ ['__proto__']: 1, a: 'é😀\\u2028\\n\"' })", "{\"__proto__\":1,\"a\":\"é😀\u{2028}\\n\\\"\"}"),
        ("({ a: 'x'.repeat(3) + 'y'.repeat(2) })", r#"{"a":"xxxyy"}"#),
        ("Object.assign(Object.create(null), { a: 1 })", r#"{"a":1}"#),
        ("(function () { return { a: arguments.length } })(1, 2)", r#"{"a":2}"#),
    ] {
        assert_eq!(outputs(&format!("export default msg => {returned}"), "{}"), [expected], "{returned}");
    }
}

/// Each holds `toJSON`, its own or an inherited one, and would be refused without it.
const WITH_A_FORM: &[&str] = &[
    "new Proxy({ toJSON: () => 1 }, {})",
    "new Proxy(Object.create({ toJSON: () => 1 }), {})",
    "new Proxy([1, 2], { get: (list, key) => key === 'toJSON' ? () => [...list, key] : list[key] })",
    "new Proxy({}, { get: (_, name) => name === 'toJSON' && (key => ({ key: typeof key })) })",
    "new Proxy({}, { get: () => new Proxy(() => ['by a proxy'], {}) })",
    "new Proxy(new Proxy({ toJSON: () => 1 }, {}), {})",
    "new Proxy({ toJSON() { return this.a }, a: 2 }, { get: (o, key) => o[key] })",
    "new Proxy({ toJSON: () => null }, {})",
    "new Proxy({ toJSON: () => undefined }, {})",
    "new Proxy(() => 1, { get: () => () => 'a function' })",
    "Object.setPrototypeOf({ a: 1 }, new Proxy({}, { get: () => () => 'inherited' }))",
    "Object.assign(() => 1, { toJSON: () => 'a function' })",
    "Object.assign(class A {}, { toJSON: () => 'a class' })",
    "Object.assign(Object(5n), { toJSON() { return String(this) } })",
    "Object.assign(Object(Symbol('x')), { toJSON: () => 'a symbol' })",
    "Object.assign(Promise.resolve(1), { toJSON: () => 'a promise' })",
    "Object.assign(new Set([1]), { toJSON() { return [...this] } })",
    "Object.assign([1].values(), { toJSON: () => ['an iterator'] })",
    "new (class A { #b = 1; toJSON() { return this.#b } })()",
    "new (class A extends Promise { toJSON() { return 'a promise' } })(() => 1)",
    "Object.defineProperty(new Map(), 'toJSON', { get: () => () => 'by a getter' })",
];

#[test]
fn to_json_is_asked_before_a_value_is_judged() {
    for value in WITH_A_FORM {
        for held in ["({ a: VALUE, b: [VALUE, 1] })", "({ a: { b: VALUE } })", "Object.assign(m, { a: VALUE })"] {
            let held = held.replace("VALUE", &format!("({value})"));
            let expected = outputs(&format!("export default m => JSON.stringify({held})"), r#"{"m":1}"#);
            let expected: String = serde_json::from_str(&expected[0]).unwrap();
            assert_eq!(outputs(&format!("export default m => {held}"), r#"{"m":1}"#), [expected], "{held}");
        }
        let script = format!("export default () => [JSON.stringify({value}) ?? 'undefined', {value}]");
        match crate::support::texts(&run(&script, "{}")) {
            Ok(texts) => {
                assert_eq!(serde_json::from_str::<String>(&texts[0]).unwrap(), texts[1], "{value}");
                // A promise that is returned is awaited, whatever form it says it has.
                if !value.contains("Promise") {
                    assert_eq!(outputs(&format!("export default () => {value}"), "{}"), texts[1..], "{value}");
                }
            }
            Err(fault) => assert_eq!(fault.to_string(), "script/bad-return: undefined is no message (t.js, field [1])"),
        }
    }
}

#[test]
fn what_to_json_gives_is_judged_and_not_asked_again() {
    for (value, code, reason) in [
        ("new Proxy({}, {})", Code::ScriptBadReturn, "a proxy is no JSON value; make it a plain object or a list"),
        ("new Proxy({ toJSON: 1 }, {})", Code::ScriptBadReturn, "a proxy is no JSON value"),
        ("new Proxy({ toJSON() { return this } }, {})", Code::ScriptBadReturn, "toJSON gave a proxy"),
        ("({ toJSON: () => new Proxy({ toJSON: () => 1 }, {}) })", Code::ScriptBadReturn, "toJSON gave a proxy"),
        ("({ toJSON: () => new Date(0) })", Code::ScriptBadReturn, "toJSON gave `Date`"),
        ("({ toJSON: async () => 1 })", Code::ScriptBadReturn, "toJSON gave `Promise`"),
        ("({ toJSON: () => 1n })", Code::ScriptBadReturn, "a bigint is no JSON value"),
        ("({ toJSON: () => Object(1n) })", Code::ScriptBadReturn, "toJSON gave `BigInt`"),
        ("({ toJSON: () => () => 1 })", Code::ScriptBadReturn, "toJSON gave `Function`"),
        ("new Proxy({}, { get() { throw new Error('asked') } })", Code::ScriptThrew, "Error: asked"),
        ("new Proxy({ toJSON() { throw new Error('called') } }, {})", Code::ScriptThrew, "Error: called"),
        ("new Proxy(new Date(0), {})", Code::ScriptThrew, "TypeError: "),
        ("Object.create(Date.prototype)", Code::ScriptThrew, "TypeError: "),
        ("(r => (r.revoke(), r.proxy))(Proxy.revocable({}, {}))", Code::ScriptThrew, "TypeError: "),
    ] {
        for held in
            [format!("({value})"), format!("({{ a: [{value}] }})"), format!("Object.assign(m, {{ a: {value} }})")]
        {
            let fault = run(&format!("export default m => {held}"), r#"{"m":1}"#).outcome.expect_err(&held);
            assert_eq!(fault.code(), code, "{held}: {fault}");
            assert!(fault.reason().starts_with(reason), "{held}: {fault}");
        }
    }
}
