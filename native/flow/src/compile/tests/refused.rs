//! What is refused in a file: its code, and a pointer to its place.

use message::Code;
use proptest::prelude::*;

use super::*;

/// The file `at` fails with this code, at this pointer, with this in its reason.
fn refused(steps: Value, out: Value, code: Code, pointer: &str, reason: &str) {
    let faults = pipeline(steps.clone(), out).expect_err(&steps.to_string());
    let fault = &faults[0];
    assert_eq!(fault.code(), code, "{steps}: {fault}");
    assert_eq!(fault.place().pointer.as_deref(), Some(pointer), "{steps}: {fault}");
    assert!(fault.reason().contains(reason), "{steps}: {fault}");
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
    for (option, value) in [
        ("doctype", json!("ignore")),
        ("number_format", json!("xml_schema")),
        ("trim", json!(false)),
        ("nil", json!("null")),
    ] {
        let pointer = format!("/steps/0/convert/{option}");
        refused(
            json!([{"convert": {"from": "json", option: value}}]),
            one(),
            ConfigInvalidValue,
            &pointer,
            "belongs to",
        );
    }
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

/// The same whatever follows in the file: `${NAME}` is what other tools put the environment's value in place of.
#[test]
fn a_text_that_hopes_for_substitution_is_refused() {
    for (out, pointer, column) in [
        (json!({"http": {"url": "${ERP}/orders"}}), "/out/http/url", 1),
        (json!({"http": {"url": "https://${HOST}/orders"}}), "/out/http/url", 9),
        (json!({"http": {"url": "https://erp.example/${order.id}"}}), "/out/http/url", 21),
        (json!({"http": {"url": "https://a/", "headers": {"X-Key": "k ${KEY:-1}"}}}), "/out/http/headers/X-Key", 3),
        (json!({"file": {"path": "${DIR}/x"}}), "/out/file/path", 1),
        (json!({"nats": {"subject": "orders.${REGION}"}}), "/out/nats/subject", 8),
        (json!({"nats": {"subject": "a", "mode": "jetstream", "stream": "${S}"}}), "/out/nats/stream", 1),
        (json!({"mqtt": {"broker": {"url": "mqtt://${T}"}, "topic": "a"}}), "/out/mqtt/broker/url", 8),
        (json!({"mqtt": {"broker": {"url": "mqtt://b"}, "topic": "a/${id}"}}), "/out/mqtt/topic", 3),
        (
            json!({"mqtt": {"broker": {"url": "mqtt://b", "client_id": "${HOST}"}, "topic": "a"}}),
            "/out/mqtt/broker/client_id",
            1,
        ),
    ] {
        let faults = pipeline(json!([]), out.clone()).unwrap_err();
        assert_eq!(faults.len(), 1, "{out}");
        assert_eq!(faults[0].code(), Code::ConfigNoSubstitution, "{out}: {}", faults[0]);
        assert_eq!(faults[0].place().pointer.as_deref(), Some(pointer), "{out}");
        assert_eq!(faults[0].place().column, Some(column), "{out}");
    }
    let input = json!({"mqtt": {"broker": {"url": "mqtt://b"}, "topics": ["a", "${SITE}/#"], "share": "${G}"}});
    let file = json!({"customer": "a", "pipeline": "b", "in": input, "out": one()});
    let faults = Pipeline::from_json(&file.to_string(), &()).unwrap_err();
    let mut found: Vec<_> = faults.iter().filter_map(|fault| fault.place().pointer.clone()).collect();
    found.sort();
    assert_eq!(found, ["/in/mqtt/share", "/in/mqtt/topics/1"]);
    assert!(faults.iter().all(|fault| fault.code() == Code::ConfigNoSubstitution));
    for url in ["https://a/?$filter={order.id}", "https://a/%24{order.id}", "https://a/$metadata"] {
        assert!(pipeline(json!([]), json!({"http": {"url": url}})).is_ok(), "{url}");
    }
}

#[test]
fn a_file_out_that_writes_what_the_file_in_reads_is_refused() {
    let file = |path: &str| {
        let input = json!({"file": {"path": "inbox", "pattern": "*.ndjson", "format": "ndjson"}});
        let file = json!({"customer": "a", "pipeline": "b", "in": input, "out": {"file": {"path": path}}});
        Pipeline::from_json(&file.to_string(), &())
    };
    let faults = file("./inbox/out.ndjson").unwrap_err();
    assert_eq!((faults.len(), faults[0].code()), (1, Code::ConfigInvalidValue));
    assert_eq!(faults[0].place().pointer.as_deref(), Some("/out/file/path"));
    assert!(file("inbox/out.json").is_ok() && file("outbox/out.ndjson").is_ok());
}

#[test]
fn an_mqtt_out_whose_topic_the_in_reads_is_refused_where_no_count_ends_it() {
    let file = |url: &str, versions: [&str; 2], topic: &str| {
        let broker = |url: &str, version: &str| json!({"url": url, "version": version});
        let input = json!({"mqtt": {"broker": broker("mqtt://B.example", versions[0]), "topics": ["x", "a/+/c"]}});
        let out = json!({"mqtt": {"broker": broker(url, versions[1]), "topic": topic}});
        let file = json!({"customer": "a", "pipeline": "b", "in": input, "out": out});
        Pipeline::from_json(&file.to_string(), &())
    };
    for versions in [["v3.1.1", "v3.1.1"], ["v3.1.1", "v5"], ["v5", "v3.1.1"]] {
        for topic in ["a/b/c", "a/{id}/c"] {
            let faults = file("mqtt://b.example:1883", versions, topic).unwrap_err();
            assert_eq!((faults.len(), faults[0].code()), (1, Code::ConfigInvalidValue));
            assert_eq!(faults[0].place().pointer.as_deref(), Some("/out/mqtt/topic"));
        }
        assert!(file("mqtt://b.example", versions, "a/b/{id}").is_ok());
        assert!(file("mqtt://other.example", versions, "a/b/c").is_ok());
    }
    assert!(file("mqtt://b.example", ["v5", "v5"], "a/b/c").is_ok());
}

#[test]
fn a_header_of_a_test_that_an_http_in_drops_is_refused() {
    let file = |input: Value, headers: Value| {
        let tests = json!([{"name": "t", "in": {"json": 1, "headers": headers}, "dropped": true}]);
        let file = json!({"customer": "a", "pipeline": "b", "in": input, "out": one(), "tests": tests});
        Pipeline::from_json(&file.to_string(), &())
    };
    let http = json!({"http": {"path": "/x"}});
    for name in ["X-Tenant", "Accept", "ce-", "x-request-ids"] {
        let faults = file(http.clone(), json!({"content-type": "text/xml", name: "1"})).unwrap_err();
        assert_eq!((faults.len(), faults[0].code()), (1, Code::ConfigHeaderDropped), "{name}");
        assert_eq!(faults[0].place().pointer, Some(format!("/tests/0/in/headers/{name}")));
    }
    for name in ["Content-Type", "TraceParent", "tracestate", "X-Request-ID", "ce-tenant", "Customer-ID"] {
        assert!(file(http.clone(), json!({name: "1"})).is_ok(), "{name}");
    }
    assert!(file(json!({"nats": {"subject": "a"}}), json!({"X-Tenant": "1"})).is_ok());
    let names = json!({"http": {"path": "/x", "headers": ["X-Tenant"], "query": ["page"]}});
    assert!(file(names.clone(), json!({"x-tenant": "1", "query-page": "2"})).is_ok());
    assert!(file(names.clone(), json!({"page": "2"})).is_err() && file(names, json!({"Query-other": "2"})).is_err());
    let keys = json!([{"secret": "a"}, {"secret": "b"}]);
    let parts = json!({"http": {"path": "/x/{id}", "methods": ["POST", "PUT"], "auth": {"bearer": keys}}});
    let seen = json!({"Path-id": "7", "Request-method": "PUT", "Auth-name": "a"});
    assert!(file(parts.clone(), seen).is_ok() && file(parts, json!({"Path-no": "7"})).is_err());
    for name in ["Path-id", "Request-method", "Auth-name"] {
        assert!(file(http.clone(), json!({name: "1"})).is_err(), "{name}");
    }
}

#[test]
fn credentials_and_what_is_the_connections_do_not_go_on_with_a_message() {
    let file = |input: Value| {
        let file = json!({"customer": "a", "pipeline": "b", "in": {"http": input}, "out": one()});
        Pipeline::from_json(&file.to_string(), &())
    };
    for name in ["Authorization", "cookie", "Host", "Content-Type", "Customer-ID", "Nats-Rollup", "vrsky-id", "a b", ""]
    {
        let faults = file(json!({"path": "/x", "headers": [name]})).unwrap_err();
        assert_eq!(faults[0].place().pointer.as_deref(), Some("/in/http/headers/0"), "{name}: {faults:?}");
    }
    for name in ["", "a b", "a:b", "a\r\nb", "é"] {
        let faults = file(json!({"path": "/x", "query": [name]})).unwrap_err();
        assert_eq!(faults[0].place().pointer.as_deref(), Some("/in/http/query/0"), "{name}: {faults:?}");
    }
    assert!(file(json!({"path": "/x", "headers": ["X-GitHub-Event"], "query": ["page"]})).is_ok());
}

fn with_in(http: Value) -> Result<Arc<Pipeline>, Vec<Fault>> {
    let file = json!({"customer": "a", "pipeline": "b", "in": {"http": http}, "out": one()});
    Pipeline::from_json(&file.to_string(), &())
}

#[test]
fn a_signature_that_nobody_can_make_is_refused() {
    use Code::*;
    let key = json!({"secret": "k"});
    let hmac = |more: Value| {
        let mut hmac = json!({"header": "X-Signature", "key": {"secret": "k"}});
        hmac.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"hmac": hmac})
    };
    for (auth, code, pointer, reason) in [
        (json!({"webhook": {"from": "githup", "key": key}}), ConfigInvalidValue, "webhook/from", "`github`"),
        (json!({"webhook": {"from": "github"}}), ConfigMissingKey, "webhook", "`key`"),
        (json!({"webhook": {"key": key}}), ConfigMissingKey, "webhook", "`from`"),
        (json!({"webhok": {"from": "github", "key": key}}), ConfigUnknownKey, "webhok", "`webhook`"),
        (json!({"hmac": {"header": "X-Signature"}}), ConfigMissingKey, "hmac", "`key`"),
        (json!({"hmac": {"key": key}}), ConfigMissingKey, "hmac", "`header`"),
        (json!({"webhook": {"from": "github", "key": []}}), ConfigInvalidValue, "webhook/key", "at least 1"),
        (
            json!({"webhook": {"from": "github", "key": key, "tolerance": "5m"}}),
            ConfigInvalidValue,
            "webhook/tolerance",
            "no time that is signed",
        ),
        (
            json!({"webhook": {"from": "slack", "key": key, "deduplicate": "delivery"}}),
            ConfigInvalidValue,
            "webhook/deduplicate",
            "no header with a delivery's id",
        ),
        (hmac(json!({"header": "a b"})), ConfigInvalidValue, "hmac/header", "no header name"),
        (hmac(json!({"algorithm": "md5"})), ConfigInvalidValue, "hmac/algorithm", "`sha256`"),
        (hmac(json!({"signed": "{timestamp}"})), ConfigInvalidValue, "hmac/signed", "no `{body}`"),
        (hmac(json!({"signed": "{time}{body}"})), ConfigInvalidValue, "hmac/signed", "{timestamp}, {id} and {body}"),
        (hmac(json!({"signed": "{timestamp}{body}"})), ConfigInvalidValue, "hmac/signed", "no header with it"),
        (hmac(json!({"signed": "{id}{body}"})), ConfigInvalidValue, "hmac/signed", "no header with it"),
        (hmac(json!({"timestamp": "X-Time"})), ConfigInvalidValue, "hmac/timestamp", "not signed"),
        (hmac(json!({"tolerance": "5m"})), ConfigInvalidValue, "hmac/tolerance", "no time that is signed"),
        (hmac(json!({"tolerance": "5 min"})), ConfigInvalidValue, "hmac/tolerance", "time such as"),
    ] {
        let faults = with_in(json!({"path": "/x", "auth": auth})).expect_err(&auth.to_string());
        let place = faults[0].place().pointer.clone();
        assert_eq!(
            (faults[0].code(), place),
            (code, Some(format!("/in/http/auth/{pointer}"))),
            "{auth}: {}",
            faults[0]
        );
        assert!(faults[0].reason().contains(reason), "{auth}: {}", faults[0]);
    }
    for auth in [
        json!({"webhook": {"from": "standard-webhooks", "key": [key, {"secret": "l"}], "tolerance": "1m"}}),
        hmac(json!({"timestamp": "X-Time", "id": "X-Id", "signed": "{id}.{timestamp}.{body}", "tolerance": "none"})),
        hmac(json!({"header": "Authorization", "prefix": "HMAC ", "encoding": "base64", "key_encoding": "base64"})),
    ] {
        assert!(with_in(json!({"path": "/x", "auth": auth})).is_ok(), "{auth}");
    }
}

#[test]
fn a_path_a_method_and_a_handshake_that_cannot_be_served_are_refused() {
    for path in ["/{}", "/a{id}", "/{id", "/{id}/{id}", "/{a b}", "/x//y", "/{id}/.."] {
        let faults = with_in(json!({"path": path})).unwrap_err();
        assert_eq!(faults[0].place().pointer.as_deref(), Some("/in/http/path"), "{path}: {faults:?}");
    }
    let options = |key: &str, value: Value| {
        let mut options = json!({"path": "/{kind}/{id}"});
        options[key] = value;
        with_in(options)
    };
    assert!(options("methods", json!(["POST", "PUT", "PUT"])).is_ok());
    let handshake = json!({
        "query": {"challenge": "hub.challenge", "verify": {"parameter": "hub.verify_token", "token": {"secret": "v"}}},
        "body": {"when": {"field": {"type": "url_verification"}}},
        "cloud_events": {"origins": ["eventgrid.azure.net", "*.webpubsub.azure.com"], "rate": 120},
    });
    let pipeline = options("handshake", handshake).unwrap();
    assert_eq!(pipeline.secret_names(), ["v"]);
    for (key, value, pointer) in [
        ("methods", json!(["HEAD"]), "methods/0"),
        ("methods", json!(["post"]), "methods/0"),
        ("headers", json!(["Path-id"]), "headers/0"),
        ("headers", json!(["auth-name"]), "headers/0"),
        ("headers", json!(["Request-Method"]), "headers/0"),
        ("handshake", json!({"query": {}}), "handshake/query"),
        ("handshake", json!({"body": {"when": {"field": {}}}}), "handshake/body/when/field"),
        ("handshake", json!({"body": {"when": {"header": {"a b": "c"}}}}), "handshake/body/when/header/a b"),
        ("handshake", json!({"cloud_events": {"origins": ["https://a"]}}), "handshake/cloud_events/origins/0"),
        ("handshake", json!({"cloud_events": {"rate": 0}}), "handshake/cloud_events/rate"),
        ("handshake", json!({"cloudevents": {}}), "handshake/cloudevents"),
    ] {
        let faults = options(key, value.clone()).expect_err(&value.to_string());
        assert_eq!(faults[0].place().pointer, Some(format!("/in/http/{pointer}")), "{value}: {}", faults[0]);
    }
}

#[test]
fn a_path_that_begins_with_the_name_of_the_message_is_refused() {
    let set = |path: &str, expression: &str| json!({"set": {path: expression}});
    for (path, expression) in [
        ("msg.total", "msg.total * 2"),
        ("msg.order.net", "math.round(msg.order.net)"),
        ("msg.name", "\"a \" + msg.name"),
        ("msg.total", "2"),
        ("msg.total", "total * 2"),
        ("msg.total", "msg.totals + 1"),
        ("msg.total", "msg.net * 2.0"),
        ("msg.total", "a.msg.total + 1"),
        ("msg.total", "\"msg.total\" + b"),
    ] {
        refused(
            json!([set(path, expression)]),
            one(),
            Code::ConfigInvalidPath,
            &format!("/steps/0/set/{path}"),
            &format!("write `{}`", &path[4..]),
        );
    }
    for (path, field) in [("msg[\"total\"]", "total"), ("msg['total']", "total"), ("msg[\"a b\"]", "[\"a b\"]")] {
        let pointer = format!("/steps/0/set/{path}");
        refused(json!([set(path, "2")]), one(), Code::ConfigInvalidPath, &pointer, &format!("write `{field}`"));
    }
    for steps in [
        json!([set("msg", "{}"), set("msg.total", "total * 2")]),
        json!([set("msg.total", "msg.total"), set("msg.kind", "\"x\"")]),
        json!([set("msg.total", "msg.msg.total + msg.total")]),
        json!([set("message.total", "msg.total * 2")]),
        json!([set("msg.total", "msg.total * 2"), {"remove": "total"}]),
        json!([{"rename": {"order": "msg"}}, set("msg.total", "msg.total * 2")]),
        json!([{"convert": {"from": "xml", "numbers": ["msg.total"]}}, set("msg.total", "msg.total * 2")]),
    ] {
        assert!(pipeline(steps.clone(), one()).is_ok(), "{steps}");
    }
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
        compiled.map(|pipeline| pipeline.subscription().map(|from| from.durable.clone()))
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

#[test]
fn tables_that_cannot_be_read_are_named_and_hide_nothing_else() {
    let refused = |table: Value, steps: Value| {
        let file = json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "out": {"stdout": {}},
            "tables": {"t": table}, "steps": steps,
        });
        let files = HashMap::from([("t.csv".to_owned(), "code\nA\nA\n".to_owned())]);
        let faults = Pipeline::from_json(&file.to_string(), &files).unwrap_err();
        let place = |fault: &Fault| fault.place().pointer.clone().unwrap_or_default();
        faults.iter().map(|fault| format!("{} {}", fault.code(), place(fault))).collect::<Vec<_>>()
    };
    let step = json!([{"filter": "lookup('t', a).b == 1 && a >"}]);
    for (table, expected) in [
        (json!({"file": "t.csv", "key": "code"}), "config/invalid-table /tables/t/file"),
        (json!({"file": "t.csv", "key": "cod"}), "config/invalid-table /tables/t/key"),
        (json!({"file": "t.csv"}), "config/missing-key /tables/t"),
        (json!({"file": "u.csv", "key": "a"}), "config/file-not-found /tables/t/file"),
        (json!({"file": "t.txt", "key": "a"}), "config/invalid-value /tables/t/file"),
        (json!({"file": "t.csv", "key": "a", "delimiter": "\""}), "config/invalid-value /tables/t/delimiter"),
        (json!({"file": "t.json", "booleans": ["a"]}), "config/invalid-value /tables/t/booleans"),
    ] {
        let found = refused(table, step.clone());
        assert_eq!(found, [expected, "config/invalid-expression /steps/0/filter"]);
    }
    assert_eq!(refused(json!({"file": "../t.csv", "key": "a"}), json!([])), ["config/file-outside /tables/t/file"]);
}
