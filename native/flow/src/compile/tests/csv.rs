//! `convert` from and to CSV.

use connectors::http::source::Accept;
use message::{Code, Document, Fault};

use super::*;

/// What a payload becomes.
fn converted(steps: Value, payload: &str, content_type: &str) -> Result<String, Fault> {
    let pipeline = pipeline(steps, one()).unwrap();
    let mut document = Document::default();
    pipeline.parse(payload.as_bytes(), content_type, &mut document)?;
    match pipeline.advance(0, &mut document, &context(&pipeline)) {
        Progress::Done(_) => {}
        Progress::Failed(fault) => return Err(fault),
        _ => panic!("the message ends before the last step"),
    }
    let mut out = Vec::new();
    pipeline.emit(&document, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn csv_becomes_json_with_declared_types_and_json_becomes_csv() {
    let read = json!([
        {"filter": "msg[0].qty > 1"},
        {"convert": {"from": "csv", "numbers": ["qty"], "booleans": ["paid"], "csv": {"delimiter": ";"}}},
    ]);
    let payload = "sku;qty;paid\nA;2;1\n<b>;;false\n";
    let expected = r#"[{"sku":"A","qty":2,"paid":true},{"sku":"<b>","qty":null,"paid":false}]"#;
    for content_type in ["", "text/csv", "Text/CSV; charset=utf-8", "text/plain"] {
        assert_eq!(converted(read.clone(), payload, content_type).unwrap(), expected);
    }
    let write = json!([{"convert": {
        "from": "json", "to": "csv", "csv": {"columns": ["a", "b"], "header": "none", "line_end": "lf", "quote": "'"},
    }}]);
    assert_eq!(converted(write, r#"[{"b":1,"a":"x,"},{"a":null}]"#, "").unwrap(), "'x,',1\n,\n");
    let both =
        json!([{"convert": {"from": "csv"}}, {"convert": {"from": "json", "to": "csv", "csv": {"delimiter": "|"}}}]);
    assert_eq!(converted(both, "a,b\n1,2\n", "").unwrap(), "a|b\r\n1|2\r\n");
    let xml = json!([{"convert": {"from": "xml", "to": "csv"}}]);
    assert_eq!(converted(xml, "<a>1</a>", "").unwrap(), "a\r\n1\r\n");
}

#[test]
fn a_payload_that_does_not_fit_names_the_step() {
    let read = json!([{"filter": "true"}, {"convert": {"from": "csv"}}]);
    for (payload, content_type, code) in
        [("a\n1,2\n", "", Code::ConvertCsvColumns), ("a\n1\n", "application/json", Code::ConvertUnexpectedFormat)]
    {
        let fault = converted(read.clone(), payload, content_type).unwrap_err();
        assert_eq!((fault.code(), fault.place().step.as_deref()), (code, Some("1:convert")), "{fault}");
    }
    let fault = converted(json!([{"convert": {"from": "xml"}}]), "a", "text/csv").unwrap_err();
    assert!(fault.reason().ends_with("should be XML, the Content-Type says CSV"), "{fault}");
    let write = json!([{"filter": "true"}, {"convert": {"from": "json", "to": "csv"}}]);
    let fault = converted(write, r#"[{"a":[]}]"#, "").unwrap_err();
    assert_eq!(fault.to_string().split(" (").nth(1), Some("step 1:convert, field [0].a)"), "{fault}");
}

#[test]
fn what_an_out_reads_again_is_read_as_it_was_written() {
    let write = json!([{"convert": {"from": "json", "to": "csv", "csv": {"delimiter": ";"}}}]);
    let pipeline = pipeline(write, one()).unwrap();
    let mut document = Document::default();
    pipeline.parse_output(b"a;b\r\n1;2\r\n", "text/csv", &mut document).unwrap();
    assert_eq!(document.root().index(0).unwrap().get("b").unwrap().text().unwrap(), "2");
}

#[test]
fn an_http_in_of_csv_takes_csv_and_one_of_json_does_not() {
    let accept = |steps| pipeline(steps, one()).unwrap().http().unwrap().accept;
    let plain = Accept::TEXT | Accept::BYTES;
    assert_eq!(accept(json!([{"convert": {"from": "csv"}}])), Accept::CSV | plain);
    assert_eq!(accept(json!([{"convert": {"from": "json", "to": "csv"}}])), Accept::JSON | Accept::FORM | plain);
}

#[test]
fn options_of_csv_are_refused_where_they_cannot_work() {
    use Code::{ConfigInvalidPath, ConfigInvalidValue, ConfigNeedsConvert};
    let csv = json!({"convert": {"from": "csv"}});
    for (steps, code, pointer) in [
        (json!([{"convert": {"from": "csv", "to": "xml"}}]), ConfigInvalidValue, "/steps/0/convert/to"),
        (json!([{"convert": {"from": "csv", "to": "csv"}}]), ConfigInvalidValue, "/steps/0/convert/to"),
        (json!([{"convert": {"from": "xml", "csv": {}}}]), ConfigInvalidValue, "/steps/0/convert/csv"),
        (json!([{"convert": {"from": "csv", "arrays": ["a"]}}]), ConfigInvalidValue, "/steps/0/convert/arrays"),
        (json!([{"convert": {"from": "csv", "nil": "null"}}]), ConfigInvalidValue, "/steps/0/convert/nil"),
        (json!([{"convert": {"from": "csv", "numbers": ["a.b"]}}]), ConfigInvalidPath, "/steps/0/convert/numbers/0"),
        (
            json!([{"convert": {"from": "csv", "csv": {"delimiter": "ab"}}}]),
            ConfigInvalidValue,
            "/steps/0/convert/csv/delimiter",
        ),
        (
            json!([{"convert": {"from": "csv", "csv": {"delimiter": "a"}}}]),
            ConfigInvalidValue,
            "/steps/0/convert/csv/delimiter",
        ),
        (
            json!([{"convert": {"from": "csv", "csv": {"quote": "''"}}}]),
            ConfigInvalidValue,
            "/steps/0/convert/csv/quote",
        ),
        (
            json!([{"convert": {"from": "csv", "csv": {"header": "none"}}}]),
            ConfigInvalidValue,
            "/steps/0/convert/csv/columns",
        ),
        (
            json!([{"convert": {"from": "json", "to": "csv", "csv": {"columns": ["a", "a"]}}}]),
            ConfigInvalidValue,
            "/steps/0/convert/csv/columns/1",
        ),
        (json!([{"set": {"a": "1"}}, csv]), ConfigNeedsConvert, "/steps/0/set"),
        (
            json!([csv, {"convert": {"from": "json", "to": "csv"}}, {"remove": "a"}]),
            ConfigNeedsConvert,
            "/steps/2/remove",
        ),
    ] {
        let faults = pipeline(steps.clone(), one()).expect_err(&steps.to_string());
        assert_eq!((faults[0].code(), faults[0].place().pointer.as_deref()), (code, Some(pointer)), "{}", faults[0]);
    }
}
