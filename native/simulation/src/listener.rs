//! Somebody who listens to what outs publish to core NATS, and is there whenever the server is.

use std::cell::{Cell, RefCell};

use model::{ConnectionId, Server};
use nats::protocol::{Frame, ParserLimits, parse};

/// What outs to core NATS publish under.
pub const SUBJECTS: &str = "tell.>";
const GREETING: &[u8] = b"CONNECT {\"user\":\"listener\",\"headers\":true,\"verbose\":false}\r\nSUB tell.> 1\r\n";

/// One message.
#[derive(Clone, Debug)]
pub struct Heard {
    pub subject: String,
    pub payload: Vec<u8>,
    pub at_ms: u64,
}

#[derive(Default)]
pub struct Listener {
    id: Cell<Option<ConnectionId>>,
    heard: RefCell<Vec<Heard>>,
}

impl Listener {
    /// Begins to listen; again after each start of the server.
    pub fn listen(&self, server: &mut Server) {
        let id = server.connect();
        server.receive(id, GREETING);
        self.id.set(Some(id));
    }

    /// Reads what the server has for it.
    pub fn read(&self, server: &mut Server, now_ms: u64) {
        let (mut output, mut used) = (Vec::new(), 0);
        if let Some(id) = self.id.get() {
            server.take_output(id, &mut output);
        }
        while let Ok(Some((frame, count))) = parse(&output[used..], &ParserLimits::default()) {
            if let Frame::Message(message) = frame {
                let subject = String::from_utf8_lossy(message.subject).into_owned();
                self.heard.borrow_mut().push(Heard { subject, payload: message.payload.to_vec(), at_ms: now_ms });
            }
            used += count;
        }
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.borrow().clone()
    }
}
