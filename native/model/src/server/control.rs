//! What a test does to the server from outside, and what it looks at.

use super::{ConnectionId, Server};
use crate::connection::Connection;
use crate::jetstream::Incoming;
use crate::jetstream::config::StreamConfig;
use crate::jetstream::consumer::ConsumerState;
use crate::jetstream::store::Stored;
use crate::jetstream::stream::Stream;
use crate::options::{Options, Permissions};

impl Server {
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Changes what a user may do, as a reload of the configuration does: connections stay, subscriptions that are not
    /// permitted any more end with an error.
    pub fn set_permissions(&mut self, user: &str, permissions: &Permissions) {
        if let Some(known) = self.options.users.get_mut(user) {
            known.permissions = permissions.clone();
        }
        let of_user = |connection: &Connection| connection.user.as_deref() == Some(user);
        let ids: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, one)| of_user(one)).map(|(id, _)| *id).collect();
        for id in ids {
            self.with_connection(id, |connection| connection.permissions = permissions.clone());
            self.end_forbidden(id, permissions);
        }
    }

    fn end_forbidden(&mut self, id: ConnectionId, permissions: &Permissions) {
        for key in self.interest.forbidden(id, &permissions.subscribe) {
            let Some(subscription) = self.interest.get(&key) else { continue };
            let (subject, sid) = (&subscription.subject, &key.1);
            let group = subscription.queue.as_ref();
            let group = group.map_or_else(String::new, |queue| format!(" using queue \"{queue}\""));
            let text = format!("Permissions Violation for Subscription to \"{subject}\"{group} (sid \"{sid}\")");
            self.interest.remove(&key);
            self.with_connection(id, |connection| connection.send_error(&text));
        }
    }

    /// Of all connections from now on; clients are not told.
    pub fn set_max_payload(&mut self, bytes: usize) {
        self.options.max_payload = bytes;
    }

    /// Closes a connection from the server's side. With a text, that is the last thing the client reads; without, what
    /// it has not read is lost.
    pub fn close(&mut self, id: ConnectionId, error: Option<&str>) {
        match error {
            Some(text) => self.close_with(id, text),
            None => {
                self.with_connection(id, Connection::abort);
                self.interest.remove_connection(id);
            }
        }
    }

    /// Publishes as somebody who may do everything. The answer goes to `reply`, for whoever listens there.
    pub fn publish(&mut self, subject: &str, reply: &str, headers: &[u8], payload: &[u8]) {
        self.route(None, &Incoming { subject, reply, headers, payload });
    }

    /// Whether there was such a stream.
    pub fn delete_stream(&mut self, name: &str) -> bool {
        self.with_jetstream(|jetstream, context| jetstream.delete_stream(name, context))
    }

    /// Whether there was such a consumer.
    pub fn delete_consumer(&mut self, stream: &str, name: &str) -> bool {
        self.with_jetstream(|jetstream, context| {
            let stream = jetstream.streams.get_mut(stream);
            stream.is_some_and(|stream| stream.delete_consumer(name, context).is_ok())
        })
    }

    /// Names of all streams.
    #[must_use]
    pub fn streams(&self) -> Vec<&str> {
        self.jetstream.streams.keys().map(String::as_str).collect()
    }

    fn stream(&self, name: &str) -> Option<&Stream> {
        self.jetstream.streams.get(name)
    }

    #[must_use]
    pub fn stream_config(&self, name: &str) -> Option<&StreamConfig> {
        self.stream(name).map(|stream| &stream.config)
    }

    /// The messages of a stream, oldest first; none when there is no such stream.
    pub fn messages(&self, stream: &str) -> impl Iterator<Item = &Stored> {
        self.stream(stream).into_iter().flat_map(|stream| stream.store.iter())
    }

    /// The last sequence that a stream has given.
    #[must_use]
    pub fn last_sequence(&self, stream: &str) -> Option<u64> {
        self.stream(stream).map(|stream| stream.store.last)
    }

    /// How many `Nats-Msg-Id`s a stream remembers.
    #[must_use]
    pub fn remembered_ids(&self, stream: &str) -> usize {
        self.stream(stream).map_or(0, Stream::remembered_ids)
    }

    /// Names of a stream's consumers.
    #[must_use]
    pub fn consumers(&self, stream: &str) -> Vec<&str> {
        self.stream(stream).into_iter().flat_map(|stream| stream.consumers.keys().map(String::as_str)).collect()
    }

    #[must_use]
    pub fn consumer_state(&self, stream: &str, name: &str) -> Option<ConsumerState> {
        Some(self.stream(stream)?.consumers.get(name)?.state())
    }
}
