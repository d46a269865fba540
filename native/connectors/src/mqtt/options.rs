//! What a pipeline file says of MQTT.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::broker::Version;
use crate::http::options::OutTls;
use crate::options::{HeaderText, PassedHeader, Secret, Span, TopicFilter};

/// Messages of an MQTT broker. The broker is told that it may forget a message (PUBACK, or PUBREC with QoS 2) when the
/// message is stored, and not before; it keeps what comes while nobody is connected. A message has its topic as the
/// header `Mqtt-Topic`, `Mqtt-Qos`, `Mqtt-Retain: true` when the broker had kept it, `traceparent` and `tracestate` where
/// these are user properties, and the `properties` that stand here. One node reads, by one of its threads: a second one
/// with the same `client_id` would take the session over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttIn {
    /// Which broker, and who we are there.
    pub broker: MqttBroker,
    /// What is subscribed to; `+` stands for one level, `#` for all that follow. A topic that is taken out of here,
    /// and one that was asked for with another `share`, is unsubscribed from, at a reload and at the next start: which ones
    /// these are stands in `<data>/files/.sources/<customer>/<pipeline>/`. What an earlier version or another node has
    /// subscribed to is not known there: it stays in the session until that is removed at the broker, or another
    /// `client_id` begins a new one. With `v3.1.1` a topic that is there is not subscribed to again, which would bring its
    /// retained messages again; nodes that hold leases do so at each start. No two of them may fit the same topic, such as
    /// `s/#` and `s/+/state`: a broker would send its messages once for each.
    #[schemars(length(min = 1, max = 16))]
    pub topics: Vec<TopicFilter>,
    /// 0: at most once. 1: at least once. 2: once on the way from the broker, as long as the node runs. A broker that
    /// grants less is not read.
    #[serde(default = "qos")]
    #[schemars(range(min = 0, max = 2))]
    pub qos: u8,
    /// The name of a group that shares the messages (`$share/NAME/TOPIC`): several pipelines, each with its own
    /// `client_id`, or other subscribers. Each pipeline is read by one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), extend("format" = "mqtt-name"))]
    pub share: Option<String>,
    /// How long the broker keeps messages while nobody is connected. Without it: `168h`. With `v5` only; a broker of
    /// 3.1.1 decides by itself. A broker that keeps them for a shorter time is read, and an event says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_expiry: Option<Span>,
    /// User properties that go on as headers: `site` as `Mqtt-Property-site`. With `v5` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub properties: Vec<PassedHeader>,
    /// Most messages that are read and not yet stored. With `v5` the broker is told.
    #[serde(default = "in_window")]
    #[schemars(range(min = 1, max = 4096))]
    pub window: u16,
    /// The largest packet that is taken from the broker, bytes. With `v5` the broker is told, and drops what is larger;
    /// a larger one ends the connection before it is read, again and again until the broker has it no longer.
    #[serde(default = "max_packet")]
    #[schemars(range(min = 1024, max = 268_435_460))]
    pub max_packet: u32,
}

/// A message per message, delivered when the broker has taken it: PUBACK, or PUBCOMP with QoS 2. With `v5` it has the
/// message's content type, and as user properties `Idempotency-Key: <message id>`, those of `traceparent`, `tracestate`,
/// `X-Request-Id` and `ce-*` that came in, and the `properties` that stand here; `X-Vrsky-Hops` counts how often outs have
/// passed the message on, and the 16th time it becomes a dead letter (`mqtt/loop`). 3.1.1 has no properties: an out whose
/// topic the in of the same pipeline reads is refused, and a loop over several pipelines or brokers has no end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttOut {
    /// Which broker, and who we are there. Each connection adds some characters to `client_id`.
    pub broker: MqttBroker,
    /// Where to. Fields of the message may stand in it: `sensors/{device.id}/state`. A value must not be empty, nor have
    /// `/`, `+`, `#` or control characters.
    #[schemars(length(min = 1, max = 1024))]
    #[schemars(extend("format" = "mqtt-topic"))]
    pub topic: String,
    /// 0: at most once on the way to the broker. 1: at least once. 2: once, as long as the connection holds.
    #[serde(default = "qos")]
    #[schemars(range(min = 0, max = 2))]
    pub qos: u8,
    /// Whether the broker keeps the message for those who subscribe later.
    #[serde(default)]
    pub retain: bool,
    /// When the broker may drop what it could not pass on. With `v5` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_expiry: Option<Span>,
    /// The content type in place of the message's. With `v5` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<HeaderText>,
    /// Further user properties: a text, or `{secret: NAME}`. With `v5` only.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "propertyNames" = {"minLength": 1, "maxLength": 128}))]
    pub properties: IndexMap<String, MqttText>,
    /// Longest time from the hand-over of a message to the broker's answer.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// How long a message is tried before it goes to the dead letters.
    #[serde(default = "retry_for")]
    pub retry_for: Span,
    /// Most messages that wait for the broker's answer; with QoS 2 and `v3.1.1` never more than 10, since a broker of
    /// 3.1.1 cannot say how many it holds.
    #[serde(default = "out_window")]
    #[schemars(range(min = 1, max = 1024))]
    pub window: u16,
}

/// A broker, and who we are there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttBroker {
    /// `mqtts://broker.example:8883`, or `mqtt://broker.example:1883` without TLS; the ports are the usual ones.
    #[schemars(extend("format" = "url"))]
    pub url: String,
    /// The version of the protocol.
    #[serde(default)]
    pub version: Version,
    /// Names the session at the broker. Without it: `vrsky_<customer>_<pipeline>`; no other id may begin with `vrsky_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), extend("format" = "mqtt-name"))]
    pub client_id: Option<String>,
    /// The user: a text, or `{secret: NAME}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<MqttText>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Of mqtts: whom the broker is certified by, and who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<OutTls>,
    /// Time between two signs of life.
    #[serde(default = "keep_alive")]
    pub keep_alive: Span,
}

/// A text, or a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MqttText {
    /// As it stands here.
    Text(HeaderText),
    /// A secret of the customer.
    Secret(Secret),
}

fn qos() -> u8 {
    1
}

fn in_window() -> u16 {
    256
}

fn out_window() -> u16 {
    64
}

fn max_packet() -> u32 {
    16 << 20
}

fn keep_alive() -> Span {
    Span::constant("30s", Duration::from_secs(30))
}

fn timeout() -> Span {
    Span::constant("10s", Duration::from_secs(10))
}

fn retry_for() -> Span {
    Span::constant("1h", Duration::from_secs(3600))
}
