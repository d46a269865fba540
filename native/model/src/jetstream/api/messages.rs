//! Single messages: `STREAM.MSG.GET`, `STREAM.MSG.DELETE`, `DIRECT.GET`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answer, JetStream, fields, success};
use crate::header;
use crate::jetstream::config::Fields;
use crate::jetstream::error;
use crate::jetstream::store::{Store, Stored};
use crate::jetstream::{Context, Incoming, Outgoing};
use crate::json::{base64, time};

/// Which message is asked for.
struct Wanted {
    sequence: u64,
    last_by_subject: String,
    next_by_subject: String,
}

const NOT_MODELLED: [&str; 7] = ["batch", "max_bytes", "multi_last", "no_hdr", "start_time", "up_to_seq", "up_to_time"];

impl Wanted {
    fn parse(body: &[u8]) -> Result<Wanted, error::ApiError> {
        let mut request = Fields::parse(body)?;
        let wanted = Wanted {
            sequence: request.take("seq")?,
            last_by_subject: request.take("last_by_subj")?,
            next_by_subject: request.take("next_by_subj")?,
        };
        request.finish(&NOT_MODELLED)?;
        Ok(wanted)
    }

    fn is_sound(&self) -> bool {
        let (last, next) = (!self.last_by_subject.is_empty(), !self.next_by_subject.is_empty());
        (self.sequence > 0 || last || next) && !(last && (self.sequence > 0 || next))
    }

    fn find<'a>(&self, store: &'a Store) -> Option<&'a Stored> {
        if !self.next_by_subject.is_empty() {
            return store.next(std::slice::from_ref(&self.next_by_subject), self.sequence);
        }
        match self.sequence {
            0 => store.last_of(&self.last_by_subject),
            sequence => store.get(sequence),
        }
    }
}

impl JetStream {
    pub(super) fn message_get(&mut self, name: &str, body: &[u8]) -> Answer {
        if body.trim_ascii().is_empty() {
            return Err(error::bad_request());
        }
        let wanted = Wanted::parse(body)?;
        if !wanted.is_sound() {
            return Err(error::bad_request());
        }
        let message = wanted.find(&self.stream(name)?.store).ok_or_else(error::no_message)?;
        let mut found = fields([("subject", json!(message.subject)), ("seq", json!(message.sequence))]);
        for (name, bytes) in [("hdrs", &message.headers), ("data", &message.payload)] {
            if !bytes.is_empty() {
                found.insert(name.into(), json!(base64(bytes)));
            }
        }
        found.insert("time".into(), json!(time(message.time_ns)));
        Ok(fields([("message", Value::Object(found))]))
    }

    pub(super) fn message_delete(&mut self, name: &str, body: &[u8], context: &mut Context<'_>) -> Answer {
        if body.trim_ascii().is_empty() {
            return Err(error::bad_request());
        }
        let mut request = Fields::parse(body)?;
        let (sequence, _no_erase) = (request.take::<u64>("seq")?, request.take::<bool>("no_erase")?);
        request.finish(&[])?;
        let stream = self.stream(name)?;
        if stream.config.deny_delete {
            return Err(error::message_delete_failed("message delete not permitted"));
        }
        if sequence > stream.store.last {
            return Err(error::message_delete_failed("stream store EOF"));
        }
        if sequence == 0 || sequence < stream.store.first {
            return Err(error::message_delete_failed("no message found"));
        }
        stream.remove(sequence, context.now).ok_or_else(|| error::sequence_not_found(sequence))?;
        stream.run(context);
        Ok(success())
    }

    /// `DIRECT.GET.<stream>` with a request, or with a subject behind it. `false` when the stream does not offer it.
    pub(crate) fn on_direct_get(&mut self, names: &str, message: &Incoming<'_>, context: &mut Context<'_>) -> bool {
        let (name, subject) = names.split_once('.').unwrap_or((names, ""));
        let Some(stream) = self.streams.get(name).filter(|stream| stream.config.allow_direct) else { return false };
        if message.reply.is_empty() {
            return true;
        }
        match direct(subject, message.payload).map(|wanted| wanted.find(&stream.store)) {
            Ok(Some(found)) => send_found(name, found, message.reply, context),
            Ok(None) => context.send_status(message.reply, header::status(404, "Message Not Found", &[])),
            Err(text) => context.send_status(message.reply, header::status(408, text, &[])),
        }
        true
    }
}

fn direct(subject: &str, body: &[u8]) -> Result<Wanted, &'static str> {
    let is_empty = body.trim_ascii().is_empty();
    match subject {
        "" if is_empty => Err("Empty Request"),
        "" => {
            let wanted = Wanted::parse(body).map_err(|_| "Malformed Request")?;
            match wanted {
                _ if wanted.is_sound() => Ok(wanted),
                Wanted { sequence: 0, last_by_subject, .. } if last_by_subject.is_empty() => Err("Empty Request"),
                _ => Err("Bad Request"),
            }
        }
        subject if is_empty => {
            Ok(Wanted { sequence: 0, last_by_subject: subject.into(), next_by_subject: String::new() })
        }
        _ => Err("Bad Request"),
    }
}

fn send_found(stream: &str, found: &Stored, reply: &str, context: &mut Context<'_>) {
    let (sequence, at) = (found.sequence.to_string(), time(found.time_ns));
    let more = [
        ("Nats-Stream", stream),
        ("Nats-Subject", &found.subject),
        ("Nats-Sequence", &sequence),
        ("Nats-Time-Stamp", &at),
    ];
    let headers: Arc<[u8]> = header::with(&found.headers, &more).into();
    context.out.push_back(Outgoing { headers, payload: found.payload.clone(), ..Outgoing::to(reply, b"") });
}
