//! Async scripts: what is awaited, what fails, and that nothing is left over for the next message.

use message::Code;
use script::Runner;

use crate::support::{outputs, program, run, run_in, texts};

const INPUT: &str = r#"{"a":1}"#;

#[test]
fn what_a_script_promises_is_awaited() {
    for (script, expected) in [
        ("export default async msg => msg", r#"{"a":1}"#),
        ("export default async function (msg) { msg.b = await 2; return msg }", r#"{"a":1,"b":2}"#),
        ("export default msg => Promise.resolve({ ...msg, b: 2 })", r#"{"a":1,"b":2}"#),
        ("export default msg => new Promise(done => Promise.resolve().then(() => done(msg)))", r#"{"a":1}"#),
        ("export default msg => new (class Own extends Promise {})(done => done(msg))", r#"{"a":1}"#),
        ("export default async msg => ({ toJSON: () => msg.a })", "1"),
        ("export default async msg => ({ then: done => done({ by: 'a thenable' }) })", r#"{"by":"a thenable"}"#),
        ("export default async msg => { let n = 0; for (let i = 0; i < 100; i++) n += await i; return n }", "4950"),
        (
            "export default async msg => { for await (const x of (async function* () { yield 1; yield 2 })()) msg.a += x; return msg }",
            r#"{"a":4}"#,
        ),
        (
            "export default async msg => { try { await Promise.reject(new Error('no')) } catch (e) { return e.message } }",
            "\"no\"",
        ),
        (
            "export default async msg => (await Promise.allSettled([1, Promise.reject(2)])).map(one => one.status).join()",
            "\"fulfilled,rejected\"",
        ),
        ("export default async msg => Promise.any([Promise.reject(1), 2])", "2"),
        ("const later = Promise.resolve(5)\nexport default async () => later", "5"),
        ("const five = await Promise.resolve(5)\nexport default () => five", "5"),
    ] {
        assert_eq!(outputs(script, INPUT), [expected], "{script}");
    }
    assert_eq!(outputs("export default async msg => [msg, 2]", INPUT), [INPUT, "2"]);
    assert_eq!(outputs("export default async msg => null", INPUT), [] as [&str; 0]);
}

#[test]
fn a_rejection_fails_the_message_as_a_throw_does() {
    for (script, reason, place) in [
        ("export default async msg => {\n  throw new Error('no') }", "Error: no", Some((2, 13))),
        ("export default async msg => {\n  await 1\n  return msg.b.c }", "TypeError: ", Some((3, 10))),
        ("export default msg => Promise.reject('no')", "threw \"no\"", None),
        ("export default msg => Promise.reject(undefined)", "threw undefined", None),
        (
            "export default async msg => Promise.all([1,\n  Promise.reject(new TypeError('b'))])",
            "TypeError: b",
            Some((2, 22)),
        ),
    ] {
        let fault = run(script, INPUT).outcome.expect_err(script);
        assert_eq!(fault.code(), Code::ScriptThrew, "{script}: {fault}");
        assert!(fault.reason().starts_with(reason), "{script}: {fault}");
        let found = fault.place().line.zip(fault.place().column);
        assert_eq!(found, place, "{script}: {fault}");
    }
}

/// A forgotten `await` must not let through what was to be refused.
#[test]
fn a_rejection_that_nobody_handles_fails_the_message() {
    let check = "const check = async msg => {\n  if (msg.a === 1) throw new Error('refused') }\n";
    for body in
        ["msg => { check(msg); return msg }", "async msg => { check(msg); return msg }", "msg => { check(msg) }"]
    {
        let fault = run(&format!("{check}export default {body}"), INPUT).outcome.expect_err(body);
        assert_eq!((fault.code(), fault.reason()), (Code::ScriptThrew, "Error: refused"), "{body}");
        assert_eq!((fault.place().line, fault.place().column), (Some(2), Some(30)), "{body}");
    }
    for handled in [
        "check(msg).catch(() => 1)",
        "check(msg).then(null, () => 1)",
        "(async () => { try { await check(msg) } catch {} })()",
    ] {
        assert_eq!(outputs(&format!("{check}export default msg => {{ {handled}; return msg }}"), INPUT), [INPUT]);
    }
    // Handled only later, but before the message leaves.
    let late =
        "export default async msg => { const p = check(msg); await 1; await 2; await p.catch(() => 1); return msg }";
    assert_eq!(outputs(&format!("{check}{late}"), INPUT), [INPUT]);
}

#[test]
fn what_nothing_settles_is_named() {
    for script in [
        "export default msg => new Promise(() => {})",
        "export default async msg => { await new Promise(() => {}); return msg }",
        "export default async msg => await { then() {} }",
        "export default async msg => Promise.race([])",
        "let self; export default msg => self = (async () => { await 1; await self })()",
    ] {
        let fault = run(script, INPUT).outcome.expect_err(script);
        assert_eq!(fault.code(), Code::ScriptNeverSettles, "{script}: {fault}");
        assert_eq!(fault.place().file.as_deref(), Some("t.js"));
    }
    // The reason is more often another promise, whose error was not looked at.
    let script = "export default msg => new Promise(done => { (async () => { throw new Error('why') })().then(done) })";
    assert_eq!(run(script, INPUT).outcome.unwrap_err().reason(), "Error: why");
}

#[test]
fn nothing_is_left_over_for_the_next_message() {
    let source = "const seen = []; export default async msg => {
      Promise.resolve().then(() => 1).then(() => 2).then(() => seen.push(msg.a));
      if (msg.a === 1) throw new Error('no');
      if (msg.a === 2) return new Promise(() => {});
      if (msg.a === 3) return { toJSON() { Promise.resolve().then(() => seen.push('late')); return 3 } };
      if (msg.a === 4) return { toJSON() { Promise.reject(4); return 4 } };
      return seen.join();
    }";
    let (runner, program) = (Runner::new(), program(source));
    let give = |n: u32| texts(&run_in(&runner, &program, &format!(r#"{{"a":{n}}}"#)));
    assert_eq!(give(1).unwrap_err().code(), Code::ScriptThrew);
    assert_eq!(give(2).unwrap_err().code(), Code::ScriptNeverSettles);
    assert_eq!(give(3).unwrap(), ["3"]);
    assert_eq!(give(4).unwrap(), ["4"]);
    assert_eq!(give(5).unwrap(), ["\"1,2,3,late,4\""]);
}

#[test]
fn an_async_script_keeps_no_memory_from_message_to_message() {
    let source =
        "export default async msg => { await null; const x = await Promise.all([msg.a, 2]); return { ...msg, x } }";
    let (runner, program) = (Runner::new(), program(source));
    let after = |count: usize| {
        for _ in 0..count {
            assert_eq!(texts(&run_in(&runner, &program, INPUT)).unwrap(), [r#"{"a":1,"x":[1,2]}"#]);
        }
        runner.memory()
    };
    let (few, many) = (after(100), after(5_000));
    assert!(many < few + (1 << 20), "{few} bytes after 100 messages, {many} after 5,100");
}
