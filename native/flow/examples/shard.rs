//! What a message costs a shard, from the bytes of the server's socket to those that it gets: no socket, no Python.
//!
//! ```text
//! messages, rendered once ──► shard: parse, steps, publish ──► frames are counted, markers come back
//! ```
//!
//! `cargo run --release -p flow --example shard [S0 S1 S2 S3]`. Under `valgrind --tool=callgrind` it counts instructions:
//! `MESSAGES=20000 ROUNDS=1`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use connectors::http::source::RoutedSource;
use connectors::tls::Tls;
use flow::compile::Pipeline;
use flow::engine::one_shard::{Command, Counters, Elsewhere, Prepared, Start, SystemWorld, World, run_in};
use flow::engine::{Secrets, Settings};
use message::{Code, Fault};
use nats::{Dialled, Network, Server, Socket};
use script::Executor;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, mpsc};

const ORDER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<order id="000000000" currency="CHF">
  <customer><id>778812</id><name>Müller &amp; Söhne AG</name><email>einkauf@mueller.example</email></customer>
  <country>CH</country><total>1234.50</total>
  <items>
    <item sku="SKU-00000"><qty>1</qty><price>0.25</price><text>Part no 0</text></item>
    <item sku="SKU-00001"><qty>2</qty><price>1.25</price><text>Part no 1</text></item>
  </items>
</order>"#;
/// What is on its way at most.
const WINDOW: u64 = 20_000;
const INFO: &str = "INFO {\"server_id\":\"x\",\"version\":\"2.12.0\",\"headers\":true,\"max_payload\":1048576}\r\n";
/// Messages that are read at once.
const READ: usize = 64;

/// A server that sends what it was told to, and counts what comes.
#[derive(Default)]
struct Wire {
    /// Answers to what came, before anything else.
    answers: VecDeque<u8>,
    /// What comes, as far as it is no whole frame.
    rest: Vec<u8>,
    /// Subjects and their numbers.
    subscriptions: Vec<[Box<[u8]>; 2]>,
    messages: Vec<u8>,
    /// Sent of `messages`.
    at: usize,
    to_send: u64,
    sent: u64,
    dropped_half: bool,
    published: u64,
    reader: Option<Waker>,
    changed: Rc<Notify>,
}

impl Wire {
    fn is_open(&self) -> bool {
        let expected = if self.dropped_half { self.sent / 2 } else { self.sent };
        self.sent < self.to_send && expected - self.published.min(expected) < WINDOW
    }

    /// Reads frames; gives the bytes that were whole ones.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(end) = memchr::memchr(b'\n', &bytes[at..]) {
            let line = bytes[at..at + end].trim_ascii_end();
            let after = at + end + 1;
            let mut words = line.split(|byte| *byte == b' ');
            let next = match words.next().unwrap_or_default() {
                b"HPUB" | b"PUB" => {
                    let subject = words.next().unwrap_or_default();
                    let length = words.next_back().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
                    let next = after + length.unwrap_or(0) + 2;
                    if next > bytes.len() {
                        break;
                    }
                    self.published(subject);
                    next
                }
                b"SUB" => {
                    let (subject, sid) = (words.next().unwrap_or_default(), words.next_back().unwrap_or_default());
                    self.subscriptions.push([subject.into(), sid.into()]);
                    if subject == b"in" {
                        self.changed.notify_one();
                    }
                    after
                }
                b"PING" => {
                    self.answers.extend(b"PONG\r\n");
                    after
                }
                _ => after,
            };
            at = next;
        }
        at
    }

    fn published(&mut self, subject: &[u8]) {
        if subject == b"out" {
            self.published += 1;
            if self.published.is_multiple_of(1024) || self.published >= self.to_send / 2 {
                self.changed.notify_one();
            }
            return;
        }
        let to = self.subscriptions.iter().find(|[known, _]| **known == *subject);
        if let Some([_, sid]) = to {
            let line = [b"MSG ", subject, b" ", sid, b" 0\r\n\r\n"].concat();
            self.answers.extend(line);
        }
    }

    /// Messages as the server sends them: every second one is cheap, and dropped by the filter.
    fn render(&mut self, order: &str) -> bool {
        let Some([_, sid]) = self.subscriptions.iter().find(|[subject, _]| **subject == *b"in") else { return false };
        let sid = String::from_utf8_lossy(sid).into_owned();
        let headers = "NATS/1.0\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
        for number in 0..READ {
            let order = if number % 2 == 0 { order.to_owned() } else { order.replace("1234.50", "34.50") };
            let total = headers.len() + order.len();
            let frame = format!("HMSG in {sid} {} {total}\r\n{headers}{order}\r\n", headers.len());
            self.messages.extend_from_slice(frame.as_bytes());
        }
        true
    }
}

struct Pipe(Rc<RefCell<Wire>>);

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if !wire.answers.is_empty() {
            let count = wire.answers.len().min(room.remaining());
            let bytes: Vec<u8> = wire.answers.drain(..count).collect();
            room.put_slice(&bytes);
            return Poll::Ready(Ok(()));
        }
        if wire.at == 0 && !wire.is_open() {
            wire.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = room.remaining().min(wire.messages.len() - wire.at);
        room.put_slice(&wire.messages[wire.at..wire.at + count]);
        wire.at += count;
        if wire.at == wire.messages.len() {
            wire.at = 0;
            wire.sent += READ as u64;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = &mut *self.0.borrow_mut();
        if wire.rest.is_empty() {
            let taken = wire.take(bytes);
            wire.rest.extend_from_slice(&bytes[taken..]);
        } else {
            let mut rest = std::mem::take(&mut wire.rest);
            rest.extend_from_slice(bytes);
            let taken = wire.take(&rest);
            wire.rest = rest.split_off(taken);
        }
        if (wire.is_open() || !wire.answers.is_empty())
            && let Some(reader) = wire.reader.take()
        {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct OneWire(Rc<RefCell<Wire>>);

impl Network for OneWire {
    fn dial<'a>(&'a self, _: &'a Server) -> Dialled<'a> {
        self.0.borrow_mut().answers.extend(INFO.as_bytes());
        let pipe = Pipe(Rc::clone(&self.0));
        Box::pin(async { Ok(Socket::Other(Box::pin(pipe))) })
    }

    fn random(&self) -> u64 {
        4
    }
}

struct BenchWorld(SystemWorld, Rc<RefCell<Wire>>);

impl World for BenchWorld {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }
    fn secret(&self) -> Result<[u8; 32], Fault> {
        self.0.secret()
    }
    fn network(&self) -> Rc<dyn Network> {
        Rc::new(OneWire(Rc::clone(&self.1)))
    }
    fn executor(&self) -> Result<Rc<dyn Executor>, Fault> {
        self.0.executor()
    }
    fn elsewhere(&self) -> Box<dyn Elsewhere> {
        self.0.elsewhere()
    }
    fn source(&self) -> Result<Option<Rc<dyn RoutedSource>>, Fault> {
        Ok(None)
    }
    fn listens_on(&self) -> Option<std::net::SocketAddr> {
        None
    }

    fn tls(&self) -> Result<Tls, Fault> {
        self.0.tls()
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn steps(stage: &str) -> Option<Vec<Value>> {
    let convert = json!({"convert": {"from": "xml", "numbers": ["order.total"]}});
    let filter = json!({"filter": "order.total > 100.0 && order.country == \"CH\""});
    let code = "export default (msg, ctx) => { msg.order.net = msg.order.total / 1.077; return msg }";
    let all = [convert, filter, json!({"script": {"code": code}})];
    let count = match stage {
        "S0" => 0,
        "S1" => 1,
        "S2" => 2,
        "S3" => 3,
        _ => return None,
    };
    Some(all[..count].to_vec())
}

/// CPU time of all threads that run now, nanoseconds.
fn cpu() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let of = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(of).sum()
}

async fn measure(stage: &str, steps: &[Value]) -> Result<(), Fault> {
    let failed = |reason: String| Fault::new(Code::InternalPanic, reason);
    let file = json!({"customer": "acme", "pipeline": "orders", "in": {"nats": {"subject": "in"}}, "steps": steps,
                      "out": {"nats": {"subject": "out"}}});
    let pipeline = Pipeline::from_json(&file.to_string(), &()).map_err(|faults| failed(format!("{faults:?}")))?;
    let settings = json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": ".", "threads": 1, "tiers": []});
    let settings: Arc<Settings> = Arc::new(serde_json::from_value(settings).map_err(|e| failed(e.to_string()))?);
    let counters = [Arc::new(Counters::default())].into_iter().collect();
    let prepared = Arc::new(
        Prepared::new(pipeline, Secrets::default(), counters, &settings).map_err(|f| failed(format!("{f:?}")))?,
    );
    let changed = Rc::new(Notify::new());
    let dropped_half = steps.len() > 1;
    let wire = Rc::new(RefCell::new(Wire { dropped_half, changed: Rc::clone(&changed), ..Wire::default() }));
    let world = Rc::new(BenchWorld(SystemWorld::new(Tls::new(None)?, Vec::new()), Rc::clone(&wire)));
    let (commands, commands_there) = mpsc::unbounded_channel();
    let (started, _started) = channel();
    let start = Start {
        number: 0,
        settings,
        events: Arc::default(),
        meters: Arc::default(),
        lease: Arc::default(),
        pipelines: vec![prepared],
        commands: commands_there,
        started,
    };
    let shard = tokio::task::spawn_local(run_in(world, start));
    while !wire.borrow_mut().render(ORDER) {
        changed.notified().await;
    }
    let (messages, rounds) = (number("MESSAGES", 200_000), number("ROUNDS", 15));
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..rounds {
        let (started, before) = (Instant::now(), cpu());
        let wanted = {
            let mut wire = wire.borrow_mut();
            wire.to_send += messages.next_multiple_of(READ as u64);
            if let Some(reader) = wire.reader.take() {
                reader.wake();
            }
            if dropped_half { wire.to_send / 2 } else { wire.to_send }
        };
        while wire.borrow().published < wanted {
            changed.notified().await;
        }
        #[allow(clippy::cast_precision_loss)]
        let each = |ns: f64| ns / messages as f64;
        best = (best.0.min(each(started.elapsed().as_secs_f64() * 1e9)), best.1.min(each(cpu() - before)));
    }
    println!("{stage}: {:.0} ns a message, {:.0} ns of CPU", best.0, best.1);
    let _ = commands.send(Command::Drain(Duration::from_secs(1)));
    let _ = shard.await;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stages: Vec<String> = std::env::args().skip(1).collect();
    let stages = if stages.is_empty() { ["S0", "S1", "S2", "S3"].map(str::to_owned).to_vec() } else { stages };
    for stage in &stages {
        let steps = steps(stage).ok_or("a stage is S0, S1, S2 or S3")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, measure(stage, &steps)).map_err(|fault| format!("{fault:?}"))?;
    }
    Ok(())
}
