//! A real nats-server of the test's own, and a blocking client for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nats::protocol::{self, Frame, ParserLimits};

pub struct Server {
    child: Child,
    pub port: u16,
    folder: PathBuf,
}

/// Longest wait for something that has to happen; no test depends on how long it takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `done` gives something.
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

const CONFIG: &str = "server.conf";

fn binary() -> String {
    std::env::var("NATS_SERVER").expect("NATS_SERVER has to name a nats-server binary; `make test` sets it")
}

impl Server {
    pub fn start() -> Server {
        Server::start_in(Server::new_folder(), None)
    }

    /// One that takes as large payloads as the embedded server does.
    #[allow(dead_code)] // not every test needs it
    pub fn with_large_payloads() -> Server {
        let folder = Server::new_folder();
        std::fs::write(folder.join(CONFIG), "max_payload: 8388608\n").unwrap();
        Server::start_in(folder, None)
    }

    fn new_folder() -> PathBuf {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("vrsky-engine-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn start_in(folder: PathBuf, port: Option<u16>) -> Server {
        let asked = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let ports = folder.join("ports");
        let _ = std::fs::remove_dir_all(&ports);
        std::fs::create_dir_all(&ports).unwrap();
        let mut command = Command::new(binary());
        if folder.join(CONFIG).exists() {
            command.arg("-c").arg(folder.join(CONFIG));
        }
        let child = command
            .args(["-a", "127.0.0.1", "-p", &asked, "-js", "-sd"])
            .arg(folder.join("store"))
            .arg("--ports_file_dir")
            .arg(&ports)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = eventually("the server's port", || read_port(&ports));
        eventually("a connection", || TcpStream::connect(("127.0.0.1", port)).ok());
        Server { child, port, folder }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `kill -9`, then a new server on the same port and store.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let next = Server::start_in(self.folder.clone(), Some(self.port));
        let mut old = std::mem::replace(self, next);
        old.folder = PathBuf::new();
    }
}

fn read_port(folder: &Path) -> Option<u16> {
    let entry = std::fs::read_dir(folder).ok()?.next()?.ok()?;
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(entry.path()).ok()?).ok()?;
    json["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.folder.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// One message as a subscriber sees it.
#[derive(Debug)]
pub struct Got {
    pub subject: String,
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<String> {
        message::Headers::new(&self.headers).get_str(name).map(str::to_owned)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

pub struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
    next: u64,
}

impl Client {
    pub fn connect(server: &Server) -> Client {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
            .write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n")
            .unwrap();
        let mut client = Client { socket, buffer: Vec::new(), next: 1 };
        client.sync();
        client
    }

    fn send(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        encode(&mut out);
        self.socket.write_all(&out).unwrap();
    }

    pub fn subscribe(&mut self, subject: &str) {
        let sid = self.next;
        self.next += 1;
        self.send(|out| protocol::encode_sub(out, subject.as_bytes(), b"", sid));
        self.sync();
    }

    pub fn publish(&mut self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) {
        let mut block = b"NATS/1.0\r\n".to_vec();
        for (name, value) in headers {
            block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        block.extend_from_slice(b"\r\n");
        self.send(|out| protocol::encode_hpub(out, subject.as_bytes(), b"", &block, payload));
    }

    /// Everything sent so far has reached the server.
    pub fn sync(&mut self) {
        self.socket.write_all(b"PING\r\n").unwrap();
        while self.frame(true).is_some() {}
    }

    /// The next message.
    pub fn next(&mut self) -> Got {
        self.frame(false).expect("a message")
    }

    /// `None` at a PONG, when those are waited for.
    fn frame(&mut self, until_pong: bool) -> Option<Got> {
        loop {
            let parsed = protocol::parse(&self.buffer, &ParserLimits::default()).unwrap();
            let Some((frame, used)) = parsed else {
                let mut chunk = [0; 65536];
                let count = self.socket.read(&mut chunk).expect("a frame in time");
                assert!(count > 0, "the server closed the connection");
                self.buffer.extend_from_slice(&chunk[..count]);
                continue;
            };
            let (got, pong, ping) = match frame {
                Frame::Message(message) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let got = Got {
                        subject: text(message.subject),
                        headers: message.headers.to_vec(),
                        payload: message.payload.to_vec(),
                    };
                    (Some(got), false, false)
                }
                Frame::Pong => (None, true, false),
                Frame::Ping => (None, false, true),
                Frame::Err(error) => panic!("{}", String::from_utf8_lossy(error)),
                _ => (None, false, false),
            };
            self.buffer.drain(..used);
            if ping {
                self.socket.write_all(b"PONG\r\n").unwrap();
            }
            if got.is_some() && !until_pong {
                return got;
            }
            if pong && until_pong {
                return None;
            }
        }
    }

    pub fn request(&mut self, subject: &str, payload: &str) -> serde_json::Value {
        let sid = self.next;
        self.next += 1;
        let inbox = format!("_INBOX.test.{sid}");
        self.send(|out| {
            protocol::encode_sub(out, inbox.as_bytes(), b"", sid);
            protocol::encode_pub(out, subject.as_bytes(), inbox.as_bytes(), payload.as_bytes());
        });
        // Messages of other subscriptions may come in between.
        let answer = loop {
            let got = self.next();
            if got.subject == inbox {
                break got;
            }
        };
        self.send(|out| protocol::encode_unsub(out, sid, None));
        serde_json::from_slice(&answer.payload).unwrap_or(serde_json::Value::Null)
    }

    pub fn make_stream(&mut self, name: &str, subjects: &str, work_queue: bool, durable: Option<&str>) {
        self.create_stream(name, subjects, if work_queue { "workqueue" } else { "limits" }, "");
        if let Some(durable) = durable {
            self.make_consumer(name, durable, subjects);
        }
    }

    pub fn make_consumer(&mut self, stream: &str, durable: &str, filter: &str) {
        let consumer = format!(
            "{{\"stream_name\":\"{stream}\",\"config\":{{\"durable_name\":\"{durable}\",\"ack_policy\":\"explicit\",\
             \"ack_wait\":10000000000,\"max_ack_pending\":-1,\"max_waiting\":512,\"filter_subject\":\"{filter}\"}}}}"
        );
        let answer = self.request(&format!("$JS.API.CONSUMER.CREATE.{stream}.{durable}.{filter}"), &consumer);
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// What `vrsky run` provisions.
    pub fn provision(&mut self) {
        for tier in ["t1000", "t10000"] {
            for kind in ["logic", "outgoing"] {
                let name = format!("VRSKY_{kind}_{tier}_0").to_uppercase();
                self.make_stream(&name, &format!("vrsky.{kind}.{tier}.0.>"), true, Some(kind));
            }
        }
        self.make_stream("VRSKY_DEAD", "vrsky.dead.>", false, None);
    }

    /// The parked messages, with a cap a subject.
    pub fn make_parked(&mut self, cap: u32) {
        self.make_capped("VRSKY_PARKED", "vrsky.parked.>", cap);
    }

    /// A work queue that holds as many messages under each subject.
    pub fn make_capped(&mut self, name: &str, subjects: &str, cap: u32) {
        let capped = format!(",\"discard_new_per_subject\":true,\"max_msgs_per_subject\":{cap}");
        self.create_stream(name, subjects, "workqueue", &capped);
    }

    /// `more`: keys beside those that all have, each after a comma.
    fn create_stream(&mut self, name: &str, subjects: &str, retention: &str, more: &str) {
        let stream = format!(
            "{{\"name\":\"{name}\",\"subjects\":[\"{subjects}\"],\"retention\":\"{retention}\",\"storage\":\"file\",\
             \"discard\":\"new\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":0,\"num_replicas\":1,\
             \"duplicate_window\":30000000000{more}}}"
        );
        let answer = self.request(&format!("$JS.API.STREAM.CREATE.{name}"), &stream);
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// Messages in a stream.
    pub fn count(&mut self, stream: &str) -> u64 {
        self.request(&format!("$JS.API.STREAM.INFO.{stream}"), "")["state"]["messages"].as_u64().unwrap()
    }
}

/// One POST on a connection of its own; status and body.
pub fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    socket.write_all(body).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

/// Takes one request, answers it, and gives its first line and its payload.
pub fn take_one(listener: &TcpListener) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(listener.accept().unwrap().0);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    (first.trim().to_owned(), payload)
}
