//! The limit of HTTP in: hyper, a publish, its PubAck, 202. No route, no auth, no checks.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::Write as _;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use crate::arguments::Arguments;
use crate::wire::{CONNECT, Frame, STAMPED, is_pub_ack, number, parse, publish, put_number};

#[derive(Default)]
struct State {
    out: Vec<u8>,
    waiting: Vec<Option<oneshot::Sender<bool>>>,
    free: Vec<usize>,
    inbox: Vec<u8>,
}

struct Shared {
    state: RefCell<State>,
    written: Notify,
}

/// Until the server goes.
pub fn run(options: &Arguments) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    let (server, listen) = (options.text("server").to_owned(), options.text("listen").to_owned());
    let subject: Rc<str> = options.text("subject").into();
    tasks.block_on(&runtime, async move {
        let socket = TcpStream::connect(server).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (reader, writer) = socket.into_split();
        let inbox = format!("_INBOX.http{}.", std::process::id());
        let mut out = CONNECT.to_vec();
        write!(out, "SUB {inbox}* 1\r\n").unwrap();
        let state = State { out, inbox: inbox.into_bytes(), ..State::default() };
        let shared = Rc::new(Shared { state: RefCell::new(state), written: Notify::new() });
        shared.written.notify_one();
        tokio::task::spawn_local(write(Rc::clone(&shared), writer));
        tokio::task::spawn_local(read(Rc::clone(&shared), reader));
        let listener = TcpListener::bind(listen).await.unwrap();
        println!("ready");
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let (shared, subject) = (Rc::clone(&shared), Rc::clone(&subject));
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| answer(Rc::clone(&shared), Rc::clone(&subject), request));
                let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            });
        }
    })
}

async fn write(shared: Rc<Shared>, mut socket: tokio::net::tcp::OwnedWriteHalf) {
    let mut bytes = Vec::new();
    loop {
        shared.written.notified().await;
        tokio::task::yield_now().await;
        std::mem::swap(&mut bytes, &mut shared.state.borrow_mut().out);
        socket.write_all(&bytes).await.unwrap();
        bytes.clear();
    }
}

async fn read(shared: Rc<Shared>, mut socket: tokio::net::tcp::OwnedReadHalf) {
    let mut buffer = BytesMut::with_capacity(256 << 10);
    loop {
        buffer.reserve(64 << 10);
        assert!(socket.read_buf(&mut buffer).await.unwrap() > 0, "the server closed the connection");
        let mut state = shared.state.borrow_mut();
        let mut at = 0;
        while let Some((frame, used)) = parse(&buffer[at..]) {
            at += used;
            match frame {
                Frame::Message(message) => {
                    let slot = number(&message.subject[state.inbox.len()..]);
                    let stored = is_pub_ack(message.payload);
                    if let Some(waiting) = state.waiting[slot].take() {
                        let _ = waiting.send(stored);
                    }
                    state.free.push(slot);
                }
                Frame::Ping => {
                    state.out.extend_from_slice(b"PONG\r\n");
                    shared.written.notify_one();
                }
                _ => {}
            }
        }
        drop(state);
        buffer.advance(at);
    }
}

async fn answer(
    shared: Rc<Shared>,
    subject: Rc<str>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let stored = {
        let mut state = shared.state.borrow_mut();
        let (sender, stored) = oneshot::channel();
        let slot = state.free.pop().unwrap_or_else(|| {
            state.waiting.push(None);
            state.waiting.len() - 1
        });
        state.waiting[slot] = Some(sender);
        let mut reply = state.inbox.clone();
        put_number(&mut reply, slot);
        publish(&mut state.out, subject.as_bytes(), &reply, STAMPED, &body);
        stored
    };
    shared.written.notify_one();
    let mut response = Response::new(Empty::new());
    *response.status_mut() = if stored.await.unwrap_or(false) { StatusCode::ACCEPTED } else { StatusCode::BAD_GATEWAY };
    Ok(response)
}
