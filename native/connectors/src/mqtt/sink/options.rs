//! What an out asks of its broker, with the values of its secrets.

use std::time::Duration;

use message::Fault;

use crate::mqtt::HOPS;
use crate::mqtt::broker::{Broker, Qos, check_client_id, invalid};
use crate::mqtt::topic::TopicTemplate;

/// One out.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    pub broker: Broker,
    /// Each connection adds some characters, since shards, nodes and revisions connect at the same time.
    pub client_id: String,
    pub topic: TopicTemplate,
    pub qos: Qos,
    pub retain: bool,
    /// After this the broker drops what it could not deliver; with MQTT 5 only.
    pub message_expiry: Option<Duration>,
    /// In place of the message's; with MQTT 5 only.
    pub content_type: Option<String>,
    /// Further user properties; with MQTT 5 only.
    pub properties: Vec<(String, String)>,
    /// Publishes that wait for the broker's answer.
    pub window: u16,
    /// From the hand-over of a message to the broker's answer.
    pub timeout: Duration,
}

impl SinkOptions {
    #[must_use]
    pub fn new(broker: Broker, client_id: &str, topic: TopicTemplate) -> SinkOptions {
        SinkOptions {
            broker,
            client_id: client_id.to_owned(),
            topic,
            qos: Qos::AtLeastOnce,
            retain: false,
            message_expiry: None,
            content_type: None,
            properties: Vec::new(),
            window: 64,
            timeout: Duration::from_secs(10),
        }
    }

    /// # Errors
    /// `config/invalid-value`, with the pointer of the option.
    pub fn check(&self) -> Result<(), Fault> {
        check_client_id(&self.client_id)?;
        let is_text = |text: &str| text.len() <= 1024 && !text.chars().any(char::is_control);
        if !self.content_type.as_deref().is_none_or(is_text) {
            return Err(invalid("/content_type", "the content type is too long, or has control characters"));
        }
        if self.properties.iter().any(|(name, _)| name.eq_ignore_ascii_case(HOPS)) {
            return Err(invalid("/properties", "the property X-Vrsky-Hops is set by the connector"));
        }
        match self.properties.iter().find(|(name, value)| name.is_empty() || !is_text(name) || !is_text(value)) {
            Some((name, _)) => {
                let reason = format!("the property {name:?} is empty, too long, or has control characters");
                Err(invalid("/properties", &reason))
            }
            None => Ok(()),
        }
    }
}
