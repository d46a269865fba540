//! JSON by hand-picked examples and against serde_json: what is accepted, what is refused and
//! where, what is written.

use crate::model::Model;
use formats::json;
use message::{Code, Document, Fault, Limits, Path};
use proptest::prelude::*;

fn parse_with(limits: &Limits, source: &[u8]) -> Result<Document, Fault> {
    let mut document = Document::default();
    json::parse(source, limits, &mut document)?;
    Ok(document)
}

fn parse(source: &[u8]) -> Result<Document, Fault> {
    parse_with(&Limits::default(), source)
}

fn emit(document: &Document) -> String {
    let mut out = Vec::new();
    json::emit(document, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn values_are_read_as_they_are_written() {
    for (source, expected) in [
        ("null", Model::Null),
        (" \t\r\ntrue \n", Model::Bool(true)),
        ("false", Model::Bool(false)),
        ("-0", Model::Number("-0".into())),
        ("1e400", Model::Number("1e400".into())),
        ("0.10000000000000000000001", Model::Number("0.10000000000000000000001".into())),
        (r#""""#, Model::Text(String::new())),
        (r#""a\"\\\/\b\f\n\r\t\u00E9\ud83d\uDE00é""#, Model::Text("a\"\\/\u{8}\u{c}\n\r\té😀é".into())),
        ("\"\u{7f}\u{2028}\u{ffff}\"", Model::Text("\u{7f}\u{2028}\u{ffff}".into())),
        ("[]", Model::List(vec![])),
        ("[ 1 , [ ] , { } ]", Model::List(vec![Model::Number("1".into()), Model::List(vec![]), Model::Object(vec![])])),
        (
            r#"{"":1,"a":{"\u0061":2}}"#,
            Model::Object(vec![
                (String::new(), Model::Number("1".into())),
                ("a".into(), Model::Object(vec![("a".into(), Model::Number("2".into()))])),
            ]),
        ),
    ] {
        assert_eq!(Model::read(parse(source.as_bytes()).unwrap().root()), expected, "{source}");
    }
}

#[test]
fn a_byte_order_mark_before_the_text_is_passed_over() {
    let mut document = parse(b"\xEF\xBB\xBF {\"a\":1}").unwrap();
    assert_eq!(emit(&document), r#"{"a":1}"#);
    let value = document.push_i64(2);
    document.set(&Path::parse("b").unwrap(), value).unwrap();
    let mut out = Vec::new();
    formats::emit(&document, &mut out).unwrap();
    assert_eq!(out, br#"{"a":1,"b":2}"#, "what is written has none");
}

#[test]
fn a_text_that_is_not_json_names_the_byte() {
    use Code::{JsonDuplicateKey, JsonInvalidUtf8, JsonSyntax};
    let cases: &[(&[u8], Code, usize)] = &[
        (b"", JsonSyntax, 0),
        (b" \n", JsonSyntax, 2),
        (b"\xEF\xBB\xBF", JsonSyntax, 3),
        (b"\xEF\xBB\xBF\xEF\xBB\xBF1", JsonSyntax, 3),
        (b" \xEF\xBB\xBF1", JsonSyntax, 1),
        (b"1 2", JsonSyntax, 2),
        (b"1,", JsonSyntax, 1),
        (b"nul", JsonSyntax, 3),
        (b"nulL", JsonSyntax, 3),
        (b"NaN", JsonSyntax, 0),
        (b"-Infinity", JsonSyntax, 1),
        (b"True", JsonSyntax, 0),
        (b"'a'", JsonSyntax, 0),
        (b"// c\n1", JsonSyntax, 0),
        // Numbers.
        (b"01", JsonSyntax, 1),
        (b"-", JsonSyntax, 1),
        (b"+1", JsonSyntax, 0),
        (b".5", JsonSyntax, 0),
        (b"5.", JsonSyntax, 2),
        (b"5.e1", JsonSyntax, 2),
        (b"1e", JsonSyntax, 2),
        (b"1e+", JsonSyntax, 3),
        (b"0x1", JsonSyntax, 1),
        (b"1_0", JsonSyntax, 1),
        // Strings.
        (b"\"", JsonSyntax, 1),
        (b"\"a", JsonSyntax, 2),
        (b"\"a\nb\"", JsonSyntax, 2),
        (b"\"\0\"", JsonSyntax, 1),
        (b"\"\\", JsonSyntax, 2),
        (b"\"\\x\"", JsonSyntax, 2),
        (b"\"\\u12", JsonSyntax, 5),
        (b"\"\\u12g4\"", JsonSyntax, 5),
        (b"\"\\u+123\"", JsonSyntax, 3),
        (b"\"\\ud800\"", JsonInvalidUtf8, 1),
        (b"\"\\ud800\\n\"", JsonInvalidUtf8, 1),
        (b"\"\\ud800\\u0041\"", JsonInvalidUtf8, 1),
        (b"\"a\\udc00\"", JsonInvalidUtf8, 2),
        (b"\"\xFF\"", JsonInvalidUtf8, 1),
        (b"\"\xC3\"", JsonInvalidUtf8, 1),
        (b"\"\xED\xA0\x80\"", JsonInvalidUtf8, 1),
        (b"\"\xC0\x80\"", JsonInvalidUtf8, 1),
        (b"\xFF\xFE1\0", JsonInvalidUtf8, 0),
        // Lists and objects.
        (b"[", JsonSyntax, 1),
        (b"[1", JsonSyntax, 2),
        (b"[1,", JsonSyntax, 3),
        (b"[1,]", JsonSyntax, 3),
        (b"[,1]", JsonSyntax, 1),
        (b"[1 2]", JsonSyntax, 3),
        (b"[1}", JsonSyntax, 2),
        (b"]", JsonSyntax, 0),
        (b"{", JsonSyntax, 1),
        (b"{1:2}", JsonSyntax, 1),
        (b"{a:2}", JsonSyntax, 1),
        (b"{\"a\"}", JsonSyntax, 4),
        (b"{\"a\":}", JsonSyntax, 5),
        (b"{\"a\":1,}", JsonSyntax, 7),
        (b"{\"a\":1 \"b\":2}", JsonSyntax, 7),
        (b"{\"a\":1]", JsonSyntax, 6),
        (b"{,}", JsonSyntax, 1),
        (b"{}x", JsonSyntax, 2),
        (b"\x0b1", JsonSyntax, 0),
        (b"\xC2\xA01", JsonSyntax, 0),
        // Keys.
        (b"{\"a\":1,\"a\":2}", JsonDuplicateKey, 7),
        (b"{\"a\":1,\"\\u0061\":2}", JsonDuplicateKey, 7),
        (b"{\"\":1, \"\":2}", JsonDuplicateKey, 7),
        (b"{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":2}", JsonDuplicateKey, 18),
        (b"[{\"long key\":1},{\"long key\":1,\"long kex\":2,\"long key\":1}]", JsonDuplicateKey, 43),
    ];
    for (source, code, offset) in cases {
        let shown = String::from_utf8_lossy(source);
        match parse(source) {
            Ok(_) => panic!("{shown} is accepted"),
            Err(fault) => assert_eq!((fault.code(), fault.place().offset), (*code, Some(*offset)), "{shown}: {fault}"),
        }
    }
}

#[test]
fn a_key_that_stands_twice_is_found_among_thousands() {
    let keys: String = (0..5_000).map(|i| format!("\"key number {i}\":{{\"a\":1}},")).collect();
    let source = format!("{{{keys}\"x\":1}}");
    assert!(parse(source.as_bytes()).is_ok());
    let source = format!("{{{keys}\"key number 4321\":1}}");
    let fault = parse(source.as_bytes()).unwrap_err();
    assert_eq!((fault.code(), fault.place().offset), (Code::JsonDuplicateKey, Some(keys.len() + 1)));
}

#[test]
fn every_cap_has_its_code_and_offset() {
    let limits = Limits { bytes: 30, depth: 3, nodes: 5, ..Limits::default() };
    for (source, code, offset) in [
        (format!("\"{}\"", "x".repeat(30)), Code::JsonTooLarge, 30),
        ("[[[[]]]]".into(), Code::JsonTooDeep, 3),
        (r#"{"a":[{"b":{}}]}"#.into(), Code::JsonTooDeep, 11),
        ("[1,2,3,4,5]".into(), Code::JsonTooManyNodes, 9),
    ] {
        let fault = parse_with(&limits, source.as_bytes()).unwrap_err();
        assert_eq!((fault.code(), fault.place().offset), (code, Some(offset)), "{source}: {fault}");
    }
    for source in ["[[[]]]", "[1,2,3,4]", "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxx\""] {
        assert!(parse_with(&limits, source.as_bytes()).is_ok(), "{source}");
    }
}

#[test]
fn nesting_costs_no_stack() {
    for open in ["[", "{\"a\":"] {
        let fault = parse(open.repeat(10_000).as_bytes()).unwrap_err();
        assert_eq!((fault.code(), fault.place().offset), (Code::JsonTooDeep, Some(256 * open.len())));
    }
    let limits = Limits { depth: 1_000_000, ..Limits::default() };
    let deep = format!("{}1{}", "[".repeat(300_000), "]".repeat(300_000));
    let mut document = parse_with(&limits, deep.as_bytes()).unwrap();
    assert_eq!(emit(&document), deep);
    // A copy with another end is written value by value.
    let copy = document.push_copy(document.root_index(), false);
    document.set_root(copy);
    document.set(&Path::parse(&"[0]".repeat(64)).unwrap(), copy).unwrap();
}

#[test]
fn what_is_not_edited_is_copied_byte_for_byte() {
    let source = r#" { "a" : [ 1.0 , "\u00e9" ] ,"b": { "c" : 1 } } "#;
    let mut document = parse(source.as_bytes()).unwrap();
    let mut out = Vec::new();
    formats::emit(&document, &mut out).unwrap();
    assert_eq!(out, source.as_bytes(), "an unchanged document with the blanks around it");
    assert_eq!(emit(&document), source.trim());
    let value = document.push_i64(2);
    document.set(&Path::parse("b.d").unwrap(), value).unwrap();
    assert_eq!(emit(&document), r#"{"a":[ 1.0 , "\u00e9" ],"b":{"c":1,"d":2}}"#);
}

#[test]
fn a_failed_parse_leaves_an_empty_document() {
    let mut document = parse(b"[1]").unwrap();
    json::parse(b"[1,2", &Limits::default(), &mut document).unwrap_err();
    assert_eq!(emit(&document), "null");
    let mut out = Vec::new();
    formats::emit(&document, &mut out).unwrap();
    assert!(out.is_empty(), "nothing of the refused text is forwarded");
}

/// Whether serde_json accepts the text. It alone minds numbers that no f64 can hold.
fn oracle(source: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(source) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().contains("out of range") || error.to_string().contains("recursion") => None,
        Err(_) => Some(false),
    }
}

fn agrees(source: &[u8]) -> Result<(), TestCaseError> {
    let shown = String::from_utf8_lossy(source);
    match (parse(source), oracle(source)) {
        (Err(fault), _) if fault.code() == Code::JsonDuplicateKey => {}
        (_, None) => {}
        (Ok(document), Some(accepted)) => {
            prop_assert!(accepted, "{} is accepted", shown);
            let theirs: serde_json::Value = serde_json::from_slice(source).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&emit(&document)).unwrap(), theirs.clone());
            let read = Model::read(document.root()).json();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&read).unwrap(), theirs);
        }
        (Err(fault), Some(accepted)) => {
            prop_assert!(!accepted, "{} is refused: {}", shown, fault);
            prop_assert!(fault.place().offset.is_some_and(|offset| offset <= source.len()), "{}", fault);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_built_is_written_in_one_way_only(model in crate::model::model()) {
        let mut document = Document::default();
        let root = model.build(&mut document);
        document.set_root(root);
        prop_assert_eq!(emit(&document), model.json());
        prop_assert_eq!(emit(&parse(model.json().as_bytes()).unwrap()), model.json());
    }

    #[test]
    fn tokens_in_any_order_are_accepted_as_serde_json_does(tokens in proptest::collection::vec(token(), 0..14)) {
        agrees(tokens.concat().as_bytes())?;
    }

    #[test]
    fn a_text_with_wrong_bytes_is_refused_as_serde_json_does(
        model in crate::model::model(),
        wrong in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 0..4),
    ) {
        let mut source = model.json().into_bytes();
        for (at, how, byte) in wrong {
            let at = at.index(source.len() + 1);
            match how {
                0 => source.insert(at, byte),
                1 if at < source.len() => source[at] = byte,
                2 if at < source.len() => drop(source.remove(at)),
                _ => source.truncate(at.max(1)),
            }
        }
        agrees(&source)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(source in proptest::collection::vec(any::<u8>(), 0..60)) {
        agrees(&source)?;
    }
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["{", "}", "[", "]", ",", ":", " ", "\n", "\"a\":", "\"b\" : ", "[]", "{}"]).prop_map(String::from),
        3 => prop::sample::select(vec!["null", "true", "false", "0", "-1", "1.5e3", "01", "1.", "-", "nul", "\"", "\"\\u00e9\"", "\"\\ud800\"", "\"\\x\""]).prop_map(String::from),
        1 => crate::model::number(),
        1 => "[ -~é]{0,3}",
    ]
}
