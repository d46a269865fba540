//! The configuration of a pull consumer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Fields, Retention, StreamConfig, shown_metadata, stored_metadata};
use crate::jetstream::error::{self, ApiError};
use crate::subject::{covers, is_asset_name, is_valid};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliverPolicy {
    #[default]
    All,
    Last,
    New,
    ByStartSequence,
    ByStartTime,
    LastPerSubject,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckPolicy {
    #[default]
    None,
    All,
    Explicit,
    FlowControl,
}

/// Times are nanoseconds; limits of -1 are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    pub durable_name: String,
    pub name: String,
    pub description: String,
    pub deliver_policy: DeliverPolicy,
    pub opt_start_seq: u64,
    pub ack_policy: AckPolicy,
    pub ack_wait: i64,
    pub max_deliver: i64,
    pub filter_subject: String,
    pub filter_subjects: Vec<String>,
    pub replay_policy: String,
    pub max_waiting: i64,
    pub max_ack_pending: i64,
    pub max_batch: i64,
    pub max_expires: i64,
    pub max_bytes: i64,
    pub inactive_threshold: i64,
    pub num_replicas: i64,
    pub metadata: BTreeMap<String, String>,
}

const NOT_MODELLED: [&str; 16] = [
    "backoff",
    "deliver_group",
    "deliver_subject",
    "direct",
    "flow_control",
    "headers_only",
    "idle_heartbeat",
    "mem_storage",
    "opt_start_time",
    "pause_until",
    "priority_groups",
    "priority_policy",
    "priority_timeout",
    "rate_limit_bps",
    "sample_freq",
    "sourcing",
];

const DEFAULT_ACK_WAIT: i64 = 30_000_000_000;
const DEFAULT_ACK_PENDING: i64 = 1_000;
const DEFAULT_WAITING: i64 = 512;

impl ConsumerConfig {
    /// What a request asks for, as it stands there.
    ///
    /// # Errors
    /// When it cannot be read, or asks for what the model does not have.
    pub fn take(mut fields: Fields) -> Result<ConsumerConfig, ApiError> {
        let config = ConsumerConfig {
            durable_name: fields.take("durable_name")?,
            name: fields.take("name")?,
            description: fields.take("description")?,
            deliver_policy: fields.take("deliver_policy")?,
            opt_start_seq: fields.take("opt_start_seq")?,
            ack_policy: fields.take("ack_policy")?,
            ack_wait: fields.take("ack_wait")?,
            max_deliver: fields.take("max_deliver")?,
            filter_subject: fields.take("filter_subject")?,
            filter_subjects: fields.take("filter_subjects")?,
            replay_policy: fields.take("replay_policy")?,
            max_waiting: fields.take("max_waiting")?,
            max_ack_pending: fields.take("max_ack_pending")?,
            max_batch: fields.take("max_batch")?,
            max_expires: fields.take("max_expires")?,
            max_bytes: fields.take("max_bytes")?,
            inactive_threshold: fields.take("inactive_threshold")?,
            num_replicas: fields.take("num_replicas")?,
            metadata: stored_metadata(fields.take("metadata")?),
        };
        fields.finish(&NOT_MODELLED)?;
        Ok(config)
    }

    /// With the server's defaults.
    #[must_use]
    pub fn completed(mut self) -> ConsumerConfig {
        if self.max_deliver == 0 || self.max_deliver < -1 {
            self.max_deliver = -1;
        }
        for number in [&mut self.max_batch, &mut self.max_expires, &mut self.max_bytes, &mut self.inactive_threshold] {
            *number = (*number).max(0);
        }
        if self.max_waiting <= 0 {
            self.max_waiting = DEFAULT_WAITING;
        }
        if self.ack_wait == 0 && matches!(self.ack_policy, AckPolicy::Explicit | AckPolicy::All) {
            self.ack_wait = DEFAULT_ACK_WAIT;
        }
        self.max_ack_pending = match self.max_ack_pending {
            0 if self.ack_policy != AckPolicy::None => DEFAULT_ACK_PENDING,
            pending => pending.max(-1),
        };
        if self.replay_policy.is_empty() {
            self.replay_policy = "instant".into();
        }
        self
    }

    /// # Errors
    /// When a consumer of this stream cannot be like this.
    pub fn check(&self, stream: &StreamConfig) -> Result<(), ApiError> {
        for (name, what) in [(&self.name, "consumer name"), (&self.durable_name, "consumer durable name")] {
            if !name.is_empty() && !is_asset_name(name) {
                let text = format!("{what} can not contain '.', '*', '>', '\\', '/'");
                return Err(error::stream_invalid_config(text));
            }
        }
        if self.ack_policy == AckPolicy::None && stream.retention == Retention::WorkQueue {
            return Err(error::pull_requires_ack());
        }
        self.check_filters()?;
        self.check_start()?;
        if !self.durable_name.is_empty() && !self.name.is_empty() && self.name != self.durable_name {
            return Err(error::name_mismatch());
        }
        Ok(())
    }

    fn check_filters(&self) -> Result<(), ApiError> {
        if !self.filter_subject.is_empty() && !self.filter_subjects.is_empty() {
            return Err(error::duplicate_filters());
        }
        if self.filter_subjects.iter().any(String::is_empty) {
            return Err(error::empty_filter());
        }
        let filters = self.filters();
        for (index, filter) in filters.iter().enumerate() {
            if !is_valid(filter) {
                return Err(error::stream_invalid_config("malformed subject"));
            }
            let others = filters.iter().enumerate().filter(|(other, _)| *other != index);
            if others.map(|(_, other)| other).any(|other| covers(other, filter)) {
                return Err(error::overlapping_filters());
            }
        }
        Ok(())
    }

    fn check_start(&self) -> Result<(), ApiError> {
        let policy = match self.deliver_policy {
            DeliverPolicy::All => "all",
            DeliverPolicy::Last => "last",
            DeliverPolicy::New => "new",
            DeliverPolicy::ByStartSequence if self.opt_start_seq == 0 => {
                let text =
                    "consumer delivery policy is deliver by start sequence, but optional start sequence is not set";
                return Err(error::invalid_policy(text));
            }
            DeliverPolicy::ByStartSequence => return Ok(()),
            DeliverPolicy::ByStartTime | DeliverPolicy::LastPerSubject => {
                return Err(error::not_modelled("deliver policy of this name"));
            }
        };
        if self.opt_start_seq > 0 {
            let text = format!("consumer delivery policy is deliver {policy}, but optional start sequence is also set");
            return Err(error::invalid_policy(text));
        }
        Ok(())
    }

    /// What may not change.
    ///
    /// # Errors
    /// Names it.
    pub fn check_update(&self, old: &ConsumerConfig) -> Result<(), ApiError> {
        let refused = |text: &str| Err(error::consumer_create(text));
        if self.deliver_policy != old.deliver_policy {
            return refused("deliver policy can not be updated");
        }
        if self.opt_start_seq != old.opt_start_seq {
            return refused("start sequence can not be updated");
        }
        if self.ack_policy != old.ack_policy {
            return refused("ack policy can not be updated");
        }
        if self.replay_policy != old.replay_policy {
            return refused("replay policy can not be updated");
        }
        if self.max_waiting != old.max_waiting {
            return refused("max waiting can not be updated");
        }
        Ok(())
    }

    /// Subjects that it delivers; empty for all.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        match self.filter_subject.as_str() {
            "" => self.filter_subjects.clone(),
            filter => vec![filter.to_owned()],
        }
    }

    /// As an answer has it; `version`: of the server.
    #[must_use]
    pub fn to_json(&self, version: Option<&str>) -> Value {
        const ALWAYS: [&str; 4] = ["deliver_policy", "ack_policy", "replay_policy", "num_replicas"];
        let mut out = Map::new();
        let metadata = version.map_or_else(|| self.metadata.clone(), |version| shown_metadata(&self.metadata, version));
        for (name, value) in [
            ("durable_name", json!(self.durable_name)),
            ("name", json!(self.name)),
            ("description", json!(self.description)),
            ("deliver_policy", json!(self.deliver_policy)),
            ("opt_start_seq", json!(self.opt_start_seq)),
            ("ack_policy", json!(self.ack_policy)),
            ("ack_wait", json!(self.ack_wait)),
            ("max_deliver", json!(self.max_deliver)),
            ("filter_subject", json!(self.filter_subject)),
            ("filter_subjects", json!(self.filter_subjects)),
            ("replay_policy", json!(self.replay_policy)),
            ("max_waiting", json!(self.max_waiting)),
            ("max_ack_pending", json!(self.max_ack_pending)),
            ("max_batch", json!(self.max_batch)),
            ("max_expires", json!(self.max_expires)),
            ("max_bytes", json!(self.max_bytes)),
            ("inactive_threshold", json!(self.inactive_threshold)),
            ("num_replicas", json!(self.num_replicas)),
            ("metadata", json!(metadata)),
        ] {
            let is_default = value == json!("") || value == json!(0) || value == json!([]);
            if !is_default || ALWAYS.contains(&name) {
                out.insert(name.into(), value);
            }
        }
        Value::Object(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<ConsumerConfig, u32> {
        let stream = StreamConfig::parse(br#"{"name": "S", "retention": "workqueue"}"#).unwrap();
        let config = ConsumerConfig::take(Fields::parse(json.as_bytes()).unwrap()).map_err(|error| error.err_code)?;
        let config = config.completed();
        config.check(&stream).map_err(|error| error.err_code)?;
        Ok(config)
    }

    #[test]
    fn defaults_are_the_servers() {
        let config = checked(r#"{"ack_policy": "explicit", "max_deliver": 0}"#).unwrap();
        assert_eq!((config.max_deliver, config.max_waiting, config.max_ack_pending), (-1, 512, 1000));
        assert_eq!(config.ack_wait, 30_000_000_000);
    }

    #[test]
    fn impossible_consumers_are_refused() {
        for (json, code) in [
            (r#"{}"#, 10084),
            (r#"{"ack_policy": "explicit", "name": "a.b"}"#, 10052),
            (r#"{"ack_policy": "explicit", "filter_subject": "a", "filter_subjects": ["b"]}"#, 10136),
            (r#"{"ack_policy": "explicit", "filter_subjects": ["a.>", "a.b"]}"#, 10138),
            (r#"{"ack_policy": "explicit", "opt_start_seq": 3}"#, 10094),
            (r#"{"ack_policy": "explicit", "name": "a", "durable_name": "b"}"#, 10132),
            (r#"{"ack_policy": "explicit", "deliver_subject": "b"}"#, 0),
        ] {
            assert_eq!(checked(json).map(|_| ()), Err(code), "{json}");
        }
    }
}
