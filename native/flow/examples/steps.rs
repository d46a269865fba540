//! What a message costs in a pipeline, without NATS: parse, steps, emit.
//!
//! `cargo run --release -p flow --example steps [ORDER.xml]`

use std::hint::black_box;
use std::time::Instant;

use flow::compile::{Pipeline, Progress};
use message::{Context, Document, Headers};
use serde_json::{Value, json};

const ORDER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<order id="4711"><country>CH</country><customer>Muster &amp; S&#246;hne AG</customer><created>2024-05-01T10:00:00Z</created>
<total>149.90</total><items><item><sku>A-1</sku><qty>2</qty><price>49.95</price></item><item><sku>B-2</sku><qty>1</qty>
<price>50.00</price></item></items><address><street>Bahnhofstrasse 1</street><zip>8001</zip></address></order>"#;
const MESSAGES: u32 = 100_000;
const ROUNDS: u32 = 5;

fn pipeline(steps: &[Value]) -> Result<std::sync::Arc<Pipeline>, Vec<message::Fault>> {
    let (input, out) = (json!({"nats": {"subject": "in"}}), json!({"stdout": {}}));
    let file = json!({"customer": "acme", "pipeline": "orders", "in": input, "steps": steps, "out": out});
    Pipeline::from_json(&file.to_string(), &())
}

/// Nanoseconds a message in the best round, and the bytes emitted for it.
fn measure(pipeline: &Pipeline, order: &[u8]) -> Result<(f64, usize), message::Fault> {
    let context = Context {
        id: "1",
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        time_ms: 0,
        headers: Headers::default(),
    };
    let (mut document, mut emitted, mut best) = (Document::default(), Vec::new(), f64::MAX);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..MESSAGES {
            emitted.clear();
            pipeline.parse(black_box(order), "", &mut document)?;
            match pipeline.advance(0, &mut document, &context) {
                Progress::Done(_) => pipeline.emit(&document, &mut emitted)?,
                Progress::Failed(fault) => return Err(fault),
                Progress::Dropped { .. } | Progress::Script { .. } | Progress::RunEnd { .. } => {}
            }
            black_box(&emitted);
        }
        best = best.min(started.elapsed().as_secs_f64() / f64::from(MESSAGES) * 1e9);
    }
    Ok((best, emitted.len()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let order = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => ORDER.into(),
    };
    let convert = json!({"convert": {"from": "xml", "arrays": ["order.items.item"], "numbers": ["order.total"]}});
    let filter = |least: u32| json!({"filter": format!("order.total > {least}.0 && order.country == \"CH\"")});
    let set = json!({"set": {"order.net": "order.total / 1.077"}});
    let route = json!({"route": [{"when": "order.total > 10000.0", "to": "default"}, {"to": "default"}]});
    for (name, steps) in [
        ("convert", vec![convert.clone()]),
        ("convert, filter", vec![convert.clone(), filter(100)]),
        ("convert, filter (dropped)", vec![convert.clone(), filter(1000)]),
        ("convert, filter, set, route", vec![convert, filter(100), set, route]),
        ("filter on XML, forwarded", vec![json!({"filter": "order.country == \"CH\""})]),
    ] {
        let pipeline = pipeline(&steps).map_err(|faults| format!("{faults:?}"))?;
        let (nanoseconds, emitted) = measure(&pipeline, &order)?;
        println!("{name:30} {} B in, {emitted:4} B out: {nanoseconds:6.0} ns", order.len());
    }
    Ok(())
}
