//! The API: `$JS.API.<verb>`, one answer each.

mod consumers;
mod messages;
mod streams;

use serde_json::{Map, Value, json};

use super::config::Fields;
use super::error::{self, ApiError};
use super::{Context, Incoming, JetStream, Outgoing};
use crate::json::to_bytes;

/// An answer's fields beside its type, or why there are none.
type Answer = Result<Map<String, Value>, ApiError>;

/// Names in one answer; descriptions in one answer; subjects in one answer.
const NAMES: usize = 1_024;
const DESCRIPTIONS: usize = 256;
const SUBJECTS: usize = 100_000;

impl JetStream {
    /// A request. A verb that nobody knows gets no answer, as on the server.
    pub(super) fn on_api(&mut self, verb: &str, message: &Incoming<'_>, context: &mut Context<'_>) {
        let Some((kind, answer)) = self.answer(verb, message.payload, context) else { return };
        if message.reply.is_empty() {
            return;
        }
        let mut body = Map::new();
        body.insert("type".into(), json!(format!("io.nats.jetstream.api.v1.{kind}_response")));
        match answer {
            Ok(mut fields) => body.append(&mut fields),
            Err(error) => {
                body.insert("error".into(), json!(error));
                body.append(&mut beside_error(kind));
            }
        }
        context.out.push_back(Outgoing::to(message.reply, &to_bytes(&body)));
    }

    fn answer(&mut self, verb: &str, body: &[u8], context: &mut Context<'_>) -> Option<(&'static str, Answer)> {
        let tokens: Vec<&str> = verb.split('.').collect();
        Some(match tokens.as_slice() {
            ["INFO"] => ("account_info", Ok(self.account_info())),
            ["STREAM", "CREATE", name] => ("stream_create", self.create_stream(name, body, context)),
            ["STREAM", "UPDATE", name] => ("stream_update", self.update_stream(name, body, context)),
            ["STREAM", "NAMES"] => ("stream_names", self.stream_names(body)),
            ["STREAM", "LIST"] => ("stream_list", self.stream_list(body, context)),
            ["STREAM", "INFO", name] => ("stream_info", self.stream_info(name, body, context)),
            ["STREAM", "DELETE", name] => ("stream_delete", self.stream_delete(name, body, context)),
            ["STREAM", "PURGE", name] => ("stream_purge", self.stream_purge(name, body, context)),
            ["STREAM", "MSG", "GET", name] => ("stream_msg_get", self.message_get(name, body)),
            ["STREAM", "MSG", "DELETE", name] => ("stream_msg_delete", self.message_delete(name, body, context)),
            ["CONSUMER", "CREATE" | "DURABLE", ..] => ("consumer_create", self.create_consumer(&tokens, body, context)),
            ["CONSUMER", "NAMES", stream] => ("consumer_names", self.consumer_names(stream, body)),
            ["CONSUMER", "LIST", stream] => ("consumer_list", self.consumer_list(stream, body, context)),
            ["CONSUMER", "INFO", stream, name] => ("consumer_info", self.consumer_info(stream, name, body, context)),
            ["CONSUMER", "DELETE", stream, name] => {
                ("consumer_delete", self.consumer_delete(stream, name, body, context))
            }
            _ => return None,
        })
    }

    fn account_info(&self) -> Map<String, Value> {
        let consumers: usize = self.streams.values().map(|stream| stream.consumers.len()).sum();
        let storage: u64 = self.streams.values().map(|stream| stream.store.bytes).sum();
        fields([
            ("memory", json!(0)),
            ("storage", json!(storage)),
            ("reserved_memory", json!(0)),
            ("reserved_storage", json!(0)),
            ("streams", json!(self.streams.len())),
            ("consumers", json!(consumers)),
            (
                "limits",
                json!({
                    "max_memory": -1, "max_storage": -1, "max_streams": -1, "max_consumers": -1,
                    "max_ack_pending": -1, "memory_max_stream_bytes": -1, "storage_max_stream_bytes": -1,
                    "max_bytes_required": false,
                }),
            ),
            ("api", json!({"level": 5, "total": 0, "errors": 0})),
        ])
    }
}

/// What an answer of this kind has even with an error.
fn beside_error(kind: &str) -> Map<String, Value> {
    let mut beside = match kind {
        "stream_info" | "stream_names" | "stream_list" | "consumer_names" | "consumer_list" => listed(0, 0, 0),
        "stream_purge" => fields([("purged", json!(0))]),
        _ => Map::new(),
    };
    match kind {
        "stream_names" => beside.insert("streams".into(), Value::Null),
        "stream_list" => beside.insert("streams".into(), json!([])),
        "consumer_names" | "consumer_list" => beside.insert("consumers".into(), json!([])),
        _ => None,
    };
    beside
}

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn success() -> Map<String, Value> {
    fields([("success", json!(true))])
}

/// A request that is a JSON object; anything else counts as one without fields.
fn optional_fields(body: &[u8]) -> Result<Fields, ApiError> {
    match body.trim_ascii().first() {
        Some(b'{' | b'[') => Fields::parse(body),
        _ => Fields::parse(b""),
    }
}

/// A request that has nothing to say.
fn expect_empty(body: &[u8]) -> Result<(), ApiError> {
    match body.trim_ascii() {
        b"" | b"{}" | b"[]" => Ok(()),
        _ => Err(error::not_empty_request()),
    }
}

/// One page of a list: from `offset` on, at most `limit`.
fn page<T: Clone>(all: &[T], offset: usize, limit: usize) -> Vec<T> {
    all.iter().skip(offset).take(limit).cloned().collect()
}

/// The fields that each list begins with.
fn listed(total: usize, offset: usize, limit: usize) -> Map<String, Value> {
    fields([("total", json!(total)), ("offset", json!(offset.min(total))), ("limit", json!(limit))])
}
