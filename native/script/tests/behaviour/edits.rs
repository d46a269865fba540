//! Edits that a lazily read message must not lose: what leaves is what `JSON.stringify` would write.

use crate::support::{outputs, run, texts, used_twice};
use message::{Code, Limits};

/// Runs the body of a script on each message; its one output is the text behind it.
fn gives(cases: &[(&str, &str, &str)]) {
    for (message, body, expected) in cases {
        let script = format!("export default m => {{ {body}; return m }}");
        assert_eq!(outputs(&script, message), [*expected], "{body} on {message}");
    }
}

#[test]
fn a_list_takes_the_place_of_an_element() {
    for element in ["\"x\"", "1", "true", "null", "{}", "{\"b\":1}", "[1]"] {
        for value in ["[]", "{}", "[[]]", "\"\"", "0"] {
            let message = format!("{{\"a\":[{element}]}}");
            gives(&[(&message, &format!("m.a[0] = {value}"), &format!("{{\"a\":[{value}]}}"))]);
            let nested = format!("{{\"a\":[[{element}]]}}");
            gives(&[(&nested, &format!("m.a[0][0] = {value}"), &format!("{{\"a\":[[{value}]]}}"))]);
            let root = format!("[[{element}]]");
            let script = format!("export default m => {{ m[0][0] = {value}; return [m] }}");
            assert_eq!(outputs(&script, &root), [format!("[[{value}]]")]);
        }
    }
}

#[test]
fn lists_are_written_as_they_are_left() {
    let message = r#"{"a":["x",{"b":1},[2]],"c":[]}"#;
    gives(&[
        (message, "m.a.length = 1", r#"{"a":["x"],"c":[]}"#),
        (message, "m.a.length = 0", r#"{"a":[],"c":[]}"#),
        (message, "m.a.length = 4", r#"{"a":["x",{"b":1},[2],null],"c":[]}"#),
        (message, "m.c.length = 2", r#"{"a":["x",{"b":1},[2]],"c":[null,null]}"#),
        (message, "m.c[2] = 1", r#"{"a":["x",{"b":1},[2]],"c":[null,null,1]}"#),
        (message, "delete m.a[0]", r#"{"a":[null,{"b":1},[2]],"c":[]}"#),
        (message, "m.a.splice(1, 1)", r#"{"a":["x",[2]],"c":[]}"#),
        (message, "m.a.splice(0, 1, [], {})", r#"{"a":[[],{},{"b":1},[2]],"c":[]}"#),
        (message, "m.a.splice(0, 3, ...m.a)", message),
        (message, "m.a.reverse()", r#"{"a":[[2],{"b":1},"x"],"c":[]}"#),
        (message, "m.a.copyWithin(0, 1)", r#"{"a":[{"b":1},[2],[2]],"c":[]}"#),
        (message, "m.a.fill(m.c)", r#"{"a":[[],[],[]],"c":[]}"#),
        (message, "m.a.extra = 1", message),
        (message, "m.a[2].pop(); m.a[2].push([])", r#"{"a":["x",{"b":1},[[]]],"c":[]}"#),
        (message, "m.a.forEach((x, i) => { m.a[i] = [x] })", r#"{"a":[["x"],[{"b":1}],[[2]]],"c":[]}"#),
        (message, "[m.a, m.c] = [m.c, m.a]", r#"{"a":[],"c":["x",{"b":1},[2]]}"#),
    ]);
}

#[test]
fn one_value_in_several_places_stands_in_all_of_them() {
    let message = r#"{"a":{"b":{"c":1}},"l":[{"d":2}]}"#;
    gives(&[
        (message, "m.x = m.a; m.a.b.c = 3", r#"{"a":{"b":{"c":3}},"l":[{"d":2}],"x":{"b":{"c":3}}}"#),
        (message, "m.x = m.a.b; delete m.a.b", r#"{"a":{},"l":[{"d":2}],"x":{"c":1}}"#),
        (message, "m.l.push(m.l[0]); m.l[1].d = 4", r#"{"a":{"b":{"c":1}},"l":[{"d":4},{"d":4}]}"#),
        (message, "m.l[0].e = m.a; m.a = m.l", r#"{"a":[{"d":2,"e":{"b":{"c":1}}}],"l":[{"d":2,"e":{"b":{"c":1}}}]}"#),
        (message, "m.a.b = [m.a.b, m.a.b, m.l]", r#"{"a":{"b":[{"c":1},{"c":1},[{"d":2}]]},"l":[{"d":2}]}"#),
        (message, "const a = m.a; delete m.a; m.l[0] = a", r#"{"l":[{"b":{"c":1}}]}"#),
    ]);
    let twice = "export default m => [m.a, { x: m.a, y: m.l, z: m.l[0] }, m]";
    let parts = [r#"{"b":{"c":1}}"#, r#"{"x":{"b":{"c":1}},"y":[{"d":2}],"z":{"d":2}}"#, message];
    assert_eq!(outputs(twice, message), parts);
}

#[test]
fn members_keep_their_names_and_order() {
    let message = r#"{"b":1,"a":2,"10":3,"9":4}"#;
    gives(&[
        (message, "m.x = 0", r#"{"9":4,"10":3,"b":1,"a":2,"x":0}"#),
        (message, "delete m.b; m.b = 5", r#"{"9":4,"10":3,"a":2,"b":5}"#),
        (message, "m['01'] = 5; m[1] = 6", r#"{"1":6,"9":4,"10":3,"b":1,"a":2,"01":5}"#),
        (
            r#"{"4294967295":1,"4294967294":2,"-1":3}"#,
            "m['4294967293'] = 0",
            r#"{"4294967293":0,"4294967294":2,"4294967295":1,"-1":3}"#,
        ),
        (r#"{"__proto__":{"a":1}}"#, "m.__proto__.a = []; m.b = m.a", r#"{"__proto__":{"a":[]}}"#),
        (r#"{"a":{}}"#, "m.a.__proto__ = { b: 1 }; m.b = m.a.b", r#"{"a":{},"b":1}"#),
        (r#"{"a":{}}"#, "m.a.constructor = []; m.a.toString = 1", r#"{"a":{"constructor":[],"toString":1}}"#),
        (r#"{"toJSON":1,"length":[1]}"#, "m.length[0] = []", r#"{"toJSON":1,"length":[[]]}"#),
    ]);
}

#[test]
fn what_runs_while_the_message_is_written_runs_once_and_counts() {
    gives(&[
        (r#"{"a":[1,2]}"#, "let n = 0; Object.defineProperty(m.a, 0, { get: () => ++n })", r#"{"a":[1,2]}"#),
        (
            r#"{"a":[1]}"#,
            "let n = 0; Object.defineProperty(m.a, 'toJSON', { get() { n++; return () => n } })",
            r#"{"a":1}"#,
        ),
        (
            r#"{"a":{},"b":1,"c":2}"#,
            "Object.defineProperty(m.a, 'toJSON', { get() { m.b = []; delete m.c } }); m.a.d = 3",
            r#"{"a":{"d":3},"b":[]}"#,
        ),
        (
            r#"{"a":1,"b":1,"c":2}"#,
            "m.a = Object.create(new Proxy({}, { get() { m.b = []; delete m.c } }))",
            r#"{"a":{},"b":[]}"#,
        ),
        (
            r#"{"a":1,"b":1}"#,
            "m.a = new Proxy({}, { get() { return function (key) { m.b = []; return [key, this === m.a] } } })",
            r#"{"a":["a",true],"b":[]}"#,
        ),
        (r#"{"a":[1]}"#, "m.a.toJSON = () => ['x']", r#"{"a":["x"]}"#),
        (r#"{"a":[1]}"#, "Object.setPrototypeOf(m.a, { toJSON: () => 'x' })", r#"{"a":"x"}"#),
        (r#"{"a":[1]}"#, "Object.setPrototypeOf(m.a, new Proxy([], { get: () => () => 'x' }))", r#"{"a":"x"}"#),
        (r#"{"a":{"b":1}}"#, "Object.setPrototypeOf(m.a, { toJSON: () => 'x' })", r#"{"a":"x"}"#),
        (
            r#"{"a":{},"b":1,"c":2,"d":3}"#,
            "m.a.toJSON = () => { m.b = []; delete m.c; m.e = 1; return m.d }",
            r#"{"a":3,"b":[],"d":3}"#,
        ),
        (
            r#"{"a":[1],"b":{"c":1}}"#,
            "m.a[0] = { toJSON() { m.b.c = 2; m.b.d = []; return 0 } }",
            r#"{"a":[0],"b":{"c":2,"d":[]}}"#,
        ),
        (
            r#"{"b":1,"a":[1]}"#,
            "Object.defineProperty(m, 'b', { get() { m.a[0] = []; return 0 } })",
            r#"{"b":0,"a":[[]]}"#,
        ),
        (
            r#"{"a":{},"b":[{}]}"#,
            "m.a.toJSON = m.b[0].toJSON = function (key) { return [typeof key, key] }",
            r#"{"a":["string","a"],"b":[["string","0"]]}"#,
        ),
    ]);
    let keys = "export default m => { const toJSON = key => ({ key }); return [{ toJSON }, { a: { toJSON } }] }";
    assert_eq!(outputs(keys, "1"), [r#"{"key":""}"#, r#"{"a":{"key":"a"}}"#]);
}

#[test]
fn wrapped_values_are_asked_as_number_and_string_ask_them() {
    let source = "
      const S = class extends String { toString() { return 'b' } valueOf() { return 'c' } };
      const N = class extends Number { toString() { return '2' } valueOf() { return 3 } };
      const B = class extends Boolean { toString() { return 'x' } valueOf() { return true } };
      export default () => [new S('a'), new N(1), new B(false), { toJSON: () => new String('d') }]";
    assert_eq!(outputs(source, "1"), ["\"b\"", "3", "false", "\"d\""]);
}

#[test]
fn what_is_first_read_while_the_message_is_written_stands_apart() {
    for body in [
        "m.a.toJSON = () => ({ x: m.b.c, y: m.b.c })",
        "m.a.toJSON = () => m.b.c",
        "m.a.toJSON = () => [m.b.d[1], m.b.d]",
        "m.a.toJSON = () => { const c = m.b.c; m.b = 1; return { c } }",
        "m.b; m.a.toJSON = () => { m.b.x = 1; return m.b }",
        "m.z = { toJSON: () => { m.b.x = 1; m.b.d; return m.b } }",
    ] {
        let message = r#"{"b":{"c":{"e":1},"d":[{},{"f":2}]},"a":{}}"#;
        let done = run(&format!("export default m => {{ {body}; return [m, m.b, m] }}"), message);
        assert_eq!(used_twice(&done.document, &done.outcome.unwrap()), None, "{body}");
    }
}

#[test]
fn a_value_that_contains_itself_is_refused_though_that_ends() {
    for body in [
        "m.a = m",
        "m.l[0] = m.l",
        "m.l.push({ l: m.l })",
        "m.l.toJSON = function () { m.l = 0; return this }; m.l[0] = m",
        "m.l[0] = { get x() { m.l.pop(); return m.l } }; m.l.push(1)",
    ] {
        let done = run(&format!("export default m => {{ {body}; return {{ m }} }}"), r#"{"a":1,"l":[1]}"#);
        let fault = done.outcome.unwrap_err();
        assert_eq!((fault.code(), fault.reason()), (Code::ScriptBadReturn, "the value contains itself"), "{body}");
    }
}

#[test]
fn lists_count_as_levels_wherever_they_come_from() {
    let depth = Limits::default().depth;
    let (open, close) = ("{\"a\":[".repeat(depth / 2), "]}".repeat(depth / 2));
    let message = format!("{open}1{close}");
    let deepen = |more: &str| {
        let source = format!(
            "export default m => {{ let at = m; while (at.a?.[0]?.a) at = at.a[0]; at.a[0] = {more}; return m }}"
        );
        texts(&run(&source, &message)).map_err(|fault| fault.code())
    };
    assert_eq!(deepen("2").unwrap(), [format!("{open}2{close}")]);
    assert_eq!(deepen("{}"), Err(Code::ScriptOutputTooLarge));
}
