//! The driver against servers that misbehave: each is a few lines on a listening socket.

use std::time::Duration;

use harness::{Certificates, run};
use message::Code;
use nats::protocol::encode_pub;
use nats::{Connection, Options, Pace, ServerError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::client::{Client, Event, Reporter};

pub const INFO: &str =
    "INFO {\"server_id\":\"odd\",\"version\":\"2.15.1\",\"headers\":true,\"max_payload\":1048576}\r\n";

pub async fn listener() -> (TcpListener, Options) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = Options::new(&listener.local_addr().unwrap().to_string()).unwrap();
    options.reconnect_min = Duration::from_millis(1);
    options.reconnect_max = Duration::from_millis(5);
    (listener, options)
}

/// Accepts, and shakes hands as a server does.
pub async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(INFO.as_bytes()).await.unwrap();
    answer_ping(&mut stream).await;
    stream
}

/// Reads what a client says first, up to its PING, and answers that.
pub async fn answer_ping(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut read = Vec::new();
    while !read.ends_with(b"PING\r\n") {
        read.push(stream.read_u8().await.unwrap());
    }
    assert!(read.starts_with(b"CONNECT {"));
    stream.write_all(b"PONG\r\n").await.unwrap();
}

/// A client, and the server's side of its connection.
async fn connected(listener: &TcpListener, options: Options) -> (Client, TcpStream) {
    let (connection, stream) = tokio::join!(Connection::connect(options), accept(listener));
    let (reporter, events) = Reporter::new(&["a"]);
    (Client::turning(connection.unwrap(), reporter, events).await, stream)
}

/// What connecting gives when the server says only `greeting`.
async fn refused(greeting: &str) -> Code {
    let (listener, mut options) = listener().await;
    if greeting.is_empty() {
        options.connect_timeout = Duration::from_millis(100);
    }
    let greeting = greeting.to_string();
    let server = tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(greeting.as_bytes()).await.unwrap();
        // Stays open until the client hangs up.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let fault = Connection::connect(options).await.err().unwrap();
    server.await.unwrap();
    fault.code()
}

#[test]
fn what_is_no_nats_server_is_refused_at_once() {
    run(async {
        assert_eq!(refused("HTTP/1.1 400 Bad Request\r\n\r\n").await, Code::NatsProtocol);
        assert_eq!(refused("SSH-2.0-x\r\n").await, Code::NatsProtocol);
        assert_eq!(refused("PING\r\n").await, Code::NatsProtocol);
        assert_eq!(refused("INFO not json\r\n").await, Code::NatsProtocol);
        let (secured, rest) = ("INFO {\"headers\":true,\"tls_required\":true}\r\n", "INFO {\"headers\":true}\r\n");
        assert_eq!(refused(&format!("{secured}not TLS")).await, Code::NatsProtocol);
        // What somebody in between slips in before TLS begins is not taken for the server's.
        assert_eq!(refused(&format!("{secured}{rest}")).await, Code::NatsProtocol);
        assert_eq!(refused("INFO {\"headers\":false}\r\n").await, Code::NatsConnect);
        assert_eq!(refused("").await, Code::NatsConnect);
        let (listener, options) = listener().await;
        drop(listener);
        assert_eq!(Connection::connect(options).await.err().unwrap().code(), Code::NatsConnect);
    });
}

#[test]
fn bytes_that_are_no_protocol_end_the_connection_and_it_comes_back() {
    run(async {
        let (listener, options) = listener().await;
        let (mut client, mut stream) = connected(&listener, options).await;
        stream.write_all(b"MSG a 1 2\r\nhi\r\nMSG a 1 zwei\r\n").await.unwrap();
        assert_eq!(client.message().await.payload, b"hi");
        assert_eq!(client.disconnected().await.0.code(), Code::NatsProtocol);
        let (_stream, ()) = tokio::join!(accept(&listener), client.connected());
    });
}

#[test]
fn a_server_that_answers_no_pings_is_left() {
    run(async {
        let (listener, mut options) = listener().await;
        options.ping_interval = Duration::from_millis(20);
        let (mut client, mut mute) = connected(&listener, options).await;
        assert_eq!(client.disconnected().await.0.code(), Code::NatsTimeout);
        let mut heard = Vec::new();
        mute.read_to_end(&mut heard).await.unwrap();
        assert!(String::from_utf8(heard).unwrap().ends_with("PING\r\nPING\r\n"));
    });
}

#[test]
fn a_server_that_takes_nothing_is_left_too() {
    run(async {
        let (listener, mut options) = listener().await;
        options.ping_interval = Duration::from_millis(50);
        let (mut client, _stuck) = connected(&listener, options).await;
        let payload = vec![b'x'; 32 << 20];
        assert!(client.outbox.write(|out| encode_pub(out, b"a", b"", &payload)));
        let (fault, dropped) = client.disconnected().await;
        assert_eq!(fault.code(), Code::NatsTimeout);
        assert!(dropped > 0 && dropped <= payload.len() + 100, "{dropped}");
        assert_eq!(client.outbox.pending(), 0);
    });
}

#[test]
fn a_server_that_first_wants_to_be_read_does_not_block_a_large_write() {
    const LARGE: usize = 12 << 20;
    run(async {
        let (listener, mut options) = listener().await;
        options.read_ahead = 2 * LARGE;
        let (mut client, mut stream) = connected(&listener, options).await;
        assert!(client.outbox.write(|out| encode_pub(out, b"a", b"", &vec![b'x'; LARGE])));
        let server = tokio::task::spawn_local(async move {
            // Reads nothing before everything of its own is taken.
            stream.write_all(&large_message(LARGE)).await.unwrap();
            let mut heard = vec![0; LARGE];
            stream.read_exact(&mut heard).await.unwrap();
            stream
        });
        assert_eq!(client.message().await.payload.len(), LARGE);
        server.await.unwrap();
    });
}

/// One message to subscription 1, as the server writes it.
fn large_message(bytes: usize) -> Vec<u8> {
    let mut frame = format!("MSG a 1 {bytes}\r\n").into_bytes();
    frame.resize(frame.len() + bytes, b'y');
    frame.extend_from_slice(b"\r\n");
    frame
}

/// Accepts, and shakes hands as a server with TLS does.
pub async fn accept_tls(listener: &TcpListener, certificates: &Certificates) -> TlsStream<TcpStream> {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(INFO.replace("{", "{\"tls_required\":true,").as_bytes()).await.unwrap();
    let mut stream = certificates.acceptor().accept(stream).await.unwrap();
    answer_ping(&mut stream).await;
    stream
}

#[test]
fn the_same_with_tls_whose_last_bytes_are_sent_too() {
    const LARGE: usize = 12 << 20;
    run(async {
        let (listener, mut options) = listener().await;
        let certificates = Certificates::new(&["127.0.0.1"]);
        options.read_ahead = 2 * LARGE;
        options.tls = certificates.client();
        let (connection, mut stream) = tokio::join!(Connection::connect(options), accept_tls(&listener, &certificates));
        let (reporter, events) = Reporter::new(&["a"]);
        let mut client = Client::turning(connection.unwrap(), reporter, events).await;
        assert!(client.outbox.write(|out| encode_pub(out, b"a", b"", &vec![b'x'; LARGE])));
        let server = tokio::task::spawn_local(async move {
            stream.write_all(&large_message(LARGE)).await.unwrap();
            stream.flush().await.unwrap();
            let mut heard = vec![0; LARGE + "SUB a 1\r\nPUB a \r\n\r\n".len() + LARGE.to_string().len()];
            stream.read_exact(&mut heard).await.unwrap();
            assert!(heard.ends_with(b"x\r\n"));
            stream
        });
        assert_eq!(client.message().await.payload.len(), LARGE);
        // Without a goodbye, as a killed server ends.
        drop(server.await.unwrap());
        let (fault, _) = client.disconnected().await;
        assert_eq!((fault.code(), fault.reason()), (Code::NatsDisconnected, "the server closed the connection"));
    });
}

#[test]
fn last_words_are_heard_before_the_end() {
    run(async {
        let (listener, options) = listener().await;
        let (mut client, mut stream) = connected(&listener, options).await;
        stream.write_all(b"-ERR 'Slow Consumer'\r\n").await.unwrap();
        drop(stream);
        assert_eq!(client.next().await, Event::Complaint(ServerError::SlowConsumer));
        let (fault, _) = client.disconnected().await;
        assert_eq!(fault.code(), Code::NatsDisconnected);
        assert!(fault.reason().contains("slow consumer"), "{fault}");
        let (mut stream, ()) = tokio::join!(accept(&listener), client.connected());
        stream.write_all(b"-ERR 'Stale Connection'\r\n").await.unwrap();
        assert_eq!(client.next().await, Event::Complaint(ServerError::StaleConnection));
    });
}

#[test]
fn messages_that_were_read_are_handled_though_the_connection_is_gone() {
    run(async {
        let (listener, options) = listener().await;
        let (connection, mut stream) = tokio::join!(Connection::connect(options), accept(&listener));
        stream.write_all(&b"MSG a 1 1\r\nx\r\n".repeat(500)).await.unwrap();
        drop(stream);
        drop(listener);
        let (mut reporter, mut events) = Reporter::new(&["a"]);
        reporter.pace = Pace::Yield;
        let mut connection = connection.unwrap();
        let mut messages = 0;
        loop {
            connection.turn(&mut reporter).await.unwrap();
            let Ok(event) = events.try_recv() else { continue };
            match event {
                Event::Message(_) => messages += 1,
                Event::Disconnected(..) => break,
                _ => {}
            }
        }
        assert_eq!(messages, 500);
    });
}

#[test]
fn pings_are_answered_and_lame_ducks_announced() {
    run(async {
        let (listener, options) = listener().await;
        let (mut client, mut stream) = connected(&listener, options).await;
        stream.write_all(b"PING\r\n").await.unwrap();
        let mut heard = [0; 15];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"SUB a 1\r\nPONG\r\n");
        stream.write_all(b"INFO {\"headers\":true,\"max_payload\":77,\"ldm\":true}\r\n").await.unwrap();
        assert_eq!(client.next().await, Event::Complaint(ServerError::ShuttingDown));
        assert_eq!(client.outbox.max_payload(), 77);
    });
}

#[test]
fn tries_are_counted_and_can_be_bounded() {
    run(async {
        let (listener, mut options) = listener().await;
        options.max_reconnects = Some(3);
        let (mut client, stream) = connected(&listener, options).await;
        drop((stream, listener));
        client.disconnected().await;
        for attempt in 1..=3 {
            assert_eq!(client.next().await, Event::ReconnectFailed(attempt, Code::NatsConnect));
        }
        assert_eq!(client.ended().await.code(), Code::NatsConnect);
    });
}

#[test]
fn a_wake_brings_a_turn_without_bytes() {
    run(async {
        let (listener, options) = listener().await;
        let (connection, _stream) = tokio::join!(Connection::connect(options), accept(&listener));
        let mut connection = connection.unwrap();
        let (mut reporter, _events) = Reporter::new(&["a"]);
        connection.turn(&mut reporter).await.unwrap();
        let outbox = connection.outbox();
        let turn = tokio::task::spawn_local(async move { connection.turn(&mut reporter).await });
        tokio::task::yield_now().await;
        outbox.wake();
        turn.await.unwrap().unwrap();
    });
}

#[test]
fn credentials_are_not_said_in_plain_text_when_tls_was_asked_for() {
    run(async {
        let (listener, _) = listener().await;
        let url = format!("tls://user:password@{}", listener.local_addr().unwrap());
        let server = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(INFO.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            heard
        });
        let fault = Connection::connect(Options::new(&url).unwrap()).await.err().unwrap();
        assert_eq!(fault.code(), Code::NatsTlsMissing);
        assert!(server.await.unwrap().is_empty());
    });
}
