//! How many messages per second an HTTP out sends to a server of this machine: one in a request, or many.
//!
//! `cargo run --release -p connectors --example http_out [-- MESSAGES]`

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use bytes::Bytes;
use connectors::http::sink::{BatchFormat, HttpSink, SinkOptions, Tls};
use connectors::http::{AddressPolicy, UrlTemplate};
use connectors::{Delivery, Outcome, Sink};
use futures_util::StreamExt;
use futures_util::stream::iter;

const CONCURRENCY: usize = 32;
const ORDER: &str = r#"{"id":4711,"customer":{"name":"ACME Ltd.","city":"Bergen"},"items":[{"sku":"A-17","count":3,"price":12.50},{"sku":"B-4","count":1,"price":99.00}],"note":"leave it at the door"}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (name, messages, batch) in [
        ("one message a request", 1, None),
        ("100 in an array", 100, Some(BatchFormat::Array)),
        ("100 lines", 100, Some(BatchFormat::Ndjson)),
        ("1,000 lines", 1_000, Some(BatchFormat::Ndjson)),
    ] {
        let options = SinkOptions { batch, concurrency: CONCURRENCY, ..SinkOptions::new(UrlTemplate::parse(&url)?) };
        let policy = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
        let sink = HttpSink::new(options, &Tls::new(None)?, &policy)?;
        let start = Instant::now();
        let delivered = runtime.block_on(send(&sink, count, messages));
        let rate = f64::from(delivered) / start.elapsed().as_secs_f64();
        println!("{name:<24}{rate:>12.0} messages/s, {delivered} of {count} delivered");
    }
    Ok(())
}

/// As the engine does: so many batches at a time.
async fn send(sink: &HttpSink, count: u32, messages: usize) -> u32 {
    let payload = Bytes::from_static(ORDER.as_bytes());
    let ids: Vec<String> = (0..count).map(|id| format!("acme.{id:032x}")).collect();
    let of = |id: &'static str, payload| Delivery {
        id,
        payload,
        content_type: "application/json",
        customer: "acme",
        pipeline: "orders",
        headers: b"",
        address: None,
    };
    let write = async |ids: &[String]| {
        let batch: Vec<Delivery<'_>> = ids.iter().map(|id| Delivery { id, ..of("", &payload) }).collect();
        let outcomes = sink.write_batch(&batch).await;
        outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Delivered)).count()
    };
    let written: Vec<usize> = iter(ids.chunks(messages)).map(write).buffer_unordered(CONCURRENCY).collect().await;
    u32::try_from(written.iter().sum::<usize>()).unwrap_or(u32::MAX)
}

/// Reads requests with a Content-Length, and answers 200.
fn serve(stream: TcpStream) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
