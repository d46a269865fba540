//! The way of a message: from a publisher to subscriptions and JetStream, and from JetStream to subscriptions.

use super::{ConnectionId, Server};
use crate::interest::Key;
use crate::jetstream::{Incoming, Outgoing};
use crate::operation::Publish;
use crate::subject::is_literal;

/// A message on its way to subscriptions.
struct Routed<'a> {
    /// Whose subscriptions get it.
    to: &'a str,
    subject: &'a str,
    reply: &'a str,
    headers: &'a [u8],
    payload: &'a [u8],
    /// The publisher.
    from: Option<ConnectionId>,
}

impl Server {
    pub(super) fn on_publish(&mut self, id: ConnectionId, publish: &Publish<'_>) {
        let Publish { subject, reply, headers, payload } = publish;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.greeting.pedantic && !is_literal(subject) {
            connection.send_error("Invalid Publish Subject");
        }
        if !connection.permissions.publish.permit(subject) {
            return connection.send_error(&format!("Permissions Violation for Publish to \"{subject}\""));
        }
        connection.send_ok();
        if !self.route(Some(id), &Incoming { subject, reply, headers, payload }) && !reply.is_empty() {
            self.send_no_responders(id, subject, reply);
        }
    }

    /// Gives a message to all who listen; whether anybody does.
    pub(super) fn route(&mut self, from: Option<ConnectionId>, message: &Incoming<'_>) -> bool {
        let Incoming { subject, reply, headers, payload } = *message;
        let delivered = self.deliver(&Routed { to: subject, subject, reply, headers, payload, from });
        let heard = self.with_jetstream(|jetstream, context| jetstream.on_message(message, context));
        delivered || heard
    }

    /// Gives a message to subscriptions.
    fn deliver(&mut self, message: &Routed<'_>) -> bool {
        let receivers = self.interest.receivers(message.to);
        let mut delivered = false;
        for key in &receivers.plain {
            delivered |= self.deliver_to(key, message);
        }
        for mut members in receivers.groups.into_values() {
            // The next member gets it when the chosen one may not.
            while !members.is_empty() {
                let chosen = members.swap_remove(self.random.usize(..members.len()));
                if self.deliver_to(&chosen, message) {
                    delivered = true;
                    break;
                }
            }
        }
        delivered
    }

    fn deliver_to(&mut self, key: &Key, message: &Routed<'_>) -> bool {
        let (Some(connection), Some(subscription)) = (self.connections.get_mut(&key.0), self.interest.get(key)) else {
            return false;
        };
        let is_echo = message.from == Some(key.0) && !connection.greeting.echo;
        let permitted = connection.permissions.subscribe.permit_delivery(&subscription.subject, message.to);
        if is_echo || !permitted {
            return false;
        }
        connection.send_message(message.subject, &key.1, message.reply, message.headers, message.payload);
        self.interest.count(key);
        if connection.unread() > self.options.max_pending {
            // A slow consumer: its connection is closed without a word.
            connection.abort();
            self.interest.remove_connection(key.0);
        }
        true
    }

    fn send_no_responders(&mut self, id: ConnectionId, subject: &str, reply: &str) {
        let Some(connection) = self.connections.get_mut(&id).filter(|one| one.greeting.no_responders) else { return };
        let Some((_, sid)) = self.interest.own(id, reply) else { return };
        let headers = format!("NATS/1.0 503\r\nNats-Subject: {subject}\r\n\r\n");
        connection.send_message(reply, &sid, "", headers.as_bytes(), b"");
    }

    /// Delivers what JetStream has sent. Its messages are for subscriptions alone: no stream stores them.
    pub(super) fn deliver_out(&mut self) {
        while let Some(Outgoing { to, subject, reply, headers, payload }) = self.out.pop_front() {
            let message =
                Routed { to: &to, subject: &subject, reply: &reply, headers: &headers, payload: &payload, from: None };
            self.deliver(&message);
        }
    }
}
