use std::collections::HashMap;

use connectors::http::source::Accept;
use message::{Code, Context, Document, Headers, Outs};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

pub(crate) fn pipeline(steps: Value, out: Value) -> Result<Arc<Pipeline>, Vec<Fault>> {
    let file = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "steps": steps, "out": out,
    });
    Pipeline::from_json(&file.to_string(), &files())
}

fn files() -> HashMap<String, String> {
    HashMap::from([("net.ts".to_owned(), "export default (msg: any) => msg".to_owned())])
}

fn context(pipeline: &Pipeline) -> Context<'_> {
    Context {
        id: "1",
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        time_ms: 0,
        headers: Headers::default(),
    }
}

/// The file `at` fails with this code, at this pointer, with this in its reason.
fn refused(steps: Value, out: Value, code: Code, pointer: &str, reason: &str) {
    let faults = pipeline(steps.clone(), out).expect_err(&steps.to_string());
    let fault = &faults[0];
    assert_eq!(fault.code(), code, "{steps}: {fault}");
    assert_eq!(fault.place().pointer.as_deref(), Some(pointer), "{steps}: {fault}");
    assert!(fault.reason().contains(reason), "{steps}: {fault}");
}

fn one() -> Value {
    json!({"stdout": {}})
}

fn two() -> Value {
    json!({"erp": {"stdout": {}}, "audit": {"stdout": {}}})
}

#[test]
fn parts_that_do_not_fit_each_other_are_named() {
    use Code::*;
    let xml = json!({"convert": {"from": "xml"}});
    refused(json!([{"set": {"a": "1"}}, xml]), one(), ConfigNeedsConvert, "/steps/0/set", "comes before its `convert`");
    refused(
        json!([xml, {"convert": {"from": "json"}}, {"remove": "a"}]),
        one(),
        ConfigNeedsConvert,
        "/steps/2/remove",
        "edits what has become XML",
    );
    refused(json!([xml, xml]), one(), ConfigInvalidValue, "/steps/1/convert/from", "not of this format here");
    refused(
        json!([{"convert": {"from": "xml", "to": "xml"}}]),
        one(),
        ConfigInvalidValue,
        "/steps/0/convert/to",
        "same format",
    );
    refused(
        json!([{"convert": {"from": "json", "numbers": ["a"]}}]),
        one(),
        ConfigInvalidValue,
        "/steps/0/convert/numbers",
        "belongs to",
    );
    refused(json!([]), two(), ConfigNeedsRoute, "/out", "there are 2 outs");
    refused(json!([{"route": [{"to": "epr"}]}]), two(), ConfigUnknownOut, "/steps/0/route/0/to", "did you mean `erp`?");
    refused(
        json!([{"route": [{"to": ["erp", "x"]}]}]),
        two(),
        ConfigUnknownOut,
        "/steps/0/route/0/to/1",
        "there is no out `x`",
    );
    refused(
        json!([{"route": [{"to": "erp"}]}, {"filter": "true"}]),
        two(),
        ConfigInvalidValue,
        "/steps/0/route",
        "has to be the last step",
    );
    refused(
        json!([{"route": [{"to": "erp"}, {"to": "audit"}]}]),
        two(),
        ConfigInvalidValue,
        "/steps/0/route/0",
        "without `when`",
    );
    refused(json!([{"route": [{"when": "true"}]}]), two(), ConfigMissingKey, "/steps/0/route/0", "wants `to`");
    refused(
        json!([{"route": [{"drop": true, "to": "erp"}]}]),
        two(),
        ConfigInvalidValue,
        "/steps/0/route/0/drop",
        "either",
    );
    refused(
        json!([{"route": [{"when": "true", "drop": true}, {"to": "erp"}]}]),
        two(),
        ConfigInvalidValue,
        "/steps/0/route/0/drop",
        "last case",
    );
    refused(json!([{"script": "nett.ts"}]), one(), ConfigFileNotFound, "/steps/0/script", "`nett.ts` is not there");
    refused(json!([]), json!({"file": {"path": "../x"}}), ConfigFileOutside, "/out/file/path", "leads out");
    refused(json!([]), json!({"a": {"http": {"url": "ftp://x"}}}), ConfigInvalidValue, "/out/a/http/url", "URL");
    refused(json!([]), json!({"http": {"url": "http://{host}/"}}), ConfigInvalidValue, "/out/http/url", "placeholder");
    refused(
        json!([]),
        json!({"nats": {"subject": "a", "stream": "S"}}),
        ConfigInvalidValue,
        "/out/nats/stream",
        "jetstream",
    );
}

#[test]
fn what_the_other_crates_refuse_is_named_at_its_place() {
    use Code::*;
    refused(json!([{"filter": "a +"}]), one(), ConfigInvalidExpression, "/steps/0/filter", "");
    refused(json!([{"set": {"a": "1", "b.c": "nope("}}]), one(), ConfigInvalidExpression, "/steps/0/set/b.c", "");
    refused(
        json!([{"route": [{"when": "true", "to": "erp"}, {"when": "x y", "to": "erp"}]}]),
        two(),
        ConfigInvalidExpression,
        "/steps/0/route/1/when",
        "",
    );
    refused(json!([{"rename": {"a": ""}}]), one(), ConfigInvalidValue, "/steps/0/rename/a", "");
    refused(
        json!([{"convert": {"from": "xml", "attribute_prefix": "x"}}]),
        one(),
        ConfigInvalidValue,
        "/steps/0/convert/attribute_prefix",
        "",
    );
    refused(json!([{"script": {"code": "export default ("}}]), one(), ScriptSyntax, "/steps/0/script/code", "");
    let faults = pipeline(json!([{"filter": "a +"}, {"filter": "b +"}, {"script": "x.ts"}]), two()).unwrap_err();
    assert_eq!(faults.len(), 4, "all in one go: {faults:?}");
}

#[test]
fn a_wrong_value_hides_nothing_that_is_judged_later() {
    let file = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders", "max_body": 99_999_999}},
        "steps": [
            {"script": "../x.ts"}, {"script": "gone.ts"}, {"script": {"code": "enum E { A }"}}, {"filter": "a +"},
            {"set": {"a..b": "1"}}, {"remove": ["a", "b["]}, {"filter": " "}, {"route": [{"to": ["erp", "Nope!"]}]},
        ],
        "out": {
            "erp": {"http": {"url": "ftp://x/{a"}},
            "bus": {"nats": {"subject": "a.>.b", "stream": "S"}},
        },
        "tests": [{"name": "n", "in": {"text": "x"}, "out": {"erp": {"text": "x", "json": 1}}}],
    });
    let faults = Pipeline::from_json(&file.to_string(), &files()).unwrap_err();
    let mut places: Vec<&str> = faults.iter().filter_map(|fault| fault.place().pointer.as_deref()).collect();
    places.sort_unstable();
    let wanted = [
        "/in/http/max_body",
        "/out/bus/nats/stream",
        "/out/bus/nats/subject",
        "/out/erp/http/url",
        "/steps/0/script",
        "/steps/1/script",
        "/steps/2/script/code",
        "/steps/3/filter",
        "/steps/4/set/a..b",
        "/steps/5/remove/1",
        "/steps/6/filter",
        "/steps/7/route/0/to/1",
        "/tests/0/out/erp",
    ];
    assert_eq!(places, wanted, "each once: {faults:?}");
}

#[test]
fn steps_beyond_their_number_are_not_compiled() {
    let faults = pipeline(Value::Array(vec![json!({"filter": "a +"}); 20_000]), one()).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].place().pointer.as_deref(), Some("/steps"));
}

#[test]
fn tests_of_a_file_have_to_make_sense() {
    for (example, pointer) in [
        (json!({"name": "n", "in": {}, "dropped": true}), "/tests/0/in"),
        (json!({"name": "n", "in": {"text": "x", "json": 1}, "dropped": true}), "/tests/0/in"),
        (json!({"name": "n", "in": {"text": "x"}}), "/tests/0"),
        (json!({"name": "n", "in": {"text": "x"}, "dropped": true, "error": "filter/failed"}), "/tests/0"),
        (json!({"name": "n", "in": {"text": "x"}, "out": {"nope": {"json": 1}}}), "/tests/0/out/nope"),
    ] {
        let file = json!({"customer": "a", "pipeline": "b", "in": {"nats": {"subject": "s"}}, "out": one(), "tests": [example]});
        let faults = Pipeline::from_json(&file.to_string(), &()).unwrap_err();
        assert_eq!(faults[0].place().pointer.as_deref(), Some(pointer), "{}", faults[0]);
    }
}

#[test]
fn a_durable_is_named_by_its_pipeline_as_no_other_one_can_be() {
    let reads = |customer: &str, name: &str, durable: Option<&str>| {
        let mut nats = json!({"subject": "a.b", "mode": "jetstream", "stream": "S"});
        durable.inspect(|durable| nats["durable"] = json!(durable));
        let file = json!({"customer": customer, "pipeline": name, "in": {"nats": nats}, "out": {"stdout": {}}});
        let compiled = Pipeline::from_json(&file.to_string(), &());
        compiled.map(|pipeline| pipeline.input().consumer().map(|(_, durable)| durable.to_owned()))
    };
    // Users' streams have consumers of these names: another one would read a stream once more from its beginning.
    for (customer, name, durable) in [
        ("acme", "orders", "vrsky_acme_orders"),
        ("acme", "eu-orders", "vrsky_acme_eu-orders"),
        ("acme-eu", "orders", "vrsky_acme-eu_orders"),
    ] {
        assert_eq!(reads(customer, name, None).unwrap().as_deref(), Some(durable));
        let faults = reads("evil", "orders", Some(durable)).unwrap_err();
        assert_eq!(faults[0].place().pointer.as_deref(), Some("/in/nats/durable"));
    }
}

#[test]
fn a_nats_in_needs_what_its_mode_needs() {
    for (nats, pointer) in [
        (json!({"subject": "a", "mode": "jetstream"}), "/in/nats"),
        (json!({"subject": "a", "stream": "S"}), "/in/nats/stream"),
        (json!({"subject": "a", "durable": "d"}), "/in/nats/durable"),
    ] {
        let file = json!({"customer": "a", "pipeline": "b", "in": {"nats": nats}, "out": one()});
        let faults = Pipeline::from_json(&file.to_string(), &()).unwrap_err();
        assert_eq!(faults[0].place().pointer.as_deref(), Some(pointer), "{}", faults[0]);
    }
}

#[test]
fn the_steps_decide_in_their_order() {
    let steps = json!([
        {"convert": {"from": "xml", "numbers": ["order.total"]}},
        {"filter": "order.total > 100.0"},
        {"set": {"order.net": "order.total / 2"}},
        {"script": "net.ts"},
        {"route": [{"when": "order.total > 1000.0", "to": ["audit", "erp"]}, {"to": "erp"}]},
    ]);
    let pipeline = pipeline(steps, two()).unwrap();
    assert!(pipeline.needs_document());
    let mut document = Document::default();
    let read = |payload: &str, document: &mut Document| pipeline.parse(payload.as_bytes(), "", document);

    read("<order><total>5</total></order>", &mut document).unwrap();
    assert!(matches!(pipeline.advance(0, &mut document, &context(&pipeline)), Progress::Dropped { stage: 1 }));
    assert_eq!((pipeline.stage_label(1), pipeline.stage_text(1)), ("1:filter", "order.total > 100.0"));

    read("<order><total>150</total></order>", &mut document).unwrap();
    let Progress::Script { stage } = pipeline.advance(0, &mut document, &context(&pipeline)) else { panic!() };
    assert!(stage == 3 && pipeline.program(3).is_some() && pipeline.program(2).is_none());
    let Progress::Done(outs) = pipeline.advance(4, &mut document, &context(&pipeline)) else { panic!() };
    assert_eq!((outs, pipeline.outs()[0].name.as_str()), (Outs::one(0), "erp"));
    let mut emitted = Vec::new();
    pipeline.emit(&document, &mut emitted).unwrap();
    assert_eq!(String::from_utf8(emitted).unwrap(), r#"{"order":{"total":150,"net":75}}"#);

    read("<order><total>2000</total></order>", &mut document).unwrap();
    let Progress::Done(outs) = pipeline.advance(4, &mut document, &context(&pipeline)) else { panic!() };
    assert_eq!(outs.iter().collect::<Vec<_>>(), [0, 1]);

    read("<order><x/></order>", &mut document).unwrap();
    let Progress::Failed(fault) = pipeline.advance(0, &mut document, &context(&pipeline)) else { panic!() };
    assert_eq!((fault.code(), fault.place().step.as_deref()), (Code::FilterMissingField, Some("1:filter")));
    let fault = read("<order>", &mut document).unwrap_err();
    assert_eq!((fault.code(), fault.place().step.as_deref()), (Code::XmlNotWellFormed, Some("0:convert")));
}

#[test]
fn a_payload_of_another_format_is_refused_by_name() {
    let mut document = Document::default();
    let xml = pipeline(json!([{"convert": {"from": "xml"}}]), one()).unwrap();
    let json = pipeline(json!([{"set": {"a": "1"}}]), one()).unwrap();
    let either = pipeline(json!([{"filter": "true"}]), one()).unwrap();
    for (pipeline, payload, content_type) in [
        (&xml, "{}", ""),
        (&xml, "<a/>", "application/json"),
        (&xml, "\u{FEFF} [1]", "text/plain"),
        (&json, " <a/>", ""),
        (&json, "{}", "application/soap+xml; charset=utf-8"),
    ] {
        let fault = pipeline.parse(payload.as_bytes(), content_type, &mut document).unwrap_err();
        assert_eq!(fault.code(), Code::ConvertUnexpectedFormat, "{payload} {content_type}");
        assert!(fault.place().step.is_some());
    }
    for (pipeline, payload, content_type) in [
        (&xml, "<a/>", ""),
        (&xml, "\u{FEFF}<a/>", "TEXT/XML"),
        (&json, "1", ""),
        (&json, "{}", "application/vnd.x+json"),
        (&either, "<a/>", ""),
        (&either, "{}", ""),
        (&either, "<a/>", "application/octet-stream"),
    ] {
        pipeline.parse(payload.as_bytes(), content_type, &mut document).unwrap();
    }
}

#[test]
fn without_steps_nothing_is_parsed() {
    let pipeline = pipeline(json!([]), one()).unwrap();
    assert!(!pipeline.needs_document());
    assert_eq!((pipeline.outs().len(), pipeline.outs()[0].name.as_str()), (1, "default"));
}

#[test]
fn an_http_in_takes_what_is_read_of_it_and_everything_when_nothing_is() {
    let accept_of = |steps, out| match pipeline(steps, out).unwrap().input() {
        Input::Http(http) => http.accept,
        Input::Nats { .. } => panic!(),
    };
    let accept = |steps| accept_of(steps, one());
    let to = |url| json!({"http": {"url": url}});
    let plain = Accept::TEXT | Accept::BYTES;
    assert_eq!(accept(json!([])), Accept::ANY);
    assert_eq!(accept(json!([{"filter": "true"}])), Accept::ALL);
    assert_eq!(accept(json!([{"convert": {"from": "xml"}}])), Accept::XML | plain);
    assert_eq!(accept(json!([{"remove": "a"}])), Accept::JSON | plain);
    assert_eq!(accept_of(json!([]), to("https://erp.example/orders")), Accept::ANY);
    assert_eq!(accept_of(json!([]), to("https://erp.example/orders/{id}")), Accept::ALL);
}

#[test]
fn a_body_cannot_be_larger_than_a_payload() {
    let file = |limits| {
        let file = json!({"customer": "acme", "pipeline": "p", "in": {"http": {"path": "/x", "max_body": 9_000_000}},
                          "out": one(), "limits": limits});
        Pipeline::from_json(&file.to_string(), &())
    };
    assert!(file(json!({"bytes": 9_000_000})).is_ok());
    let faults = file(json!({})).unwrap_err();
    assert_eq!((faults.len(), faults[0].code()), (1, Code::ConfigInvalidValue));
    assert_eq!(faults[0].place().pointer.as_deref(), Some("/in/http/max_body"));
}

#[test]
fn what_cannot_become_xml_names_the_convert() {
    let steps = json!([{"convert": {"from": "json", "to": "xml"}}, {"route": [{"to": "erp"}]}]);
    let pipeline = pipeline(steps, two()).unwrap();
    let mut document = Document::default();
    pipeline.parse(b"[1]", "", &mut document).unwrap();
    assert!(matches!(pipeline.advance(0, &mut document, &context(&pipeline)), Progress::Done(_)));
    let fault = pipeline.emit(&document, &mut Vec::new()).unwrap_err();
    assert_eq!((fault.code(), fault.place().step.as_deref()), (Code::ConvertNoSingleRoot, Some("0:convert")));
}

#[test]
fn secrets_and_limits_are_known() {
    let file = json!({
        "customer": "acme", "pipeline": "p",
        "in": {"http": {"path": "/x", "auth": {"bearer": {"secret": "in-token"}}, "max_body": 99, "content_types": ["xml"]}},
        "out": {"http": {"url": "https://e.example/{a}", "auth": {"bearer": {"secret": "out"}}, "retry": "never",
                         "headers": {"X-A": {"secret": "key"}, "X-B": "b"}}},
        "limits": {"rate": "5000/s", "backlog": 7, "script": {"cpu_ms": 9}},
    });
    let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
    assert_eq!(pipeline.secret_names(), ["in-token", "key", "out"]);
    assert_eq!((pipeline.backlog(), pipeline.limits().script_cpu_ms), (7, 9));
    assert_eq!(pipeline.rate().map(|rate| rate.to_string()).as_deref(), Some("5000/s"));
    let Input::Http(http) = pipeline.input() else { panic!() };
    assert_eq!((http.max_body, http.accept), (99, Accept::XML));
    let OutKind::Http(http) = &pipeline.outs()[0].kind else { panic!() };
    let options = http.options(|name| Ok(if name == "out" { "T" } else { "K" })).unwrap();
    assert_eq!(options.authorization.as_deref(), Some("Bearer T"));
    assert_eq!(options.headers, [("X-A".to_owned(), "K".to_owned()), ("X-B".to_owned(), "b".to_owned())]);
    assert!(http.retry_for.is_zero());
}

/// Texts that are nearly expressions, paths and URLs.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c.\\[\\]\"0-9 +*/<>=&|!?:(){}'@-]{0,24}",
        ".{0,12}",
        Just("order.total > 1".to_owned()),
        Just("a[0]".to_owned()),
        "https?://[a-z]{0,3}/\\{?[a-z.]{0,3}\\}?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the texts are, compiling gives a pipeline or faults with pointers.
    #[test]
    fn any_texts_give_a_pipeline_or_faults_with_pointers(texts in proptest::collection::vec(text(), 10)) {
        let [filter, path, value, gone, from, to, when, url, prefix, file] = texts.as_slice() else { unreachable!() };
        let steps = json!([
            {"convert": {"from": "xml", "arrays": [path], "attribute_prefix": prefix}},
            {"filter": filter}, {"set": {path: value}}, {"remove": gone}, {"rename": {from: to}},
            {"route": [{"when": when, "to": "a"}, {"to": ["a", "b"]}]},
        ]);
        if let Err(faults) = pipeline(steps, json!({"a": {"http": {"url": url}}, "b": {"file": {"path": file}}})) {
            for fault in faults {
                prop_assert!(fault.place().pointer.is_some(), "{}", fault);
            }
        }
    }
}
