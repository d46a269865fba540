//! `STREAM.*`: made, changed, listed, described, purged, deleted.

use serde_json::{Map, Value, json};

use super::{
    Answer, DESCRIPTIONS, JetStream, NAMES, SUBJECTS, expect_empty, fields, listed, optional_fields, page, success,
};
use crate::jetstream::Context;
use crate::jetstream::config::StreamConfig;
use crate::jetstream::error::{self, ApiError};
use crate::jetstream::store::Store;
use crate::jetstream::stream::{PurgeRequest, Stream};
use crate::json::{ZERO_TIME, time};
use crate::subject::collide;

impl JetStream {
    pub(super) fn stream(&mut self, name: &str) -> Result<&mut Stream, ApiError> {
        self.streams.get_mut(name).ok_or_else(error::stream_not_found)
    }

    pub(super) fn create_stream(&mut self, name: &str, body: &[u8], context: &mut Context<'_>) -> Answer {
        let config = StreamConfig::parse(body)?;
        if config.name != name {
            return Err(error::stream_mismatch());
        }
        let config = config.completed()?;
        match self.streams.get(name) {
            Some(stream) if stream.config != config => return Err(error::stream_name_exists()),
            Some(_) => {}
            None if config.num_replicas > 1 => return Err(error::replicas_not_supported()),
            None if self.overlaps(&config) => return Err(error::subject_overlap()),
            None => {
                self.streams.insert(name.to_owned(), Stream::new(config, context.now));
            }
        }
        let mut answer = describe(self.stream(name)?, Some(context.version), context.now);
        answer.insert("did_create".into(), json!(true));
        Ok(answer)
    }

    fn overlaps(&self, config: &StreamConfig) -> bool {
        let others = self.streams.values().filter(|stream| stream.config.name != config.name);
        let mut others = others.flat_map(|stream| &stream.config.subjects);
        others.any(|other| config.subjects.iter().any(|subject| collide(subject, other)))
    }

    pub(super) fn update_stream(&mut self, name: &str, body: &[u8], context: &mut Context<'_>) -> Answer {
        let config = StreamConfig::parse(body)?.completed()?;
        if config.name != name {
            return Err(error::stream_mismatch());
        }
        config.check_update(&self.stream(name)?.config)?;
        if self.overlaps(&config) {
            return Err(error::subject_overlap());
        }
        let stream = self.stream(name)?;
        stream.update(config, context);
        Ok(describe(stream, Some(context.version), context.now))
    }

    pub(super) fn stream_names(&self, body: &[u8]) -> Answer {
        let (subject, offset) = list_request(body)?;
        let names: Vec<&String> = self.listening(&subject).map(|stream| &stream.config.name).collect();
        let mut answer = listed(names.len(), offset, NAMES);
        let names = page(&names, offset, NAMES);
        answer.insert("streams".into(), if names.is_empty() { Value::Null } else { json!(names) });
        Ok(answer)
    }

    pub(super) fn stream_list(&self, body: &[u8], context: &Context<'_>) -> Answer {
        let (subject, offset) = list_request(body)?;
        let streams: Vec<&Stream> = self.listening(&subject).collect();
        let mut answer = listed(streams.len(), offset, DESCRIPTIONS);
        let streams = page(&streams, offset, DESCRIPTIONS);
        let streams: Vec<Value> =
            streams.into_iter().map(|stream| Value::Object(describe(stream, None, context.now))).collect();
        answer.insert("streams".into(), json!(streams));
        Ok(answer)
    }

    /// Streams that a subject could reach; all without one.
    fn listening<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a Stream> {
        let reaches = move |stream: &&Stream| {
            subject.is_empty() || stream.config.subjects.iter().any(|one| collide(one, subject))
        };
        self.streams.values().filter(reaches)
    }

    pub(super) fn stream_info(&mut self, name: &str, body: &[u8], context: &Context<'_>) -> Answer {
        let mut request = optional_fields(body)?;
        let (filter, details) = (request.take::<String>("subjects_filter")?, request.take::<bool>("deleted_details")?);
        let offset = request.take::<usize>("offset")?;
        request.finish(&[])?;
        let stream = self.stream(name)?;
        let mut description = describe(stream, Some(context.version), context.now);
        let ts = description.shift_remove("ts");
        description.insert("cluster".into(), json!({"leader": context.server_name}));
        description.extend(ts.map(|ts| ("ts".to_owned(), ts)));
        let state = description.entry("state").or_insert(Value::Null);
        if details {
            insert_deleted(state, &stream.store);
        }
        let totals = if filter.is_empty() { Default::default() } else { stream.store.totals(&filter) };
        let (total, limit) = (totals.len(), if totals.is_empty() { 0 } else { SUBJECTS });
        if total > 0 {
            let shown: Map<String, Value> = totals
                .into_iter()
                .skip(offset)
                .take(SUBJECTS)
                .map(|(subject, count)| (subject, json!(count)))
                .collect();
            state["subjects"] = json!(shown);
        }
        let mut answer = listed(total, if total > 0 { offset } else { 0 }, limit);
        answer.append(&mut description);
        Ok(answer)
    }

    pub(super) fn stream_delete(&mut self, name: &str, body: &[u8], context: &mut Context<'_>) -> Answer {
        expect_empty(body)?;
        if self.delete_stream(name, context) { Ok(success()) } else { Err(error::stream_not_found()) }
    }

    pub(super) fn stream_purge(&mut self, name: &str, body: &[u8], context: &mut Context<'_>) -> Answer {
        let mut fields = optional_fields(body)?;
        let (filter, sequence, keep) = (fields.take("filter")?, fields.take("seq")?, fields.take("keep")?);
        fields.finish(&[])?;
        if sequence > 0 && keep > 0 {
            return Err(error::bad_request());
        }
        let stream = self.stream(name)?;
        if stream.config.deny_purge {
            return Err(error::purge_failed("stream purge not permitted"));
        }
        let purged = stream.purge(&PurgeRequest { filter, sequence, keep }, context);
        let mut answer = success();
        answer.insert("purged".into(), json!(purged));
        Ok(answer)
    }
}

fn list_request(body: &[u8]) -> Result<(String, usize), ApiError> {
    let mut request = optional_fields(body)?;
    let (subject, offset) = (request.take("subject")?, request.take::<i64>("offset")?);
    request.finish(&[])?;
    Ok((subject, usize::try_from(offset).unwrap_or(0)))
}

/// `version`: of the server, where the answer tells it.
fn describe(stream: &Stream, version: Option<&str>, now: u64) -> Map<String, Value> {
    fields([
        ("config", stream.config.to_json(version)),
        ("created", json!(time(stream.created_ns))),
        ("state", state(stream)),
        ("ts", json!(time(now))),
    ])
}

fn state(stream: &Stream) -> Value {
    let store = &stream.store;
    let first_time = store.get(store.first).map_or_else(|| ZERO_TIME.to_owned(), |message| time(message.time_ns));
    let last_time = if store.last_time_ns == 0 { ZERO_TIME.to_owned() } else { time(store.last_time_ns) };
    let mut state = fields([
        ("messages", json!(store.len())),
        ("bytes", json!(store.bytes)),
        ("first_seq", json!(store.first)),
        ("first_ts", json!(first_time)),
        ("last_seq", json!(store.last)),
        ("last_ts", json!(last_time)),
    ]);
    if store.subject_count() > 0 {
        state.insert("num_subjects".into(), json!(store.subject_count()));
    }
    let deleted = deleted(store);
    if deleted > 0 {
        state.insert("num_deleted".into(), json!(deleted));
    }
    state.insert("consumer_count".into(), json!(stream.consumers.len()));
    Value::Object(state)
}

/// Sequences between the first and the last that are gone.
fn deleted(store: &Store) -> u64 {
    if store.len() == 0 { 0 } else { store.last + 1 - store.first - store.len() }
}

/// A stream that has never held a message lists sequence 0, as the server does.
fn insert_deleted(state: &mut Value, store: &Store) {
    if store.last == 0 && store.first == 0 {
        state["num_deleted"] = json!(1);
        state["deleted"] = json!([0]);
    } else if deleted(store) > 0 {
        let gone: Vec<u64> = (store.first..=store.last).filter(|sequence| store.get(*sequence).is_none()).collect();
        state["deleted"] = json!(gone);
    }
}
