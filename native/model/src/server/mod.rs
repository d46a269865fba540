//! The server: connections, the clock that a caller moves, and the way of a message through both.
//!
//! ```text
//! receive ─► operations ─► routing ─┬─► subscriptions ─► output ─► take_output
//!                                   └─► JetStream ─► out ─► deliver ─▲
//! advance ─► timers of JetStream ───────────────────► out ─► deliver ─▲
//! ```

mod control;
mod operations;
mod routing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;

use crate::connection::Connection;
use crate::interest::Interest;
use crate::jetstream::{Context, JetStream, Outgoing};
use crate::operation::{self, Limits};
use crate::options::Options;

/// A connection, by its number; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

#[derive(Debug)]
pub struct Server {
    options: Options,
    now: u64,
    random: Rng,
    next_connection: u64,
    connections: BTreeMap<ConnectionId, Connection>,
    interest: Interest,
    jetstream: JetStream,
    out: VecDeque<Outgoing>,
}

impl Server {
    /// `now_ns`: nanoseconds since the Unix epoch.
    #[must_use]
    pub fn new(options: Options, now_ns: u64) -> Server {
        Server {
            random: Rng::with_seed(options.seed),
            options,
            now: now_ns,
            next_connection: 1,
            connections: BTreeMap::new(),
            interest: Interest::default(),
            jetstream: JetStream::default(),
            out: VecDeque::new(),
        }
    }

    /// A client has connected. INFO is in its output.
    pub fn connect(&mut self) -> ConnectionId {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let mut connection = Connection::default();
        connection.send(&self.info(id, false));
        self.connections.insert(id, connection);
        id
    }

    /// Bytes of a client, cut anywhere. Those of a closed connection are dropped.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_closed()) else {
            return;
        };
        let mut input = std::mem::take(&mut connection.input);
        input.extend_from_slice(bytes);
        let limits = Limits { line: self.options.max_control_line, payload: self.options.max_payload };
        let mut used = 0;
        while !self.is_closed(id) {
            match operation::parse(&input[used..], limits) {
                Ok(None) => break,
                Ok(Some((operation, length))) => {
                    self.operate(id, operation);
                    used += length;
                }
                Err(error) => self.close_with(id, error.text()),
            }
        }
        input.drain(..used);
        if let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_closed()) {
            connection.input = input;
        }
    }

    /// Appends what the server has for a client. `false` once the server has closed the connection: nothing more comes
    /// after these bytes.
    pub fn take_output(&mut self, id: ConnectionId, into: &mut Vec<u8>) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        connection.take_output(into);
        let is_open = !connection.is_closed();
        if !is_open {
            self.connections.remove(&id);
        }
        is_open
    }

    /// Connections that have output, or have been closed by the server.
    #[must_use]
    pub fn with_output(&self) -> Vec<ConnectionId> {
        let has = |connection: &Connection| connection.unread() > 0 || connection.is_closed();
        self.connections.iter().filter(|(_, one)| has(one)).map(|(id, _)| *id).collect()
    }

    /// A client has gone. What it has not read is lost.
    pub fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.interest.remove_connection(id);
    }

    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// When something happens by itself, if nothing else does before. It may lie in the past.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.jetstream.next_deadline()
    }

    /// Moves the clock, and lets every timer fire that is due on the way, each at its time.
    pub fn advance(&mut self, now_ns: u64) {
        while let Some(at) = self.next_deadline().filter(|at| *at <= now_ns) {
            self.now = self.now.max(at);
            self.with_jetstream(JetStream::advance);
        }
        self.now = self.now.max(now_ns);
    }

    /// The server stops and starts again: connections are gone, and with them subscriptions and requests. Streams and
    /// consumers stay, without what the real server forgets: ids of messages that were consumed, the order of
    /// redeliveries, the time of deliveries; messages of memory streams.
    pub fn restart(&mut self) {
        for connection in self.connections.values_mut() {
            connection.abort();
        }
        self.interest = Interest::default();
        self.out.clear();
        let jetstream = std::mem::take(&mut self.jetstream);
        self.jetstream = jetstream.restarted(&mut self.context().1);
    }

    /// As [`Server::restart`], after a kill: consumers also forget what the server has not written, up to 100 ms of
    /// deliveries and acks. Messages are written at once.
    pub fn kill_and_restart(&mut self) {
        let now = self.now;
        self.jetstream.lose_unwritten(now);
        self.restart();
    }

    fn is_closed(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(Connection::is_closed)
    }

    fn close_with<'a>(&mut self, id: ConnectionId, error: impl Into<Option<&'a str>>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            if let Some(error) = error.into() {
                connection.send_error(error);
            }
            connection.close();
        }
        self.interest.remove_connection(id);
    }

    /// JetStream, and what surrounds it.
    fn context(&mut self) -> (&mut JetStream, Context<'_>) {
        let context = Context {
            now: self.now,
            interest: &self.interest,
            out: &mut self.out,
            random: &mut self.random,
            version: &self.options.version,
            server_name: &self.options.server_name,
        };
        (&mut self.jetstream, context)
    }

    /// Lets something happen to JetStream, and delivers what it sends.
    fn with_jetstream<T>(&mut self, work: impl FnOnce(&mut JetStream, &mut Context<'_>) -> T) -> T {
        let (jetstream, mut context) = self.context();
        let result = work(jetstream, &mut context);
        self.deliver_out();
        result
    }
}
