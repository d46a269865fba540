//! From the options of an MQTT in to a client.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::Fault;
use serde_json::Value;

use super::{MqttSource, SourceOptions};
use crate::contract::Source;
use crate::kind::{
    Attach, Claim, Described, Host, PipelineContext, Published, Secrets, SourceKind, SourceSpec, SourceTask,
    source_state, typed,
};
use crate::mqtt::HOPS;
use crate::mqtt::broker::{Broker, Version};
use crate::mqtt::options::MqttIn;
use crate::mqtt::spec::{broker, broker_faults, own_client_id, qos, referred, version_faults};
use crate::mqtt::topic::always_matches;
use crate::tls::Tls;

const SESSION_EXPIRY: Duration = Duration::from_secs(168 * 3600);
/// What goes on beside the named properties.
const HEADERS: [&str; 8] =
    ["Mqtt-Topic", "Mqtt-Qos", "Mqtt-Retain", "Content-Type", "Customer-ID", "traceparent", "tracestate", HOPS];
const PROPERTY: &str = "Mqtt-Property-";

pub struct MqttSourceKind;

impl Described for MqttSourceKind {
    type Options = MqttIn;
    const NAME: &'static str = "mqtt";
    const SUMMARY: &'static str = "Topics of an MQTT broker.";
    const EXAMPLE: &'static str = include_str!("../example_in.yaml");
    const CHECKED: &'static str = "That the secrets are there, and that certificates and key can be used.";
}

impl SourceKind for MqttSourceKind {
    fn compile(&self, options: &Value, pipeline: &PipelineContext<'_>) -> Result<Arc<dyn SourceSpec>, Vec<Fault>> {
        let options: MqttIn = typed(options)?;
        let own = own_client_id(pipeline.customer, pipeline.pipeline);
        let mut faults = broker_faults(&options.broker, Some(&own));
        let of_v5 =
            [("session_expiry", options.session_expiry.is_some()), ("properties", !options.properties.is_empty())];
        faults.extend(version_faults(options.broker.version, &of_v5));
        let client_id = options.broker.client_id.clone().unwrap_or(own);
        let spec = MqttInput { options, client_id };
        if faults.is_empty()
            && let Err(fault) = spec.client(&Unknown).and_then(|client| client.check())
        {
            faults.push(fault);
        }
        if faults.is_empty() { Ok(Arc::new(spec)) } else { Err(faults) }
    }
}

/// For what is checked before any secret is known.
struct Unknown;

impl Secrets for Unknown {
    fn get(&self, _: &str) -> Result<&str, Fault> {
        Ok("")
    }
}

/// What an in reads, without the values of its secrets.
#[derive(Clone, Debug)]
pub struct MqttInput {
    options: MqttIn,
    client_id: String,
}

impl MqttInput {
    /// # Errors
    /// `secret/not-found`
    fn client(&self, secrets: &dyn Secrets) -> Result<SourceOptions, Fault> {
        let options = &self.options;
        let mut broker = broker(&options.broker, secrets)?;
        broker.max_packet = options.max_packet;
        Ok(SourceOptions {
            topics: options.topics.iter().map(|topic| topic.to_string()).collect(),
            group: options.share.clone(),
            qos: qos(options.qos),
            session_expiry: options.session_expiry.as_ref().map_or(SESSION_EXPIRY, |span| span.length()),
            window: options.window,
            properties: options.properties.iter().map(|name| name.to_string()).collect(),
            ..SourceOptions::new(broker, &self.client_id, "")
        })
    }
}

impl SourceSpec for MqttInput {
    fn secrets(&self) -> Vec<&str> {
        referred(&self.options.broker).map(|secret| secret.secret.as_str()).collect()
    }

    fn describe(&self) -> String {
        let topics: Vec<&str> = self.options.topics.iter().map(|topic| &**topic).collect();
        format!("MQTT {} of {}", topics.join(", "), self.options.broker.url)
    }

    fn attach(&self) -> Attach<'_> {
        Attach::Task(self)
    }

    fn check(&self, secrets: &dyn Secrets) -> Result<(), Fault> {
        let client = self.client(secrets)?;
        client.broker.tls.as_ref().map_or(Ok(()), |tls| Tls::of(tls).map(drop))
    }

    /// Two clients with one id would end each other's connection.
    fn claim(&self) -> Option<Claim> {
        let what = format!("the client id {} at {}", self.client_id, self.options.broker.url);
        Some(Claim { what, option: "broker", files: None })
    }

    /// With MQTT 5 on both sides it comes back with its count, which ends the loop.
    fn reads_topic(&self, published: &Published<'_>) -> bool {
        let is_counted = self.options.broker.version == Version::V5 && published.is_counted;
        let Ok(broker) = Broker::parse(&self.options.broker.url) else { return false };
        let is_here = published.broker == broker.address();
        !is_counted && is_here && self.options.topics.iter().any(|filter| always_matches(filter, published.topic))
    }

    fn passes(&self, header: &str) -> bool {
        let property = header.get(..PROPERTY.len()).filter(|start| start.eq_ignore_ascii_case(PROPERTY));
        match property {
            Some(_) => self.options.properties.iter().any(|name| name.eq_ignore_ascii_case(&header[PROPERTY.len()..])),
            None => HEADERS.iter().any(|known| known.eq_ignore_ascii_case(header)),
        }
    }
}

impl SourceTask for MqttInput {
    fn open(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Source>, Fault> {
        let options =
            SourceOptions { state: Some(source_state(host)), is_alone: host.fence.is_none(), ..self.client(secrets)? };
        Ok(Rc::new(MqttSource::new(options, host.addresses)?))
    }

    /// A session has one client, also one of a group: with `share`, it is other pipelines and other programs that read
    /// beside it, each by a client id of its own.
    fn is_shared(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::Kind;
    use crate::kind::Reads;

    const PIPELINE: PipelineContext<'_> =
        PipelineContext { customer: "acme", pipeline: "orders", max_bytes: 1 << 20, reads: Reads::Any };

    fn pointers(options: Value) -> Vec<String> {
        let options = MqttSourceKind.canonical(&options).unwrap();
        let faults = MqttSourceKind.compile(&options, &PIPELINE).unwrap_err();
        faults.iter().map(|fault| fault.place().pointer.clone().unwrap()).collect()
    }

    #[test]
    fn an_in_is_told_by_its_topics_and_has_the_id_of_its_pipeline() {
        let options = json!({"broker": {"url": "mqtts://b.example"}, "topics": ["a/#", "b"], "properties": ["site"]});
        let spec = MqttSourceKind.compile(&MqttSourceKind.canonical(&options).unwrap(), &PIPELINE).unwrap();
        assert_eq!(spec.describe(), "MQTT a/#, b of mqtts://b.example");
        assert_eq!(spec.claim().unwrap().what, "the client id vrsky_acme_orders at mqtts://b.example");
        assert!(spec.passes("mqtt-topic") && spec.passes("Mqtt-Property-site") && !spec.passes("Mqtt-Property-x"));
        assert!(matches!(spec.attach(), Attach::Task(task) if !task.is_shared()));
    }

    #[test]
    fn the_session_of_another_pipeline_is_refused() {
        let compile = |id: &str| {
            let options = json!({"broker": {"url": "mqtt://b.example", "client_id": id}, "topics": ["a"]});
            MqttSourceKind.compile(&MqttSourceKind.canonical(&options).unwrap(), &PIPELINE)
        };
        for id in ["vrsky_acme_km1", "vrsky_zeta_orders", "VRSKY_acme_orders", "vrsky_"] {
            let faults = compile(id).unwrap_err();
            assert_eq!(faults[0].place().pointer.as_deref(), Some("/broker/client_id"), "{id}");
            assert!(faults[0].reason().contains("`vrsky_`"));
        }
        for id in ["vrsky_acme_orders", "vrsky-acme", "acme", "vrsk\u{fc}_a"] {
            assert!(compile(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_where_it_stands() {
        let with = |broker: Value, more: Value| {
            let mut options = json!({"broker": broker, "topics": ["a"]});
            options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            pointers(options)
        };
        assert_eq!(with(json!({"url": "http://b.example"}), json!({})), ["/broker/url"]);
        assert_eq!(with(json!({"url": "mqtt://b.example", "tls": {}}), json!({})), ["/broker/tls"]);
        let half = json!({"url": "mqtts://b.example", "tls": {"key": {"secret": "key"}}});
        assert_eq!(with(half, json!({})), ["/broker/tls"]);
        assert_eq!(with(json!({"url": "mqtt://b.example", "keep_alive": "1s"}), json!({})), ["/broker/keep_alive"]);
        let old = json!({"url": "mqtt://b.example", "version": "v3.1.1", "password": {"secret": "pw"}});
        let new = json!({"session_expiry": "1h", "properties": ["site"]});
        assert_eq!(with(old, new), ["/broker/password", "/session_expiry", "/properties"]);
        assert_eq!(with(json!({"url": "mqtt://b.example"}), json!({"topics": ["a", "b/#/c"]})), ["/topics/1"]);
        assert_eq!(with(json!({"url": "mqtt://b.example"}), json!({"topics": ["a", "b/#", "b/+/c"]})), ["/topics/2"]);
        assert_eq!(
            with(json!({"url": "mqtt://b.example"}), json!({"share": "g", "topics": ["#", "a"]})),
            ["/topics/1"]
        );
        assert_eq!(with(json!({"url": "mqtt://b.example"}), json!({"share": "a/b"})), ["/share"]);
    }
}
