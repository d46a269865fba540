//! A PUBLISH as an [`Incoming`].
//!
//! | header | what |
//! |---|---|
//! | `Mqtt-Topic` | the topic |
//! | `Mqtt-Qos` | 0, 1 or 2: as it came from the broker |
//! | `Mqtt-Retain` | `true` for a message that the broker had kept, else absent |
//! | `Mqtt-Property-NAME` | a user property that the in names in `properties` |
//! | `X-Vrsky-Hops` | the user property by which an out of such a node counts how often it was passed on |
//! | `traceparent`, `tracestate` | user properties of these names (W3C Trace Context) |

use bytes::Bytes;
use mqtt_protocol_core::mqtt::packet::Property;

use super::options::SourceOptions;
use crate::contract::Incoming;
use crate::mqtt::HOPS;
use crate::mqtt::packet::Publish;

const TRACING: [&str; 2] = ["traceparent", "tracestate"];
const MAX_CONTENT_TYPE: usize = 256;

/// `item` is given by the inbox.
pub(super) fn incoming(publish: &Publish, options: &SourceOptions) -> Incoming {
    Incoming {
        item: 0,
        binding: options.binding,
        payload: Bytes::copy_from_slice(publish.payload()),
        headers: headers(publish, &options.properties),
        content_type: content_type(publish),
        idempotency_key: None,
        // Packet ids come round again.
        place: None,
        fault: None,
    }
}

fn headers(publish: &Publish, passed: &[String]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(64 + publish.topic().len());
    put(&mut lines, "Mqtt-Topic", "", publish.topic());
    put(&mut lines, "Mqtt-Qos", "", ["0", "1", "2"][usize::from(publish.qos().level())]);
    if publish.is_retained() {
        put(&mut lines, "Mqtt-Retain", "", "true");
    }
    let mut hops: Option<u16> = None;
    for property in publish.properties() {
        let Property::UserProperty(pair) = property else { continue };
        if pair.key().eq_ignore_ascii_case(HOPS) {
            hops = hops.max(pair.val().parse().ok());
            continue;
        }
        if TRACING.contains(&pair.key()) {
            put(&mut lines, "", pair.key(), pair.val());
        } else if passed.iter().any(|name| name == pair.key()) {
            put(&mut lines, "Mqtt-Property-", pair.key(), pair.val());
        }
    }
    if let Some(hops) = hops {
        put(&mut lines, "", HOPS, &hops.to_string());
    }
    lines
}

/// A control character, which MQTT lets through, would end the line or worse: it becomes U+FFFD.
fn put(lines: &mut Vec<u8>, prefix: &str, name: &str, value: &str) {
    for part in [prefix, name, ": "] {
        lines.extend_from_slice(part.as_bytes());
    }
    if value.chars().any(char::is_control) {
        let value: String = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        lines.extend_from_slice(value.as_bytes());
    } else {
        lines.extend_from_slice(value.as_bytes());
    }
    lines.extend_from_slice(b"\r\n");
}

/// In lower case, without parameters other than the charset of XML; empty when it is none.
fn content_type(publish: &Publish) -> Box<str> {
    let text = publish.properties().iter().find_map(|property| match property {
        Property::ContentType(text) => Some(text.val()),
        _ => None,
    });
    text.and_then(media).unwrap_or_default().into()
}

fn media(text: &str) -> Option<String> {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let media = text.split(';').next()?.trim().to_ascii_lowercase();
    let (kind, subtype) = media.split_once('/').filter(|(kind, subtype)| is_token(kind) && is_token(subtype))?;
    if text.len() > MAX_CONTENT_TYPE {
        return None;
    }
    let is_xml = subtype == "xml" || subtype.ends_with("+xml");
    let charset = message::charset_parameters(text).next().filter(|charset| is_xml && is_token(charset));
    Some(match charset {
        Some(charset) => format!("{kind}/{subtype}; charset={}", charset.to_ascii_lowercase()),
        None => media,
    })
}

#[cfg(test)]
mod tests {
    use mqtt_protocol_core::mqtt::Arc;
    use mqtt_protocol_core::mqtt::packet::{ContentType, UserProperty, v5_0};

    use super::*;
    use crate::mqtt::broker::Broker;

    fn publish(topic: &str, properties: Vec<Property>) -> Publish {
        let packet = v5_0::Publish::builder().topic_name(topic).unwrap().props(properties).payload("{}");
        let bytes =
            mqtt_protocol_core::mqtt::packet::GenericPacketTrait::to_continuous_buffer(&packet.build().unwrap());
        // As it would be read.
        Publish::V5(v5_0::Publish::parse(0, Arc::from(&bytes[2..])).unwrap().0)
    }

    fn options() -> SourceOptions {
        let options = SourceOptions::new(Broker::at("broker.example", 1883), "vrsky", "a");
        SourceOptions { properties: vec!["site".into()], ..options }
    }

    #[test]
    fn topic_and_named_properties_go_on_and_no_other() {
        let user = |name: &str, value: &str| UserProperty::new(name, value).unwrap().into();
        let properties = vec![
            user("site", "north"),
            user("traceparent", "00-1-2-01"),
            user("Nats-Rollup", "all"),
            user("Vrsky-Id", "1"),
            user("Customer-ID", "zeta"),
            user("other", "x"),
        ];
        let incoming = incoming(&publish("sensoren/küche", properties), &options());
        assert_eq!(
            String::from_utf8(incoming.headers).unwrap(),
            "Mqtt-Topic: sensoren/küche\r\nMqtt-Qos: 0\r\nMqtt-Property-site: north\r\ntraceparent: 00-1-2-01\r\n"
        );
        assert_eq!((&incoming.payload[..], &*incoming.content_type), (&b"{}"[..], ""));
    }

    /// What is no number was set by somebody else.
    #[test]
    fn the_count_of_hops_goes_on_and_the_largest_of_several() {
        let user = |value: &str| UserProperty::new("x-vrsky-hops", value).unwrap().into();
        let hops = |values: &[&str]| {
            let properties = values.iter().map(|value| user(value)).collect();
            let headers = String::from_utf8(incoming(&publish("a", properties), &options()).headers).unwrap();
            headers.lines().find_map(|line| line.strip_prefix("X-Vrsky-Hops: ").map(str::to_owned))
        };
        assert_eq!(hops(&["3"]).as_deref(), Some("3"));
        assert_eq!(hops(&["3", "15", "x"]).as_deref(), Some("15"));
        assert_eq!((hops(&[]), hops(&["x", "-1"])), (None, None));
    }

    #[test]
    fn no_topic_and_no_property_makes_a_header_of_its_own() {
        let evil = "a\r\nNats-Rollup: all";
        let user: Property = UserProperty::new("site", evil).unwrap().into();
        let headers = incoming(&publish(evil, vec![user]), &options()).headers;
        let text = String::from_utf8(headers).unwrap();
        assert!(text.lines().all(|line| line.starts_with("Mqtt-")), "{text}");
        assert!(text.contains("Mqtt-Topic: a\u{fffd}\u{fffd}Nats-Rollup: all\r\n"), "{text}");
    }

    #[test]
    fn content_types_are_as_those_of_http() {
        for (text, expected) in [
            ("Application/JSON; charset=utf-8", "application/json"),
            ("text/xml;charset=ISO-8859-1", "text/xml; charset=iso-8859-1"),
            ("json", ""),
            ("a/b\r\nc", ""),
            ("", ""),
        ] {
            let property: Property = ContentType::new(text).unwrap().into();
            assert_eq!(&*incoming(&publish("a", vec![property]), &options()).content_type, expected, "{text:?}");
        }
    }
}
