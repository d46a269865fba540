//! Runs steps over JSON texts.
use expression::{Filter, Set};
use formats::json;
use message::{Context, Document, Fault, Headers, Limits, Step, Verdict, Work};

pub const HEADERS: &[u8] =
    b"NATS/1.0\r\nContent-Type: application/json\r\nCe-Tier: gold\r\nce-tier: second\r\nBad: \xff\r\n\r\n";

pub fn context() -> Context<'static> {
    Context {
        id: "id-1",
        customer: "acme",
        pipeline: "orders",
        revision: "r7",
        time_ms: 1_709_206_200_500,
        headers: Headers::new(HEADERS),
    }
}

pub fn document(text: &str) -> Document {
    let mut document = Document::default();
    json::parse(text.as_bytes(), &Limits::default(), &mut document).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    document
}

pub fn apply_with(step: &dyn Step, document: &mut Document, limits: &Limits) -> Result<Verdict, Fault> {
    step.apply(&mut Work { document, context: context(), limits })
}

pub fn apply(step: &dyn Step, document: &mut Document) -> Result<Verdict, Fault> {
    apply_with(step, document, &Limits::default())
}

/// The document after a step, as JSON.
pub fn after(step: &dyn Step, text: &str) -> Result<String, Fault> {
    let mut document = document(text);
    apply(step, &mut document)?;
    Ok(emitted(&document))
}

pub fn emitted(document: &Document) -> String {
    let mut out = Vec::new();
    json::emit(document, &mut out);
    String::from_utf8(out).unwrap()
}

/// What `expression` gives for a message, as JSON.
pub fn value(expression: &str, text: &str) -> Result<String, Fault> {
    let set = Set::compile(&[("result", expression)])?;
    let mut document = document(text);
    apply(&set, &mut document)?;
    let text = emitted(&document);
    let start = text.rfind("\"result\":").unwrap() + "\"result\":".len();
    Ok(text[start..text.len() - 1].to_owned())
}

pub fn holds(expression: &str, text: &str) -> Result<bool, Fault> {
    Filter::compile(expression)?.matches(&document(text), &context(), &Limits::default())
}

pub fn code(result: &Result<impl std::fmt::Debug, Fault>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(fault) => fault.code().to_string(),
    }
}

/// The message of the cases of the language and its functions.
const MESSAGE: &str = r#"{"order":{"total":150,"country":"CH","note":null,"id":"08","@id":"a-1","big":12345678901234567890,
"items":[{"price":10,"sku":"x"},{"price":2.5,"sku":"y"}],"flags":{"a":true,"b":false}},"type":"order","int":3,"text":"ä€😀\n\"q\"","empty":""}"#;

/// Each expression is true for `MESSAGE`.
pub fn all_true(expressions: &[&str]) {
    for expression in expressions {
        assert_eq!(holds(expression, MESSAGE), Ok(true), "{expression}");
    }
}

/// Each expression, for `MESSAGE`, fails with the reason of its code.
pub fn all_fail(expressions: &[(&str, &str)]) {
    for (expression, reason) in expressions {
        let found = value(expression, MESSAGE);
        assert_eq!(code(&found), format!("set/{reason}"), "{expression}: {found:?}");
    }
}
