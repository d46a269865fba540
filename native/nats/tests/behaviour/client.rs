//! A client whose connection turns in a task of its own, and tells the test what happens.

use harness::WAIT_TIMEOUT;
use message::{Code, Fault};
use nats::protocol::{encode_hpub, encode_pub, encode_sub};
use nats::{Connection, Handler, Message, Options, Outbox, Pace, ServerError, ServerInfo};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Connected,
    Message(Received),
    Disconnected(Fault, usize),
    ReconnectFailed(u32, Code),
    Complaint(ServerError),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub subject: String,
    pub sid: u64,
    pub reply: Vec<u8>,
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

/// Subscribes to `subjects` (sid 1, 2, ...) and reports everything.
pub struct Reporter {
    pub subjects: Vec<String>,
    pub events: UnboundedSender<Event>,
    pub pace: Pace,
}

impl Reporter {
    pub fn new(subjects: &[&str]) -> (Reporter, UnboundedReceiver<Event>) {
        let (events, received) = unbounded_channel();
        let subjects = subjects.iter().map(|s| s.to_string()).collect();
        (Reporter { subjects, events, pace: Pace::Continue }, received)
    }

    fn tell(&self, event: Event) {
        // A test may be over before its connection is.
        let _ = self.events.send(event);
    }
}

impl Handler for Reporter {
    fn on_connected(&mut self, _: &ServerInfo, out: &mut Vec<u8>) {
        for (index, subject) in self.subjects.iter().enumerate() {
            encode_sub(out, subject.as_bytes(), b"", index as u64 + 1);
        }
        self.tell(Event::Connected);
    }

    fn on_message(&mut self, message: Message<'_>, _: &mut Vec<u8>) -> Pace {
        self.tell(Event::Message(Received {
            subject: String::from_utf8(message.subject.to_vec()).unwrap(),
            sid: message.sid,
            reply: message.reply.to_vec(),
            headers: message.headers.to_vec(),
            payload: message.payload.to_vec(),
        }));
        self.pace
    }

    fn on_disconnected(&mut self, fault: &Fault, dropped: usize) {
        self.tell(Event::Disconnected(fault.clone(), dropped));
    }

    fn on_reconnect_failed(&mut self, fault: &Fault, attempt: u32) {
        self.tell(Event::ReconnectFailed(attempt, fault.code()));
    }

    fn on_server_error(&mut self, error: &ServerError) {
        self.tell(Event::Complaint(error.clone()));
    }
}

pub struct Client {
    pub outbox: Outbox,
    events: UnboundedReceiver<Event>,
    task: tokio::task::JoinHandle<Fault>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    pub async fn connect(url: &str, subjects: &[&str]) -> Client {
        Client::with(Options::new(url).unwrap(), subjects).await
    }

    /// Connected, and subscribed: the server has answered a ping since.
    pub async fn with(options: Options, subjects: &[&str]) -> Client {
        let mut connection = Connection::connect(options).await.unwrap();
        let (mut reporter, events) = Reporter::new(subjects);
        connection.flush(&mut reporter).await.unwrap();
        Client::turning(connection, reporter, events).await
    }

    pub async fn turning(
        mut connection: Connection,
        mut reporter: Reporter,
        events: UnboundedReceiver<Event>,
    ) -> Client {
        let outbox = connection.outbox();
        let task = tokio::task::spawn_local(async move {
            loop {
                if let Err(fault) = connection.turn(&mut reporter).await {
                    return fault;
                }
            }
        });
        let mut client = Client { outbox, events, task };
        client.connected().await;
        client
    }

    pub async fn next(&mut self) -> Event {
        self.events.recv().await.expect("the connection is gone")
    }

    pub async fn message(&mut self) -> Received {
        match self.next().await {
            Event::Message(message) => message,
            other => panic!("instead of a message: {other:?}"),
        }
    }

    /// Skips what comes before the next connect.
    pub async fn connected(&mut self) {
        while self.next().await != Event::Connected {}
    }

    /// Skips what comes before the end of the connection.
    pub async fn disconnected(&mut self) -> (Fault, usize) {
        loop {
            if let Event::Disconnected(fault, dropped) = self.next().await {
                return (fault, dropped);
            }
        }
    }

    pub fn publish(&self, subject: &str, reply: &str, headers: &[u8], payload: &[u8]) {
        assert!(self.outbox.write(|out| {
            encode_hpub(out, subject.as_bytes(), reply.as_bytes(), headers, payload);
        }));
    }

    /// So many messages of 8,000 bytes in one write; each begins with its number.
    pub fn publish_numbered(&self, subject: &[u8], count: u32) {
        let mut payload = vec![b'x'; 8_000];
        assert!(self.outbox.write(|out| {
            for number in 0..count {
                payload[..4].copy_from_slice(&number.to_be_bytes());
                encode_pub(out, subject, b"", &payload);
            }
        }));
    }

    /// All of them come, in their order, and nothing is left to be written.
    pub async fn receives_numbered(&mut self, count: u32) {
        for number in 0..count {
            let message = self.message().await;
            assert_eq!((message.payload.len(), &message.payload[..4]), (8_000, &number.to_be_bytes()[..]));
        }
        assert_eq!(self.outbox.pending(), 0);
    }

    /// An API request whose answer is JSON.
    pub async fn api(&self, subject: &str, payload: &str) -> serde_json::Value {
        let subject = format!("$JS.API.{subject}");
        let reply = self.outbox.request(&subject, payload.as_bytes(), WAIT_TIMEOUT).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&reply.payload).unwrap();
        assert_eq!(answer.get("error"), None, "{subject}");
        answer
    }

    /// The connection gave up: with what?
    pub async fn ended(mut self) -> Fault {
        (&mut self.task).await.unwrap()
    }
}

/// So many messages come back in their order while every turn is polled once, then dropped wherever it waits.
/// `room`: bytes that may wait to be written.
pub async fn echoes_with_turns_dropped(
    mut connection: Connection,
    count: usize,
    room: usize,
    payload: impl Fn(usize) -> Vec<u8>,
) {
    let outbox = connection.outbox();
    let (mut reporter, mut events) = Reporter::new(&["loop"]);
    let (mut received, mut sent, mut dropped) = (0, 0, 0);
    while received < count {
        tokio::select! {
            biased;
            turned = connection.turn(&mut reporter) => turned.unwrap(),
            () = std::future::ready(()) => dropped += 1,
        }
        tokio::task::yield_now().await;
        while let Ok(event) = events.try_recv() {
            if let Event::Message(message) = event {
                assert!(message.payload == payload(received), "{received}");
                received += 1;
            }
        }
        while sent < count && outbox.pending() < room {
            assert!(outbox.write(|out| encode_pub(out, b"loop", b"", &payload(sent))));
            sent += 1;
        }
    }
    assert!(dropped > 0);
}
