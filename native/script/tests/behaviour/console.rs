//! `console`: what is kept, how values are shown, and that to show them changes nothing.

use message::Code;
use script::{Level, MAX_LINE_BYTES, MAX_LINES, Runner};

use crate::support::{outputs, program, run, run_in, texts};

const INPUT: &str = r#"{"id":12345678901234567890,"order":{"total":1.50,"items":[{"sku":"a"}]}}"#;

fn shown(values: &str) -> String {
    let done = run(&format!("export default (msg, ctx) => {{ console.log({values}); return msg }}"), INPUT);
    assert_eq!(texts(&done).unwrap_or_else(|fault| panic!("{values}: {fault}")), [INPUT], "{values}");
    assert_eq!(done.said.lines.len(), 1, "{values}");
    done.said.lines[0].text.clone()
}

#[test]
fn values_are_shown_on_one_line() {
    for (values, expected) in [
        ("", ""),
        ("'a', 1, -0.5, true, null, undefined, 5n", "a 1 -0.5 true null undefined 5n"),
        ("msg.order", r#"{total: 1.5, items: [{sku: "a"}]}"#),
        (
            "{ a: [1, , 'x\"y'], b: { c: { d: { e: { f: 1 } } } } }",
            r#"{a: [1, [getter or hole], "x\"y"], b: {c: {d: {e: {…}}}}}"#,
        ),
        ("new TypeError('no'), [new Error('in')]", "TypeError: no [Error: in]"),
        (
            "() => 1, Symbol('x'), new Map(), new Date(0), new Proxy({}, {}), new Uint8Array(1)",
            "[function] [symbol] [Map] [Date] [proxy] [Uint8Array]",
        ),
        ("'a\\nb\\x1b[31m\\u202e'", "a\\nb\\u{1b}[31m\\u{202e}"),
        ("'\\ud800'", "\u{fffd}\u{fffd}\u{fffd}"),
        ("{ get a() { throw new Error('asked') } }", "{a: [getter]}"),
        ("Object.assign(Object.create(null), { a: 1 })", "{a: 1}"),
        ("(o => (o.self = o))({})", "{self: {self: {self: {self: {…}}}}}"),
        ("Array.from({ length: 150 }, () => 0).length, 'x'.repeat(3)", "150 xxx"),
    ] {
        assert_eq!(shown(values), expected, "{values}");
    }
}

#[test]
fn levels_and_lines_of_the_script_are_told() {
    let done = run(
        "export default msg => {\n  console.debug(1)\n  console.log(2)\n  console.info(3)\n  console.warn(4)\n  console.error(5)\n  return 1 }",
        "{}",
    );
    let told: Vec<_> = done.said.lines.iter().map(|line| (line.level, line.line, &*line.text)).collect();
    let expected = [
        (Level::Debug, Some(2), "1"),
        (Level::Log, Some(3), "2"),
        (Level::Info, Some(4), "3"),
        (Level::Warn, Some(5), "4"),
        (Level::Error, Some(6), "5"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn lines_and_their_length_are_bounded() {
    let done =
        run("export default msg => { for (let i = 0; i < 60; i++) console.log('é'.repeat(i * 100)); return 1 }", "{}");
    assert_eq!((done.said.lines.len(), done.said.left_out as usize), (MAX_LINES, 60 - MAX_LINES));
    assert!(done.said.lines.iter().all(|line| line.text.len() <= MAX_LINE_BYTES));
    for values in [
        "'x'.repeat(1 << 20)",
        "{ a: 'x'.repeat(1 << 20) }",
        "Array(1e4).fill({ a: 1 })",
        "Object.fromEntries(Array.from({ length: 1e3 }, (_, i) => ['key ' + i, i]))",
    ] {
        assert!(shown(values).len() <= MAX_LINE_BYTES, "{values}");
    }
}

#[test]
fn what_was_said_comes_with_the_message_whatever_becomes_of_it() {
    let source = "console.log('loaded'); export default msg => { console.log(msg.a); if (msg.a === 1) throw new Error('no'); if (msg.a === 2) for (;;); return null }";
    let (runner, program) = (Runner::new(), program(source));
    let mut said = Vec::new();
    for (a, code) in [(0, None), (1, Some(Code::ScriptThrew)), (2, Some(Code::ScriptTimeout)), (3, None)] {
        let done = run_in(&runner, &program, &format!(r#"{{"a":{a}}}"#));
        assert_eq!(done.outcome.err().map(|fault| fault.code()), code);
        said.push(done.said.lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>().join(","));
    }
    assert_eq!(said, ["loaded,0", "1", "2", "loaded,3"]);
}

#[test]
fn the_console_cannot_be_changed() {
    let source = "export default () => [() => { console.log = 1 }, () => { console.x = 1 }, () => { globalThis.console = 1 }, () => { console.log.x = 1 }].map(change => { try { change(); return 'changed' } catch (e) { return e.name } })";
    assert_eq!(
        outputs(&source.replace("=> [()", "=> [[()").replace("e.name } })", "e.name } })]"), "{}"),
        [r#"["TypeError","TypeError","TypeError","TypeError"]"#]
    );
}
