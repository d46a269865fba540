//! Where a node delivers to: an HTTP server with `--listen`, otherwise a subscription of core NATS.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::arguments::Arguments;
use crate::end_to_end::Run;
use crate::wire::{CONNECT, Frame, delivery, parse};

/// What is delivered from now on goes to the run.
pub async fn open(options: &Arguments, run: Rc<Run>) {
    if let Some(listen) = options.optional("listen") {
        let listener = TcpListener::bind(listen).await.unwrap();
        spawn_local(serve(listener, run));
    } else {
        let socket = subscribe(options.text("server"), options.text("out")).await;
        spawn_local(read(socket, run));
    }
}

async fn serve(listener: TcpListener, run: Rc<Run>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let run = Rc::clone(&run);
        spawn_local(async move {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let run = Rc::clone(&run);
                async move {
                    run.take(&request.into_body().collect().await.unwrap().to_bytes());
                    Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

/// Answered by the server when this returns.
async fn subscribe(server: &str, subject: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let hello = [CONNECT, format!("SUB {subject} 1\r\nPING\r\n").as_bytes()].concat();
    socket.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    while memchr::memmem::find(&answer, b"PONG\r\n").is_none() {
        assert!(socket.read_buf(&mut answer).await.unwrap() > 0, "the server closed the connection");
    }
    socket
}

async fn read(mut socket: TcpStream, run: Rc<Run>) {
    let mut buffer = BytesMut::with_capacity(128 << 10);
    loop {
        buffer.reserve(16 << 10);
        assert!(socket.read_buf(&mut buffer).await.unwrap() > 0, "the server closed the connection");
        loop {
            let used = if let Some((message, used)) = delivery(&buffer) {
                run.take(message.payload);
                used
            } else if let Some((frame, used)) = parse(&buffer) {
                if matches!(frame, Frame::Ping) {
                    socket.write_all(b"PONG\r\n").await.unwrap();
                }
                used
            } else {
                break;
            };
            buffer.advance(used);
        }
    }
}
