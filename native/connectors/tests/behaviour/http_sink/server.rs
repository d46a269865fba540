//! A receiver written by hand, so that it can do everything wrong.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use connectors::http::sink::{HttpSink, SinkOptions, Tls};
use connectors::http::{AddressPolicy, UrlTemplate};
use connectors::{Delivery, Outcome, Sink};
use message::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::delivery::json;

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes, and the connection stays open.
    Keep(String),
    /// These bytes, and the connection is closed.
    Close(String),
    /// Nothing, ever.
    Hang,
}

pub fn keep(bytes: impl Into<String>) -> Reply {
    Reply::Keep(bytes.into())
}

pub fn close(bytes: impl Into<String>) -> Reply {
    Reply::Close(bytes.into())
}

pub struct Server {
    pub address: SocketAddr,
    /// Head and body of each request, in order.
    pub requests: Shared<Vec<(String, Vec<u8>)>>,
    pub connections: Shared<usize>,
    /// May be changed while it runs.
    pub replies: Shared<Vec<Reply>>,
}

type Shared<T> = Rc<RefCell<T>>;

impl Server {
    /// Each request gets the next reply; the last one for all that follow.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            requests: Rc::default(),
            connections: Rc::default(),
            replies: Rc::new(RefCell::new(replies.into_iter().collect())),
        };
        let replies = Rc::clone(&server.replies);
        let (requests, connections) = (Rc::clone(&server.requests), Rc::clone(&server.connections));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.borrow_mut() += 1;
                tokio::task::spawn_local(converse(stream, Rc::clone(&replies), Rc::clone(&requests)));
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn head(&self, request: usize) -> String {
        self.requests.borrow()[request].0.to_lowercase()
    }

    pub fn count(&self) -> usize {
        self.requests.borrow().len()
    }
}

async fn converse(mut stream: TcpStream, replies: Shared<Vec<Reply>>, requests: Shared<Vec<(String, Vec<u8>)>>) {
    while let Some(request) = read_request(&mut stream).await {
        let number = requests.borrow().len();
        requests.borrow_mut().push(request);
        let reply = {
            let replies = replies.borrow();
            replies.get(number).or(replies.last()).unwrap().clone()
        };
        match reply {
            Reply::Keep(bytes) => {
                if stream.write_all(bytes.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Close(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                return;
            }
            Reply::Hang => std::future::pending().await,
        }
    }
}

pub async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

pub fn loopback() -> AddressPolicy {
    AddressPolicy { allow_loopback: true, ..AddressPolicy::default() }
}

pub fn options(url: &str) -> SinkOptions {
    SinkOptions::new(UrlTemplate::parse(url).unwrap())
}

pub fn sink(options: SinkOptions) -> HttpSink {
    HttpSink::new(options, &Tls::new(None).unwrap(), &loopback()).unwrap()
}

pub fn delivery(id: &str, url: Option<String>) -> Delivery<'static> {
    Delivery { id: id.to_owned().leak(), address: url.map(|url| &*url.leak()), ..json("{\"a\":1}") }
}

/// One delivery to the options' own URL.
pub async fn deliver(options: SinkOptions) -> Outcome {
    sink(options).write_batch(&[delivery("1", None)]).await.remove(0)
}

/// `Ok` when delivered; else the code, and whether it is tried again.
pub fn verdict(outcome: &Outcome) -> Result<(), (Code, bool)> {
    match outcome {
        Outcome::Delivered => Ok(()),
        Outcome::Retry { fault, .. } => Err((fault.code(), true)),
        Outcome::Permanent(fault) => Err((fault.code(), false)),
    }
}
