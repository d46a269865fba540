//! Delivery: requests in turn get redeliveries first, then what the stream has.

use super::super::{Context, Outgoing};
use super::Consumer;
use super::pulls::{Pull, left};
use crate::header;
use crate::jetstream::store::{Store, Stored};

/// What there is for the next request.
enum Next<'a> {
    /// A message, and how often it will have been delivered.
    Message(&'a Stored, u64),
    End,
    /// `max_ack_pending` is reached.
    Stalled,
}

impl Consumer {
    /// A request for messages.
    pub fn on_request(&mut self, payload: &[u8], reply: &str, context: &mut Context<'_>) {
        if reply.is_empty() {
            return;
        }
        match self.admit(payload, reply, context) {
            Ok(pull) => {
                self.pulls.last_ns = context.now;
                self.pulls.waiting.push_back(pull);
                self.signalled = true;
            }
            Err((0, _)) => {}
            Err((code, text)) => context.send_status(reply, header::status(code, &text, &[])),
        }
    }

    /// The request, or the status that refuses it; code 0 is silence.
    fn admit(&mut self, payload: &[u8], reply: &str, context: &mut Context<'_>) -> Result<Pull, (u16, String)> {
        let now = context.now;
        let pull = Pull::parse(payload, reply, now).map_err(|text| (400, format!("Bad Request - {text}")))?;
        self.check_request(&pull, now)?;
        let is_full = |consumer: &Consumer| consumer.pulls.waiting.len() as i64 == consumer.config.max_waiting;
        if is_full(self) && now - self.pulls.checked_ns > 1_000_000_000 {
            self.check_pulls(false, context);
        }
        if pull.no_wait {
            self.check_no_wait(&pull, context)?;
        }
        match is_full(self) {
            // A client with heartbeats learns it from their absence, or it would ask again at once.
            true => Err((if pull.heartbeat > 0 { 0 } else { 409 }, "Exceeded MaxWaiting".into())),
            false => Ok(pull),
        }
    }

    fn check_request(&self, pull: &Pull, now: u64) -> Result<(), (u16, String)> {
        let config = &self.config;
        let exceeds = |limit: i64, asked: i64| limit > 0 && asked > limit;
        if exceeds(config.max_batch, pull.messages) {
            return Err((409, format!("Exceeded MaxRequestBatch of {}", config.max_batch)));
        }
        let expires = pull.expires_at.map_or(0, |at| at.saturating_sub(now) as i64);
        if exceeds(config.max_expires, expires) {
            let limit = std::time::Duration::from_nanos(config.max_expires as u64);
            return Err((409, format!("Exceeded MaxRequestExpires of {limit:?}")));
        }
        if exceeds(config.max_bytes, pull.bytes) {
            return Err((409, format!("Exceeded MaxRequestMaxBytes of {}", config.max_bytes)));
        }
        Ok(())
    }

    fn check_no_wait(&mut self, pull: &Pull, context: &mut Context<'_>) -> Result<(), (u16, String)> {
        let available = self.shown_unseen() + self.queue.len() as u64;
        if available == 0 && pull.expires_at.is_none() {
            self.pulls.last_ns = context.now;
            return Err((404, "No Messages".into()));
        }
        if available > 0 {
            let asked = self.check_pulls(false, context);
            if (available as i64) < asked {
                self.pulls.last_ns = context.now;
                return Err((408, "Requests Pending".into()));
            }
        }
        Ok(())
    }

    /// Delivers what can be delivered, when something has happened that may allow it.
    pub fn run(&mut self, store: &Store, context: &mut Context<'_>) {
        if !std::mem::take(&mut self.signalled) {
            return;
        }
        self.written.catch_up(&self.saved, context.now);
        let mut is_stalled = false;
        while !self.pulls.is_empty() {
            match self.next(store, context.now) {
                Next::Message(message, count) => {
                    if !self.offer(message, count, context) {
                        break;
                    }
                }
                Next::End => break,
                Next::Stalled => {
                    is_stalled = true;
                    break;
                }
            }
        }
        // Requests that do not wait stay while acks are what is waited for.
        self.check_pulls(!is_stalled, context);
    }

    fn next<'a>(&mut self, store: &'a Store, now: u64) -> Next<'a> {
        while let Some(sequence) = self.queue.pop_front() {
            self.queued.remove(&sequence);
            let count = self.redelivered.entry(sequence).or_default();
            *count += 1;
            let count = *count + 1;
            if self.config.max_deliver > 0 && count > self.config.max_deliver as u64 {
                self.give_up(sequence, count);
                continue;
            }
            if let Some(message) = store.get(sequence) {
                return Next::Message(message, count);
            }
            self.uncount(sequence);
            if let Some(pending) = self.pending.get(&sequence).copied() {
                self.settle(sequence, pending.delivery, now);
            }
        }
        if self.config.max_ack_pending > 0 && self.pending.len() as i64 >= self.config.max_ack_pending {
            return Next::Stalled;
        }
        match store.next(&self.filters, self.next_sequence) {
            Some(message) => {
                self.next_sequence = message.sequence + 1;
                Next::Message(message, 1)
            }
            None => {
                self.next_sequence = self.next_sequence.max(store.last + 1);
                self.unseen = 0;
                Next::End
            }
        }
    }

    /// Takes back a delivery that was counted and not made.
    pub(super) fn uncount(&mut self, sequence: u64) {
        let count = self.redelivered.remove(&sequence).unwrap_or(0);
        if count > 1 {
            self.redelivered.insert(sequence, count - 1);
        }
    }

    /// Delivers a message to the next request, if one takes it.
    fn offer(&mut self, message: &Stored, count: u64, context: &mut Context<'_>) -> bool {
        if count == 1 {
            self.unseen -= 1;
        }
        let reply = self.ack_reply(message, count);
        let size = message.subject.len() + reply.len() + message.headers.len() + message.payload.len();
        let Some(pull) = self.next_pull(size as i64, context) else {
            self.take_back(message.sequence, count);
            return false;
        };
        self.track(message, count, context.now);
        context.out.push_back(Outgoing {
            to: pull.reply.clone(),
            subject: message.subject.clone(),
            reply,
            headers: message.headers.clone(),
            payload: message.payload.clone(),
        });
        if pull.messages <= 0 && pull.bytes > 0 {
            context.send_status(&pull.reply, header::status(409, "Batch Completed", &left(pull.messages, pull.bytes)));
        }
        true
    }

    fn ack_reply(&self, message: &Stored, count: u64) -> String {
        let Stored { sequence, time_ns, .. } = message;
        let (stream, name, delivery, unseen) = (&self.stream, &self.name, self.next_delivery, self.shown_unseen());
        format!("$JS.ACK.{stream}.{name}.{count}.{sequence}.{delivery}.{time_ns}.{unseen}")
    }

    /// Nobody takes the message after all.
    fn take_back(&mut self, sequence: u64, count: u64) {
        if count == 1 && sequence + 1 == self.next_sequence {
            self.next_sequence -= 1;
            self.unseen += 1;
        } else if !self.queued.contains(&sequence) {
            self.uncount(sequence);
            self.enqueue(sequence);
        }
    }

    /// The request whose turn it is, less one message of `size` bytes. Ends those that cannot take it.
    fn next_pull(&mut self, size: i64, context: &mut Context<'_>) -> Option<Pull> {
        while let Some(pull) = self.pulls.waiting.front_mut() {
            if pull.is_expired(context.now) {
                let status = header::status(408, "Request Timeout", &pull.left());
                context.send_status(&pull.reply.clone(), status);
            } else if pull.bytes > 0 && size > pull.bytes {
                let status = header::status(409, "Message Size Exceeds MaxBytes", &pull.left());
                context.send_status(&pull.reply.clone(), status);
            } else {
                if pull.bytes > 0 {
                    pull.bytes -= size;
                    if pull.bytes == 0 {
                        pull.messages = 1;
                    }
                }
                if context.interest.has(&pull.reply) {
                    return self.pulls.take_turn(context.now);
                }
            }
            self.pulls.waiting.pop_front();
        }
        None
    }

    fn track(&mut self, message: &Stored, count: u64, now: u64) {
        let delivery = self.next_delivery;
        self.next_delivery += 1;
        // The server stores the message's own time here: a restart makes what is pending look old.
        self.saved.on_delivered(delivery, message.sequence, count, message.time_ns, self.config.max_deliver);
        self.last_delivered_ns = Some(now);
        self.on_pending(message.sequence, delivery, now);
        if self.inactive_after > 0 {
            self.pulls.last_ns = now;
        }
    }

    /// Ends requests that are over, and sends heartbeats. `at_end`: those that do not wait are over, too. Gives how
    /// many messages the others still ask for.
    pub(super) fn check_pulls(&mut self, at_end: bool, context: &mut Context<'_>) -> i64 {
        let now = context.now;
        self.pulls.checked_ns = now;
        let (mut asked, mut check_at) = (0, None::<u64>);
        let position = [
            ("Nats-Last-Consumer", (self.next_delivery - 1).to_string()),
            ("Nats-Last-Stream", (self.next_sequence - 1).to_string()),
        ];
        self.pulls.waiting.retain_mut(|pull| {
            if pull.is_expired(now) {
                context.send_status(&pull.reply, header::status(408, "Request Timeout", &pull.left()));
                return false;
            }
            if at_end && pull.no_wait && (pull.expires_at.is_none() || pull.delivered > 0) {
                context.send_status(&pull.reply, header::status(404, "No Messages", &[]));
                return false;
            }
            if !context.interest.has(&pull.reply) {
                return false;
            }
            asked += pull.messages;
            if pull.heartbeat_at.is_some_and(|at| at <= now) {
                context.send_status(&pull.reply, header::status(100, "Idle Heartbeat", &position));
                pull.heartbeat_at = Some(now + pull.heartbeat);
            }
            check_at = [check_at, pull.heartbeat_at, pull.expires_at].into_iter().flatten().min();
            true
        });
        self.pulls.check_at = check_at;
        asked
    }

    /// The consumer is deleted: whoever waits is told.
    pub fn on_deleted(&mut self, context: &mut Context<'_>) {
        for pull in self.pulls.waiting.drain(..) {
            context.send_status(&pull.reply, header::status(409, "Consumer Deleted", &[]));
        }
    }
}
