use formats::csv::{CsvOptions, Empty, Header, LineEnd, Reader};
use formats::xml::NumberFormat;
use message::{Code, Document, Limits};

use super::{Place, json, place, read, read_with, rows, texts, write};

#[test]
fn rows_become_objects_named_by_the_header() {
    for (source, expected) in [
        ("a,b\n1,x\n2,y\n", r#"[{"a":"1","b":"x"},{"a":"2","b":"y"}]"#),
        ("a,b\r\n1,x\r\n2,y", r#"[{"a":"1","b":"x"},{"a":"2","b":"y"}]"#),
        ("a,b\r1,x\r2,y\r", r#"[{"a":"1","b":"x"},{"a":"2","b":"y"}]"#),
        ("\u{feff}a,b\n1,x", r#"[{"a":"1","b":"x"}]"#),
        ("\u{feff}\"a\",b\n1,x", r#"[{"a":"1","b":"x"}]"#),
        ("a\n", "[]"),
        ("a", "[]"),
        ("\n\r\n a b ,\"c\"\n\n , x \n\n", r#"[{" a b ":" ","c":" x "}]"#),
        ("a,b\n,\n\"\",\"\"\n", r#"[{"a":"","b":""},{"a":"","b":""}]"#),
        ("a\n\"\"\n", r#"[{"a":""}]"#),
        ("a,b\n\"1,\n\"\"x\"\"\",\"\"\"\"\n", r#"[{"a":"1,\n\"x\"","b":"\""}]"#),
        ("\"a\"\"b\\\",\"c\nd\"\né,😀\n", r#"[{"a\"b\\":"é","c\nd":"😀"}]"#),
        ("a,b\n1;2,\"x\"\n", r#"[{"a":"1;2","b":"x"}]"#),
    ] {
        assert_eq!(rows(&CsvOptions::default(), source), expected, "{source:?}");
    }
}

#[test]
fn delimiters_quotes_and_columns_are_as_they_are_declared() {
    let columns = texts(&["a", "b"]);
    for (options, source, expected) in [
        (CsvOptions { delimiter: ';', ..CsvOptions::default() }, "a;b\n1,5;x\n", r#"[{"a":"1,5","b":"x"}]"#),
        (
            CsvOptions { delimiter: '\t', quote: None, ..CsvOptions::default() },
            "a\tb\n5\"\t\"x\n",
            r#"[{"a":"5\"","b":"\"x"}]"#,
        ),
        (
            CsvOptions { quote: Some('\''), ..CsvOptions::default() },
            "a,b\n'it''s, x',\"\n",
            r#"[{"a":"it's, x","b":"\""}]"#,
        ),
        (
            CsvOptions { header: Header::None, columns: columns.clone(), ..CsvOptions::default() },
            "\u{feff}1,2",
            r#"[{"a":"1","b":"2"}]"#,
        ),
        (
            CsvOptions { header: Header::Skip, columns: columns.clone(), ..CsvOptions::default() },
            "x,,x,y\n1,2\n",
            r#"[{"a":"1","b":"2"}]"#,
        ),
        (CsvOptions { columns, ..CsvOptions::default() }, "a,b\n1,2\n", r#"[{"a":"1","b":"2"}]"#),
        (CsvOptions { empty: Empty::Null, ..CsvOptions::default() }, "a,b\n,\"\"\n", r#"[{"a":null,"b":""}]"#),
    ] {
        assert_eq!(rows(&options, source), expected, "{source:?}");
    }
}

fn typed() -> CsvOptions {
    CsvOptions { numbers: texts(&["n", "[\"unit price\"]"]), booleans: texts(&["b"]), ..CsvOptions::default() }
}

#[test]
fn declared_numbers_and_booleans_are_typed_and_nothing_is_null() {
    let source = "n,unit price,b,t\n 1 ,\"-2.50\",true,1\n,\" \",0,\n1e400,3,\"false\",x\n";
    let expected = concat!(
        r#"[{"n":1,"unit price":-2.50,"b":true,"t":"1"},{"n":null,"unit price":null,"b":false,"t":""},"#,
        r#"{"n":1e400,"unit price":3,"b":false,"t":"x"}]"#
    );
    assert_eq!(rows(&typed(), source), expected);
    let lenient = CsvOptions { number_format: NumberFormat::XmlSchema, ..typed() };
    assert_eq!(rows(&lenient, "n\n+05\n.5\n"), r#"[{"n":5},{"n":0.5}]"#);
}

#[test]
fn what_is_not_csv_names_line_column_and_byte() {
    use Code::{ConvertCsvColumns, ConvertCsvEncoding, ConvertCsvHeader, ConvertCsvQuote};
    let cases: &[(&[u8], Place)] = &[
        (b"", (ConvertCsvHeader, 1, 1, 0)),
        (b"\xEF\xBB\xBF\r\n", (ConvertCsvHeader, 2, 1, 5)),
        (b"a,a\n", (ConvertCsvHeader, 1, 3, 2)),
        (b"a,\n", (ConvertCsvHeader, 1, 3, 2)),
        (b"a,b\n\n1\n", (ConvertCsvColumns, 3, 1, 5)),
        (b"a,b\r\n1,2\r\n1,2,3\r\n", (ConvertCsvColumns, 3, 1, 10)),
        (b"a,b\n\"x\ny\",2\n3\n", (ConvertCsvColumns, 4, 1, 12)),
        (b"a,b\n\xC3\xA9,\"x\n", (ConvertCsvQuote, 2, 3, 7)),
        (b"a,b\n\"\"\"\n", (ConvertCsvQuote, 2, 1, 4)),
        (b"a,b\n5\",x\n", (ConvertCsvQuote, 2, 2, 5)),
        (b"a,b\n1, \"x\"\n", (ConvertCsvQuote, 2, 4, 7)),
        (b"a,b\n\"1\"x,2\n", (ConvertCsvQuote, 2, 4, 7)),
        (b"a,b\r\"1\" ,2\r", (ConvertCsvQuote, 2, 4, 7)),
        (b"a,b\n\"torn,2\n3,\"x\"\n", (ConvertCsvQuote, 3, 4, 15)),
        (b"a,b\n1,\0\n", (ConvertCsvEncoding, 2, 3, 6)),
        (b"a\n\xFF\n", (ConvertCsvEncoding, 2, 1, 2)),
        (b"\xFF\xFEa\0", (ConvertCsvEncoding, 1, 1, 0)),
    ];
    for (source, expected) in cases {
        let fault = read(&CsvOptions::default(), source).unwrap_err();
        assert_eq!(place(&fault), *expected, "{}: {fault}", String::from_utf8_lossy(source));
    }
}

#[test]
fn a_field_of_another_type_names_its_column() {
    for (source, code, field, at) in [
        ("n\n1,5\n", Code::ConvertCsvColumns, None, (2, 1, 2)),
        ("t,n\nx,\"1,5\"\n", Code::ConvertNotANumber, Some("n"), (2, 4, 7)),
        ("n\n+1\n", Code::ConvertNotANumber, Some("n"), (2, 1, 2)),
        ("unit price\nx\n", Code::ConvertNotANumber, Some("[\"unit price\"]"), (2, 1, 11)),
        ("b\nyes\n", Code::ConvertNotABoolean, Some("b"), (2, 1, 2)),
    ] {
        let fault = read(&typed(), source.as_bytes()).unwrap_err();
        assert_eq!(place(&fault), (code, at.0, at.1, at.2), "{fault}");
        assert_eq!(fault.place().field.as_deref(), field);
    }
}

#[test]
fn a_header_that_is_not_as_declared_is_refused_without_showing_what_it_has() {
    let options = CsvOptions { columns: texts(&["a", "b"]), ..CsvOptions::default() };
    for (source, column, byte) in [("a,secret\n", 3, 2), ("a\n1\n", 1, 2), ("a,b,secret\n", 5, 4), ("b,a\n", 1, 0)] {
        let fault = read(&options, source.as_bytes()).unwrap_err();
        assert_eq!(
            (place(&fault).0, place(&fault).2, place(&fault).3),
            (Code::ConvertCsvHeader, column, byte),
            "{fault}"
        );
        assert!(!fault.to_string().contains("secret"), "{fault}");
    }
}

#[test]
fn every_cap_has_its_code() {
    let limits = Limits { bytes: 2_000_000, nodes: 6, name_bytes: 3, ..Limits::default() };
    let wide = |columns: usize| (0..columns).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
    for (source, byte) in [
        ("x".repeat(2_000_001), 2_000_000),
        ("a,b\n1,2\n3,4\n".to_owned(), 12),
        ("long\n".to_owned(), 0),
        (format!("a\n{}\n", "x".repeat((1 << 20) + 1)), 2),
        (format!("a\n\"{}\"\n", "x".repeat((1 << 20) + 1)), 2),
    ] {
        let fault = read_with(&CsvOptions::default(), &limits, source.as_bytes()).unwrap_err();
        assert_eq!((fault.code(), fault.place().offset), (Code::ConvertCsvTooLarge, Some(byte)), "{fault}");
    }
    assert!(read(&CsvOptions::default(), wide(1_000).as_bytes()).is_ok());
    let fault = read(&CsvOptions::default(), wide(1_001).as_bytes()).unwrap_err();
    assert_eq!(fault.code(), Code::ConvertCsvTooLarge, "{fault}");
}

#[test]
fn a_failed_parse_leaves_an_empty_document() {
    let reader = Reader::new(&CsvOptions::default()).unwrap();
    let mut document = Document::default();
    reader.parse(b"a\n1\n", &Limits::default(), &mut document).unwrap();
    reader.parse(b"a\n1,2\n", &Limits::default(), &mut document).unwrap_err();
    assert_eq!(json(&document), "null");
}

#[test]
fn options_that_cannot_work_are_refused_at_their_place() {
    for (options, pointer) in [
        (CsvOptions { delimiter: 'x', ..CsvOptions::default() }, "/csv/delimiter"),
        (CsvOptions { delimiter: '\n', ..CsvOptions::default() }, "/csv/delimiter"),
        (CsvOptions { delimiter: '·', ..CsvOptions::default() }, "/csv/delimiter"),
        (CsvOptions { quote: Some(','), ..CsvOptions::default() }, "/csv/quote"),
        (CsvOptions { header: Header::None, ..CsvOptions::default() }, "/csv/columns"),
        (CsvOptions { columns: texts(&["a", "b", "a"]), ..CsvOptions::default() }, "/csv/columns/2"),
        (CsvOptions { columns: texts(&["a", ""]), ..CsvOptions::default() }, "/csv/columns/1"),
        (CsvOptions { numbers: texts(&["a", "a.b"]), ..CsvOptions::default() }, "/numbers/1"),
        (CsvOptions { numbers: texts(&["[0].a"]), ..CsvOptions::default() }, "/numbers/0"),
        (CsvOptions { numbers: texts(&["a"]), booleans: texts(&["a"]), ..CsvOptions::default() }, "/booleans/0"),
        (CsvOptions { columns: texts(&["a"]), numbers: texts(&["b"]), ..CsvOptions::default() }, "/numbers/0"),
    ] {
        let fault = Reader::new(&options).unwrap_err();
        assert_eq!(fault.place().pointer.as_deref(), Some(pointer), "{fault}");
    }
}

#[test]
fn objects_become_rows() {
    let unix = CsvOptions { line_end: LineEnd::Lf, ..CsvOptions::default() };
    for (options, text, expected) in [
        (CsvOptions::default(), r#"[{"a":1.50,"b":"x"}]"#, "a,b\r\n1.50,x\r\n"),
        (unix.clone(), r#"[{"a":true,"b":null},{"c":"","a":"1"}]"#, "a,b,c\ntrue,,\n1,,\n"),
        (unix.clone(), r#"{"a":"one","b":"row"}"#, "a,b\none,row\n"),
        (
            unix.clone(),
            r#"[{"a":"x,y"},{"a":"say \"hi\""},{"a":"1\n2"},{"a":"\r"}]"#,
            "a\n\"x,y\"\n\"say \"\"hi\"\"\"\n\"1\n2\"\n\"\r\"\n",
        ),
        (unix.clone(), r#"[{"a":""},{"a":null},{}]"#, "a\n\"\"\n\"\"\n\"\"\n"),
        (unix.clone(), r#"[{"\ufeffa":1}]"#, "\"\u{feff}a\"\n1\n"),
        (CsvOptions { empty: Empty::Null, ..unix.clone() }, r#"[{"a":"","b":null}]"#, "a,b\n\"\",\n"),
        (CsvOptions { delimiter: ';', quote: None, ..unix.clone() }, r#"[{"a":"x,\"","b":1}]"#, "a;b\nx,\";1\n"),
        (CsvOptions { columns: texts(&["b", "a"]), ..unix.clone() }, r#"[{"a":1}]"#, "b,a\n,1\n"),
        (CsvOptions { columns: texts(&["b", "a"]), ..unix.clone() }, "[]", "b,a\n"),
        (CsvOptions { columns: texts(&["b"]), header: Header::None, ..unix }, r#"[{"b":1},{"b":2}]"#, "1\n2\n"),
    ] {
        assert_eq!(write(&options, text).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_no_table_can_hold_names_its_field() {
    let plain = CsvOptions { quote: None, ..CsvOptions::default() };
    let null = CsvOptions { empty: Empty::Null, ..CsvOptions::default() };
    let one = CsvOptions { columns: texts(&["a"]), ..CsvOptions::default() };
    for (options, text, field) in [
        (CsvOptions::default(), "1", None),
        (CsvOptions::default(), "[]", None),
        (CsvOptions::default(), r#"[{"a":1},2]"#, Some("[1]")),
        (CsvOptions::default(), r#"[{"a":1},{"a":1,"b c":[]}]"#, Some("[1][\"b c\"]")),
        (CsvOptions::default(), r#"{"a":{}}"#, Some("a")),
        (CsvOptions::default(), r#"[{"":1}]"#, Some("[0]")),
        (CsvOptions::default(), r#"[{"a":"\u0000"}]"#, Some("[0].a")),
        (plain, r#"[{"a":"x,y"}]"#, Some("[0].a")),
        (null, r#"[{"a":1},{"a":null}]"#, Some("[1]")),
        (one, r#"[{"a":1},{"b":1}]"#, Some("[1].b")),
    ] {
        let fault = write(&options, text).unwrap_err();
        assert_eq!(fault.code(), Code::ConvertNotRepresentable, "{fault}");
        assert_eq!(fault.place().field.as_deref(), field, "{text}: {fault}");
    }
}
