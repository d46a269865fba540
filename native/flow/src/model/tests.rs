use message::Code;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn orders() -> Value {
    json!({
        "vrsky": 1,
        "customer": "acme",
        "pipeline": "orders",
        "in": {"http": {"path": "/orders", "auth": {"bearer": {"secret": "orders-token"}}}},
        "steps": [
            {"convert": {"from": "xml", "arrays": ["order.items.item"], "numbers": ["order.total", "order.items.item.price"]}},
            {"filter": "order.total > 100.0 && order.country == \"CH\""},
            {"set": {"order.net": "order.total / 1.077", "order.a": "1"}},
            {"script": "net.ts"},
            {"route": [{"when": "order.total > 10000.0", "to": ["audit", "erp"]}, {"to": "erp"}]}
        ],
        "out": {
            "erp": {"http": {"url": "https://erp.example/orders/{order.id}", "headers": {"X-Key": {"secret": "k"}, "X-B": "1"}}},
            "audit": {"file": {"path": "audit.ndjson"}}
        },
        "limits": {"rate": "5000/s", "backlog": 10000, "script": {"cpu_ms": 5, "memory_mb": 32}},
        "tests": [{"name": "Swiss orders pass", "in": {"file": "order-ch.xml"},
                   "out": {"erp": {"json_contains": {"order": {"id": "1", "total": 149.9}}}}}]
    })
}

/// `orders()` with the value at `pointer` replaced, or added to its parent.
fn with(pointer: &str, value: Value) -> Value {
    let mut file = orders();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match file.pointer_mut(parent).unwrap() {
        Value::Object(map) => drop(map.insert(key.to_owned(), value)),
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    file
}

#[test]
fn the_example_reads_and_its_canonical_form_reads_back() {
    let file = read_value(orders()).unwrap();
    let again = read(&file.canonical()).unwrap();
    assert_eq!(file, again);
    assert_eq!(file.canonical(), again.canonical());
    assert_eq!(file.limits.for_message().script_cpu_ms, 5);
    let Step::Set(fields) = &file.steps[2] else { panic!() };
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["order.net", "order.a"], "order of the file");
}

#[test]
fn a_revision_changes_with_the_file_and_with_its_scripts() {
    let file = read_value(orders()).unwrap();
    let other = read_value(with("/limits/backlog", json!(9))).unwrap();
    assert_eq!(file.revision(["a"]), file.revision(["a"]));
    assert_eq!(file.revision([]).len(), 16);
    let all = [file.revision([]), file.revision(["a"]), file.revision(["a", ""]), other.revision(["a"])];
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), all.len());
}

#[test]
fn short_forms_read() {
    for (pointer, value) in [
        ("/in", json!({"nats": {"subject": "acme.orders"}})),
        ("/in", json!({"nats": {"subject": "acme.*.>", "mode": "jetstream", "stream": "S", "durable": "d"}})),
        ("/in/http/auth", json!("none")),
        ("/out", json!({"stdout": {}})),
        ("/out", json!({"file": {"path": "x"}})),
        ("/out", json!({"files": {"file": {"path": "x"}}})),
        ("/steps/0", json!({"remove": "order.x"})),
        ("/steps/0", json!({"remove": ["order.x", "order[\"@id\"]"]})),
        ("/steps/3", json!({"script": {"code": "export default m => m", "language": "js"}})),
        ("/tests/0/in", json!({"json": null})),
        ("/steps", json!([])),
    ] {
        let file = read_value(with(pointer, value.clone())).unwrap_or_else(|faults| panic!("{value}: {faults:?}"));
        assert_eq!(read(&file.canonical()).unwrap(), file);
    }
}

/// What is put where, and what is said of it: pointer, value, code, pointer, a part of the reason;
/// two blanks between them.
const MISTAKES: &str = r#"
/steps/1  {"fliter": "true"}  config/unknown-key  /steps/1/fliter  unknown key `fliter`, did you mean `filter`?
/steps/1  {"filter": "true", "set": {"a": "1"}}  config/invalid-value  /steps/1  item 1 takes one of `filter` and `set`, not several
/steps/1  {"filter": "true", "fob": 1}  config/unknown-key  /steps/1/fob  unknown key `fob`
/steps/1  "filter"  config/wrong-type  /steps/1  item 1 wants a mapping such as `filter: ...`, not the text `filter`
/steps/1  {}  config/missing-key  /steps/1  item 1 lacks its key; allowed here are `convert`, `filter`
/steps/1  {"filter": 5}  config/wrong-type  /steps/1/filter  `filter` wants a text, not a number
/steps/1  {"filter": " "}  config/invalid-expression  /steps/1/filter  the expression is empty
/steps/2/set  {"order..net": "1"}  config/invalid-path  /steps/2/set/order..net  the path `order..net` expects a name here
/steps/2/set  {"a/b~": "1"}  config/invalid-path  /steps/2/set/a~1b~0  the path `a/b~`
/steps/2/set  {}  config/invalid-value  /steps/2/set  `set` wants at least 1 entry
/steps/0/convert/from  "xlm"  config/invalid-value  /steps/0/convert/from  `from` cannot be `xlm`, did you mean `xml`?
/steps/0/convert/arrays  "order.item"  config/wrong-type  /steps/0/convert/arrays  `arrays` wants a list, not a text
/steps/0/convert/arrays  ["a", "b["]  config/invalid-path  /steps/0/convert/arrays/1  the path `b[` expects a quoted name
/steps/0/convert/doctype  "load"  config/invalid-value  /steps/0/convert/doctype  `doctype` cannot be `load`; allowed here are `refuse` and `ignore`
/steps/0/convert/number_format  "xsd"  config/invalid-value  /steps/0/convert/number_format  allowed here are `json` and `xml_schema`
/steps/0/convert/trim  "no"  config/wrong-type  /steps/0/convert/trim  `trim` wants true or false, not a text
/steps/0/convert/nil  "nul"  config/invalid-value  /steps/0/convert/nil  `nil` cannot be `nul`, did you mean `null`?
/steps/3/script  "../net.ts"  config/file-outside  /steps/3/script  the file `../net.ts` lies outside
/steps/3/script  7  config/wrong-type  /steps/3/script  `script` wants a text or a mapping, not a number
/steps/4/route/1/to  ["erp", "Erp!"]  config/invalid-name  /steps/4/route/1/to/1  the name `Erp!` may hold only
/steps/4/route/0/wehn  "x"  config/unknown-key  /steps/4/route/0/wehn  unknown key `wehn`; `drop` is allowed here
/out  {"fiel": {"path": "x"}}  config/unknown-key  /out/fiel  unknown key `fiel`, did you mean `file`?
/out  {"file": {"path": "x"}, "erp": {"stdout": {}}}  config/invalid-value  /out  `out` holds either one connector or names of outs; `file` is a connector
/out  {"Big": {"stdout": {}}}  config/invalid-name  /out/Big  the name `Big` may hold only
/out  {}  config/invalid-value  /out  `out` wants at least 1 entry
/out  {"stdout": null}  config/wrong-type  /out/stdout  `stdout` wants a mapping, `{}`, not nothing
/out  "stdout"  config/wrong-type  /out  `out` wants a mapping such as `stdout: ...`
/out/erp/http/retry  "sometimes"  config/invalid-value  /out/erp/http/retry  `retry` cannot be `sometimes`; allowed here are `always`, `safe` and `never`
/out/erp/http/timeout  "10"  config/invalid-value  /out/erp/http/timeout  `10` wants a time such as
/out/erp/http/headers  {"Host": "x"}  config/invalid-value  /out/erp/http/headers/Host  `Host` is a header that may not be set here
/out/erp/http/headers  {"X-A": "a\r\nb"}  config/invalid-value  /out/erp/http/headers/X-A  a header's value
/out/erp/http/headers  {"X-A": {"sceret": "b"}}  config/unknown-key  /out/erp/http/headers/X-A/sceret  did you mean `secret`?
/limits/rate  "fast"  config/invalid-value  /limits/rate  write it like `5000/s`
/limits/backlog  0  config/invalid-value  /limits/backlog  `backlog` has to be from 1 to 10000, not 0
/limits/backlog  1.5  config/wrong-type  /limits/backlog  `backlog` wants a whole number, not a number with a fraction
/limits/depth  "9"  config/wrong-type  /limits/depth  `depth` wants a whole number, not a text
/customer  "Acme"  config/invalid-name  /customer  the name `Acme` may hold only a-z
/customer  null  config/wrong-type  /customer  `customer` wants a text, not nothing
/vrsky  2  config/unsupported-version  /vrsky  version 2 is not known, this build reads 1
/vrsky  "1"  config/wrong-type  /vrsky  `vrsky` wants a whole number, not a text
/pipelin  "x"  config/unknown-key  /pipelin  unknown key `pipelin`
/in  {"http": {}}  config/missing-key  /in/http  `http` lacks the key `path`
/in  {"htp": {"path": "/"}}  config/unknown-key  /in/htp  did you mean `http`?
/in/http/path  "orders"  config/invalid-value  /in/http/path  `orders` has to start with `/`
/in/http/auth  "nome"  config/invalid-value  /in/http/auth  `auth` cannot be `nome`, did you mean `none`?
/in/http/auth  {"baerer": {"secret": "x"}}  config/unknown-key  /in/http/auth/baerer  did you mean `bearer`?
/in/http/auth  {"bearer": {"secret": "TOK"}}  config/invalid-name  /in/http/auth/bearer/secret  the name `TOK` of a secret may hold only a-z, 0-9 and hyphens, write `tok`
/out/erp/http/headers  {"X-A": {"secret": "erp_key"}}  config/invalid-name  /out/erp/http/headers/X-A/secret  write `erp-key`
/in/http/auth  {"bearer": {"secret": "b--c"}}  config/invalid-name  /in/http/auth/bearer/secret  the name `b--c` of a secret must not have two hyphens in a row, write `b-c`
/out/erp/http/headers  {"X-A": {"secret": "ERP__KEY"}}  config/invalid-name  /out/erp/http/headers/X-A/secret  write `erp-key`
/out/erp/http/headers  {"X-A": {"secret": "-"}}  config/invalid-name  /out/erp/http/headers/X-A/secret  must not start or end with a hyphen
/in  {"nats": {"subject": "$JS.API.>"}}  config/invalid-value  /in/nats/subject  reaches subjects of the system
/in  {"nats": {"subject": "a..b"}}  config/invalid-value  /in/nats/subject  is no NATS subject
/out  {"nats": {"subject": "a.*"}}  config/invalid-value  /out/nats/subject  has a wildcard that is not allowed there
/out  {"nats": {"subject": "a", "stream": "VRSKY_DEAD"}}  config/invalid-value  /out/nats/stream  is the name of a stream of the system
/tests/0/error  "filter/mising-field"  config/invalid-value  /tests/0/error  did you mean `filter/missing-field`?
/tests/0/out/erp  {"jsn": 1}  config/unknown-key  /tests/0/out/erp/jsn  did you mean `json`?
"#;

#[test]
fn every_mistake_is_named_at_its_place() {
    for line in MISTAKES.trim().lines() {
        let [pointer, value, code, at, reason] = *line.split("  ").collect::<Vec<_>>() else { panic!("{line}") };
        let faults = read_value(with(pointer, serde_json::from_str(value).expect(line))).expect_err(line);
        let fault = &faults[0];
        assert_eq!(fault.code().as_str(), code, "{line}: {fault}");
        assert_eq!(fault.place().pointer.as_deref(), Some(at), "{line}: {fault}");
        assert!(fault.reason().contains(reason), "{line}: {fault}");
    }
}

#[test]
fn all_mistakes_are_named_in_one_go() {
    let mut file = with("/steps/1", json!({"fliter": "true"}));
    file["limits"]["backlog"] = json!("x");
    file["customer"] = json!("A");
    file["typo"] = json!(1);
    assert_eq!(read_value(file).unwrap_err().len(), 4);
    let many = with("/steps/0/convert/arrays", Value::Array(vec![json!(1); 999]));
    assert_eq!(read_value(many).unwrap_err().len(), 50);
}

#[test]
fn what_is_no_json_or_too_large_is_named() {
    assert_eq!(read("{").unwrap_err()[0].code(), Code::ConfigInvalidYaml);
    assert_eq!(read(&" ".repeat(2 << 20)).unwrap_err()[0].code(), Code::ConfigTooLarge);
    assert_eq!(read("[]").unwrap_err()[0].code(), Code::ConfigWrongType);
    assert_eq!(
        read(&format!("{}{}", "[".repeat(5000), "]".repeat(5000))).unwrap_err()[0].code(),
        Code::ConfigInvalidYaml
    );
}

#[test]
fn every_key_has_a_description_and_no_null() {
    fn visit(schema: &Value, at: &str) {
        if let Some(keys) = schema.get("properties").and_then(Value::as_object) {
            for (key, inner) in keys {
                let tagged = schema["required"] == json!([key]) && keys.len() == 1;
                assert!(tagged || inner.get("description").is_some(), "{at}/{key} has no description");
                visit(inner, &format!("{at}/{key}"));
            }
        }
        assert_ne!(schema.get("type"), Some(&json!("null")), "{at}");
        match schema {
            // An option may have the name of a word of JSON Schema.
            Value::Object(map) => {
                let words = map.iter().filter(|(key, _)| *key != "properties");
                words.for_each(|(key, inner)| visit(inner, &format!("{at}/{key}")));
            }
            Value::Array(list) => list.iter().for_each(|inner| visit(inner, at)),
            _ => {}
        }
    }
    visit(schema(), "");
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = proptest::sample::select(vec![
        "vrsky", "customer", "http", "nats", "file", "stdout", "convert", "from", "xml", "filter", "set", "route",
        "to", "when", "drop", "script", "code", "secret", "bearer", "a.b", "none", "5/s", "1h", "", "order", "/x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

/// Pointers to every value of `file`.
fn places(file: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match file {
        Value::Object(map) => map.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), into)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, inner)| places(inner, &format!("{at}/{i}"), into)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// No value panics; what the walk lets pass, the types take; every fault has a pointer.
    #[test]
    fn any_value_in_any_place_gives_a_file_or_faults_with_pointers(value in any_json(), place in any::<proptest::sample::Index>()) {
        let mut file = orders();
        let mut all = Vec::new();
        places(&file, "", &mut all);
        *file.pointer_mut(place.get::<String>(&all)).unwrap() = value;
        match read_value(file) {
            Ok(read_file) => prop_assert_eq!(read(&read_file.canonical()).unwrap(), read_file),
            Err(faults) => for fault in faults {
                prop_assert!(fault.place().pointer.is_some(), "{}", fault);
                prop_assert!(!fault.reason().contains("did not match any variant") && !fault.reason().contains("expected"), "{}", fault);
            },
        }
    }
}

#[test]
fn a_kind_of_connector_that_there_is_not_is_named_with_those_that_there_are() {
    for (pointer, value) in
        [("/out", json!({"kafka": {"brokers": ["a:9092"]}})), ("/in", json!({"amqp": {"queue": "q"}}))]
    {
        let faults = read_value(with(pointer, value)).unwrap_err();
        let reason = faults[0].reason();
        assert!(reason.contains("unknown key") && reason.contains("http") && reason.contains("nats"), "{faults:?}");
    }
    // A name, and a kind that is nearly right.
    let faults = read_value(with("/out", json!({"erp": {"htpp": {"url": "https://e.example/"}}}))).unwrap_err();
    assert_eq!(faults[0].place().pointer.as_deref(), Some("/out/erp/htpp"), "{faults:?}");
}
