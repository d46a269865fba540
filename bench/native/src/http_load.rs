//! POSTs on keep-alive connections, one at a time on each; counts the 202s.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::arguments::Arguments;
use crate::order::Order;

struct Counters {
    left: Cell<usize>,
    accepted: Cell<usize>,
    refused: Cell<usize>,
}

/// Whether all were accepted.
pub fn run(options: &Arguments) -> bool {
    let count = options.number("count", 100_000);
    let connections = options.number("connections", 64);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    let counters = Rc::new(Counters { left: Cell::new(count), accepted: Cell::new(0), refused: Cell::new(0) });
    let body = Order::new(options.number("items", 2)).at(0);
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n",
        options.text("path"),
        body.len()
    );
    let request: Rc<[u8]> = [head.as_bytes(), &body].concat().into();
    let target: Rc<str> = options.text("target").into();
    let started = Instant::now();
    tasks.block_on(&runtime, async {
        let workers: Vec<_> = (0..connections)
            .map(|_| tokio::task::spawn_local(post(Rc::clone(&counters), Rc::clone(&target), Rc::clone(&request))))
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let (accepted, refused) = (counters.accepted.get(), counters.refused.get());
    #[allow(clippy::cast_precision_loss)]
    let rate = accepted as f64 / seconds;
    println!(
        "{{\"sent\":{count},\"accepted\":{accepted},\"refused\":{refused},\"seconds\":{seconds:.3},\"rate\":{rate:.0}}}"
    );
    accepted == count
}

async fn post(counters: Rc<Counters>, target: Rc<str>, request: Rc<[u8]>) {
    let mut socket = TcpStream::connect(&*target).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut buffer = Vec::with_capacity(4096);
    while counters.left.get() > 0 {
        counters.left.set(counters.left.get() - 1);
        socket.write_all(&request).await.unwrap();
        buffer.clear();
        while !is_whole(&buffer) {
            assert!(socket.read_buf(&mut buffer).await.unwrap() > 0, "the server closed the connection");
        }
        let counter = if buffer.starts_with(b"HTTP/1.1 202") { &counters.accepted } else { &counters.refused };
        counter.set(counter.get() + 1);
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
