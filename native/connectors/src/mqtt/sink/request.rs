//! One delivery as a PUBLISH.
//!
//! With MQTT 5 it has the message's content type, and as user properties `Idempotency-Key`, those of `traceparent`,
//! `tracestate`, `X-Request-Id` and `ce-*` that came in, `X-Vrsky-Hops`, and what the out says. 3.1.1 has nothing of the
//! kind.

use bytes::Bytes;
use message::{Code, Fault, Headers, Hop};

use super::has_properties;
use super::options::SinkOptions;
use crate::contract::Delivery;
use crate::hops::{MOST_HOPS, hops_of};
use crate::mqtt::HOPS as PROPERTY;
use crate::mqtt::broker::Qos;
use crate::mqtt::packet::Message;
use crate::mqtt::topic::check_name;

pub(super) struct Request {
    topic: String,
    qos: Qos,
    retain: bool,
    payload: Bytes,
    content_type: String,
    expiry: Option<u32>,
    properties: Vec<(String, String)>,
}

impl Request {
    /// `mqtt/topic-invalid` for a topic that cannot be; `mqtt/loop` for what was passed on too often.
    pub(super) fn new(options: &SinkOptions, delivery: &Delivery<'_>) -> Result<Request, Fault> {
        let topic = match delivery.address {
            Some(topic) => topic,
            None if options.topic.is_static() => options.topic.as_str(),
            None => {
                let reason = "the topic has placeholders that were not filled in";
                return Err(Fault::new(Code::MqttTopicInvalid, reason));
            }
        };
        check_name(topic)?;
        let hops = hops_of(Headers::new(delivery.headers)).saturating_add(1);
        if hops >= MOST_HOPS {
            let reason = format!("it was passed on from pipeline to pipeline {} times", hops - 1);
            return Err(Fault::new(Code::MqttLoop, reason));
        }
        let seconds = |span: std::time::Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        let mut request = Request {
            topic: topic.to_owned(),
            qos: options.qos,
            retain: options.retain,
            payload: delivery.payload.clone(),
            content_type: String::new(),
            expiry: None,
            properties: Vec::new(),
        };
        if has_properties(options.broker.version) {
            options.content_type.as_deref().unwrap_or(delivery.content_type).clone_into(&mut request.content_type);
            request.expiry = options.message_expiry.map(seconds);
            request.properties = properties(options, delivery, hops);
        }
        Ok(request)
    }

    pub(super) fn message(&self) -> Message<'_> {
        Message {
            topic: &self.topic,
            qos: self.qos,
            retain: self.retain,
            payload: &self.payload,
            content_type: &self.content_type,
            expiry: self.expiry,
            properties: &self.properties,
        }
    }
}

fn properties(options: &SinkOptions, delivery: &Delivery<'_>, hops: u16) -> Vec<(String, String)> {
    let mut properties =
        vec![("Idempotency-Key".to_owned(), delivery.id.to_owned()), (PROPERTY.to_owned(), hops.to_string())];
    let passed = Headers::new(delivery.headers);
    let hop = Hop::next(passed, delivery.id.as_bytes());
    properties.extend(hop.traceparent().map(|parent| ("traceparent".to_owned(), parent.to_owned())));
    for (name, value) in passed.iter().filter(|(name, _)| goes_on(name) && hop.passes(name)) {
        if let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) {
            properties.push((name.to_owned(), value.to_owned()));
        }
    }
    properties.extend(options.properties.iter().cloned());
    properties
}

/// What a trace says of itself, the request's id and CloudEvents, as they came in; nothing else of a message's headers is
/// the receiver's business.
fn goes_on(name: &[u8]) -> bool {
    ["tracestate", "x-request-id"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        || name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"ce-"))
}
