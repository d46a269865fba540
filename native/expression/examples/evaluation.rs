//! Nanoseconds per evaluation of typical expressions over one order on the tape.
//!
//! `cargo run --release -p expression --example evaluation [WORDS]`; with words, only the
//! expressions that contain them.

use std::hint::black_box;
use std::time::Instant;

use expression::{Filter, Set};
use formats::json;
use message::{Context, Document, Fault, Headers, Limits, Step, Work};

const ORDER: &str = r#"{"order":{"id":"A-1042","date":"2024-02-29","customer":{"name":"Müller & Söhne","vat":"CHE-1"},
"country":"CH","currency":"CHF","total":149.90,"items":[{"sku":"X1","quantity":2,"price":49.95},
{"sku":"Y2","quantity":1,"price":50.00},{"sku":"Z3","quantity":4,"price":0.5}],"note":"leave at the door"}}"#;

const FILTERS: &[&str] = &[
    "true",
    "order.total > 100.0",
    "order.country == \"CH\"",
    "order.total > 100.0 && order.country == \"CH\"",
    "order.total > 100 && order.country in [\"CH\", \"LI\", \"AT\"]",
    "has(order.note) && order.note.contains(\"door\")",
    "order.items.exists(item, item.price > 40.0 && item.quantity > 1)",
    "order.items.all(item, item.price * item.quantity < 1000.0)",
    "order.id.matches(\"^[A-Z]-[0-9]+$\")",
    "headers[\"Content-Type\"] == \"application/json\"",
    "meta.time > timestamp(\"2024-01-01T00:00:00Z\")",
    "!has(order.missing) || order.missing == 1",
    "order.missing == 1 || order.country == \"CH\"",
];

const SETS: &[(&str, &str)] = &[("net", "order.total / 1.077"), ("label", "order.id + \"/\" + order.country")];

fn main() -> Result<(), Fault> {
    let limits = Limits::default();
    let context = Context {
        id: "id",
        customer: "acme",
        pipeline: "orders",
        revision: "1",
        time_ms: 1_709_206_200_500,
        headers: Headers::new(b"NATS/1.0\r\nCustomer-ID: acme\r\nContent-Type: application/json\r\n\r\n"),
    };
    let mut document = Document::default();
    json::parse(ORDER.as_bytes(), &limits, &mut document)?;
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for text in FILTERS.iter().filter(|text| text.contains(&wanted)) {
        let filter = Filter::compile(text)?;
        let nanos = measure(|| drop(black_box(filter.matches(black_box(&document), &context, &limits))));
        println!("{nanos:9.1} ns  filter {text}");
    }
    // An edit needs a fresh document: what parsing it costs is taken off.
    let mut edited = Document::default();
    let parsing = measure(|| drop(json::parse(black_box(ORDER.as_bytes()), &limits, &mut edited)));
    for entry in SETS.iter().filter(|entry| entry.1.contains(&wanted)) {
        let set = Set::compile(std::slice::from_ref(entry))?;
        let nanos = measure(|| {
            drop(json::parse(black_box(ORDER.as_bytes()), &limits, &mut edited));
            drop(black_box(set.apply(&mut Work { document: &mut edited, context, limits: &limits })));
        });
        println!("{:9.1} ns  set    {}: {}", nanos - parsing, entry.0, entry.1);
    }
    let start = Instant::now();
    for text in FILTERS {
        Filter::compile(text)?;
    }
    let micros = start.elapsed().as_secs_f64() * 1e6 / FILTERS.len() as f64;
    println!("{micros:9.1} us  to compile one of the filters");
    Ok(())
}

/// The best of several rounds: others share the machine.
fn measure(mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 20_000;
    let round = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..CALLS {
            work();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..30).map(|_| round(&mut work)).fold(f64::INFINITY, f64::min)
}
