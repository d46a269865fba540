//! What goes wrong with a broker, as faults: its reason codes (MQTT 5) and return codes (3.1.1), and what it should not
//! have done.

use message::{Code, Fault};
use mqtt_protocol_core::mqtt::result_code::MqttError;

use super::broker::{Qos, Version};
use crate::dial::DialError;

/// Of a CONNACK: 3.1.1 has five numbers of its own.
pub(super) fn of_connack(version: Version, number: u8, detail: &str) -> Fault {
    let number = match (version, number) {
        (Version::V3, 1) => 0x84,
        (Version::V3, 2) => 0x85,
        (Version::V3, 3) => 0x88,
        (Version::V3, 4) => 0x86,
        (Version::V3, 5) => 0x87,
        (_, number) => number,
    };
    fault("refuses the connection", number, detail)
}

/// `what`: what the broker did.
pub(super) fn fault(what: &str, number: u8, detail: &str) -> Fault {
    let (code, meaning) = meaning(number);
    let detail = if detail.is_empty() { String::new() } else { format!(": {}", shorten(detail)) };
    Fault::new(code, format!("the broker {what}: {meaning} (0x{number:02x}){detail}"))
}

/// The broker's own words, for a log: bounded, without control characters.
fn shorten(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

fn meaning(number: u8) -> (Code, &'static str) {
    match number {
        0x00 | 0x04 => (Code::MqttDisconnected, "it closes the connection"),
        0x81 => (Code::MqttRejected, "it takes a packet of ours for malformed"),
        0x82 => (Code::MqttRejected, "it takes a packet of ours for a fault in the protocol"),
        0x84 => (Code::MqttVersion, "it does not speak this version of MQTT"),
        0x85 => (Code::MqttClientId, "it does not allow the client id"),
        0x86 => (Code::MqttUnauthorized, "user or password is wrong"),
        0x87 => (Code::MqttForbidden, "not authorised"),
        0x88 => (Code::MqttUnavailable, "it is not available"),
        0x89 => (Code::MqttUnavailable, "it is busy"),
        0x8a => (Code::MqttForbidden, "the client is banned"),
        0x8b => (Code::MqttUnavailable, "it shuts down"),
        0x8c => (Code::MqttUnauthorized, "it wants another way of authentication"),
        0x8d => (Code::MqttDisconnected, "it heard nothing for too long"),
        0x8e => (Code::MqttSessionTaken, "another client has connected with this client id"),
        0x8f => (Code::MqttTopicInvalid, "it does not allow this topic filter"),
        0x90 => (Code::MqttTopicInvalid, "it does not allow this topic"),
        0x91 => (Code::MqttRejected, "the packet's number is in use"),
        0x92 => (Code::MqttRejected, "it does not know the packet's number"),
        0x93 => (Code::MqttQuotaExceeded, "too many messages wait for it"),
        0x95 => (Code::MqttPacketTooLarge, "the packet is too large"),
        0x96 => (Code::MqttQuotaExceeded, "messages come too fast"),
        0x97 => (Code::MqttQuotaExceeded, "a quota is used up"),
        0x98 => (Code::MqttUnavailable, "an administrator ended the connection"),
        0x99 => (Code::MqttPayloadRefused, "the payload's format is not what it says"),
        0x9a => (Code::MqttNotSupported, "it keeps no retained messages"),
        0x9b => (Code::MqttNotSupported, "it does not offer this QoS"),
        0x9c => (Code::MqttServerMoved, "another broker is to be used for now"),
        0x9d => (Code::MqttServerMoved, "another broker is to be used from now on"),
        0x9e => (Code::MqttNotSupported, "it offers no shared subscriptions"),
        0x9f => (Code::MqttUnavailable, "clients connect too fast"),
        0xa0 => (Code::MqttDisconnected, "the connection has lasted as long as it may"),
        0xa1 => (Code::MqttNotSupported, "it offers no subscription identifiers"),
        0xa2 => (Code::MqttNotSupported, "it offers no wildcards"),
        _ => (Code::MqttRejected, "it gives no reason"),
    }
}

/// A lower QoS than the pipeline asks for would be a weaker promise: nothing is taken then.
pub(super) fn granted(reasons: &[u8], filters: &[String], qos: Qos) -> Result<(), Fault> {
    if reasons.len() != filters.len() {
        return Err(malformed("its SUBACK does not fit the SUBSCRIBE"));
    }
    for (reason, filter) in reasons.iter().zip(filters) {
        if *reason >= 0x80 {
            return Err(fault(&format!("refuses the topic {filter:?}"), *reason, ""));
        }
        if *reason < qos.level() {
            let what = format!("the broker grants QoS {reason} at most for the topic {filter:?}");
            return Err(Fault::new(Code::MqttNotSupported, what));
        }
    }
    Ok(())
}

pub(super) fn of_dial(error: &DialError) -> Fault {
    let code = match error {
        DialError::Refused(_) => Code::MqttRefusedAddress,
        DialError::Late(_) => Code::MqttTimeout,
        DialError::Unreachable(_) => Code::MqttConnect,
    };
    Fault::new(code, error.to_string())
}

pub(super) fn of_error(error: MqttError) -> Fault {
    match error {
        MqttError::PacketTooLarge => {
            Fault::new(Code::MqttPacketTooLarge, "the broker sent a packet that is larger than `max_packet`")
        }
        MqttError::ReceiveMaximumExceeded => malformed("it sent more messages at a time than it was told to"),
        MqttError::ProtocolError => malformed("it sent a packet that is not allowed there"),
        MqttError::TopicAliasInvalid => malformed("it used a topic alias, or no topic"),
        error => malformed(&format!("{error:?}")),
    }
}

/// Of a packet of ours.
pub(super) fn of_sending(error: MqttError) -> Fault {
    match error {
        MqttError::PacketTooLarge => Fault::new(
            Code::MqttPacketTooLarge,
            "a packet of ours, such as the one that subscribes, is larger than the broker takes (its Maximum Packet Size)",
        ),
        error => of_error(error),
    }
}

/// Messages that come after the session is forgotten are lost, and nobody sees it: the host has to say so.
pub(super) fn short_session(granted: u32, asked: u64) -> Fault {
    let reason = format!(
        "the broker keeps the session for {granted} s without a connection, and not for {asked} s as it was asked to: \
         messages that come later are lost while nobody is connected"
    );
    Fault::new(Code::MqttNotSupported, reason)
}

pub(super) fn malformed(reason: &str) -> Fault {
    Fault::new(Code::MqttMalformed, format!("the broker does not speak MQTT as it should: {reason}"))
}

pub(super) fn lost(reason: &str) -> Fault {
    Fault::new(Code::MqttDisconnected, format!("the connection to the broker was lost: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_return_code_of_3_1_1_says_what_to_do() {
        let expected = [
            (1, Code::MqttVersion),
            (2, Code::MqttClientId),
            (3, Code::MqttUnavailable),
            (4, Code::MqttUnauthorized),
            (5, Code::MqttForbidden),
            (6, Code::MqttRejected),
        ];
        for (number, code) in expected {
            assert_eq!(of_connack(Version::V3, number, "").code(), code, "{number}");
        }
    }

    #[test]
    fn what_the_broker_says_cannot_break_a_log() {
        let fault = fault("refuses the message", 0x97, &format!("a\r\nb\x1b[2J{}", "x".repeat(5000)));
        assert_eq!(fault.code(), Code::MqttQuotaExceeded);
        assert!(!fault.reason().contains(char::is_control) && fault.reason().len() < 400, "{}", fault.reason());
    }
}
