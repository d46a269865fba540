//! `tests:` examples that a pipeline file brings along.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use connectors::options::HeaderText;

use super::OneOrMany;

/// One message and what is to come of it: `out`, `dropped` or `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What the report calls it.
    pub name: String,
    /// The message.
    #[serde(rename = "in")]
    pub input: ExampleInput,
    /// Out to what it gets, or to a list when it gets several. Outs that are not named get nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("propertyNames" = {"format": "name"}))]
    pub out: Option<IndexMap<String, OneOrMany<ExpectedOut>>>,
    /// `true`: the message is dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// The code with which the message fails, such as `filter/missing-field`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "error-code"))]
    pub error: Option<String>,
}

/// What a test says of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Outs,
    Dropped,
    Error,
}

impl Example {
    /// Which of the three it names; `None` unless it is exactly one.
    #[must_use]
    pub fn expected(&self) -> Option<Expected> {
        match (&self.out, self.dropped, &self.error) {
            (Some(_), false, None) => Some(Expected::Outs),
            (None, true, None) => Some(Expected::Dropped),
            (None, false, Some(_)) => Some(Expected::Error),
            _ => None,
        }
    }
}

/// The message: one of `file`, `text`, `json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExampleInput {
    /// A file beside the pipeline file with the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "file"))]
    pub file: Option<String>,
    /// The payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The payload, as JSON.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Headers, with the `Content-Type`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(extend("propertyNames" = {"format": "header-name"}))]
    pub headers: IndexMap<String, HeaderText>,
}

/// `json: null` is a payload too, not the absence of one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What an out gets: one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ExpectedOut {
    /// Exactly this JSON value.
    Json(Value),
    /// At least this: members that are not named may be there, lists are compared whole.
    JsonContains(Value),
    /// Exactly this text.
    Text(String),
}
