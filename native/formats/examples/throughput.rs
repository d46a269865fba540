//! How fast the formats are, in MB/s of payload.
//!
//! `cargo run --release -p formats --example throughput [-- SECONDS [ONLY]]`; ONLY is a part of the
//! line's name, such as `scan, JSON emit 4`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use formats::xml::{Reader, XmlOptions};
use formats::{json, xml};
use message::{Document, Fault, Limits};

fn main() -> Result<(), Fault> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let bench = Bench { seconds, only: arguments.next().unwrap_or_default() };
    println!("{:<34}{:>9}{:>12}{:>10}", "", "bytes", "us", "MB/s");
    for items in [2, 110] {
        // One order over and over is what other benchmarks measure; a processor learns it by heart.
        bench.orders("one order", &[order(items, 0)])?;
        bench.orders("64 orders", &(0..64).map(|seed| order(items, seed)).collect::<Vec<_>>())?;
    }
    Ok(())
}

struct Bench {
    seconds: f64,
    only: String,
}

impl Bench {
    fn orders(&self, which: &str, orders: &[String]) -> Result<(), Fault> {
        let reader = Reader::new(&XmlOptions::default())?;
        let limits = Limits::default();
        let mut document = Document::default();
        let mut out = Vec::new();
        let xml_sources: Vec<&[u8]> = orders.iter().map(String::as_bytes).collect();
        let mut converted = Vec::new();
        for source in &xml_sources {
            reader.parse(source, &limits, &mut document)?;
            converted.push(Vec::new());
            json::emit(&document, converted.last_mut().unwrap_or(&mut out));
        }
        let json_sources: Vec<&[u8]> = converted.iter().map(Vec::as_slice).collect();

        self.measure(&format!("XML scan, {which}"), &xml_sources, |source| {
            reader.parse(source, &limits, &mut document)
        })?;
        self.measure(&format!("XML scan, JSON emit, {which}"), &xml_sources, |source| {
            out.clear();
            reader.parse(source, &limits, &mut document)?;
            json::emit(&document, &mut out);
            Ok(())
        })?;
        self.measure(&format!("JSON scan, {which}"), &json_sources, |source| {
            json::parse(source, &limits, &mut document)
        })?;
        self.measure(&format!("JSON scan, XML emit, {which}"), &json_sources, |source| {
            out.clear();
            json::parse(source, &limits, &mut document)?;
            xml::emit(&document, &mut out)
        })
    }

    /// Prints the best of many short rounds, which is what the code costs when nothing disturbs it.
    fn measure(
        &self,
        what: &str,
        sources: &[&[u8]],
        mut run: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let total: usize = sources.iter().map(|source| source.len()).sum();
        let (count, total) = (sources.len() as f64, total as f64);
        if !format!("{what} {:.0}", total / count).contains(&self.only) {
            return Ok(());
        }
        let rounds = 1 + (200_000.0 / total) as u32;
        let (start, mut best) = (Instant::now(), f64::INFINITY);
        while start.elapsed() < Duration::from_secs_f64(self.seconds) {
            let round = Instant::now();
            for source in (0..rounds).flat_map(|_| sources) {
                black_box(run(source))?;
            }
            best = best.min(round.elapsed().as_secs_f64() / f64::from(rounds));
        }
        println!("{what:<34}{:>9.0}{:>12.3}{:>10.0}", total / count, best / count * 1e6, total / best / 1e6);
        Ok(())
    }
}

/// An order as a shop sends it; `seed` changes the lengths of its texts.
fn order(items: usize, seed: usize) -> String {
    let word = |n: usize| &"Sonnenblumenkernverpackung"[..(n * 7 + seed * (n + 3)) % 26];
    let (id, total) = (seed * 7919 + 778_812, seed * seed * 31);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<order id=\"A-{id}\" currency=\"CHF\">\n  \
         <customer><id>{id}</id><name>M\u{fc}ller &amp; S\u{f6}hne {}</name><email>{}@example.ch</email></customer>\n  \
         <country>CH</country><total>{total}.50</total>\n  <items>\n",
        word(3),
        word(4)
    );
    for i in 0..items {
        let (quantity, price) = (i % 9 + 1, (i + seed) * 13 % 1097);
        xml.push_str(&format!(
            "    <item sku=\"SKU-{i:05}\"><qty>{quantity}</qty><price>{price}.25</price><text>Part {}</text></item>\n",
            word(i)
        ));
    }
    xml.push_str("  </items>\n</order>\n");
    xml
}
