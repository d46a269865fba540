//! JetStream: what a published message means to streams, consumers and the API, and what they send.
//!
//! ```text
//!            ┌─ $JS.API.CONSUMER.MSG.NEXT.S.c ─► consumer: a request
//! message ───┼─ $JS.ACK.S.c.…                ─► consumer: an ack
//!            ├─ $JS.API.…                    ─► api/
//!            └─ a stream's subject           ─► publish: stored, PubAck
//!                                               everything sent ─► Context::out
//! ```

pub mod api;
pub mod config;
pub mod consumer;
mod dedupe;
pub mod error;
mod publish;
pub mod store;
pub mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;

use crate::interest::Interest;
use stream::Stream;

/// A message that a client has published.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub subject: &'a str,
    /// Empty when no answer is wanted.
    pub reply: &'a str,
    pub headers: &'a [u8],
    pub payload: &'a [u8],
}

/// A message that JetStream sends.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Whose subscribers get it.
    pub to: String,
    /// What they see.
    pub subject: String,
    pub reply: String,
    pub headers: Arc<[u8]>,
    pub payload: Arc<[u8]>,
}

impl Outgoing {
    #[must_use]
    pub fn to(subject: &str, payload: &[u8]) -> Outgoing {
        let (to, subject, reply) = (subject.to_owned(), subject.to_owned(), String::new());
        Outgoing { to, subject, reply, headers: Arc::from([]), payload: payload.into() }
    }
}

/// What surrounds JetStream while something happens to it.
pub struct Context<'a> {
    pub now: u64,
    pub interest: &'a Interest,
    pub out: &'a mut VecDeque<Outgoing>,
    pub random: &'a mut Rng,
    /// Of the server.
    pub version: &'a str,
    pub server_name: &'a str,
}

impl Context<'_> {
    pub fn send_status(&mut self, to: &str, headers: Vec<u8>) {
        self.out.push_back(Outgoing { headers: headers.into(), ..Outgoing::to(to, b"") });
    }
}

#[derive(Debug, Default)]
pub struct JetStream {
    pub streams: BTreeMap<String, Stream>,
}

impl JetStream {
    /// A client's message. `false` when nobody here listens.
    pub fn on_message(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> bool {
        let subject = message.subject;
        if let Some(names) = subject.strip_prefix("$JS.API.CONSUMER.MSG.NEXT.") {
            return self.on_request(names, message, context);
        }
        if let Some(names) = subject.strip_prefix("$JS.API.DIRECT.GET.") {
            return self.on_direct_get(names, message, context);
        }
        if let Some(verb) = subject.strip_prefix("$JS.API.") {
            self.on_api(verb, message, context);
            return true;
        }
        if subject.starts_with("$JS.ACK.") {
            return self.on_ack(message, context);
        }
        match self.streams.values_mut().find(|stream| stream.listens(subject)) {
            Some(stream) => stream.on_publish(message, context),
            None => return false,
        }
        true
    }

    fn on_request(&mut self, names: &str, message: &Incoming<'_>, context: &mut Context<'_>) -> bool {
        let found = names.split_once('.').and_then(|(stream, name)| Some((self.streams.get_mut(stream)?, name)));
        let Some((stream, name)) = found else { return false };
        let Some(consumer) = stream.consumers.get_mut(name) else { return false };
        consumer.on_request(message.payload, message.reply, context);
        stream.run(context);
        true
    }

    fn on_ack(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> bool {
        let Some((stream, consumer, delivery)) = consumer::parse_subject(message.subject) else { return false };
        let stream = self.streams.get_mut(stream).filter(|stream| stream.consumers.contains_key(consumer));
        let Some(stream) = stream else { return false };
        stream.on_ack(consumer, delivery, message.payload, message.reply, context);
        true
    }

    /// Deletes a stream with its consumers.
    pub fn delete_stream(&mut self, name: &str, context: &mut Context<'_>) -> bool {
        let Some(mut stream) = self.streams.remove(name) else { return false };
        for consumer in stream.consumers.values_mut() {
            consumer.on_deleted(context);
        }
        true
    }

    pub fn advance(&mut self, context: &mut Context<'_>) {
        for stream in self.streams.values_mut() {
            stream.advance(context);
        }
    }

    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.streams.values().filter_map(Stream::next_deadline).min()
    }

    /// What a kill of the server loses.
    pub fn lose_unwritten(&mut self, now: u64) {
        for stream in self.streams.values_mut() {
            stream.consumers.values_mut().for_each(|consumer| consumer.lose_unwritten(now));
        }
    }

    #[must_use]
    pub fn restarted(self, context: &mut Context<'_>) -> JetStream {
        let streams = self.streams.into_iter();
        JetStream { streams: streams.map(|(name, stream)| (name, stream.restarted(context))).collect() }
    }
}
