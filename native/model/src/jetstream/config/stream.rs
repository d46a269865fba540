//! The configuration of a stream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Fields, shown_metadata, stored_metadata};
use crate::jetstream::error::{self, ApiError};
use crate::subject::{collide, covers, is_asset_name, is_valid};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    #[default]
    Limits,
    Interest,
    #[serde(rename = "workqueue")]
    WorkQueue,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discard {
    #[default]
    Old,
    New,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    #[default]
    File,
    Memory,
}

/// Limits of -1 are none. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    pub name: String,
    pub description: String,
    pub subjects: Vec<String>,
    pub retention: Retention,
    pub max_consumers: i64,
    pub max_msgs: i64,
    pub max_bytes: i64,
    pub max_age: i64,
    pub max_msgs_per_subject: i64,
    pub max_msg_size: i64,
    pub discard: Discard,
    pub storage: Storage,
    pub num_replicas: i64,
    pub no_ack: bool,
    pub duplicate_window: i64,
    pub compression: String,
    pub allow_direct: bool,
    pub discard_new_per_subject: bool,
    pub deny_delete: bool,
    pub deny_purge: bool,
    pub metadata: BTreeMap<String, String>,
}

const NOT_MODELLED: [&str; 19] = [
    "allow_atomic",
    "allow_batched",
    "allow_msg_counter",
    "allow_msg_schedules",
    "allow_msg_ttl",
    "allow_rollup_hdrs",
    "consumer_limits",
    "first_seq",
    "mirror",
    "mirror_direct",
    "persist_mode",
    "pedantic",
    "placement",
    "republish",
    "sealed",
    "sources",
    "subject_delete_marker_ttl",
    "subject_transform",
    "template_owner",
];

const DEFAULT_DUPLICATE_WINDOW: i64 = 120_000_000_000;
const SHORTEST: i64 = 100_000_000;

impl StreamConfig {
    /// What a request asks for, as it stands there.
    ///
    /// # Errors
    /// When it cannot be read, or asks for what the model does not have.
    pub fn parse(json: &[u8]) -> Result<StreamConfig, ApiError> {
        let mut fields = Fields::parse(json)?;
        let config = StreamConfig {
            name: fields.take("name")?,
            description: fields.take("description")?,
            subjects: fields.take("subjects")?,
            retention: fields.take("retention")?,
            max_consumers: fields.take("max_consumers")?,
            max_msgs: fields.take("max_msgs")?,
            max_bytes: fields.take("max_bytes")?,
            max_age: fields.take("max_age")?,
            max_msgs_per_subject: fields.take("max_msgs_per_subject")?,
            max_msg_size: fields.take("max_msg_size")?,
            discard: fields.take("discard")?,
            storage: fields.take("storage")?,
            num_replicas: fields.take("num_replicas")?,
            no_ack: fields.take("no_ack")?,
            duplicate_window: fields.take("duplicate_window")?,
            compression: fields.take("compression")?,
            allow_direct: fields.take("allow_direct")?,
            discard_new_per_subject: fields.take("discard_new_per_subject")?,
            deny_delete: fields.take("deny_delete")?,
            deny_purge: fields.take("deny_purge")?,
            metadata: stored_metadata(fields.take("metadata")?),
        };
        fields.finish(&NOT_MODELLED)?;
        if config.retention == Retention::Interest {
            return Err(error::not_modelled("interest retention"));
        }
        Ok(config)
    }

    /// With the server's defaults.
    ///
    /// # Errors
    /// When no stream can be like this.
    pub fn completed(mut self) -> Result<StreamConfig, ApiError> {
        if !is_asset_name(&self.name) {
            return Err(error::stream_invalid_config(
                "stream name is required and can not contain '.', '*', '>', '\\', '/'",
            ));
        }
        if self.num_replicas == 0 {
            self.num_replicas = 1;
        }
        if self.compression.is_empty() {
            self.compression = "none".into();
        }
        for limit in [
            &mut self.max_consumers,
            &mut self.max_msgs,
            &mut self.max_bytes,
            &mut self.max_msgs_per_subject,
            &mut self.max_msg_size,
        ] {
            *limit = if *limit <= 0 { -1 } else { *limit };
        }
        self.complete_times()?;
        self.check_discard()?;
        if self.subjects.is_empty() {
            self.subjects.push(self.name.clone());
        }
        self.check_subjects()?;
        Ok(self)
    }

    fn complete_times(&mut self) -> Result<(), ApiError> {
        let refused = |text: &str| Err(error::stream_invalid_config(text));
        if self.max_age < 0 {
            return refused("max age can not be negative");
        }
        if self.max_age != 0 && self.max_age < SHORTEST {
            return refused("max age needs to be >= 100ms");
        }
        if self.duplicate_window == 0 {
            let short_lived = self.max_age != 0 && self.max_age < DEFAULT_DUPLICATE_WINDOW;
            self.duplicate_window = if short_lived { self.max_age } else { DEFAULT_DUPLICATE_WINDOW };
        }
        if self.duplicate_window < 0 {
            return refused("duplicates window can not be negative");
        }
        if self.max_age != 0 && self.duplicate_window > self.max_age {
            return refused("duplicates window can not be larger then max age");
        }
        if self.duplicate_window < SHORTEST {
            return refused("duplicates window needs to be >= 100ms");
        }
        Ok(())
    }

    fn check_discard(&self) -> Result<(), ApiError> {
        if !self.discard_new_per_subject {
            return Ok(());
        }
        if self.discard != Discard::New {
            let text = "discard new per subject requires discard new policy to be set";
            return Err(error::stream_invalid_config(text));
        }
        if self.max_msgs_per_subject <= 0 {
            let text = "discard new per subject requires max msgs per subject > 0";
            return Err(error::stream_invalid_config(text));
        }
        Ok(())
    }

    fn check_subjects(&self) -> Result<(), ApiError> {
        for (index, subject) in self.subjects.iter().enumerate() {
            if !is_valid(subject) {
                return Err(error::stream_invalid_config("invalid subject"));
            }
            if self.subjects[..index].contains(subject) {
                return Err(error::stream_invalid_config("duplicate subjects detected"));
            }
            if !self.no_ack {
                check_reserved(subject)?;
            }
            if let Some(other) = self.subjects[index + 1..].iter().find(|other| collide(other, subject)) {
                let text = format!("subject \"{subject}\" overlaps with \"{other}\"");
                return Err(error::stream_invalid_config(text));
            }
        }
        Ok(())
    }

    /// What may not change.
    ///
    /// # Errors
    /// Names it.
    pub fn check_update(&self, old: &StreamConfig) -> Result<(), ApiError> {
        let refused = |text: &str| Err(error::stream_invalid_config(text));
        if self.num_replicas > 1 {
            return Err(error::replicas_not_supported());
        }
        if self.storage != old.storage {
            return refused("stream configuration update can not change storage type");
        }
        if self.retention != old.retention {
            return refused("stream configuration update can not change retention policy to/from workqueue");
        }
        if old.deny_delete && !self.deny_delete {
            return refused("stream configuration update can not cancel deny message deletes");
        }
        if old.deny_purge && !self.deny_purge {
            return refused("stream configuration update can not cancel deny purge");
        }
        Ok(())
    }

    /// As an answer has it; `version`: of the server.
    #[must_use]
    pub fn to_json(&self, version: Option<&str>) -> Value {
        const OMITTED: [&str; 3] = ["description", "no_ack", "discard_new_per_subject"];
        let is_default = |value: &Value| *value == json!("") || *value == json!(false);
        let shown = self.values().into_iter().filter(|(name, value)| !(OMITTED.contains(name) && is_default(value)));
        let mut out: Map<String, Value> = shown.map(|(name, value)| (name.to_owned(), value)).collect();
        let metadata = version.map_or_else(|| self.metadata.clone(), |version| shown_metadata(&self.metadata, version));
        out.insert("metadata".into(), json!(metadata));
        Value::Object(out)
    }

    /// All but the metadata, in the server's order.
    fn values(&self) -> [(&'static str, Value); 25] {
        [
            ("name", json!(self.name)),
            ("description", json!(self.description)),
            ("subjects", json!(self.subjects)),
            ("retention", json!(self.retention)),
            ("max_consumers", json!(self.max_consumers)),
            ("max_msgs", json!(self.max_msgs)),
            ("max_bytes", json!(self.max_bytes)),
            ("max_age", json!(self.max_age)),
            ("max_msgs_per_subject", json!(self.max_msgs_per_subject)),
            ("max_msg_size", json!(self.max_msg_size)),
            ("discard", json!(self.discard)),
            ("storage", json!(self.storage)),
            ("num_replicas", json!(self.num_replicas)),
            ("no_ack", json!(self.no_ack)),
            ("duplicate_window", json!(self.duplicate_window)),
            ("compression", json!(self.compression)),
            ("allow_direct", json!(self.allow_direct)),
            ("mirror_direct", json!(false)),
            ("discard_new_per_subject", json!(self.discard_new_per_subject)),
            ("sealed", json!(false)),
            ("deny_delete", json!(self.deny_delete)),
            ("deny_purge", json!(self.deny_purge)),
            ("allow_rollup_hdrs", json!(false)),
            ("consumer_limits", json!({})),
            ("allow_msg_ttl", json!(false)),
        ]
    }
}

fn check_reserved(subject: &str) -> Result<(), ApiError> {
    let refused = |text: &str| Err(error::stream_invalid_config(text));
    if subject == ">" {
        return refused("capturing all subjects requires no-ack to be true");
    }
    let of_api = ["$JS.>", "$JSC.>", "$NRG.>"].iter().any(|reserved| collide(subject, reserved));
    if of_api && !covers("$JS.EVENT.>", subject) {
        return refused("subjects that overlap with jetstream api require no-ack to be true");
    }
    if collide(subject, "$SYS.>") && !covers("$SYS.ACCOUNT.>", subject) {
        return refused("subjects that overlap with system api require no-ack to be true");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(json: &str) -> Result<StreamConfig, String> {
        StreamConfig::parse(json.as_bytes()).and_then(StreamConfig::completed).map_err(|error| error.description)
    }

    #[test]
    fn defaults_are_the_servers() {
        let config = completed(r#"{"name": "S"}"#).unwrap();
        assert_eq!((config.subjects, config.max_msgs, config.num_replicas), (vec!["S".to_owned()], -1, 1));
        assert_eq!(config.duplicate_window, DEFAULT_DUPLICATE_WINDOW);
        assert_eq!(completed(r#"{"name": "S", "max_age": 200000000}"#).unwrap().duplicate_window, 200_000_000);
    }

    #[test]
    fn impossible_streams_are_refused() {
        for (json, text) in [
            (r#"{"name": "a.b"}"#, "stream name is required"),
            (r#"{"name": "S", "subjects": ["a.>", "a.b"]}"#, "overlaps with"),
            (r#"{"name": "S", "subjects": [">"]}"#, "capturing all"),
            (r#"{"name": "S", "subjects": ["$JS.x"]}"#, "jetstream api"),
            (r#"{"name": "S", "duplicate_window": 5}"#, "duplicates window needs"),
            (r#"{"name": "S", "discard_new_per_subject": true}"#, "requires discard new"),
            (r#"{"name": "S", "mirror": {"name": "T"}}"#, "the model"),
            (r#"{"name": "S", "nonsense": 1}"#, "unknown field"),
        ] {
            let error = completed(json).unwrap_err();
            assert!(error.contains(text), "{json}: {error}");
        }
    }
}
