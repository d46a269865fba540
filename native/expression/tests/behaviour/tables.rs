//! `lookup`: rows of tables in expressions.
use std::sync::Arc;

use expression::{Case, Filter, Route, Set};
use formats::table::{CsvOptions, JsonOptions, Options, parse};
use message::{Code, Fault, Limits, Tables, Verdict};

use crate::support::{apply, apply_with, code, context, document, emitted};

const COUNTRIES: &str = "code,name,vat,eu\nDE,Deutschland,0.190,true\nCH,Schweiz,,false\n7,Sieben,7,true\n";
const RATES: &str = r#"{"EUR": {"per": 1.0800000000000000001, "by": ["ecb", {"a": null}]}, "CHF": 1, "null": "text"}"#;

fn tables() -> Tables {
    let csv =
        CsvOptions { delimiter: b',', key: "code".into(), numbers: vec!["vat".into()], booleans: vec!["eu".into()] };
    let countries = parse(COUNTRIES, &Options::Csv(csv)).unwrap();
    let rates = parse(RATES, &Options::Json(JsonOptions { key: None })).unwrap();
    [("countries".into(), Arc::new(countries)), ("rates".into(), Arc::new(rates))].into_iter().collect()
}

/// What `expression` gives for a message, as JSON.
fn value(expression: &str, text: &str) -> Result<String, Fault> {
    let set = Set::with_tables(&[("result", expression)], &tables())?;
    let mut document = document(text);
    apply(&set, &mut document)?;
    let text = emitted(&document);
    Ok(text.rsplit_once("\"result\":").unwrap().1.strip_suffix('}').unwrap().to_owned())
}

const MESSAGE: &str = r#"{"country":"DE","none":"FR","id":7,"nothing":null,"list":[]}"#;

#[test]
fn a_row_is_found_by_its_key_and_read_like_a_value_of_the_message() {
    for (expression, expected) in [
        (r#"lookup("countries", msg.country).name"#, r#""Deutschland""#),
        (r#"lookup('countries', country)["name"]"#, r#""Deutschland""#),
        (r#"lookup("countries", "CH")"#, r#"{"code":"CH","name":"Schweiz","vat":null,"eu":false}"#),
        (r#"lookup("countries", id).name + "!""#, r#""Sieben!""#),
        (r#"lookup("countries", 3 + 4).vat * 2"#, "14"),
        (r#"lookup("countries", country).vat"#, "0.190"),
        (r#"lookup("rates", "EUR").per"#, "1.0800000000000000001"),
        (r#"lookup("rates", "EUR").by"#, r#"["ecb",{"a":null}]"#),
        (r#"lookup("rates", "EUR").by[0]"#, r#""ecb""#),
        (r#"[lookup("rates", "CHF"), {"a": lookup("rates", "EUR").by}]"#, r#"[1,{"a":["ecb",{"a":null}]}]"#),
        (r#"size(lookup("countries", "CH"))"#, "4"),
        (r#"lookup("countries", "CH").all(c, c != "x")"#, "true"),
        (r#"lookup("countries", "CH") == lookup("countries", "CH")"#, "true"),
    ] {
        assert_eq!(value(expression, MESSAGE).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn a_row_that_is_not_there_is_null_or_what_the_third_argument_says() {
    for (expression, expected) in [
        (r#"lookup("countries", none)"#, "null"),
        (r#"lookup("countries", nothing) == null"#, "true"),
        (r#"lookup("rates", nothing)"#, "null"),
        (r#"lookup("countries", none, {"name": none}).name"#, r#""FR""#),
        (r#"lookup("countries", country, {"name": missing}).name"#, r#""Deutschland""#),
        (r#"has(lookup("countries", none).name)"#, "false"),
        (r#"has(lookup("countries", country).name)"#, "true"),
    ] {
        assert_eq!(value(expression, MESSAGE).as_deref(), Ok(expected), "{expression}");
    }
    for (expression, expected, reason) in [
        (r#"lookup("countries", none).name"#, "set/missing-field", "the table countries has no row \"FR\""),
        (r#"lookup("countries", none)["name"]"#, "set/missing-field", "the table countries has no row \"FR\""),
        (r#"lookup("countries", missing).name"#, "set/missing-field", "there is no field missing"),
        (r#"lookup("countries", msg.list).name"#, "set/wrong-type", "a table's key is a text, number or boolean"),
    ] {
        let found = value(expression, MESSAGE);
        assert_eq!(code(&found), expected, "{expression}");
        assert!(found.as_ref().unwrap_err().reason().starts_with(reason), "{found:?}");
    }
}

#[test]
fn what_can_never_be_found_is_refused_when_the_expression_is_compiled() {
    for (expression, column, reason) in [
        (r#"1 + lookup("cities", a).x"#, 5, "looks into `cities`, which is not in the pipeline's `tables`"),
        (r#"lookup("countries", a).nmae"#, 1, "reads `nmae` of the table `countries`, which has `code`, `name`"),
        (r#"has(lookup("countries", a).nmae)"#, 5, "reads `nmae` of the table"),
        (r#"lookup(table, a)"#, 1, "without the name of a table in quotes"),
        (r#"lookup("countries")"#, 1, "in another way than"),
        (r#"a.lookup("countries")"#, 3, "in another way than"),
        (r#"lookup("countries", int)"#, 21, "passes it to a function"),
    ] {
        let fault = Filter::with_tables(expression, &tables()).unwrap_err();
        assert_eq!(fault.code(), Code::ConfigInvalidExpression, "{expression}");
        assert!(fault.reason().contains(reason), "{expression}: {fault}");
        assert_eq!(fault.place().column, Some(column), "{expression}: {fault}");
    }
    assert!(Filter::compile(r#"lookup("countries", a)"#).unwrap_err().reason().contains("it has none"));
}

#[test]
fn filters_and_routes_look_into_tables() {
    let filter = Filter::with_tables(r#"lookup("countries", country).eu"#, &tables()).unwrap();
    let passes = |text: &str| filter.matches(&document(text), &context(), &Limits::default());
    assert_eq!((passes(r#"{"country":"DE"}"#), passes(r#"{"country":"CH"}"#)), (Ok(true), Ok(false)));
    let case = |when: &str| Case { when: Some(when.to_owned()), to: None };
    let route = Route::with_tables(&[case(r#"lookup("countries", country) != null"#)], &tables()).unwrap();
    assert_eq!(apply(&route, &mut document(r#"{"country":"DE"}"#)), Ok(Verdict::Drop));
    assert_eq!(code(&apply(&route, &mut document(r#"{"country":"FR"}"#))), "route/no-match");
}

#[test]
fn what_a_row_adds_to_a_message_counts_against_its_limits() {
    let set = Set::with_tables(&[("a", r#"lookup("rates", "EUR")"#)], &tables()).unwrap();
    let limits = Limits { nodes: 5, ..Limits::default() };
    assert_eq!(code(&apply_with(&set, &mut document("{}"), &limits)), "set/too-expensive");
}
