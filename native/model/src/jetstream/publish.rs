//! A message that a stream listens for: its headers' conditions, its id, the stream's limits, and the PubAck.

use serde_json::json;

use super::error::{self, ApiError};
use super::store::stored_size;
use super::stream::Stream;
use super::{Context, Incoming, Outgoing};
use crate::{header, json};

/// The server stores the length of headers in 16 bits.
const MAX_HEADERS: usize = 65_535;

/// What becomes of a message that is not refused.
enum Stored {
    New(u64),
    /// The message of this id is stored already.
    Duplicate(u64),
}

impl Stream {
    /// Stores a message, answers, and lets the consumers deliver it.
    pub fn on_publish(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) {
        let stored = self.store_message(message, context.now);
        if !self.config.no_ack && !message.reply.is_empty() {
            let answer = self.pub_ack(&stored);
            context.out.push_back(Outgoing::to(message.reply, &answer));
        }
        // What its limits have removed may be acked by that: consumers go on before they hear of the new message.
        self.run(context);
        if let Ok(Stored::New(sequence)) = stored {
            self.signal(sequence, message.subject);
        }
        self.run(context);
    }

    fn pub_ack(&self, stored: &Result<Stored, ApiError>) -> Vec<u8> {
        let stream = &self.config.name;
        match stored {
            Ok(Stored::New(sequence)) => format!("{{\"stream\":\"{stream}\",\"seq\":{sequence}}}").into_bytes(),
            Ok(Stored::Duplicate(sequence)) => {
                format!("{{\"stream\":\"{stream}\",\"seq\":{sequence},\"duplicate\": true}}").into_bytes()
            }
            Err(error) => json::to_bytes(&json!({"error": error, "stream": stream, "seq": 0})),
        }
    }

    fn store_message(&mut self, message: &Incoming<'_>, now: u64) -> Result<Stored, ApiError> {
        let Incoming { subject, headers, payload, .. } = *message;
        let value = |name| header::value(headers, name).filter(|value| !value.is_empty());
        self.check_size(headers, payload)?;
        self.check_expectations(subject, headers)?;
        let id = value("Nats-Msg-Id").unwrap_or_default();
        if let Some(sequence) = self.dedupe.get(id) {
            return Ok(Stored::Duplicate(sequence));
        }
        if value("Nats-Expected-Last-Msg-Id").is_some_and(|wanted| wanted != self.last_id) {
            return Err(error::wrong_last_id(&self.last_id));
        }
        if value("Nats-Rollup").is_some() {
            return Err(error::rollup_failed("rollup not permitted"));
        }
        let size = stored_size(subject, headers, payload);
        self.store.admit(&self.config, subject, size).map_err(error::store_failed)?;
        let sequence = self.store.push(subject, headers, payload, now);
        self.enforce_limits(Some(subject), now);
        self.store.start_age_check(self.config.max_age, now);
        id.clone_into(&mut self.last_id);
        if !id.is_empty() {
            self.dedupe.insert(id, sequence, now, self.config.duplicate_window, now);
        }
        Ok(Stored::New(sequence))
    }

    fn check_size(&self, headers: &[u8], payload: &[u8]) -> Result<(), ApiError> {
        let max_size = self.config.max_msg_size;
        if max_size >= 0 && (headers.len() + payload.len()) as i64 > max_size {
            return Err(error::message_too_large());
        }
        if headers.len() > MAX_HEADERS {
            return Err(error::header_too_large());
        }
        Ok(())
    }

    /// What the publisher expects of the stream.
    fn check_expectations(&self, subject: &str, headers: &[u8]) -> Result<(), ApiError> {
        let value = |name| header::value(headers, name).filter(|value| !value.is_empty());
        let number = |name| value(name).and_then(|digits| digits.parse::<u64>().ok());
        if value("Nats-Expected-Stream").is_some_and(|stream| stream != self.config.name) {
            return Err(error::stream_not_match());
        }
        if value("Nats-TTL").is_some() {
            return Err(error::ttl_disabled());
        }
        let other = value("Nats-Expected-Last-Subject-Sequence-Subject");
        match number("Nats-Expected-Last-Subject-Sequence") {
            Some(wanted) => {
                let last = self.store.last_of(other.unwrap_or(subject)).map_or(0, |message| message.sequence);
                if last != wanted {
                    return Err(error::wrong_last_sequence(last));
                }
            }
            None if other.is_some() => return Err(error::expected_subject_without_sequence()),
            None => {}
        }
        let last = self.store.last;
        match number("Nats-Expected-Last-Sequence") {
            Some(wanted) if wanted != last => Err(error::wrong_last_sequence(last)),
            _ => Ok(()),
        }
    }
}
