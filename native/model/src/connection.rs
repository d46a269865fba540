//! One client's connection: input that is not handled yet, output that is not taken yet, and what CONNECT said.

use serde::Deserialize;

use crate::options::Permissions;

/// The parts of CONNECT that change what the server does.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Greeting {
    pub verbose: bool,
    pub pedantic: bool,
    pub echo: bool,
    pub headers: bool,
    pub no_responders: bool,
    pub protocol: i64,
    pub user: Option<String>,
    pub pass: Option<String>,
}

impl Default for Greeting {
    fn default() -> Greeting {
        Greeting {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            protocol: 0,
            user: None,
            pass: None,
        }
    }
}

#[derive(Debug, Default)]
pub struct Connection {
    pub input: Vec<u8>,
    output: Vec<u8>,
    pub greeting: Greeting,
    /// Whether CONNECT has come and was accepted.
    pub accepted: bool,
    /// Whether INFO went out with the first PONG, as it does for newer clients.
    pub informed: bool,
    pub user: Option<String>,
    pub permissions: Permissions,
    closed: bool,
}

impl Connection {
    pub fn send(&mut self, bytes: &[u8]) {
        if !self.closed {
            self.output.extend_from_slice(bytes);
        }
    }

    pub fn send_error(&mut self, text: &str) {
        self.send(format!("-ERR '{text}'\r\n").as_bytes());
    }

    pub fn send_ok(&mut self) {
        if self.greeting.verbose {
            self.send(b"+OK\r\n");
        }
    }

    /// MSG or HMSG. An empty `reply` is none.
    pub fn send_message(&mut self, subject: &str, sid: &str, reply: &str, headers: &[u8], payload: &[u8]) {
        // A client that does not take headers gets the payload alone.
        let headers = if self.greeting.headers { headers } else { &[] };
        let blank = if reply.is_empty() { "" } else { " " };
        let total = headers.len() + payload.len();
        let line = match headers.len() {
            0 => format!("MSG {subject} {sid}{blank}{reply} {total}\r\n"),
            length => format!("HMSG {subject} {sid}{blank}{reply} {length} {total}\r\n"),
        };
        for part in [line.as_bytes(), headers, payload, b"\r\n"] {
            self.send(part);
        }
    }

    /// Output stays to be taken; nothing is added to it.
    pub fn close(&mut self) {
        self.closed = true;
        self.input = Vec::new();
    }

    /// Closes, and drops what the client has not read.
    pub fn abort(&mut self) {
        self.close();
        self.output = Vec::new();
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    #[must_use]
    pub fn unread(&self) -> usize {
        self.output.len()
    }

    pub fn take_output(&mut self, into: &mut Vec<u8>) {
        into.append(&mut self.output);
    }
}
