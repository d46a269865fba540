//! From the options of an MQTT out to a client.

use std::rc::Rc;
use std::sync::Arc;

use message::{Document, Fault};
use serde_json::Value;

use super::{MqttSink, SinkOptions};
use crate::contract::Sink;
use crate::kind::{Described, Host, Policy, Published, Route, Secrets, SinkKind, SinkSpec, Template, field, typed};
use crate::mqtt::broker::{Broker, Version};
use crate::mqtt::options::MqttOut;
use crate::mqtt::spec::{broker, broker_faults, named, own_client_id, qos, referred, text, version_faults};
use crate::mqtt::topic::TopicTemplate;

pub struct MqttSinkKind;

impl Described for MqttSinkKind {
    type Options = MqttOut;
    const NAME: &'static str = "mqtt";
    const SUMMARY: &'static str = "A topic of an MQTT broker.";
    const EXAMPLE: &'static str = include_str!("../example_out.yaml");
    const CHECKED: &'static str =
        "That the broker takes the client: its certificate, user and password. Nothing is published.";
}

impl SinkKind for MqttSinkKind {
    fn compile(&self, options: &Value) -> Result<Arc<dyn SinkSpec>, Vec<Fault>> {
        Ok(Arc::new(target(typed(options)?)?))
    }
}

fn target(options: MqttOut) -> Result<MqttTarget, Vec<Fault>> {
    let mut faults = broker_faults(&options.broker, None);
    let of_v5 = [
        ("message_expiry", options.message_expiry.is_some()),
        ("content_type", options.content_type.is_some()),
        ("properties", !options.properties.is_empty()),
    ];
    faults.extend(version_faults(options.broker.version, &of_v5));
    match TopicTemplate::parse(&options.topic) {
        Ok(topic) if faults.is_empty() => {
            let template = blake3::hash(topic.as_str().as_bytes()).to_hex().as_str()[..16].to_owned();
            Ok(MqttTarget { topic, template, options })
        }
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(fault.at_pointer("/topic"));
            Err(faults)
        }
    }
}

/// A broker's topic, without the values of secrets.
#[derive(Clone, Debug)]
pub struct MqttTarget {
    topic: TopicTemplate,
    /// A hash of the topic's template, 16 hex digits.
    template: String,
    options: MqttOut,
}

impl MqttTarget {
    /// # Errors
    /// `secret/not-found`
    fn client(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<SinkOptions, Fault> {
        let options = &self.options;
        let own = || own_client_id(host.customer, host.pipeline);
        let client_id = options.broker.client_id.clone().unwrap_or_else(own);
        let property = |(name, value)| Ok((String::clone(name), text(value, secrets)?));
        let properties: Result<Vec<_>, Fault> = options.properties.iter().map(property).collect();
        Ok(SinkOptions {
            qos: qos(options.qos),
            retain: options.retain,
            message_expiry: options.message_expiry.as_ref().map(|span| span.length()),
            content_type: options.content_type.as_ref().map(|text| text.to_string()),
            properties: properties?,
            window: options.window,
            timeout: options.timeout.length(),
            ..SinkOptions::new(broker(&options.broker, secrets)?, &client_id, self.topic.clone())
        })
    }

    fn sink(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<MqttSink, Fault> {
        MqttSink::new(self.client(secrets, host)?, host.addresses)
    }
}

impl SinkSpec for MqttTarget {
    fn secrets(&self) -> Vec<&str> {
        let properties = self.options.properties.values().filter_map(named);
        referred(&self.options.broker).chain(properties).map(|secret| secret.secret.as_str()).collect()
    }

    fn describe(&self) -> String {
        format!("MQTT {} at {}", self.options.topic, self.options.broker.url)
    }

    fn published(&self) -> Option<Published<'_>> {
        let broker = Broker::parse(&self.options.broker.url).ok()?.address();
        Some(Published { broker, topic: &self.options.topic, is_counted: self.options.broker.version == Version::V5 })
    }

    fn route(&self) -> Route<'_> {
        Route::Lane
    }

    /// One batch at a time keeps the order.
    fn policy(&self) -> Policy {
        Policy {
            batch: usize::from(self.options.window.max(1)),
            workers: 1,
            retry_for: self.options.retry_for.length(),
            timeout: self.options.timeout.length(),
        }
    }

    fn template(&self) -> Option<&dyn Template> {
        (!self.topic.is_static()).then_some(self as &dyn Template)
    }

    fn check(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<(), Fault> {
        let sink = self.sink(secrets, host);
        sink.map(drop).map_err(|fault| match fault.place().pointer {
            Some(_) => fault,
            None => fault.at_pointer(""),
        })
    }

    fn open(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Sink>, Fault> {
        Ok(Rc::new(self.sink(secrets, host)?))
    }
}

impl Template for MqttTarget {
    fn hash(&self) -> &str {
        &self.template
    }

    fn render(&self, document: &Document) -> Result<String, Fault> {
        self.topic.render(|path| field(document, path))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::Kind;

    fn compile(options: &Value) -> Result<MqttTarget, Vec<Fault>> {
        target(typed(&MqttSinkKind.canonical(options).unwrap())?)
    }

    #[test]
    fn an_out_is_told_by_its_topic_and_names_its_secrets() {
        let broker = json!({"url": "mqtt://b.example", "user": {"secret": "user"}, "password": {"secret": "pw"}});
        let properties = json!({"site": "north", "key": {"secret": "key"}});
        let out = compile(&json!({"broker": broker, "topic": "a/{b}", "properties": properties})).unwrap();
        assert_eq!(
            (out.describe(), out.secrets()),
            ("MQTT a/{b} at mqtt://b.example".into(), vec!["user", "pw", "key"])
        );
        assert!(out.template().is_some());
        assert_eq!((out.policy().batch, out.policy().workers), (64, 1));
    }

    #[test]
    fn the_id_of_a_pipelines_session_is_refused() {
        let broker = json!({"url": "mqtt://b.example", "client_id": "vrsky_acme_km1"});
        let faults = compile(&json!({"broker": broker, "topic": "a"})).unwrap_err();
        assert_eq!(faults[0].place().pointer.as_deref(), Some("/broker/client_id"));
    }

    #[test]
    fn what_cannot_work_is_refused_where_it_stands() {
        let old = json!({"url": "mqtt://b.example", "version": "v3.1.1"});
        let options = json!({"broker": old, "topic": "a/#", "message_expiry": "1h", "content_type": "text/xml"});
        let faults = compile(&options).unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.place().pointer.clone().unwrap()).collect();
        assert_eq!(pointers, ["/message_expiry", "/content_type", "/topic"]);
    }
}
