//! What the host of a source does: it connects again, reads, and settles.

use std::time::Duration;

use connectors::http::AddressPolicy;
use connectors::mqtt::{Broker, MqttSource, Qos, SourceOptions, Version};
use connectors::{ConnectorError, Incoming, Settled, Source};
use harness::Mosquitto;
use message::Headers;

pub const VERSIONS: [Version; 2] = [Version::V3, Version::V5];

pub fn loopback() -> AddressPolicy {
    AddressPolicy { allow_loopback: true, ..AddressPolicy::default() }
}

pub fn at(broker: &Mosquitto, version: Version) -> Broker {
    Broker { version, ..Broker::at("127.0.0.1", broker.port) }
}

pub fn options(broker: Broker, qos: Qos) -> SourceOptions {
    SourceOptions { qos, ..SourceOptions::new(broker, "vrsky_acme_orders", "orders/#") }
}

/// Connected.
pub async fn source(options: SourceOptions) -> MqttSource {
    let source = MqttSource::new(options, &loopback()).unwrap();
    source.connect().await.unwrap();
    source
}

/// Connects for as long as it takes.
pub async fn connect(source: &MqttSource) {
    while source.connect().await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The next messages, and no more than `count`.
pub async fn read(source: &MqttSource, count: usize) -> Vec<Incoming> {
    let mut messages = Vec::new();
    while messages.len() < count {
        match source.read_batch(count - messages.len(), usize::MAX, Duration::from_secs(60)).await {
            Ok(batch) => messages.extend(batch),
            Err(ConnectorError::NotConnected) => connect(source).await,
            Err(error) => panic!("{error:?}"),
        }
    }
    messages
}

pub fn store(source: &MqttSource, messages: &[Incoming]) {
    for message in messages {
        source.settle(message.item, Settled::Stored { id: "1".into() });
    }
}

pub async fn close(source: MqttSource) {
    source.close(Duration::from_secs(10)).await;
}

pub fn texts(messages: &[Incoming]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect()
}

pub fn header(message: &Incoming, name: &str) -> Option<String> {
    let block = [b"NATS/1.0\r\n", &message.headers[..]].concat();
    Headers::new(&block).get_str(name).map(Into::into)
}
