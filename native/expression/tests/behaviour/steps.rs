//! What each step does to a message, and the fault it gives when it cannot.

use crate::support::{after, apply, apply_with, document, holds, value};
use expression::{Case, Filter, Remove, Rename, Route, Set};
use message::{Code, Document, Limits, Outs, Step, Verdict};

const ORDER: &str = r#"{"order":{"total":150,"country":"CH","items":[{"price":10},{"price":2.5}],"note":null}}"#;

#[test]
fn a_filter_passes_drops_or_fails() {
    let filter = Filter::compile(r#"order.total > 100.0 && order.country == "CH""#).unwrap();
    assert_eq!(filter.name(), "filter");
    assert_eq!(apply(&filter, &mut document(ORDER)), Ok(Verdict::Pass));
    assert_eq!(apply(&filter, &mut document(r#"{"order":{"total":99.9,"country":"CH"}}"#)), Ok(Verdict::Drop));
    let missing = apply(&filter, &mut document(r#"{"order":{"country":"CH"}}"#)).unwrap_err();
    assert_eq!(missing.code(), Code::FilterMissingField);
    assert_eq!(missing.place().field.as_deref(), Some("order.total"));
    assert_eq!(missing.place().column, Some(1));
    assert!(missing.reason().contains("order.total > 100.0"), "{missing}");
    let wrong = apply(&filter, &mut document(r#"{"order":{"total":"150","country":"CH"}}"#)).unwrap_err();
    assert_eq!(wrong.code(), Code::FilterWrongType);
    assert_eq!(wrong.place().field.as_deref(), Some("order.total"));
    assert_eq!(wrong.place().column, Some(13));
}

#[test]
fn a_fault_names_the_part_of_the_path_that_is_missing() {
    for (expression, code, field) in [
        ("order.customer.name == 1", Code::FilterMissingField, "order.customer"),
        ("nothing == 1", Code::FilterMissingField, "nothing"),
        ("order.items[7].price > 1", Code::FilterMissingField, "order.items[7]"),
        ("order.items.price > 1", Code::FilterWrongType, "order.items"),
        ("order.total.net > 1", Code::FilterWrongType, "order.total"),
        ("order.note.text == \"x\"", Code::FilterWrongType, "order.note"),
        ("order[\"@id\"] == \"x\"", Code::FilterMissingField, "order[\"@id\"]"),
        ("order.items.all(i, i.weight > 1)", Code::FilterMissingField, "i.weight"),
        ("headers.Nope == \"\"", Code::FilterMissingField, "headers.Nope"),
        ("order.total", Code::FilterNotABoolean, "order.total"),
        ("order.total / 0 > 1", Code::FilterFailed, "order.total"),
    ] {
        let fault = holds(expression, ORDER).unwrap_err();
        assert_eq!((fault.code(), fault.place().field.as_deref()), (code, Some(field)), "{expression}: {fault}");
        assert!(fault.place().column.is_some(), "{expression}");
    }
}

#[test]
fn a_message_that_is_no_object_fails() {
    for text in ["[1]", "1", "\"x\"", "null"] {
        assert_eq!(holds("order.total > 1", text).unwrap_err().code(), Code::FilterWrongType, "{text}");
    }
    assert_eq!(holds("msg[0] == 1", "[1]"), Ok(true));
    assert_eq!(holds("msg == null", "null"), Ok(true));
    let filter = Filter::compile("msg == null").unwrap();
    assert_eq!(apply(&filter, &mut Document::default()), Ok(Verdict::Pass));
}

#[test]
fn a_route_takes_the_first_case_that_holds() {
    let case = |when: Option<&str>, to| Case { when: when.map(str::to_owned), to };
    let both = Outs::one(0).with(1);
    let route = Route::compile(&[
        case(Some("order.total > 10000.0"), Some(both)),
        case(Some("order.country == \"DE\""), None),
        case(Some("order.country == \"CH\""), Some(Outs::one(1))),
    ])
    .unwrap();
    let verdict = |text: &str| apply(&route, &mut document(text));
    assert_eq!(verdict(r#"{"order":{"total":20000,"country":"DE"}}"#), Ok(Verdict::Route(both)));
    assert_eq!(verdict(r#"{"order":{"total":2,"country":"DE"}}"#), Ok(Verdict::Drop));
    assert_eq!(verdict(ORDER), Ok(Verdict::Route(Outs::one(1))));
    assert_eq!(verdict(r#"{"order":{"total":2,"country":"FR"}}"#).unwrap_err().code(), Code::RouteNoMatch);
    assert_eq!(verdict(r#"{"order":{"total":2}}"#).unwrap_err().code(), Code::RouteMissingField);
    assert_eq!(verdict(r#"{"order":{"total":"2"}}"#).unwrap_err().code(), Code::RouteWrongType);
    let last = Route::compile(&[case(None, None)]).unwrap();
    assert_eq!(apply(&last, &mut document("{}")), Ok(Verdict::Drop));
    let wrong = Route::compile(&[case(None, None), case(Some("a +"), None)]).unwrap_err();
    assert_eq!(wrong.place().pointer.as_deref(), Some("/1/when"));
    assert_eq!(wrong.place().column, Some(4));
}

#[test]
fn set_computes_in_order_and_creates_what_is_missing() {
    let set = Set::compile(&[
        ("order.net", "order.total / 1.25"),
        ("order.tax", "order.total - order.net"),
        ("meta_.seen.by", "meta.customer + \"/\" + meta.pipeline"),
        ("order.items[1].price", "3"),
        ("first", "order.items[0]"),
        ("prices", "order.items.map(i, i.price)"),
        ("summary", "{\"n\": size(order.items), \"ok\": true, \"none\": null, \"items\": order.items}"),
    ])
    .unwrap();
    assert_eq!(
        after(&set, r#"{"order":{"total":150,"items":[{"price":10},{"price":2.50}]}}"#).unwrap(),
        concat!(
            r#"{"order":{"total":150,"items":[{"price":10},{"price":3}],"net":120.0,"tax":30.0},"#,
            r#""meta_":{"seen":{"by":"acme/orders"}},"first":{"price":10},"prices":[10,3],"#,
            r#""summary":{"n":2,"ok":true,"none":null,"items":[{"price":10},{"price":3}]}}"#
        )
    );
}

#[test]
fn set_keeps_every_digit_of_what_it_copies() {
    let text = r#"{"id":12345678901234567890123,"price":1.10}"#;
    assert_eq!(value("[id, price]", text).unwrap(), "[12345678901234567890123,1.10]");
}

#[test]
fn what_json_cannot_hold_becomes_a_string_or_fails() {
    for (expression, json) in [
        ("b\"abc\"", "\"abc\""),
        ("meta.time", "\"2024-02-29T11:30:00.5Z\""),
        ("duration(\"90s\")", "\"90s\""),
        ("headers[\"content-type\"]", "\"application/json\""),
        ("18446744073709551615u", "18446744073709551615"),
    ] {
        assert_eq!(value(expression, "{}").unwrap(), json, "{expression}");
    }
    for (expression, code) in [
        ("1.0 / 0.0", Code::SetFailed),
        ("double(\"NaN\")", Code::SetFailed),
        ("b\"\\xff\"", Code::SetFailed),
        ("type(1)", Code::SetWrongType),
        ("{1: 2}", Code::SetWrongType),
        ("missing", Code::SetMissingField),
        ("1 + true", Code::SetWrongType),
        ("9223372036854775807 + 1", Code::SetFailed),
    ] {
        assert_eq!(value(expression, "{}").unwrap_err().code(), code, "{expression}");
    }
}

#[test]
fn a_refused_edit_names_the_place_and_leaves_the_document() {
    for (path, code, field) in [
        ("order.total.net", Code::SetNotAnObject, "order.total"),
        ("order.items.price", Code::SetNotAnObject, "order.items"),
        ("order.items[9].price", Code::SetNoSuchIndex, "order.items[9]"),
    ] {
        let set = Set::compile(&[(path, "1")]).unwrap();
        let mut document = document(ORDER);
        let fault = apply(&set, &mut document).unwrap_err();
        assert_eq!((fault.code(), fault.place().field.as_deref()), (code, Some(field)), "{path}");
        assert_eq!(crate::support::emitted(&document), ORDER);
    }
}

#[test]
fn remove_and_rename_edit_by_path() {
    let remove = Remove::compile(&["order.items[0]", "order.note", "order.nothing", "nothing.at.all"]).unwrap();
    assert_eq!(after(&remove, ORDER).unwrap(), r#"{"order":{"total":150,"country":"CH","items":[{"price":2.5}]}}"#);
    let rename =
        Rename::compile(&[("order.country", "land"), ("order.nothing", "x"), ("order", "bestellung")]).unwrap();
    assert_eq!(
        after(&rename, r#"{"order":{"country":"CH","total":1}}"#).unwrap(),
        r#"{"bestellung":{"land":"CH","total":1}}"#
    );
    let taken = Rename::compile(&[("order.country", "total")]).unwrap();
    let fault = after(&taken, ORDER).unwrap_err();
    assert_eq!((fault.code(), fault.place().field.as_deref()), (Code::SetNameTaken, Some("order.country")));
}

#[test]
fn a_wrong_path_is_named_with_its_entry() {
    let fault = Set::compile(&[("a.b", "1"), ("a..b", "1")]).unwrap_err();
    assert_eq!(
        (fault.code(), fault.place().pointer.as_deref(), fault.place().column),
        (Code::ConfigInvalidPath, Some("/a..b"), Some(3))
    );
    let fault = Set::compile(&[("a[\"x/~\"]", "1 +")]).unwrap_err();
    assert_eq!(
        (fault.code(), fault.place().pointer.as_deref()),
        (Code::ConfigInvalidExpression, Some("/a[\"x~1~0\"]"))
    );
    assert_eq!(Remove::compile(&["a", ""]).unwrap_err().place().pointer.as_deref(), Some("/1"));
    assert_eq!(Rename::compile(&[("a", "")]).unwrap_err().code(), Code::ConfigInvalidValue);
}

#[test]
fn copies_stay_within_the_limits() {
    let set =
        Set::compile(&[("a", "[msg, msg, msg, msg]"), ("b", "[msg, msg, msg, msg]"), ("c", "[msg, msg, msg, msg]")])
            .unwrap();
    for limits in [
        Limits { nodes: 60, ..Limits::default() },
        Limits { output_bytes: 300, ..Limits::default() },
        Limits { depth: 7, ..Limits::default() },
    ] {
        let fault = apply_with(&set, &mut document(ORDER), &limits).unwrap_err();
        assert_eq!(fault.code(), Code::SetTooExpensive, "{fault}");
    }
    assert!(apply(&set, &mut document(ORDER)).is_ok());
}
