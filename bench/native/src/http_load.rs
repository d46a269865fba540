//! POSTs on keep-alive connections, one at a time on each; counts the 202s, and how long they took. With `--keyed`
//! every request has an `Idempotency-Key` of its own; `--bytes` makes the body that long, of no particular content.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::arguments::Arguments;
use crate::cpu;
use crate::order::{Order, write_digits};

#[derive(Default)]
struct Counters {
    left: Cell<usize>,
    accepted: Cell<usize>,
    refused: Cell<usize>,
    /// Of each request, in microseconds.
    took: RefCell<Vec<u32>>,
}

/// The same for all requests, but for the digits of the key.
#[derive(Clone)]
struct Request {
    bytes: Vec<u8>,
    key: Option<usize>,
}

/// More than there are requests.
const KEY_DIGITS: usize = 12;

/// Whether all were accepted.
pub fn run(options: &Arguments) -> bool {
    let count = options.number("count", 100_000);
    let connections = options.number("connections", 64);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    let counters = Rc::new(Counters { left: Cell::new(count), ..Counters::default() });
    let request = Request::new(options);
    let target: Rc<str> = options.text("target").into();
    let (started, cpu) = (Instant::now(), cpu::used());
    tasks.block_on(&runtime, async {
        let workers: Vec<_> = (0..connections)
            .map(|_| tokio::task::spawn_local(post(Rc::clone(&counters), Rc::clone(&target), request.clone())))
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu::per_message(cpu, count));
    let (accepted, refused) = (counters.accepted.get(), counters.refused.get());
    #[allow(clippy::cast_precision_loss)]
    let rate = accepted as f64 / seconds;
    let mut took = counters.took.take();
    took.sort_unstable();
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    let figures =
        format!(",\"seconds\":{seconds:.3},\"rate\":{rate:.0},\"cpu_us\":{cpu},\"p50_us\":{p50},\"p99_us\":{p99}");
    let clean = accepted == count;
    println!("{{\"sent\":{count},\"accepted\":{accepted},\"refused\":{refused}{}}}", if clean { &figures } else { "" });
    clean
}

impl Request {
    fn new(options: &Arguments) -> Request {
        let body = match options.number("bytes", 0) {
            0 => Order::new(options.number("items", 2), false).set(0).to_vec(),
            bytes => vec![b'x'; bytes],
        };
        // Keys of another run are other keys.
        let run = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let key = if options.flag("keyed") {
            format!("Idempotency-Key: {run}-{:0KEY_DIGITS$}\r\n", 0)
        } else {
            String::new()
        };
        let mut bytes = format!("POST {} HTTP/1.1\r\nHost: bench\r\n{key}", options.text("path")).into_bytes();
        let key = options.flag("keyed").then(|| bytes.len() - 2 - KEY_DIGITS);
        let kind = options.optional("type").unwrap_or("application/xml");
        bytes.extend(format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes());
        bytes.extend(body);
        Request { bytes, key }
    }

    fn number(&mut self, number: usize) -> &[u8] {
        if let Some(at) = self.key {
            write_digits(&mut self.bytes[at..at + KEY_DIGITS], number);
        }
        &self.bytes
    }
}

async fn post(counters: Rc<Counters>, target: Rc<str>, mut request: Request) {
    let mut socket = TcpStream::connect(&*target).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut buffer = Vec::with_capacity(4096);
    while counters.left.get() > 0 {
        counters.left.set(counters.left.get() - 1);
        let began = Instant::now();
        exchange(&mut socket, request.number(counters.left.get()), &mut buffer).await;
        counters.took.borrow_mut().push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        let counter = if buffer.starts_with(b"HTTP/1.1 202") { &counters.accepted } else { &counters.refused };
        if counters.refused.get() == 1 && !buffer.starts_with(b"HTTP/1.1 202") {
            eprintln!("refused: {}", String::from_utf8_lossy(&buffer));
        }
        counter.set(counter.get() + 1);
    }
}

/// One request; the answer is in the buffer.
pub async fn exchange(socket: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) {
    socket.write_all(request).await.unwrap();
    answer.clear();
    while !is_whole(answer) {
        assert!(socket.read_buf(answer).await.unwrap() > 0, "the server closed the connection");
    }
}

/// Head and body, by the answer's Content-Length.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return false };
    let head = bytes[..end].to_ascii_lowercase();
    let length = memchr::memmem::find(&head, b"content-length:").map_or(0, |at| {
        let digits = head[at + 15..].split(|byte| *byte == b'\r').next().unwrap().trim_ascii();
        crate::wire::number(digits)
    });
    bytes.len() >= end + 4 + length
}
