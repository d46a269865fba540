//! What is refused before it runs, and what is stopped while it runs. Nothing here may panic,
//! abort, or take long.

use crate::support::{apply_with, context, document, holds, value};
use expression::{Filter, Set};
use message::{Code, Limits};
use proptest::prelude::*;

fn refused(text: &str) -> message::Fault {
    Filter::compile(text).expect_err(text)
}

#[test]
fn what_is_too_large_never_reaches_the_parser() {
    for text in [
        vec!["1"; 20_000].join("+"),
        vec!["1"; 202].join("+"),
        "(".repeat(30_000),
        format!("{}1{}", "(".repeat(33), ")".repeat(33)),
        format!("{}1{}", "[".repeat(33), "]".repeat(33)),
        "!".repeat(201) + "true",
        "-".repeat(4000) + "1",
        format!("a{}", ".b".repeat(65)),
        format!("a{}", "[0]".repeat(65)),
        format!("a{}", ".b()".repeat(600)),
        format!("\"{}\"", "x".repeat(5000)),
        "a?".repeat(201),
    ] {
        let fault = refused(&text);
        assert_eq!(fault.code(), Code::ConfigExpressionTooLarge, "{fault}");
        assert!(fault.place().column.is_some());
        assert!(fault.reason().len() < 300, "{fault}");
    }
}

#[test]
fn an_escape_that_is_no_character_is_named_in_our_words() {
    for (text, says) in [
        (r#"a == "\ud800""#, "a string with an escape"),
        (r#"a == "\U00110000""#, "a string with an escape"),
        (r#"a == b"\ud800""#, "bytes with an escape"),
    ] {
        let fault = refused(text);
        assert_eq!((fault.code(), fault.place().column), (Code::ConfigInvalidExpression, Some(6)), "{fault}");
        assert!(fault.reason().contains(says) && !fault.reason().contains(['{', '}']), "{fault}");
    }
}

#[test]
fn the_largest_that_is_allowed_compiles_and_runs() {
    for text in [
        vec!["1"; 201].join("+") + " > 0",
        vec!["true"; 201].join("&&"),
        vec!["n"; 201].join("||"),
        format!("{}true{}", "(".repeat(32), ")".repeat(32)),
        format!("{}true{}", "!(".repeat(32), ")".repeat(32)),
        format!("size({}1{}) == 1", "[".repeat(31), "]".repeat(31)),
        format!("size({}1{}) == 1", "{1:".repeat(31), "}".repeat(31)),
        format!("{}true{}", "[1].all(x,".repeat(16), ")".repeat(16)),
        format!("{}true{}", "n ? true : (".repeat(32), ")".repeat(32)),
        "true ? true : ".repeat(199) + "true",
        format!("\"x\"{} == \"x\"", ".trim()".repeat(32)),
        format!("n in [{}]", vec!["1"; 2000].join(",")),
    ] {
        match Filter::compile(&text) {
            Ok(filter) => {
                let found = filter.matches(&document("{\"n\":true}"), &context(), &Limits::default());
                assert!(
                    found.is_ok() || found.as_ref().unwrap_err().code() == Code::FilterWrongType,
                    "{text}: {found:?}"
                );
            }
            Err(fault) => assert_eq!(fault.code(), Code::ConfigExpressionTooLarge, "{text}: {fault}"),
        }
    }
}

#[test]
fn every_compile_error_has_its_column() {
    for (text, column, words) in [
        ("", 1, "is empty"),
        ("  ", 1, "is empty"),
        ("a +", 4, "ends too early"),
        ("a b", 3, "at `b`"),
        ("a = 1", 3, "at `=`"),
        ("a & b", 3, "at `&`"),
        ("a.b.", 5, "ends too early"),
        ("(a", 1, "never closed"),
        ("a)", 2, "without its opening bracket"),
        ("(a]", 3, "closes with `]`"),
        ("\"ä\" == \"x", 8, "string without its end"),
        ("\"a\nb\"", 1, "string without its end"),
        ("@x", 1, "at `@`"),
        ("a ? b", 6, "ends too early"),
        ("for == 1", 1, "reserves"),
        ("99999999999999999999 > 1", 1, "invalid int literal"),
        ("1e999 > 1.0", 1, "invalid double literal"),
        ("x > 0x8000000000000000", 5, "invalid int literal"),
        ("order.total.nope() > 1", 13, "unknown function `nope`"),
        ("nope(1)", 1, "unknown function `nope`"),
        ("a && startswith(b)", 6, "did you mean `startsWith`"),
        ("a.contains(\"b\", \"c\")", 3, "it takes 1 argument"),
        ("size() > 1", 1, "it takes 1 argument"),
        ("contains(a, b)", 1, "x.contains"),
        ("a.int() > 1", 3, "int(x)"),
        ("round(a) > 1", 1, "did you mean `math.round`"),
        ("has(a)", 5, "of a root field `has(msg.order)`"),
        ("has(headers[\"x\"])", 12, "has()"),
        ("a.all(1, true)", 7, "first argument must be a simple name"),
        ("a.all(x)", 3, "macro `all`"),
        ("a.matches(b)", 11, "not a literal"),
        ("a.matches(\"(\")", 11, "unusable pattern"),
        ("a.matches(\"(((\\\\w{99}){99}){99}){99}\")", 11, "too large when compiled"),
        ("type == \"order\"", 1, "msg.type"),
        ("type == kind", 1, "msg.type"),
        ("order.kind in [type, \"x\"]", 16, "msg.type"),
        ("order.kind in [int, bool]", 16, "msg.int"),
        ("string.size() > 1", 1, "msg.string"),
        ("list[0] == 1", 1, "msg.list"),
        ("int > 1", 1, "msg.int"),
        ("bool", 1, "msg.bool"),
        ("meta.nope == 1", 1, "meta has id"),
        ("meta[\"nope\"] == 1", 1, "meta has id"),
        ("has(meta.nope)", 5, "meta has id"),
        ("Order{total: 1}", 6, "only maps"),
        ("a[?0]", 2, "at `[`"),
        ("timestamp(\"yesterday\") > meta.time", 11, "RFC 3339"),
        ("duration(\"1 day\") > duration(\"1s\")", 10, "1h30m"),
        ("meta.time.getHours(\"Europe/Zurich\") > 1", 20, "UTC"),
    ] {
        let fault = refused(text);
        assert_eq!(fault.code(), Code::ConfigInvalidExpression, "{text}: {fault}");
        assert_eq!(fault.place().column, Some(column), "{text}: {fault}");
        assert!(fault.reason().contains(words), "{text}: {fault}");
    }
}

#[test]
fn an_expression_of_several_lines_names_the_line() {
    let fault = refused("order.total > 1 &&\n  order.nope()");
    assert_eq!((fault.place().line, fault.place().column), (Some(2), Some(9)), "{fault}");
    let fault = holds("true &&\n  order.total > 1", "{\"order\":{}}").unwrap_err();
    assert_eq!((fault.place().line, fault.place().column), (Some(2), Some(3)), "{fault}");
}

#[test]
fn nested_macros_run_out_of_fuel() {
    let items = format!("{{\"a\":[{}]}}", vec!["1"; 200].join(","));
    let text = "a.all(x, a.all(y, a.all(z, x + y + z > 0)))";
    let fault = holds(text, &items).unwrap_err();
    assert_eq!(fault.code(), Code::FilterTooExpensive, "{fault}");
    // Nothing absorbs it.
    for around in
        ["(EXPR) || true", "true || (EXPR)", "(EXPR) && false", "a.exists(q, (EXPR) || true)", "(EXPR) ? 1 == 1 : true"]
    {
        let around = around.replace("EXPR", text);
        let found = holds(&around, &items);
        let skipped = around.starts_with("true ||");
        assert_eq!(found.is_ok(), skipped, "{around}");
    }
}

#[test]
fn walking_and_building_cost_fuel() {
    let wide = format!("{{\"o\":{{{}}}}}", (0..50_000).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(","));
    let long = format!(
        "{{\"a\":[{}],\"s\":\"{}\",\"n\":0.{}}}",
        vec!["0"; 50_000].join(","),
        "x".repeat(1 << 20),
        "1".repeat(1 << 16)
    );
    for (expression, text) in [
        ("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all(i, o.k49999 > i)", &wide),
        ("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all(i, a[49999] < i)", &long),
        ("a.map(x, s + s) == []", &long),
        ("a.map(x, s.upperAscii()) == []", &long),
        ("a.map(x, s.replace(\"x\", s)) == []", &long),
        ("a.map(x, a) == a", &long),
        ("a.map(x, a + a) == a", &long),
        ("a.exists(x, s.contains(\"y\"))", &long),
        ("a.exists(x, s.matches(\"y$\"))", &long),
        ("a.exists(x, size(s) == 0)", &long),
        ("a.exists(x, size(a) == 0)", &long),
        ("a.exists(x, s.split(\"\") == [])", &long),
        ("a.exists(x, s != s)", &long),
        ("a.exists(x, s == 1)", &long),
        ("a.exists(x, type(s) == int)", &long),
        ("a.exists(x, dyn(s) == 1)", &long),
        ("a.exists(x, n == 1)", &long),
        ("a.exists(x, n > 1e9)", &long),
        ("a.exists(x, 1 in a)", &long),
        ("a.exists(x, o != o)", &wide.replace("{\"o\"", "{\"a\":[1,2,3,4,5,6,7,8,9,10],\"o\"")),
    ] {
        let fault = holds(expression, text).expect_err(expression);
        assert_eq!(fault.code(), Code::FilterTooExpensive, "{expression}: {fault}");
    }
}

#[test]
fn a_long_chain_of_elements_is_copied_and_compared_without_recursion() {
    let text = format!("{{\"a\":[{}]}}", vec!["[]"; 300_000].join(","));
    let set = Set::compile(&[("b", "a"), ("same", "a == b")]).unwrap();
    let limits = Limits { fuel: 10_000_000, ..Limits::default() };
    let mut document = document(&text);
    assert!(apply_with(&set, &mut document, &limits).is_ok());
    assert!(crate::support::emitted(&document).ends_with("\"same\":true}"));
}

#[test]
fn the_deepest_document_is_compared_and_copied() {
    let depth = Limits::default().depth - 2;
    let text = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(holds("a == a && a in [a] && msg == {\"a\": a}", &text), Ok(true));
    let objects = format!("{{\"a\":{}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert_eq!(holds("a == a", &objects), Ok(true));
    assert_eq!(value("a.a", &objects).map(|copy| copy.len()), Ok(objects.len() - 12));
    assert_eq!(value("[msg]", &objects).unwrap_err().code(), Code::SetTooExpensive);
}

#[test]
fn an_error_never_shows_a_whole_payload() {
    let text = format!("{{\"s\":\"{}\"}}", "secret".repeat(10_000));
    for expression in ["int(s)", "timestamp(s)", "duration(s)", "meta.time.getHours(s)", "{\"a\": 1}[s]", "bool(s)"] {
        let fault = value(expression, &text).unwrap_err();
        assert!(fault.to_string().len() < 400, "{expression}: {fault}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_the_compiler_panic(text in ".{0,60}") {
        let _ = Filter::compile(&text);
    }

    #[test]
    fn no_soup_of_tokens_makes_it_panic(
        tokens in proptest::collection::vec(proptest::sample::select(vec![
            "a", "order", ".", "[", "]", "(", ")", "{", "}", ",", ":", "?", "+", "-", "!", "==", "<", "&&", "||", "in",
            "1", "2u", "0x", "1.5", "\"s\"", "'x'", "b\"b\"", "r\"\\", "\"\"\"", "has(", ".all(x,", ".map(", "size(", "matches(\"",
            "null", "true", "type", "meta", "headers", "msg", "as", "`", "@", "\\", "\n", "//", "é", "google.protobuf.Timestamp", "math.",
        ]), 0..24),
        spaced in any::<bool>(),
    ) {
        let text = tokens.join(if spaced { " " } else { "" });
        match Filter::compile(&text) {
            Ok(filter) => {
                let _ = filter.matches(&document("{\"a\":[1],\"order\":{}}"), &context(), &Limits::default());
            }
            Err(fault) => prop_assert!(fault.place().column.is_some(), "{}: {}", text, fault),
        }
    }
}
