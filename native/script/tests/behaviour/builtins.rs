//! What scripts have of a platform: texts and bytes, copies, digests, addresses.

use std::sync::Arc;

use message::{Code, Limits};
use script::Runner;

use crate::support::{outputs, program, run, run_in, run_task, task, texts};

/// Each gives `true`, or says what it is instead.
fn all_hold(checks: &[&str]) {
    for check in checks {
        assert_eq!(outputs(&format!("export default async (msg, ctx) => ({check})"), "{}"), ["true"], "{check}");
    }
}

/// Each throws an error of this name.
fn all_throw(name: &str, checks: &[&str]) {
    for check in checks {
        let source = format!(
            "export default async (msg, ctx) => {{ try {{ {check} }} catch (e) {{ return e.name }} return 'no error' }}"
        );
        assert_eq!(outputs(&source, "{}"), [format!("\"{name}\"")], "{check}");
    }
}

#[test]
fn base64_is_read_and_written_as_the_html_standard_says() {
    all_hold(&[
        "btoa('') === '' && atob('') === ''",
        "btoa('Hello') === 'SGVsbG8=' && atob('SGVsbG8=') === 'Hello'",
        "btoa('\\xff\\x00é') === '/wDp' && atob('/wDp') === '\\xff\\x00é'",
        "atob(' SGV\\tsbG8 \\n') === 'Hello' && atob('SGVsbG9=') === 'Hello'",
        "atob('YQ') === 'a' && atob('YR') === 'a'",
        "btoa(12) === 'MTI=' && btoa(null) === 'bnVsbA=='",
    ]);
    all_throw(
        "InvalidCharacterError",
        &["atob('a')", "atob('ab=')", "atob('a-b_')", "atob('=')", "atob('abc\\0')", "btoa('€')", "btoa('\\ud800')"],
    );
}

#[test]
fn texts_are_encoded_and_decoded() {
    all_hold(&[
        "new TextEncoder().encode('aé€😀').join() === '97,195,169,226,130,172,240,159,152,128'",
        "new TextEncoder().encode('\\ud800').join() === '239,191,189' && new TextEncoder().encoding === 'utf-8'",
        "new TextEncoder().encode().length === 0",
        "(a => JSON.stringify(new TextEncoder().encodeInto('aé😀', a)) + a.join() === '{\"read\":2,\"written\":3}97,195,169,0,0')(new Uint8Array(5))",
        "new TextDecoder().decode(new TextEncoder().encode('aé€😀')) === 'aé€😀'",
        "new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])) === 'a'",
        "new TextDecoder('utf8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])) === '\\ufeffa'",
        "new TextDecoder().decode(new Uint8Array([97, 0xff, 98])) === 'a\\ufffdb' && new TextDecoder().decode() === ''",
        "(d => d.encoding + d.fatal + d.ignoreBOM === 'windows-1252truefalse')(new TextDecoder('latin1', { fatal: true }))",
        "new TextDecoder('latin1').decode(new Uint8Array([0xe4, 0x80])) === 'ä€'",
        "new TextDecoder('utf-16le').decode(new Uint8Array([0xe4, 0, 0x3d, 0xd8, 0x00, 0xde])) === 'ä😀'",
        "new TextDecoder().decode(new DataView(new Uint8Array([97, 98, 99]).buffer, 1)) === 'bc'",
        "new TextDecoder().decode(new Uint16Array([0x6261]).buffer) === 'ab'",
    ]);
    all_throw(
        "TypeError",
        &[
            "new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff]))",
            "new TextDecoder().decode('text')",
            "new TextDecoder().decode(new Uint8Array(1), { stream: true })",
            "const a = new Uint8Array(8); a.buffer.transfer(); new TextDecoder().decode(a)",
            "TextDecoder.prototype.encoding",
            "new TextEncoder().encode(Symbol())",
        ],
    );
    all_throw("RangeError", &["new TextDecoder('klingon')", "new TextDecoder('replacement')"]);
}

#[test]
fn values_are_copied_with_their_kinds_and_their_cycles() {
    all_hold(&[
        "structuredClone(5) === 5 && structuredClone(undefined) === undefined && structuredClone(5n) === 5n",
        "(o => { const c = structuredClone(o); return c !== o && c.self === c && c.list[0] === c && c.x === 1 })((() => { const o = { x: 1 }; o.self = o; o.list = [o]; return o })())",
        "(m => m instanceof Map && [...m.get('a')].join() === '1,2')(structuredClone(new Map([['a', new Set([1, 2])]])))",
        "structuredClone(new Date(5)).getTime() === 5 && structuredClone(/a+/gi).flags === 'gi'",
        "(e => e instanceof TypeError && e.message === 'no' && e.cause.a === 1)(structuredClone(new TypeError('no', { cause: { a: 1 } })))",
        "(c => c[0].buffer === c[1].buffer && c[0][1] === 2 && c[1].length === 1)(structuredClone((b => [new Uint8Array(b), new Uint8Array(b, 1, 1)])(new Uint8Array([1, 2, 3]).buffer)))",
        "(a => a.length === 3 && !(0 in a) && a[1] === 1 && a.x === 2)(structuredClone(Object.assign([, 1, ,], { x: 2 })))",
        "Object.keys(structuredClone(new (class A { #p = 1; a = 1; get b() { return 1 } })())).join() === 'a'",
        "Object.getPrototypeOf(structuredClone(JSON.parse('{\"__proto__\":1}'))) === Object.prototype",
        "structuredClone(Object(1n)) instanceof BigInt && structuredClone(new String('x')).length === 1",
    ]);
    all_throw(
        "DataCloneError",
        &[
            "structuredClone(() => 1)",
            "structuredClone({ a: Symbol() })",
            "structuredClone(Promise.resolve())",
            "structuredClone(new Proxy({}, {}))",
            "structuredClone(new WeakMap())",
            "const b = new ArrayBuffer(1); structuredClone(b, { transfer: [b] })",
        ],
    );
}

/// A copy of the message, or of a part, keeps the digits that JavaScript cannot hold, and its own changes.
#[test]
fn a_copy_of_the_message_is_its_own() {
    let source = "export default msg => { const copy = structuredClone(msg); copy.a.b.push(2); copy.n = msg.id; return [msg, copy] }";
    let input = r#"{"id":12345678901234567890,"a":{"b":[1.50]}}"#;
    let expected = r#"{"id":12345678901234567890,"a":{"b":[1.5,2]},"n":12345678901234567890}"#;
    assert_eq!(outputs(source, input), [input, expected]);
}

#[test]
fn digests_are_those_of_the_standards() {
    all_hold(&[
        "crypto.digest('SHA-256', 'abc', 'hex') === 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'",
        "crypto.digest('sha-1', 'abc', 'base64') === 'qZk+NkcGgWq6PiVxeFDCbJzQ2J0='",
        "crypto.digest('SHA-384', new Uint8Array(), 'hex').startsWith('38b060a751ac96384cd9327eb1b1e36a')",
        "crypto.digest('SHA-512', 'abc', 'hex').startsWith('ddaf35a193617abacc417349ae204131')",
        "crypto.digest('SHA-256', 'ü').length === 32 && crypto.digest('SHA-256', '') instanceof Uint8Array",
        "crypto.hmac('SHA-256', 'key', 'The quick brown fox jumps over the lazy dog', 'hex') === 'f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8'",
        "crypto.hmac('SHA-1', new Uint8Array([107, 101, 121]), 'The quick brown fox jumps over the lazy dog', 'hex') === 'de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9'",
        "crypto.hmac('SHA-256', '', '', 'base64url') === 'thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0'",
        "(await crypto.subtle.digest({ name: 'SHA-256' }, new TextEncoder().encode('abc'))) instanceof ArrayBuffer",
    ]);
    all_throw(
        "NotSupportedError",
        &["crypto.digest('MD5', 'abc')", "await crypto.subtle.digest('', new Uint8Array())"],
    );
    all_throw(
        "TypeError",
        &[
            "crypto.digest('SHA-256', '\\ud800')",
            "crypto.digest('SHA-256', 5)",
            "crypto.digest('SHA-256', 'a', 'utf-8')",
            "crypto.hmac('SHA-256', undefined, 'a')",
        ],
    );
}

#[test]
fn random_values_follow_from_the_message() {
    let source = "export default (msg, ctx) => [ctx.uuid(), crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(20)).join()]";
    let (runner, script) = (Runner::new(), program(source));
    let with = |change: &dyn Fn(&mut script::TaskContext)| {
        let mut task = task(&script, "{}");
        change(&mut task.context);
        texts(&run_task(&runner, &script, task)).unwrap()
    };
    let first = with(&|_| ());
    assert_eq!(with(&|_| ()), first);
    assert_ne!(first[0], first[1]);
    for changed in [
        with(&|context| context.id = "0123456789abcdeg".into()),
        with(&|context| context.seed = 1),
        with(&|context| context.owner = crate::support::context("other").owner),
    ] {
        assert!(changed.iter().zip(&first).all(|(one, other)| one != other), "{changed:?}");
    }
    assert_eq!(with(&|context| context.time_ms += 1), first);
    all_hold(&[
        "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(ctx.uuid())",
        "new Set(Array.from({ length: 1000 }, () => ctx.uuid())).size === 1000",
    ]);
    all_throw("TypeMismatchError", &["crypto.getRandomValues(new Float64Array(1))", "crypto.getRandomValues([1])"]);
    all_throw("QuotaExceededError", &["crypto.getRandomValues(new Uint8Array(65537))"]);
    let fault = script::compile(
        "const id = crypto.randomUUID(); export default () => id",
        script::Language::JavaScript,
        "t.js",
    );
    assert!(fault.unwrap_err().reason().contains("outside of the function"));
}

#[test]
fn addresses_are_read_and_changed_as_the_url_standard_says() {
    all_hold(&[
        "new URL('HTTPS://u:p@Ex%41mple.com:443/a/../b c?q=1#h').href === 'https://u:p@example.com/b%20c?q=1#h'",
        "(u => [u.origin, u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash].join('|') === 'https://a.ch:8080|https:|u|p|a.ch:8080|a.ch|8080|/x|?y=1|#z')(new URL('https://u:p@a.ch:8080/x?y=1#z'))",
        "new URL('../c?d', 'http://a/b/x/y').href === 'http://a/b/c?d' && `${new URL('//b', 'http://a')}` === 'http://b/'",
        "new URL('https://münchen.de').hostname === 'xn--mnchen-3ya.de' && new URL('http://0x7f.1/').host === '127.0.0.1'",
        "JSON.stringify({ u: new URL('mailto:a@b') }) === '{\"u\":\"mailto:a@b\"}' && new URL('mailto:a@b').origin === 'null'",
        "URL.canParse('http://a') && !URL.canParse('a') && URL.canParse('a', 'http://b') && URL.parse('::') === null && URL.parse('a:b').href === 'a:b'",
        "(u => { u.protocol = 'http'; u.host = 'b:81'; u.pathname = '/ü'; u.search = 'a=b c'; u.hash = 'x'; u.username = 'me'; u.password = ''; return u.href === 'http://me@b:81/%C3%BC?a=b%20c#x' })(new URL('https://u:p@a/'))",
        "(u => { u.port = 'x'; u.protocol = '1'; u.hostname = ''; return u.href === 'https://a/' })(new URL('https://a/'))",
        "(u => { u.port = ''; u.search = ''; u.hash = ''; return u.href === 'https://a/' })(new URL('https://a:1/?x#y'))",
        "(u => { u.searchParams.append('b', 'ü&'); u.searchParams.delete('a'); return u.href === 'http://x/?b=%C3%BC%26' && u.search === '?b=%C3%BC%26' })(new URL('http://x/?a=1'))",
        "(u => { const p = u.searchParams; u.search = '?z=9'; u.href = 'http://y/?c=1&c=2'; return p === u.searchParams && p.getAll('c').join() === '1,2' })(new URL('http://x/?a=1'))",
        "(u => { u.searchParams.delete('a'); return u.href === 'http://x/' })(new URL('http://x/?a=1'))",
        "new URL('http://a/\\ud800').pathname === '/%EF%BF%BD'",
        "Object.prototype.toString.call(new URL('a:')) === '[object URL]' && Object.keys(new URL('a:')).length === 0",
    ]);
    all_throw(
        "TypeError",
        &[
            "new URL('a')",
            "new URL('')",
            "new URL('http://')",
            "new URL('a', 'b')",
            "new URL('http://a').href = 'x'",
            "'use strict'; new URL('http://a').origin = 'x'",
            "URL('http://a')",
            "URL.prototype.href",
            "new URL('http://a/' + 'x'.repeat(70000))",
        ],
    );
}

#[test]
fn queries_are_lists_of_pairs() {
    all_hold(&[
        "new URLSearchParams('?a=1&b=+%C3%BC&c').toString() === 'a=1&b=+%C3%BC&c='",
        "new URLSearchParams({ a: 1, b: 'x y' }).toString() === 'a=1&b=x+y'",
        "new URLSearchParams([['a', 1], new Set(['b', 2])]).size === 2 && new URLSearchParams(new Map([['k', 'v']])).get('k') === 'v'",
        "`${new URLSearchParams(new URLSearchParams('a=1'))}` === 'a=1' && new URLSearchParams().size === 0",
        "(p => p.get('a') === '1' && p.get('x') === null && p.getAll('a').join() === '1,2' && p.has('a', '2') && !p.has('a', '3'))(new URLSearchParams('a=1&a=2'))",
        "(p => { p.set('a', 9); p.set('n', 1); p.append('b', null); p.delete('c', '2'); return `${p}` === 'a=9&b=&c=1&n=1&b=null' })(new URLSearchParams('a=1&b=&a=2&c=1&c=2'))",
        "(p => { p.sort(); return `${p}` === 'a=2&a=1&z=1&%EF%BF%BF=1' })(new URLSearchParams('z=1&\\uffff=1&a=2&a=1'))",
        "JSON.stringify([[...new URLSearchParams('a=1&b=2')], [...new URLSearchParams('a=1').keys()], [...new URLSearchParams('a=1').values()]]) === '[[[\"a\",\"1\"],[\"b\",\"2\"]],[\"a\"],[\"1\"]]'",
        "(p => { const seen = []; p.forEach(function (v, n, q) { seen.push(n, v, q === p, this.t) }, { t: 1 }); return seen.join() === 'a,1,true,1' })(new URLSearchParams('a=1'))",
        "(p => { const seen = []; for (const [n] of p) { seen.push(n); if (seen.length < 3) p.append('x', 1) } return seen.join() === 'a,x,x' })(new URLSearchParams('a=1'))",
        "(p => { [...p][0][0] = 'changed'; return `${p}` === 'a=1' })(new URLSearchParams('a=1'))",
    ]);
    all_throw("TypeError", &["new URLSearchParams([['a']])", "new URLSearchParams([1])", "URLSearchParams()"]);
}

#[test]
fn what_is_offered_cannot_be_changed_and_keeps_nothing() {
    let source = "
const roots = { URL, URLSearchParams, TextEncoder, TextDecoder, structuredClone, atob, btoa, crypto };
export default () => {
  const seen = new Set(), open = [];
  const visit = (value, path) => {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function') || seen.has(value)) return;
    seen.add(value);
    if (!Object.isFrozen(value)) open.push(path);
    visit(Object.getPrototypeOf(value), path + '.^');
    for (const key of Reflect.ownKeys(value)) {
      const own = Object.getOwnPropertyDescriptor(value, key);
      for (const part of ['value', 'get', 'set']) visit(own[part], path + '.' + String(key));
    }
  };
  for (const name of Object.keys(roots)) visit(roots[name], name);
  visit(Object.getPrototypeOf(new URLSearchParams('a=1').keys()), 'iterator');
  for (const name of Object.keys(roots)) {
    for (const change of [() => { globalThis[name] = 1 }, () => { roots[name].x = 1 }, () => { delete globalThis[name] }]) {
      try { change(); open.push(name) } catch {}
    }
  }
  return open.filter(path => !path.startsWith('roots'));
}";
    assert_eq!(
        outputs(&source.replace("return open", "return [open").replace("'roots'));", "'roots'))];"), "{}"),
        ["[]"]
    );
}

#[test]
fn limits_hold_in_what_is_offered() {
    let limits = Limits { script_memory_mb: 64, ..Limits::default() };
    for (body, code) in [
        ("const a = new Uint8Array(16 << 20); for (;;) crypto.digest('SHA-512', a)", Code::ScriptTimeout),
        ("for (;;) crypto.randomUUID()", Code::ScriptTimeout),
        ("for (;;) new URL('http://a/' + 'x/../'.repeat(10000))", Code::ScriptTimeout),
        ("const p = new URLSearchParams(); for (;;) p.append('a', 'b')", Code::ScriptTimeout),
        ("const p = new URLSearchParams('a=1'); for (const x of p) p.append('a', x)", Code::ScriptTimeout),
        ("let a = 'x'; for (;;) a = btoa(a)", Code::ScriptOutOfMemory),
        ("const a = []; for (;;) a.push(new TextEncoder().encode('x'.repeat(1 << 20)))", Code::ScriptOutOfMemory),
        ("let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; return structuredClone(o)", Code::ScriptStackOverflow),
        ("new TextDecoder().decode(new Uint8Array(17 << 20))", Code::ScriptThrew),
    ] {
        let script = program(&format!("export default () => {{ {body} }}"));
        let mut task = task(&script, "{}");
        task.limits =
            Arc::new(Limits { script_cpu_ms: if code == Code::ScriptTimeout { 20 } else { 2000 }, ..limits.clone() });
        let fault = run_task(&Runner::new(), &script, task).outcome.expect_err(body);
        assert!(
            fault.code() == code || (body.contains("btoa") && fault.code() == Code::ScriptThrew),
            "{body}: {fault}"
        );
    }
}

/// Getters, proxies and buffers that change under the hand: an answer or an exception, nothing else.
#[test]
fn hostile_inputs_read_nothing_that_is_not_theirs() {
    let source = "export default async () => {
      const shrinking = (change) => {
        const buffer = new ArrayBuffer(64, { maxByteLength: 128 });
        const view = new Uint8Array(buffer);
        return [buffer, view, { get name() { change(buffer); return 'SHA-256' } }];
      };
      const tries = [];
      for (const change of [b => b.resize(0), b => b.resize(128), b => b.transfer(), b => b.resize(3)]) {
        for (const pick of [0, 1]) {
          const made = shrinking(change);
          tries.push(() => crypto.digest(made[2], made[pick]));
          const key = shrinking(change), late = shrinking(() => {});
          Object.defineProperty(late[1], 'byteLength', { get() { change(key[0]); return undefined } });
          tries.push(() => crypto.hmac('SHA-256', key[pick], late[1]));
          const lying = shrinking(() => {});
          for (const name of ['buffer', 'byteOffset', 'byteLength', 'length']) Object.defineProperty(lying[1], name, { value: 1e9 });
          tries.push(() => new TextDecoder().decode(lying[1]), () => new TextEncoder().encodeInto('xyz', lying[1]), () => structuredClone(lying[1]));
          const filled = shrinking(() => {});
          Object.defineProperty(filled[1], 'byteLength', { get() { change(filled[0]); return 1 } });
          tries.push(() => crypto.getRandomValues(filled[1]));
        }
      }
      for (const value of [new Proxy(new Uint8Array(8), {}), Object.create(Uint8Array.prototype), { __proto__: new Uint8Array(8) }]) {
        tries.push(() => new TextDecoder().decode(value), () => crypto.digest('SHA-1', value), () => structuredClone(value));
      }
      for (const value of [Object.create(URL.prototype), new Proxy(new URL('a:'), {})]) tries.push(() => value.href, () => value.searchParams);
      const outcomes = await Promise.all(tries.map(async attempt => { try { attempt(); return 1 } catch (e) { return e instanceof Error ? 1 : 0 } }));
      return outcomes.every(Boolean);
    }";
    assert_eq!(texts(&run(source, "{}")).unwrap(), ["true"]);
}

/// What is made for one message is not found by the next, and an error is the customer's line.
#[test]
fn errors_name_the_line_of_the_script() {
    let fault = run("export default (msg) => {\n  return new URL(msg.a).href }", r#"{"a":"no"}"#).outcome.unwrap_err();
    assert_eq!(fault.code(), Code::ScriptThrew);
    assert_eq!(fault.place().line, Some(2), "{fault}");
    assert_eq!(fault.reason(), "TypeError: URL: `no` is no address");
}

#[test]
fn the_library_of_a_context_is_made_once() {
    let source = "let first; export default () => { const same = !first || first === URL; first = URL; return same }";
    let (runner, script) = (Runner::new(), program(source));
    let mut used = Vec::new();
    for _ in 0..3 {
        assert_eq!(texts(&run_in(&runner, &script, "{}")).unwrap(), ["true"]);
        used.push(runner.memory());
    }
    assert_eq!(used[1], used[2]);
}
