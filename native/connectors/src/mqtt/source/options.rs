//! What an in asks of its broker, with the values of its secrets.

use std::path::PathBuf;
use std::time::Duration;

use message::Fault;

use crate::mqtt::broker::{Broker, Qos, check_client_id, invalid};
use crate::mqtt::topic::{check_filter, overlap};

/// One in. It is read by one shard of one node: a second client with its id takes the session over. To spread a topic
/// over several nodes, each has its own `client_id`, and all the same `group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOptions {
    pub broker: Broker,
    /// Names the session, in which the broker keeps messages while nobody is connected: stable for a pipeline.
    pub client_id: String,
    pub topics: Vec<String>,
    /// Messages are shared by all subscribers of the group.
    pub group: Option<String>,
    pub qos: Qos,
    /// How long the broker keeps the session without a connection; with MQTT 5 only.
    pub session_expiry: Duration,
    /// Messages that are read and not yet settled.
    pub window: u16,
    /// Bytes of their payloads together; one message alone may have more.
    pub max_held_bytes: usize,
    /// User properties that go on as headers.
    pub properties: Vec<String>,
    /// Which pipeline's in it is, as the host numbered them.
    pub binding: u32,
    /// Where it is written down which topics the session is subscribed to; made when missing.
    pub state: Option<PathBuf>,
    /// Whether nobody else has the session, so that what is written down is all that was asked for in it.
    pub is_alone: bool,
}

impl SourceOptions {
    #[must_use]
    pub fn new(broker: Broker, client_id: &str, topic: &str) -> SourceOptions {
        SourceOptions {
            broker,
            client_id: client_id.to_owned(),
            topics: vec![topic.to_owned()],
            group: None,
            qos: Qos::AtLeastOnce,
            session_expiry: Duration::from_secs(7 * 24 * 3600),
            window: 256,
            max_held_bytes: 16 << 20,
            properties: Vec::new(),
            binding: 0,
            state: None,
            is_alone: false,
        }
    }

    /// # Errors
    /// `config/invalid-value`, with the pointer of the option.
    pub fn check(&self) -> Result<(), Fault> {
        check_client_id(&self.client_id)?;
        if self.topics.is_empty() {
            return Err(invalid("/topics", "there is no topic"));
        }
        for (index, topic) in self.topics.iter().enumerate() {
            check_filter(topic).map_err(|reason| invalid(&format!("/topics/{index}"), &reason))?;
            // Of a group, too: each filter is a subscription of its own.
            if let Some(earlier) = self.topics[..index].iter().find(|earlier| overlap(earlier, topic)) {
                let reason = format!(
                    "the topics {earlier:?} and {topic:?} can fit the same message, which would come once for each; \
                     leave one of them out, or make a pipeline of each"
                );
                return Err(invalid(&format!("/topics/{index}"), &reason));
            }
        }
        if let Some(group) = &self.group
            && (group.is_empty() || group.contains(['/', '+', '#']) || group.chars().any(char::is_control))
        {
            return Err(invalid("/share", "the group's name has to be a text without `/`, `+`, `#`"));
        }
        for (index, name) in self.properties.iter().enumerate() {
            if !is_header_name(name) {
                let reason = "the property's name cannot become a header; use letters, digits and hyphens";
                return Err(invalid(&format!("/properties/{index}"), reason));
            }
        }
        Ok(())
    }

    /// As the broker has to be asked for them.
    pub(in crate::mqtt) fn filters(&self) -> Vec<String> {
        self.topics
            .iter()
            .map(|topic| self.group.as_ref().map_or_else(|| topic.clone(), |group| format!("$share/{group}/{topic}")))
            .collect()
    }
}

fn is_header_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_with_its_pointer() {
        let options = |topic: &str| SourceOptions::new(Broker::at("broker.example", 1883), "vrsky", topic);
        let pointer = |options: SourceOptions| options.check().unwrap_err().place().pointer.clone().unwrap();
        assert!(options("sensors/+/state").check().is_ok());
        assert_eq!(pointer(options("sensors/#/state")), "/topics/0");
        assert_eq!(pointer(SourceOptions { client_id: String::new(), ..options("a") }), "/client_id");
        assert_eq!(pointer(SourceOptions { group: Some("a/b".into()), ..options("a") }), "/share");
        assert_eq!(pointer(SourceOptions { properties: vec!["a b".into()], ..options("a") }), "/properties/0");
        assert_eq!(pointer(SourceOptions { properties: vec!["a\r\nb".into()], ..options("a") }), "/properties/0");
    }
}
