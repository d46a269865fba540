//! Each construct of TypeScript, and what is left of it.

use message::Code;
use script::{Language, compile};

/// Source and result, with `·` for a blank.
const STRIPPED: &[(&str, &str)] = &[
    ("let a: number = 1", "let a········ = 1"),
    ("let a: number", "let a········"),
    ("let a!: number", "let a·········"),
    ("const f = (a: number, b?: string): void => {}", "const f = (a········, b·········)······ => {}"),
    (
        "function f<T extends object>(this: T, a: T = {} as T): a is T { return true }",
        "function f··················(·········a··· = {}·····)········ { return true }",
    ),
    ("interface A { a: number }", ";························"),
    ("export interface A { a: number }", ";·······························"),
    ("type A = number\n(1 + 1)", ";··············\n(1 + 1)"),
    ("let a = 1\ntype A = {\n  b: 2 }\n(2)", "let a = 1\n;·········\n········\n(2)"),
    ("export type A = 1;", ";·················"),
    ("const a = b as any as number", "const a = b·················"),
    ("let b = 1\nlet a = b as any\n(b)", "let b = 1\nlet a = b ;·····\n(b)"),
    ("let a = b as any\n[0].toString()", "let a = b ;·····\n[0].toString()"),
    ("let a = b as any\n`x`", "let a = b ;·····\n`x`"),
    ("let a = b as any\n+ 1", "let a = b·······\n+ 1"),
    ("const a = {} satisfies object", "const a = {}·················"),
    ("a!.b!.c![0]!()", "a·.b·.c·[0]·()"),
    ("(a as any) = 1", "(a·······) = 1"),
    ("a! = 1", "a· = 1"),
    ("new Map<string, Array<number>>([])", "new Map·······················([])"),
    ("f<string>(1); f?.<string>(1); f<string>`x`", "f········(1); f?.········(1); f········`x`"),
    ("const g = f<string>;", "const g = f········;"),
    ("const f = <T,>(a: T) => a", "const f = ····(a···) => a"),
    ("const f = async <T\n>(a: T) => a", "const f = async (·\n··a···) => a"),
    (
        "const f = (a: number): {\n  b: number\n} => ({ b: a })",
        "const f = (a········ ···\n···········\n) => ({ b: a })",
    ),
    ("import type { A } from 'x'", ";·························"),
    ("import type A from 'x'", ";·····················"),
    ("export type { A }", ";················"),
    ("export { type A, f }", "export {·········f }"),
    ("declare const a: number", ";······················"),
    ("declare function a(): number;", ";····························"),
    ("declare global { interface A {} }", ";································"),
    ("declare module 'x' { const a: number }", ";·····································"),
    ("declare enum A { B }", ";···················"),
    ("namespace A { export type B = 1 }", ";································"),
    ("function f(a: string): void\nfunction f(a: any) {}", ";··························\nfunction f(a·····) {}"),
    ("try {} catch (e: unknown) {}", "try {} catch (e·········) {}"),
    ("for (const a of b as any[]) {}", "for (const a of b·········) {}"),
    ("const { a, b }: { a: 1, b: 2 } = c", "const { a, b }················ = c"),
    ("function f(...a: number[]) {}", "function f(...a··········) {}"),
    ("const a = <any>b", "const a = ·····b"),
    ("const é: Größe | '€😀' = 1", "const é··············· = 1"),
    // classes
    ("class A<T> extends B<T> implements C, D<T> { }", "class A··· extends B······················ { }"),
    ("class A implements C { }", "class A············· { }"),
    ("(class implements C { })", "(class············· { })"),
    (
        "abstract class A { abstract a: number; abstract b(): void; c = 1 }",
        "·········class A { ;·················· ;·················· c = 1 }",
    ),
    (
        "class A { public a = 1; private static readonly b = 2 }",
        "class A { ;······a = 1; ;·······static ·········b = 2 }",
    ),
    ("class A { a = 1\n private ['b'] = 2 }", "class A { a = 1\n ;·······['b'] = 2 }"),
    ("class A { a = 1\n protected *b() {} }", "class A { a = 1\n ;·········*b() {} }"),
    ("class A { static readonly ['b'] = 2 }", "class A { static ·········['b'] = 2 }"),
    ("class A { get: number\n foo() {} }", "class A { get;·······\n foo() {} }"),
    ("class A { a?: number; b!: string; c?(): void {} }", "class A { a;········; b;········; c·()······ {} }"),
    (
        "class A { [key: string]: any; ['x' as any]: number = 1 }",
        "class A { ;···················['x'·······]········ = 1 }",
    ),
    ("class A { declare a: number; override b() {} }", "class A { ;················· ;········b() {} }"),
    ("class A { b(): void; b(a?: any): void {} }", "class A { ;········· b(a······)······ {} }"),
    (
        "class A { constructor(a: number); constructor(a: any) {} }",
        "class A { ;······················ constructor(a·····) {} }",
    ),
    (
        "class A { get a(): number { return 1 } set a(v: number) {} }",
        "class A { get a()········ { return 1 } set a(v········) {} }",
    ),
    ("class A { readonly = 1; static = 2; public() {} }", "class A { readonly = 1; static = 2; public() {} }"),
    ("class A { private async b<T>(): Promise<T> {} }", "class A { ;·······async b···()············ {} }"),
];

#[test]
fn types_become_blanks_and_nothing_else_moves() {
    let mut different = Vec::new();
    for (source, expected) in STRIPPED {
        let whole = format!("{source}\nexport default (m: any) => m");
        let javascript = script::strip_types(&whole, "t.ts").unwrap_or_else(|fault| panic!("{source}: {fault}"));
        let stripped = &javascript[..source.len()];
        let shown = stripped.replace(['\u{a0}', '\u{2003}'], " ");
        if shown != expected.replace('·', " ") {
            different.push(format!("{source}\n{shown}|\n{}|", expected.replace('·', " ")));
        }
        assert_eq!(javascript.len(), whole.len(), "{source}");
        assert_eq!(javascript.encode_utf16().count(), whole.encode_utf16().count(), "{source}");
        for (before, after) in whole.lines().zip(javascript.lines()) {
            assert_eq!(before.encode_utf16().count(), after.encode_utf16().count(), "{source}");
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn what_cannot_be_stripped_is_named_with_its_place() {
    let cases = [
        ("enum A { B }", 2, 1),
        ("const enum A { B }", 2, 1),
        ("namespace A { export const b = 1 }", 2, 1),
        ("module A { export const b = 1 }", 2, 1),
        ("class A { constructor(private a: number) {} }", 2, 23),
        ("class A { constructor(readonly a: number) {} }", 2, 23),
        ("import a from 'a'", 2, 1),
        ("import { type A } from 'a'", 2, 1),
        ("import 'a'", 2, 1),
        ("import a = require('a')", 2, 1),
        ("export * from 'a'", 2, 1),
        ("export { a } from 'a'", 2, 1),
        ("const a = import('a')", 2, 11),
        ("const a = import.meta", 2, 11),
        ("@a class B {}", 2, 1),
        ("class B { @a b() {} }", 2, 11),
        ("const a = <div/>", 2, 11),
        ("class B { accessor a = 1 }", 2, 11),
        ("export = 1", 2, 1),
        ("const f = () => <any>{ a: 1 }", 2, 17),
        ("function f() { return <any>\n1 }", 2, 23),
    ];
    for (source, line, column) in cases {
        let whole = format!("// a script\n{source}\nexport default m => m");
        let fault = compile(&whole, Language::TypeScript, "t.ts").unwrap_err();
        assert_eq!(fault.code(), Code::ScriptUnsupported, "{source}: {fault}");
        assert_eq!((fault.place().line, fault.place().column), (Some(line), Some(column)), "{source}: {fault}");
        assert_eq!(fault.place().file.as_deref(), Some("t.ts"));
    }
}

/// Every message would fail: an iterator is no message.
#[test]
fn a_default_export_that_gives_no_message_is_named_with_its_place() {
    let cases = [
        ("export default function* (msg) { yield msg }", 1, 16, "a generator"),
        ("export default async function* (msg) { yield msg }", 1, 16, "an async generator"),
        ("export const f = function* (msg) { yield msg }\nexport { f as default }", 1, 18, "a generator"),
    ];
    for language in [Language::JavaScript, Language::TypeScript] {
        for (source, line, column, what) in cases {
            let fault = compile(source, language, "t.ts").unwrap_err();
            assert_eq!(fault.code(), Code::ScriptAsync, "{source}: {fault}");
            assert!(fault.reason().ends_with(what), "{source}: {fault}");
            assert_eq!((fault.place().line, fault.place().column), (Some(line), Some(column)), "{source}: {fault}");
        }
    }
    let typed = "export default (function* (msg: object): Generator<object> { yield msg }) as any";
    assert_eq!(compile(typed, Language::TypeScript, "t.ts").unwrap_err().code(), Code::ScriptAsync);
}

/// Where the text does not tell, the function does.
#[test]
fn a_default_export_that_turns_out_to_give_no_message_is_refused() {
    let cases = [
        ("export default { *each(msg) { yield msg } }.each", "a generator"),
        ("export default { async *each(msg) { yield msg } }.each", "an async generator"),
    ];
    for (source, what) in cases {
        let fault = compile(source, Language::JavaScript, "t.js").unwrap_err();
        assert_eq!(fault.code(), Code::ScriptAsync, "{source}: {fault}");
        assert!(fault.reason().ends_with(what), "{source}: {fault}");
        assert_eq!(fault.place().file.as_deref(), Some("t.js"));
    }
}

#[test]
fn what_is_async_within_a_script_is_no_fault() {
    for source in [
        "const later = async msg => msg; export default msg => { later(msg); return msg }",
        "async function f() {} export default function g(msg) { return msg }",
        "function* each(msg) { yield msg } export default msg => [...each(msg)]",
        "let f = function* () {}; f = async msg => msg; export default f",
        "export default async (msg) => msg",
        "export default async function f(msg) { return msg }",
        "const f = async msg => msg\nexport { f as default }",
        "export default new Proxy(async msg => msg, {})",
        "export default msg => { const f = async () => msg; f(); return msg }",
    ] {
        assert!(compile(source, Language::JavaScript, "t.js").is_ok(), "{source}");
    }
}
