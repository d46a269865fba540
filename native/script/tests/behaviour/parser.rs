//! The parser ends soon, and well, whatever it is given.

use message::Code;
use proptest::prelude::*;
use script::{Language, compile, strip_types};

/// Parsers that try a reading and go back can take time that doubles with each level.
#[test]
fn ambiguous_nesting_does_not_double_the_work() {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("export default m => m\nconst x = {}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, inner, close, depth) in [
        ("(a = ", "1", ")", 200),
        ("(a = ", "1", ") => 1", 200),
        ("(a, ", "1", ")", 200),
        ("(a: b = ", "1", ") => 1", 200),
        ("a<", "a", ">", 1500),
        ("a<", "a", "", 1500),
        ("a<(", "a", ")>", 200),
        ("a ? (b) : ", "1", "", 800),
        ("a ? (b) : (", "1", ")", 200),
        ("a ? (", "1", ") : b => 1", 200),
        ("a ? (b = (", "1", ")) : c", 100),
        ("<T>(", "1", ")", 200),
        ("<T>(a = ", "1", ") => 1", 200),
        ("async (a = ", "1", ")", 200),
        ("async <T>(", "1", ")", 200),
        ("{ a: [", "1", "] }", 120),
        ("({ a = ", "1", "} = {})", 100),
        ("[a = ", "1", "] = [", 200),
        ("`${", "1", "}`", 200),
        ("a as b<", "c", ">", 1500),
        ("(a as (b) => ", "c", ")", 200),
        ("(a as (b: ", "c", ") => c)", 100),
        ("a as { b(", "", "): c }", 120),
        ("new a<", "b", ">()", 200),
        ("/(?:", "a", ")/", 100),
        ("!", "1", "", 4000),
        ("a => ", "1", "", 1900),
        ("a ** ", "1", "", 1900),
        ("class extends ", "a", " {}", 1000),
        ("function () { ", "", " }", 120),
    ] {
        let source = nested(open, inner, close, depth);
        let code = strip_types(&source, "a.ts").err().map(|fault| fault.code());
        assert!(
            matches!(code, None | Some(Code::ScriptTooLarge | Code::ScriptSyntax)),
            "{open}{close} {depth}: {code:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_source_is_a_defect(source in prop::collection::vec(prop_oneof![
        "[\\PC\n]{0,4}", Just("export default ".to_owned()), Just("(msg: any): any => ".to_owned()), Just("{".to_owned()),
        Just("}".to_owned()), Just("as T".to_owned()), Just("<T>".to_owned()), Just("class A ".to_owned()), Just("type A = ".to_owned()),
        Just("\n".to_owned()), Just("public ".to_owned()), Just("(".to_owned()), Just(")".to_owned()), Just("`${".to_owned()), Just("enum A { B }".to_owned()),
    ], 0..30)) {
        let source = source.concat();
        for language in [Language::TypeScript, Language::JavaScript] {
            if let Err(fault) = compile(&source, language, "a.ts") {
                prop_assert_ne!(fault.code(), Code::InternalPanic, "{}", fault);
            }
        }
    }
}
