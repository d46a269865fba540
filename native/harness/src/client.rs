//! A blocking NATS client, and the streams that `vrsky run` provisions.

use std::io::{Read, Write};
use std::net::TcpStream;

use nats::protocol::{self, Frame, ParserLimits};

use crate::{Server, WAIT_TIMEOUT};

/// One message as a subscriber sees it.
#[derive(Debug)]
pub struct Got {
    pub subject: String,
    /// Where an answer is waited for.
    pub reply: Option<String>,
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
    /// Of the streams that it makes.
    pub replicas: u32,
}

impl Client {
    pub fn connect(server: &Server) -> Client {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        socket.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
        socket
            .write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n")
            .unwrap();
        let mut client = Client { socket, buffer: Vec::new(), next: 1, replicas: 1 };
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
    pub fn receive(&mut self) -> Got {
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
                        reply: (!message.reply.is_empty()).then(|| text(message.reply)),
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
            // An UNSUB of its own after the answer would hold up the next request by 40 ms: TCP waits for an ACK.
            protocol::encode_unsub(out, sid, Some(1));
            protocol::encode_pub(out, subject.as_bytes(), inbox.as_bytes(), payload.as_bytes());
        });
        // Messages of other subscriptions may come in between.
        let answer = loop {
            let got = self.receive();
            if got.subject == inbox {
                break got;
            }
        };
        serde_json::from_slice(&answer.payload).unwrap_or(serde_json::Value::Null)
    }

    pub fn make_stream(&mut self, name: &str, subjects: &str, work_queue: bool, durable: Option<&str>) {
        self.create_stream(name, subjects, if work_queue { "workqueue" } else { "limits" }, "");
        if let Some(durable) = durable {
            self.make_consumer(name, durable, subjects);
        }
    }

    pub fn make_consumer(&mut self, stream: &str, durable: &str, filter: &str) {
        self.make_consumer_that_waits(10, stream, durable, filter);
    }

    /// A consumer that gives nobody else, for an hour, what it has handed out. An empty filter is all of the stream.
    pub fn make_patient_consumer(&mut self, stream: &str, durable: &str, filter: &str) {
        self.make_consumer_that_waits(3_600, stream, durable, filter);
    }

    fn make_consumer_that_waits(&mut self, seconds: u64, stream: &str, durable: &str, filter: &str) {
        let wait = seconds * 1_000_000_000;
        let filtered = if filter.is_empty() { String::new() } else { format!(",\"filter_subject\":\"{filter}\"") };
        let consumer = format!(
            "{{\"stream_name\":\"{stream}\",\"config\":{{\"durable_name\":\"{durable}\",\"ack_policy\":\"explicit\",\
             \"ack_wait\":{wait},\"max_ack_pending\":-1,\"max_waiting\":512{filtered}}}}}"
        );
        let subject = [durable, filter].join(".");
        let subject = subject.trim_end_matches('.');
        let answer = self.request(&format!("$JS.API.CONSUMER.CREATE.{stream}.{subject}"), &consumer);
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
        self.make_stream("VRSKY_DEAD", "vrsky.dead.> vrsky.original.>", false, None);
        let keys = ",\"discard_new_per_subject\":true,\"max_msgs_per_subject\":1,\"allow_direct\":true";
        self.create_stream("VRSKY_KEYS", "vrsky.key.>", "limits", keys);
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

    /// `subjects`: one or several, with blanks between; `more`: keys beside those that all have, each after a comma.
    fn create_stream(&mut self, name: &str, subjects: &str, retention: &str, more: &str) {
        let (subjects, replicas) = (subjects.replace(' ', "\",\""), self.replicas);
        let stream = format!(
            "{{\"name\":\"{name}\",\"subjects\":[\"{subjects}\"],\"retention\":\"{retention}\",\"storage\":\"file\",\
             \"discard\":\"new\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":0,\"num_replicas\":{replicas},\
             \"duplicate_window\":30000000000{more}}}"
        );
        let answer = self.request(&format!("$JS.API.STREAM.CREATE.{name}"), &stream);
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// Messages in a stream under one subject.
    pub fn count_of(&mut self, stream: &str, subject: &str) -> u64 {
        let filter = format!("{{\"subjects_filter\":\"{subject}\"}}");
        let info = self.request(&format!("$JS.API.STREAM.INFO.{stream}"), &filter);
        info["state"]["subjects"][subject].as_u64().unwrap_or(0)
    }

    /// Messages in a stream.
    pub fn count(&mut self, stream: &str) -> u64 {
        self.request(&format!("$JS.API.STREAM.INFO.{stream}"), "")["state"]["messages"].as_u64().unwrap()
    }
}
