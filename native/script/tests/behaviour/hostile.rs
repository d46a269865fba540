//! Scripts that mean harm, or might as well: each gives its code, and the next message on the same
//! executor succeeds.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{context, document, program, run_task};
use message::{Code, Limits};
use script::{Done, Executor, Language, Program, Runner, Task, ThreadExecutor, ThreadOptions, compile};

const HOSTILE: &[(&str, &str, Code)] = &[
    ("an endless loop", "while (true) {}", Code::ScriptTimeout),
    ("an endless loop that catches", "for (;;) { try { while (true) {} } catch (e) {} }", Code::ScriptTimeout),
    ("a loop in finally", "try { while (true) {} } catch (e) {} finally { while (true) {} }", Code::ScriptTimeout),
    ("a loop in a generator", "function* g() { while (true) yield 1 } for (const x of g()) {}", Code::ScriptTimeout),
    ("a loop in a getter of the result", "return { get a() { while (true) {} } }", Code::ScriptTimeout),
    ("a loop in toJSON of the result", "return { toJSON() { while (true) {} } }", Code::ScriptTimeout),
    (
        "a loop in toJSON of a proxy",
        "return [new Proxy({}, { get: () => () => { while (true) {} } })]",
        Code::ScriptTimeout,
    ),
    ("a loop in a trap for toJSON", "return { a: new Proxy({}, { get() { while (true) {} } }) }", Code::ScriptTimeout),
    (
        "a growing list in toJSON of a proxy",
        "return new Proxy({}, { get: () => () => { const a = []; for (;;) a.push(new Array(1000).fill(1)) } })",
        Code::ScriptOutOfMemory,
    ),
    (
        "recursion in a trap for toJSON",
        "const get = (target, key, proxy) => proxy[key]; return new Proxy({}, { get })",
        Code::ScriptStackOverflow,
    ),
    ("a loop in a getter of what is thrown", "throw { get message() { while (true) {} } }", Code::ScriptTimeout),
    (
        "a loop in the stack of what is thrown",
        "const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { while (true) {} } }); throw e",
        Code::ScriptTimeout,
    ),
    ("a promise that never ends", "const f = () => Promise.resolve().then(f); f(); return msg", Code::ScriptTimeout),
    ("an await loop", "(async () => { for (;;) await null })(); return msg", Code::ScriptTimeout),
    ("an await loop that is returned", "return (async () => { for (;;) await null })()", Code::ScriptTimeout),
    ("promises without end", "const a = []; for (;;) a.push(new Promise(() => {}))", Code::ScriptOutOfMemory),
    ("rejections without end", "for (;;) Promise.reject(1)", Code::ScriptOutOfMemory),
    ("callbacks without end", "const p = Promise.resolve(); for (;;) p.then(() => 1)", Code::ScriptOutOfMemory),
    ("a thenable that calls itself", "const t = { then(f) { f(t) } }; return Promise.resolve(t)", Code::ScriptTimeout),
    ("a sort whose comparison loops", "[3, 1, 2].sort(() => { for (;;); })", Code::ScriptTimeout),
    (
        "a sort with a random comparison",
        "const a = []; for (let i = 0; i < 100000; i++) a.push(i); for (;;) a.sort(() => Math.random() - 0.5)",
        Code::ScriptTimeout,
    ),
    ("a backtracking expression", "return /(a+)+$/.test('a'.repeat(5000) + '!')", Code::ScriptTimeout),
    ("a bigint tower", "let x = 3n; for (;;) x = (x * x) % (10n ** 5000n)", Code::ScriptTimeout),
    ("a small bigint tower", "let x = 3n; for (;;) x = (x * x) % (1n << 64n)", Code::ScriptTimeout),
    ("strings made and dropped", "for (;;) { 'x'.repeat(1e6) }", Code::ScriptTimeout),
    ("lists made and dropped", "for (;;) { try { new Array(1e5).fill(0) } catch (e) {} }", Code::ScriptTimeout),
    ("a proxy that loops", "for (const k in new Proxy({}, { ownKeys() { while (true) {} } })) {}", Code::ScriptTimeout),
    ("recursion", "function f() { f() } f()", Code::ScriptStackOverflow),
    (
        "recursion through toString",
        "const a = { toString() { return '' + a } }; return '' + a",
        Code::ScriptStackOverflow,
    ),
    (
        "recursion through JSON",
        "const a = { toJSON() { return JSON.stringify(a) } }; JSON.stringify(a)",
        Code::ScriptStackOverflow,
    ),
    ("recursion that catches", "function f() { try { f() } catch (e) { f() } } f()", Code::ScriptTimeout),
    ("a long string", "return 'x'.repeat(1 << 29)", Code::ScriptOutOfMemory),
    ("an impossible string", "return 'x'.repeat(1 << 30)", Code::ScriptThrew),
    ("a doubling string", "let s = 'x'; for (;;) s += s", Code::ScriptThrew),
    ("a flattened doubling string", "let s = 'xy'; for (;;) { s += s; s.charCodeAt(1) }", Code::ScriptOutOfMemory),
    ("a growing list", "const a = []; for (;;) a.push(new Array(1000).fill(1))", Code::ScriptOutOfMemory),
    (
        "memory that is caught",
        "const q = []; for (;;) { try { q.push('x'.repeat(1e6) + q.length) } catch (e) { q.length = 0 } }",
        Code::ScriptOutOfMemory,
    ),
    ("memory that is caught once", "try { 'x'.repeat(1 << 29) } catch (e) {} return msg", Code::ScriptOutOfMemory),
    ("a large buffer", "return new Uint8Array(1 << 30).length", Code::ScriptOutOfMemory),
    ("an impossible buffer", "return new ArrayBuffer(8589934592).byteLength", Code::ScriptThrew),
    (
        "a map that grows",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, 'x'.repeat(100) + i)",
        Code::ScriptOutOfMemory,
    ),
    ("a filled list", "return new Array(1e8).fill(0).length", Code::ScriptOutOfMemory),
    ("closures that grow", "let f = () => 1; for (;;) { const g = f; f = () => g }", Code::ScriptOutOfMemory),
    ("ten thousand messages", "return Array(10000).fill(msg)", Code::ScriptTooManyOutputs),
    ("too many bytes", "const s = 'x'.repeat(1 << 20); return Array(17).fill(s)", Code::ScriptOutputTooLarge),
    (
        "a bomb of references",
        "let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; return { a }",
        Code::ScriptOutputTooLarge,
    ),
    ("throw null", "throw null", Code::ScriptThrew),
    ("throw undefined", "throw undefined", Code::ScriptThrew),
    ("throw a proxy", "throw new Proxy({}, { get() { throw 1 } })", Code::ScriptThrew),
    ("throw a function", "throw () => 1", Code::ScriptThrew),
    ("throw a long text", "throw 'x'.repeat(1e5)", Code::ScriptThrew),
    ("pollute Object.prototype", "Object.prototype.polluted = 1", Code::ScriptThrew),
    ("pollute Array.prototype", "Array.prototype.map = () => 1", Code::ScriptThrew),
    ("pollute by __proto__", "({}).__proto__.polluted = 1", Code::ScriptThrew),
    (
        "pollute by defineProperty",
        "Object.defineProperty(Object.prototype, 'polluted', { value: 1 })",
        Code::ScriptThrew,
    ),
    ("pollute by setPrototypeOf", "Object.setPrototypeOf(Array.prototype, { polluted: 1 })", Code::ScriptThrew),
    ("pollute the global object", "globalThis.polluted = 1", Code::ScriptThrew),
    ("pollute the iterator", "Object.getPrototypeOf([][Symbol.iterator]()).next = () => 1", Code::ScriptThrew),
    ("pollute the generator", "Object.getPrototypeOf(function* () {}).prototype.next = () => 1", Code::ScriptThrew),
    ("replace JSON", "JSON.stringify = () => 1", Code::ScriptThrew),
    ("replace the date", "Date.now = () => 1", Code::ScriptThrew),
    ("rewrite traces", "Error.prepareStackTrace = () => { while (true) {} }; throw new Error('x')", Code::ScriptThrew),
    ("eval", "eval('1')", Code::ScriptThrew),
    ("indirect eval", "(0, globalThis.eval)('1')", Code::ScriptThrew),
    ("Function", "new Function('return 1')()", Code::ScriptThrew),
    ("the constructor of a function", "(() => {}).constructor('return 1')()", Code::ScriptThrew),
    ("the constructor of a generator", "(function* () {}).constructor('yield 1')", Code::ScriptThrew),
    ("the constructor of an async function", "(async () => {}).constructor('await 1')", Code::ScriptThrew),
    ("the constructor of an async generator", "(async function* () {}).constructor('yield 1')", Code::ScriptThrew),
    (
        "the constructor by reflection",
        "Reflect.construct(Object.getPrototypeOf(() => {}).constructor, ['return 1'])",
        Code::ScriptThrew,
    ),
    ("the constructor of a bound function", "(function () {}).bind().constructor('return 1')()", Code::ScriptThrew),
    ("the constructor of a native function", "Math.max.constructor('return 1')()", Code::ScriptThrew),
    ("wait", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)", Code::ScriptThrew),
    ("std", "std.exit(1)", Code::ScriptThrew),
    ("write to ctx", "ctx.id = 'x'", Code::ScriptThrew),
    ("write to the headers", "ctx.headers.x = 'x'", Code::ScriptThrew),
    ("no return", "msg.a = 1", Code::ScriptNoReturn),
    ("garbage", "return { a: Symbol.iterator }", Code::ScriptBadReturn),
    ("a revoked proxy", "const r = Proxy.revocable([], {}); r.revoke(); return r.proxy", Code::ScriptThrew),
];

fn hostile(body: &str) -> Arc<Program> {
    program(&format!("export default (msg, ctx) => {{ {body}\n}}"))
}

fn task(program: &Program, token: u64, customer: &str) -> Task {
    let limits = Arc::new(Limits { script_cpu_ms: 1000, ..Limits::default() });
    Task { token, program: program.id(), document: document(r#"{"a":1}"#), context: context(customer), limits }
}

/// A time-out has to come; everything else must not be overtaken by one on a busy machine.
fn hostile_task(program: &Program, token: u64, code: Code) -> Task {
    let script_cpu_ms = if code == Code::ScriptTimeout { 5 } else { 10_000 };
    let limits = Arc::new(Limits { script_cpu_ms, ..Limits::default() });
    Task { limits, ..task(program, token, "hostile") }
}

fn assert_passed(name: &str, done: &Done) {
    assert_eq!(
        crate::support::texts(done).unwrap_or_else(|fault| panic!("after {name}: {fault}")),
        [r#"{"a":1,"b":2}"#]
    );
}

#[test]
fn hostile_scripts_fail_their_message_and_nothing_else() {
    let runner = Runner::new();
    let good = program("export default msg => ({ ...msg, b: 2 })");
    for (name, body, code) in HOSTILE {
        let program = hostile(body);
        let done = run_task(&runner, &program, hostile_task(&program, 1, *code));
        let fault = done.outcome.as_ref().expect_err(name);
        assert_eq!(fault.code(), *code, "{name}: {fault}");
        assert!(fault.reason().chars().count() <= 301, "{name}");
        // The document is as it came: it goes to the dead letters.
        assert!(done.document.is_unchanged(), "{name}");
        assert_passed(name, &run_task(&runner, &good, task(&good, 2, "hostile")));
        assert_passed(name, &run_task(&runner, &good, task(&good, 2, "other")));
    }
}

#[test]
fn a_batch_of_several_customers_survives_the_hostile_one() {
    let (wake, woken) = std::sync::mpsc::channel();
    let executor = ThreadExecutor::new(ThreadOptions::default()).unwrap();
    executor.on_completed(Box::new(move || wake.send(()).unwrap_or_default()));
    let good = program("export default msg => ({ ...msg, b: 2 })");
    executor.load(&good);
    let mut token = 0;
    let mut batch = Vec::new();
    for (_, body, code) in HOSTILE {
        let hostile = hostile(body);
        executor.load(&hostile);
        batch.push(hostile_task(&hostile, token, *code));
        batch.push(task(&good, token + 1, "acme"));
        batch.push(task(&good, token + 2, "hostile"));
        token += 3;
    }
    assert!(executor.submit(batch).is_ok());
    let mut done = Vec::new();
    let mut wakes = 0;
    while done.len() < HOSTILE.len() * 3 {
        woken.recv_timeout(Duration::from_secs(120)).unwrap();
        wakes += 1;
        executor.completed(&mut done);
    }
    assert_eq!(executor.queued(), 0);
    // The last turn's results may have been fetched before its own wake-up came: the thread ends after it.
    drop(executor);
    wakes += woken.iter().count();
    assert!((2..=done.len()).contains(&wakes), "{wakes} wake-ups: one for each turn of a customer");
    done.sort_by_key(|done| done.token);
    for ((name, _, code), dones) in HOSTILE.iter().zip(done.chunks(3)) {
        assert_eq!(dones[0].outcome.as_ref().expect_err(name).code(), *code);
        assert_passed(name, &dones[1]);
        assert_passed(name, &dones[2]);
    }
}

#[test]
fn hostile_sources_are_refused() {
    for (source, code) in [
        (format!("export default {}1{}", "(".repeat(30_000), ")".repeat(30_000)), Code::ScriptTooLarge),
        (format!("export default m => {}m", "!".repeat(100_000)), Code::ScriptTooLarge),
        (format!("export default m => {}", "m => ".repeat(20_000)), Code::ScriptTooLarge),
        (format!("export default m => m{}", "+ 1".repeat(60_000)), Code::ScriptTooLarge),
        (
            format!("type A = {}1{}\nexport default m => m", "A<".repeat(30_000), ">".repeat(30_000)),
            Code::ScriptTooLarge,
        ),
        (format!("// {}\nexport default m => m", "x".repeat(300 << 10)), Code::ScriptTooLarge),
        (format!("export default m => m\n{}b", "if (a) b; else ".repeat(4_000)), Code::ScriptTooLarge),
        ("export default m => m\nwhile (true) {}".into(), Code::ScriptTimeout),
        ("export default m => m\nthrow new Error('at the top')".into(), Code::ScriptThrew),
        ("export default m => m\nconst a = 'x'.repeat(1 << 29)".into(), Code::ScriptOutOfMemory),
        ("export default m => m\nfunction f() { f() } f()".into(), Code::ScriptStackOverflow),
        ("export default m => m\nawait new Promise(() => {})".into(), Code::ScriptNeverSettles),
        ("\0".into(), Code::ScriptSyntax),
        (String::new(), Code::ScriptNoDefaultExport),
        ("export default m => m\n\0".into(), Code::ScriptSyntax),
    ] {
        let head: String = source.chars().take(40).collect();
        match compile(&source, Language::TypeScript, "t.ts") {
            Err(fault) => assert_eq!(fault.code(), code, "{head}: {fault}"),
            Ok(_) => panic!("{head} compiled"),
        }
    }
}

#[test]
fn nothing_of_a_built_in_can_be_changed() {
    let source = "export default () => {
  const open = [];
  const seen = new Set();
  const visit = (value, path) => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) return;
    seen.add(value);
    if (!Object.isFrozen(value)) open.push(path);
    visit(Object.getPrototypeOf(value), path + '.__proto__');
    for (const key of Reflect.ownKeys(value)) {
      const own = Object.getOwnPropertyDescriptor(value, key);
      visit(own.value, path + '.' + String(key));
      visit(own.get, path + '.get ' + String(key));
      visit(own.set, path + '.set ' + String(key));
    }
  };
  visit(globalThis, 'globalThis');
  const get = (object, key) => { try { return object[key] } catch {} };
  for (const object of [Object.prototype, Function.prototype, Error.prototype, TypeError.prototype]) {
    for (const key of Reflect.ownKeys(object)) visit(get(object, key), String(key));
  }
  for (const value of [function () {}, function* () {}, async () => {}, async function* () {}]) visit(Object.getPrototypeOf(value), 'function kind');
  for (const value of [[][Symbol.iterator](), ''[Symbol.iterator](), new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), ''.matchAll(/a/g), [].values().map(x => x), Iterator.from({ next() {} })]) visit(Object.getPrototypeOf(value), 'iterator');
  return { open, count: seen.size > 500 };
}";
    let runner = Runner::new();
    let program = program(source);
    let mut slow = task(&program, 1, "acme");
    slow.limits = Arc::new(Limits { script_cpu_ms: 5000, ..Limits::default() });
    assert_eq!(crate::support::texts(&run_task(&runner, &program, slow)).unwrap(), [r#"{"open":[],"count":true}"#]);
}

/// Wherever in the recursion the engine asks for the deadline: an end that can be caught would go on for ever.
#[test]
fn a_recursion_that_catches_ends_whenever_its_time_is_over() {
    for calls in (0..10_000).step_by(1_300) {
        let source = format!(
            "const idle = () => {{}}; export default () => {{
                for (let i = 0; i < {calls}; i++) idle();
                function f() {{ try {{ f() }} catch (e) {{ f() }} }} f()
            }}"
        );
        let program = program(&source);
        let limits = Arc::new(Limits { script_cpu_ms: 20, ..Limits::default() });
        let done = run_task(&Runner::new(), &program, Task { limits, ..task(&program, 0, "acme") });
        assert_eq!(done.outcome.unwrap_err().code(), Code::ScriptTimeout, "{calls} calls before");
    }
}
