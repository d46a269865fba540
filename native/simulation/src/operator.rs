//! A connection of somebody who is no node: it asks the server, and has the answer at once.

use std::rc::Rc;

use model::ConnectionId;
use nats::protocol::{Frame, ParserLimits};
use serde_json::Value;

use crate::network::Wires;

const GREETING: &[u8] =
    b"CONNECT {\"user\":\"node\",\"headers\":true,\"verbose\":false}\r\nSUB _INBOX.operator.> 1\r\n";

pub struct Operator {
    wires: Rc<Wires>,
    id: Option<ConnectionId>,
}

impl Operator {
    pub fn new(wires: &Rc<Wires>) -> Operator {
        let connect = |server: &mut model::Server| {
            let id = server.connect();
            server.receive(id, GREETING);
            id
        };
        let id = wires.is_up().then(|| wires.server(connect));
        Operator { wires: Rc::clone(wires), id }
    }

    /// `None`: the server is away, or does not answer. `headers`: a whole block, or nothing.
    pub fn ask(&self, subject: &str, headers: &str, payload: &[u8]) -> Option<Value> {
        let id = self.id.filter(|_| self.wires.is_up())?;
        let reply = format!("_INBOX.operator.{}", id.0);
        let (size, whole) = (headers.len(), headers.len() + payload.len());
        let mut bytes = if headers.is_empty() {
            format!("PUB {subject} {reply} {whole}\r\n").into_bytes()
        } else {
            format!("HPUB {subject} {reply} {size} {whole}\r\n{headers}").into_bytes()
        };
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        let mut heard = Vec::new();
        self.wires.server(|server| {
            server.receive(id, &bytes);
            server.take_output(id, &mut heard)
        });
        answer(&heard, &reply)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.wires.server(|server| server.disconnect(id));
        }
    }
}

fn answer(heard: &[u8], reply: &str) -> Option<Value> {
    let mut used = 0;
    while let Ok(Some((frame, count))) = nats::protocol::parse(&heard[used..], &ParserLimits::default()) {
        used += count;
        if let Frame::Message(message) = frame
            && message.subject == reply.as_bytes()
        {
            return serde_json::from_slice(message.payload).ok();
        }
    }
    None
}
