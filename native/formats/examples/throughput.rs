//! How fast the formats are, in MB/s of payload.
//!
//! `cargo run --release -p formats --example throughput [-- SECONDS]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use formats::xml::{Reader, XmlOptions};
use formats::{json, xml};
use message::{Document, Fault, Limits};

fn main() -> Result<(), Fault> {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let reader = Reader::new(&XmlOptions::default())?;
    let limits = Limits::default();
    println!("{:<34}{:>9}{:>12}{:>10}", "", "bytes", "us", "MB/s");
    for items in [1, 85] {
        let order = order(items);
        let source = order.as_bytes();
        let mut document = Document::default();
        let mut out = Vec::new();
        reader.parse(source, &limits, &mut document)?;
        json::emit(&document, &mut out);
        let json_source = out.clone();

        measure("XML scan", source, seconds, || reader.parse(source, &limits, &mut document))?;
        measure("XML scan, JSON emit", source, seconds, || {
            out.clear();
            reader.parse(source, &limits, &mut document)?;
            json::emit(&document, &mut out);
            Ok(())
        })?;
        measure("JSON scan", &json_source, seconds, || json::parse(&json_source, &limits, &mut document))?;
        measure("JSON scan, XML emit", &json_source, seconds, || {
            out.clear();
            json::parse(&json_source, &limits, &mut document)?;
            xml::emit(&document, &mut out)
        })?;
    }
    Ok(())
}

/// Prints the best of ten rounds, which is what the code costs when nothing disturbs it.
fn measure(what: &str, source: &[u8], seconds: f64, mut run: impl FnMut() -> Result<(), Fault>) -> Result<(), Fault> {
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let (start, mut runs) = (Instant::now(), 0_u32);
        while start.elapsed() < Duration::from_secs_f64(seconds / 10.0) {
            for _ in 0..100 {
                black_box(run())?;
            }
            runs += 100;
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(runs));
    }
    let bytes = u32::try_from(source.len()).unwrap_or(u32::MAX);
    println!("{what:<34}{bytes:>9}{:>12.3}{:>10.0}", best * 1e6, f64::from(bytes) / best / 1e6);
    Ok(())
}

/// An order as a shop sends it, about 330 bytes and 115 for every item.
fn order(items: usize) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<order id=\"A-1029384\" currency=\"CHF\">\n  \
         <customer><id>778812</id><name>M\u{fc}ller &amp; S\u{f6}hne AG</name><email>einkauf@mueller.example</email></customer>\n  \
         <country>CH</country><total>1234.50</total>\n  <items>\n",
    );
    for i in 0..items {
        let (quantity, price) = (i % 9 + 1, i % 97);
        xml.push_str(&format!(
            "    <item sku=\"SKU-{i:05}\"><qty>{quantity}</qty><price>{price}.25</price><text>Part no {i}</text></item>\n"
        ));
    }
    xml.push_str("  </items>\n</order>\n");
    xml
}
