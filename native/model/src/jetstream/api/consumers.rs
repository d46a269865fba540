//! `CONSUMER.*`: made, changed, listed, described, deleted.

use serde_json::{Value, json};

use super::{Answer, DESCRIPTIONS, JetStream, NAMES, expect_empty, listed, optional_fields, page, success};
use crate::jetstream::Context;
use crate::jetstream::config::{AckPolicy, ConsumerConfig, DeliverPolicy, Fields, Retention};
use crate::jetstream::consumer::Consumer;
use crate::jetstream::error::{self, ApiError};
use crate::jetstream::stream::Stream;

/// Whether a consumer that is there may be found, or one that is not may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    CreateOrUpdate,
    Create,
    Update,
}

/// What the request's subject names.
struct Named {
    stream: String,
    name: String,
    /// The filter in the subject, or nothing.
    filter: String,
    is_durable: bool,
    is_legacy_ephemeral: bool,
}

impl JetStream {
    pub(super) fn create_consumer(&mut self, tokens: &[&str], body: &[u8], context: &mut Context<'_>) -> Answer {
        let mut request = Fields::parse(body)?;
        let stream: String = request.take("stream_name")?;
        let action = action(&request.take::<String>("action")?)?;
        let config = ConsumerConfig::take(request.take_fields("config")?)?;
        request.finish(&["pedantic"])?;
        let named = named(tokens)?;
        if named.stream != stream {
            return Err(error::stream_mismatch());
        }
        let config = named.apply(config)?;
        if config.num_replicas > 1 {
            return Err(error::replicas_not_supported());
        }
        let stream = self.stream(&stream)?;
        let name = stream.put_consumer(config, action, context)?;
        let consumer = stream.consumers.get_mut(&name).ok_or_else(error::consumer_not_found)?;
        let answer = consumer.answer(&stream.store, context);
        // What a change allows to be delivered comes after the answer.
        stream.run(context);
        Ok(answer)
    }

    pub(super) fn consumer_names(&mut self, stream: &str, body: &[u8]) -> Answer {
        let offset = list_offset(body)?;
        let names: Vec<&String> = self.stream(stream)?.consumers.keys().collect();
        let mut answer = listed(names.len(), offset, NAMES);
        answer.insert("consumers".into(), json!(page(&names, offset, NAMES)));
        Ok(answer)
    }

    pub(super) fn consumer_list(&mut self, stream: &str, body: &[u8], context: &mut Context<'_>) -> Answer {
        let offset = list_offset(body)?;
        let stream = self.stream(stream)?;
        let names: Vec<String> = stream.consumers.keys().cloned().collect();
        let mut answer = listed(names.len(), offset, DESCRIPTIONS);
        let mut described: Vec<Value> = Vec::new();
        for name in page(&names, offset, DESCRIPTIONS) {
            described.push(Value::Object(stream.describe_consumer(&name, None, context)?));
        }
        answer.insert("consumers".into(), json!(described));
        Ok(answer)
    }

    pub(super) fn consumer_info(&mut self, stream: &str, name: &str, body: &[u8], context: &mut Context<'_>) -> Answer {
        expect_empty(body)?;
        self.stream(stream)?.describe_consumer(name, Some(context.version), context)
    }

    pub(super) fn consumer_delete(
        &mut self,
        stream: &str,
        name: &str,
        body: &[u8],
        context: &mut Context<'_>,
    ) -> Answer {
        expect_empty(body)?;
        self.stream(stream)?.delete_consumer(name, context)?;
        Ok(success())
    }
}

fn list_offset(body: &[u8]) -> Result<usize, ApiError> {
    let mut request = optional_fields(body)?;
    let offset = request.take::<i64>("offset")?;
    request.finish(&[])?;
    Ok(usize::try_from(offset).unwrap_or(0))
}

fn action(text: &str) -> Result<Action, ApiError> {
    match text {
        "" => Ok(Action::CreateOrUpdate),
        "create" => Ok(Action::Create),
        "update" => Ok(Action::Update),
        _ => Err(error::invalid_json("unknown action")),
    }
}

/// `CONSUMER.CREATE.<stream>[.<name>[.<filter>]]`, or `CONSUMER.DURABLE.CREATE.<stream>.<name>`.
fn named(tokens: &[&str]) -> Result<Named, ApiError> {
    let named = |stream: &str, name: &str, filter: String, is_durable, is_legacy_ephemeral| Named {
        stream: stream.into(),
        name: name.into(),
        filter,
        is_durable,
        is_legacy_ephemeral,
    };
    match tokens {
        ["CONSUMER", "DURABLE", "CREATE", stream, name] => Ok(named(stream, name, String::new(), true, false)),
        ["CONSUMER", "DURABLE", ..] => Err(error::durable_not_in_subject()),
        ["CONSUMER", "CREATE", stream] => Ok(named(stream, "", String::new(), false, true)),
        ["CONSUMER", "CREATE", stream, name, filter @ ..] => Ok(named(stream, name, filter.join("."), false, false)),
        _ => Err(error::bad_request()),
    }
}

impl Named {
    /// The configuration with the name of the subject, which it may not contradict.
    fn apply(&self, mut config: ConsumerConfig) -> Result<ConsumerConfig, ApiError> {
        let has_durable = !config.durable_name.is_empty();
        if self.is_durable && !has_durable {
            return Err(error::durable_not_set());
        }
        if self.is_legacy_ephemeral && has_durable {
            return Err(error::ephemeral_with_durable());
        }
        if !self.is_legacy_ephemeral {
            if has_durable && config.durable_name != self.name {
                return Err(error::durable_not_match_subject());
            }
            config.name.clone_from(&self.name);
        }
        if !self.filter.is_empty() && !config.filter_subjects.is_empty() {
            return Err(error::multiple_filters());
        }
        if !self.filter.is_empty() && config.filter_subject != self.filter {
            return Err(error::filter_mismatch());
        }
        Ok(config)
    }
}

/// The name of a consumer, which the server makes up when nobody has given one.
fn name_of(config: &ConsumerConfig, context: &mut Context<'_>) -> String {
    match (config.name.as_str(), config.durable_name.as_str()) {
        ("", "") => (0..8).map(|_| context.random.alphanumeric()).collect(),
        ("", name) | (name, _) => name.to_owned(),
    }
}

impl Stream {
    /// Makes a consumer, finds it, or changes it. Gives its name.
    fn put_consumer(
        &mut self,
        config: ConsumerConfig,
        action: Action,
        context: &mut Context<'_>,
    ) -> Result<String, ApiError> {
        let mut config = config.completed();
        config.check(&self.config)?;
        config.name = name_of(&config, context);
        let name = config.name.clone();
        let is_queue = self.config.retention == Retention::WorkQueue;
        if let Some(consumer) = self.consumers.get(&name) {
            if action == Action::Create && consumer.config != config {
                return Err(error::consumer_exists());
            }
            if is_queue && !self.is_unique(&name, &config.filters()) {
                return Err(error::consumer_not_unique());
            }
            self.update_consumer(config, context)?;
            return Ok(name);
        }
        if action == Action::Update {
            return Err(error::consumer_does_not_exist());
        }
        self.check_new_consumer(&config, is_queue)?;
        let consumer = Consumer::new(&self.config.name, &name, config, &self.store, context);
        self.consumers.insert(name.clone(), consumer);
        Ok(name)
    }

    fn update_consumer(&mut self, config: ConsumerConfig, context: &mut Context<'_>) -> Result<(), ApiError> {
        let consumer = self.consumers.get_mut(&config.name).ok_or_else(error::consumer_does_not_exist)?;
        config.check_update(&consumer.config)?;
        if consumer.config != config {
            consumer.update(config, &self.store, context);
        }
        Ok(())
    }

    fn check_new_consumer(&self, config: &ConsumerConfig, is_queue: bool) -> Result<(), ApiError> {
        if self.config.max_consumers > 0 && self.consumers.len() as i64 >= self.config.max_consumers {
            return Err(error::max_consumers());
        }
        if is_queue {
            self.check_queue_consumer(config)?;
        }
        match config.ack_policy {
            AckPolicy::Explicit => Ok(()),
            _ => Err(error::not_modelled("ack policy but explicit")),
        }
    }

    fn check_queue_consumer(&self, config: &ConsumerConfig) -> Result<(), ApiError> {
        if config.ack_policy != AckPolicy::Explicit {
            return Err(error::requires_explicit_ack());
        }
        if config.deliver_policy != DeliverPolicy::All {
            return Err(error::not_deliver_all());
        }
        let filters = config.filters();
        if !self.consumers.is_empty() && filters.is_empty() {
            return Err(error::multiple_unfiltered());
        }
        if !self.is_unique(&config.name, &filters) {
            return Err(error::consumer_not_unique());
        }
        Ok(())
    }

    fn describe_consumer(&mut self, name: &str, version: Option<&str>, context: &mut Context<'_>) -> Answer {
        let consumer = self.consumers.get_mut(name).ok_or_else(error::consumer_not_found)?;
        Ok(consumer.info(&self.store, version, context))
    }
}
