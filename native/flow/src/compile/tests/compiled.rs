//! What a compiled file does with a message, and says of itself.

use connectors::http::source::{Accept, HttpAuth, PresentedBy};
use message::{Code, Document, Outs};

use super::*;

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
fn xml_is_read_in_the_charset_of_its_content_type() {
    let mut document = Document::default();
    let xml = pipeline(json!([{"convert": {"from": "xml"}}]), one()).unwrap();
    let either = pipeline(json!([{"filter": "true"}]), one()).unwrap();
    for (payload, content_type) in [
        (&b"<a>\xE9</a>"[..], "text/xml; charset=iso-8859-1"),
        (b"<a>\xE9</a>", "application/xml;x=1; Charset=\"windows-1252\""),
        (b"<a>\xC3\xA9</a>", "text/xml; charset=utf-8"),
        (b"<\0a\0>\0\xE9\0<\0/\0a\0>\0", "text/xml; charset=utf-16le"),
        (b"\xFE\xFF\0<\0a\0>\0\xE9\0<\0/\0a\0>", ""),
        (b"\xFF\xFE \0<\0a\0>\0\xE9\0<\0/\0a\0>\0", "application/octet-stream"),
    ] {
        for pipeline in [&xml, &either] {
            pipeline.parse(payload, content_type, &mut document).unwrap();
            assert_eq!(document.root().get("a").unwrap().text().unwrap(), "\u{e9}", "{content_type}");
            assert_eq!(document.source(), payload);
        }
    }
    let fault = xml.parse(b"<a/>", "text/xml; charset=klingon", &mut document).unwrap_err();
    assert_eq!((fault.code(), fault.place().step.as_deref()), (Code::XmlEncoding, Some("0:convert")));
}

#[test]
fn without_steps_nothing_is_parsed() {
    let pipeline = pipeline(json!([]), one()).unwrap();
    assert!(!pipeline.needs_document());
    assert_eq!((pipeline.outs().len(), pipeline.outs()[0].name.as_str()), (1, "default"));
}

#[test]
fn an_http_in_takes_what_is_read_of_it_and_everything_when_nothing_is() {
    let accept_of = |steps, out| pipeline(steps, out).unwrap().http().unwrap().accept;
    let accept = |steps| accept_of(steps, one());
    let to = |url| json!({"http": {"url": url}});
    let plain = Accept::TEXT | Accept::BYTES;
    assert_eq!(accept(json!([])), Accept::ANY);
    assert_eq!(accept(json!([{"filter": "true"}])), Accept::ALL);
    assert_eq!(accept(json!([{"convert": {"from": "xml"}}])), Accept::XML | plain);
    assert_eq!(accept(json!([{"remove": "a"}])), Accept::JSON | Accept::FORM | plain);
    assert_eq!(accept_of(json!([]), to("https://erp.example/orders")), Accept::ANY);
    assert_eq!(accept_of(json!([]), to("https://erp.example/orders/{id}")), Accept::ALL);
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
    let http = pipeline.http().unwrap();
    assert_eq!((http.max_body, http.accept), (99, Accept::XML));
}

fn http_out(http: serde_json::Value) -> Result<std::sync::Arc<Pipeline>, Vec<message::Fault>> {
    let file = json!({"customer": "acme", "pipeline": "p", "in": {"http": {"path": "/x"}}, "out": {"http": http}});
    Pipeline::from_json(&file.to_string(), &())
}

#[test]
fn certificates_are_secrets_of_https_outs() {
    let tls = json!({"ca": {"secret": "ca"}, "certificate": {"secret": "cert"}, "key": {"secret": "key"}});
    let pipeline = http_out(json!({"url": "https://e.example/", "tls": tls})).unwrap();
    assert_eq!(pipeline.secret_names(), ["ca", "cert", "key"]);
    for (url, tls, pointer, words) in [
        ("http://e.example/", tls, "/out/http/tls", "https"),
        ("https://e.example/", json!({"key": {"secret": "key"}}), "/out/http/tls", "belong together"),
        ("https://e.example/", json!({"ca": "PEM"}), "/out/http/tls/ca", ""),
    ] {
        let faults = http_out(json!({"url": url, "tls": tls})).err().unwrap();
        assert_eq!(faults[0].place().pointer.as_deref(), Some(pointer), "{faults:?}");
        assert!(faults[0].reason().contains(words), "{faults:?}");
    }
    let colon = json!({"basic": {"user": "a:b", "password": {"secret": "pw"}}});
    let faults = http_out(json!({"url": "https://e.example/", "auth": colon})).err().unwrap();
    assert_eq!(faults[0].code(), Code::ConfigInvalidValue, "{faults:?}");
}

#[test]
fn an_http_in_knows_its_senders_by_tokens_users_or_keys() {
    let auth_of = |auth: serde_json::Value| {
        let input = json!({"http": {"path": "/x", "auth": auth}});
        let file = json!({"customer": "acme", "pipeline": "p", "in": input, "out": {"stdout": {}}});
        let pipeline = Pipeline::from_json(&file.to_string(), &()).map_err(|faults| faults[0].to_string())?;
        let http = pipeline.http().unwrap();
        Ok::<_, String>((http.auth.clone(), pipeline.secret_names().into_iter().map(str::to_owned).collect::<Vec<_>>()))
    };
    let (old, new) = (json!({"secret": "old"}), json!({"secret": "new"}));
    for (auth, scheme, names) in [
        (json!({"bearer": old}), PresentedBy::Bearer, vec!["old"]),
        (json!({"bearer": [old, new]}), PresentedBy::Bearer, vec!["new", "old"]),
        (json!({"bearer": [{"secret": "old", "sender": "shop"}, new]}), PresentedBy::Bearer, vec!["new", "old"]),
        (json!({"basic": {"user": "u", "password": old}}), PresentedBy::Basic("u".into()), vec!["old"]),
        (json!({"api_key": {"header": "X-Key", "key": [old]}}), PresentedBy::Header("X-Key".into()), vec!["old"]),
    ] {
        let (known, secrets) = auth_of(auth).unwrap();
        assert!(matches!(known, HttpAuth::Presents { by: found, .. } if found == scheme));
        assert_eq!(secrets, names);
    }
    for bad in [
        json!({"bearer": []}),
        json!({"bearer": "text"}),
        json!({"bearer": {"secret": "alone", "sender": "shop"}}),
        json!({"bearer": [{"secret": "old", "sender": "a b"}]}),
        json!({"basic": {"user": "a:b", "password": old}}),
        json!({"api_key": {"header": "Authorization", "key": old}}),
        json!({"api_key": {"key": old}}),
        json!({"hmac": old}),
    ] {
        assert!(auth_of(bad.clone()).is_err(), "{bad}");
    }
}

fn with_table(table: &str) -> Arc<Pipeline> {
    let file = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "out": {"stdout": {}},
        "tables": {"t": {"file": "t.csv", "key": "code"}},
        "steps": [{"filter": "lookup('t', a).name == 'x'"}, {"script": "net.ts"}],
    });
    let files = files().into_iter().chain([("t.csv".to_owned(), table.to_owned())]).collect::<HashMap<_, _>>();
    Pipeline::from_json(&file.to_string(), &files).unwrap()
}

#[test]
fn steps_and_scripts_look_into_the_tables_that_the_file_names() {
    let pipeline = with_table("code,name\nA,x\nB,y\n");
    let mut document = Document::default();
    for (message, passes) in [("{\"a\":\"A\"}", true), ("{\"a\":\"B\"}", false)] {
        pipeline.parse(message.as_bytes(), "", &mut document).unwrap();
        let progress = pipeline.advance(0, &mut document, &context(&pipeline));
        assert_eq!(matches!(progress, Progress::Script { stage: 1 }), passes, "{message}");
    }
    let task = pipeline.task_context(&"1".into(), 0, &[].as_slice().into());
    assert_eq!(task.owner.tables.get("t").unwrap().len(), 2);
    assert!(pipeline.table_memory() > 100);
}

#[test]
fn a_table_is_a_part_of_the_revision() {
    let one = with_table("code,name\nA,x\n");
    assert_eq!(one.revision(), with_table("code,name\nA,x\n").revision());
    assert_ne!(one.revision(), with_table("code,name\nA,y\n").revision());
}

#[test]
fn steps_are_cut_into_their_longest_runs_of_one_kind() {
    let steps = json!([
        {"filter": "a == 1"}, {"filter": "b == 1"}, {"set": {"c": "1"}}, {"remove": ["d"]},
        {"route": [{"to": ["audit", "erp"]}]},
    ]);
    let pipeline = pipeline(steps, two()).unwrap();
    assert_eq!(pipeline.runs().collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!([0, 1, 2, 3, 4].map(|stage| pipeline.run_end(stage)), [2, 2, 4, 4, 5]);
    assert_eq!([0, 2, 4].map(|stage| pipeline.run_kind(stage)), [RunKind::Filter, RunKind::Converter, RunKind::Filter]);
}
