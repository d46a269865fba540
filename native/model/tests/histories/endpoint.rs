//! The two servers, as the same client sees them: bytes in, what was seen out.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::{ConnectionId, Options, Permissions, Server, User};
use nats::protocol::{ParserLimits, parse};

use crate::normalise::{Seen, seen};

/// What a client has read of one server.
#[derive(Default)]
pub struct Reader {
    buffer: Vec<u8>,
    pub seen: Vec<Seen>,
    /// Reply subjects of all deliveries.
    pub acks: Vec<String>,
    pub pongs: usize,
    pub is_closed: bool,
}

impl Reader {
    fn read(&mut self, bytes: &[u8], number: &str) {
        self.buffer.extend_from_slice(bytes);
        while let Some((frame, used)) = parse(&self.buffer, &ParserLimits::default()).unwrap() {
            match seen(&frame, number) {
                Some(Seen { channel, .. }) if channel == "PONG" => self.pongs += 1,
                Some(one) => {
                    self.acks.extend(one.ack.clone());
                    self.seen.push(one);
                }
                None => {}
            }
            self.buffer.drain(..used);
        }
    }

    /// For another connection.
    pub fn reopen(&mut self) {
        self.buffer.clear();
        self.is_closed = false;
        self.seen.retain(|one| one.channel != "closed");
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.seen.push(Seen { channel: "closed".into(), text: "closed".into(), ack: None });
        }
    }
}

pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// The model, with the real time as its clock.
pub struct Modelled {
    pub server: Server,
    pub id: ConnectionId,
    pub reader: Reader,
    number: String,
}

/// As [`crate::config`] says.
fn options() -> Options {
    let user = |permissions| User { password: "s".into(), permissions };
    Options {
        max_payload: 4096,
        users: [("all".to_owned(), user(Permissions::default())), ("limited".to_owned(), user(crate::limited()))]
            .into(),
        no_auth_user: Some("all".into()),
        ..Options::default()
    }
}

impl Modelled {
    pub fn new(number: &str) -> Modelled {
        let mut server = Server::new(options(), now());
        let id = server.connect();
        Modelled { server, id, reader: Reader::default(), number: number.into() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // In two parts, since a socket may cut anywhere.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.server.receive(self.id, first);
        self.server.receive(self.id, second);
        self.read();
    }

    pub fn advance(&mut self) {
        self.server.advance(now());
        self.read();
    }

    /// The server restarts, and the client connects again.
    pub fn restart(&mut self) {
        self.server.advance(now());
        self.server.restart();
        self.read();
        self.id = self.server.connect();
        self.reader.reopen();
    }

    pub fn read(&mut self) {
        let mut output = Vec::new();
        let is_open = self.server.take_output(self.id, &mut output);
        self.reader.read(&output, &self.number);
        if !is_open {
            self.reader.close();
        }
    }
}

/// A real server.
pub struct Real {
    socket: TcpStream,
    pub reader: Reader,
    number: String,
}

impl Real {
    pub fn connect(port: u16, number: &str) -> Real {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_nodelay(true).unwrap();
        Real { socket, reader: Reader::default(), number: number.into() }
    }

    pub fn reconnect(&mut self, port: u16) {
        self.socket = Real::connect(port, &self.number).socket;
        self.reader.reopen();
    }

    /// The server may have closed the connection.
    pub fn send(&mut self, bytes: &[u8]) {
        if !self.reader.is_closed {
            let _ = self.socket.write_all(bytes);
        }
    }

    /// Reads until `done`, at most until `end`.
    pub fn read_until(&mut self, end: Instant, mut done: impl FnMut(&Reader) -> bool) {
        while !done(&self.reader) && !self.reader.is_closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.read_once(left.max(Duration::from_millis(1)));
        }
    }

    fn read_once(&mut self, timeout: Duration) {
        let mut chunk = [0; 16 << 10];
        self.socket.set_read_timeout(Some(timeout)).unwrap();
        match self.socket.read(&mut chunk) {
            Ok(0) => self.reader.close(),
            Ok(count) => self.reader.read(&chunk[..count], &self.number),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.reader.close(),
        }
    }

    /// Reads for a time.
    pub fn read_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        if self.reader.is_closed {
            std::thread::park_timeout(time);
        }
        self.read_until(end, |_| false);
    }
}
