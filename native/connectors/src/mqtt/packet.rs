//! Both versions of the protocol as one: what is sent, and what was received.

use mqtt_protocol_core::mqtt::packet::{
    ContentType, MaximumPacketSize, MessageExpiryInterval, Packet, Properties, Property, Qos as WireQos,
    ReceiveMaximum, RetainHandling, SessionExpiryInterval, SubEntry, SubOpts, UserProperty, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{MqttError, PubackReasonCode, PubrecReasonCode};
use mqtt_protocol_core::mqtt::{Arc, ArcPayload};

use super::broker::{Broker, Qos, Version};

/// What a broker has sent, as far as a client has to know it.
pub(crate) enum Received {
    Connack(Connack),
    /// One reason for each filter.
    Suback(Vec<u8>),
    /// One reason for each filter; none with 3.1.1.
    Unsuback(Vec<u8>),
    Publish(Publish),
    /// PUBACK.
    Puback(u16, Answer),
    /// PUBREC.
    Pubrec(u16, Answer),
    /// PUBREL.
    Pubrel(u16),
    /// PUBCOMP.
    Pubcomp(u16, Answer),
    /// With a reason, and perhaps the broker's words.
    Disconnect(u8, String),
    /// A sign of life.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer(pub(crate) u8);

impl Answer {
    pub(crate) fn is_failure(self) -> bool {
        self.0 >= 0x80
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Connack {
    pub(crate) reason: u8,
    pub(crate) session_present: bool,
    pub(crate) receive_maximum: u16,
    pub(crate) max_qos: u8,
    pub(crate) keeps_retained: bool,
    /// Seconds, where the broker keeps the session for another time than it was asked to.
    pub(crate) session_expiry: Option<u32>,
    pub(crate) detail: String,
}

pub(crate) enum Publish {
    V3(v3_1_1::Publish),
    V5(v5_0::Publish),
}

impl Publish {
    pub(crate) fn topic(&self) -> &str {
        match self {
            Publish::V3(packet) => packet.topic_name(),
            Publish::V5(packet) => packet.topic_name(),
        }
    }

    /// `None` with QoS 0.
    pub(crate) fn packet_id(&self) -> Option<u16> {
        match self {
            Publish::V3(packet) => packet.packet_id(),
            Publish::V5(packet) => packet.packet_id(),
        }
    }

    pub(crate) fn qos(&self) -> Qos {
        let qos = match self {
            Publish::V3(packet) => packet.qos(),
            Publish::V5(packet) => packet.qos(),
        };
        match qos {
            WireQos::AtMostOnce => Qos::AtMostOnce,
            WireQos::AtLeastOnce => Qos::AtLeastOnce,
            WireQos::ExactlyOnce => Qos::ExactlyOnce,
        }
    }

    pub(crate) fn is_retained(&self) -> bool {
        match self {
            Publish::V3(packet) => packet.retain(),
            Publish::V5(packet) => packet.retain(),
        }
    }

    pub(crate) fn is_duplicate(&self) -> bool {
        match self {
            Publish::V3(packet) => packet.dup(),
            Publish::V5(packet) => packet.dup(),
        }
    }

    pub(crate) fn payload(&self) -> &[u8] {
        match self {
            Publish::V3(packet) => packet.payload().as_slice(),
            Publish::V5(packet) => packet.payload().as_slice(),
        }
    }

    pub(crate) fn properties(&self) -> &[Property] {
        match self {
            Publish::V3(_) => &[],
            Publish::V5(packet) => packet.props(),
        }
    }
}

/// `None` for what no broker may send.
pub(crate) fn received(packet: Packet) -> Option<Received> {
    Some(match packet {
        Packet::V3_1_1Connack(packet) => Received::Connack(Connack {
            reason: packet.return_code() as u8,
            session_present: packet.session_present(),
            receive_maximum: u16::MAX,
            max_qos: 2,
            keeps_retained: true,
            session_expiry: None,
            detail: String::new(),
        }),
        Packet::V5_0Connack(packet) => Received::Connack(connack(&packet)),
        Packet::V3_1_1Suback(packet) => {
            Received::Suback(packet.return_codes().iter().map(|code| *code as u8).collect())
        }
        Packet::V5_0Suback(packet) => Received::Suback(packet.reason_codes().iter().map(|code| *code as u8).collect()),
        Packet::V3_1_1Unsuback(_) => Received::Unsuback(Vec::new()),
        Packet::V5_0Unsuback(packet) => {
            Received::Unsuback(packet.reason_codes().iter().map(|code| *code as u8).collect())
        }
        Packet::V3_1_1Publish(packet) => Received::Publish(Publish::V3(packet)),
        Packet::V5_0Publish(packet) => Received::Publish(Publish::V5(packet)),
        Packet::V3_1_1Puback(packet) => Received::Puback(packet.packet_id(), Answer(0)),
        Packet::V5_0Puback(packet) => {
            Received::Puback(packet.packet_id(), Answer(packet.reason_code().map_or(0, |code| code as u8)))
        }
        Packet::V3_1_1Pubrec(packet) => Received::Pubrec(packet.packet_id(), Answer(0)),
        Packet::V5_0Pubrec(packet) => {
            Received::Pubrec(packet.packet_id(), Answer(packet.reason_code().map_or(0, |code| code as u8)))
        }
        Packet::V3_1_1Pubrel(packet) => Received::Pubrel(packet.packet_id()),
        Packet::V5_0Pubrel(packet) => Received::Pubrel(packet.packet_id()),
        Packet::V3_1_1Pubcomp(packet) => Received::Pubcomp(packet.packet_id(), Answer(0)),
        // A number that it does not know any more is that of a message that it has recorded.
        Packet::V5_0Pubcomp(packet) => Received::Pubcomp(packet.packet_id(), Answer(0)),
        Packet::V5_0Disconnect(packet) => {
            let props = packet.props().as_deref().unwrap_or_default();
            Received::Disconnect(packet.reason_code().map_or(0, |code| code as u8), detail(props))
        }
        Packet::V3_1_1Pingresp(_) | Packet::V5_0Pingresp(_) => Received::Nothing,
        _ => return None,
    })
}

fn connack(packet: &v5_0::Connack) -> Connack {
    let mut connack = Connack {
        reason: packet.reason_code() as u8,
        session_present: packet.session_present(),
        receive_maximum: u16::MAX,
        max_qos: 2,
        keeps_retained: true,
        session_expiry: None,
        detail: detail(packet.props()),
    };
    for property in packet.props() {
        match property {
            Property::ReceiveMaximum(value) => connack.receive_maximum = value.val(),
            Property::MaximumQos(value) => connack.max_qos = value.val(),
            Property::SessionExpiryInterval(value) => connack.session_expiry = Some(value.val()),
            Property::RetainAvailable(value) => connack.keeps_retained = value.val() != 0,
            _ => {}
        }
    }
    connack
}

fn detail(properties: &[Property]) -> String {
    let text = properties.iter().find_map(|property| match property {
        Property::ReasonString(text) => Some(text.val().to_owned()),
        _ => None,
    });
    text.unwrap_or_default()
}

/// `session_expiry`: `None` for a session that ends with its connection.
/// What a broker of MQTT 5 is told of what it may send.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) receive_maximum: u16,
    pub(super) max_packet: u32,
}

pub(super) fn connect(
    broker: &Broker,
    client_id: &str,
    session_expiry: Option<std::time::Duration>,
    told: Option<Told>,
) -> Result<Packet, MqttError> {
    let keep_alive = u16::try_from(broker.keep_alive.as_secs()).unwrap_or(u16::MAX);
    let clean = session_expiry.is_none();
    if broker.version == Version::V3 {
        let mut packet = v3_1_1::Connect::builder().client_id(client_id)?.clean_session(clean).keep_alive(keep_alive);
        if let Some(user) = &broker.user {
            packet = packet.user_name(user.as_str())?;
        }
        if let Some(password) = &broker.password {
            packet = packet.password(password.as_str())?;
        }
        return packet.build().map(Packet::V3_1_1Connect);
    }
    let mut packet = v5_0::Connect::builder().client_id(client_id)?.clean_start(clean).keep_alive(keep_alive);
    let mut properties = Properties::new();
    if let Some(expiry) = session_expiry {
        let seconds = u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX);
        properties.push(SessionExpiryInterval::new(seconds)?.into());
    }
    if let Some(told) = told {
        properties.push(ReceiveMaximum::new(told.receive_maximum)?.into());
        properties.push(MaximumPacketSize::new(told.max_packet)?.into());
    }
    if !properties.is_empty() {
        packet = packet.props(properties);
    }
    if let Some(user) = &broker.user {
        packet = packet.user_name(user.as_str())?;
    }
    if let Some(password) = &broker.password {
        packet = packet.password(password.as_str())?;
    }
    packet.build().map(Packet::V5_0Connect)
}

/// With MQTT 5 a broker sends retained messages for a new subscription only.
pub(super) fn subscribe(version: Version, packet_id: u16, filters: &[String], qos: Qos) -> Result<Packet, MqttError> {
    let options = SubOpts::new().set_qos(wire(qos));
    let options = match version {
        Version::V3 => options,
        Version::V5 => options.set_rh(RetainHandling::SendRetainedIfNotExists).set_rap(true),
    };
    let entries: Result<Vec<SubEntry>, MqttError> =
        filters.iter().map(|filter| SubEntry::new(filter.as_str(), options)).collect();
    match version {
        Version::V3 => {
            v3_1_1::Subscribe::builder().packet_id(packet_id).entries(entries?).build().map(Packet::V3_1_1Subscribe)
        }
        Version::V5 => {
            v5_0::Subscribe::builder().packet_id(packet_id).entries(entries?).build().map(Packet::V5_0Subscribe)
        }
    }
}

pub(super) fn unsubscribe(version: Version, packet_id: u16, filters: &[String]) -> Result<Packet, MqttError> {
    let filters = filters.iter().map(String::as_str);
    match version {
        Version::V3 => {
            v3_1_1::Unsubscribe::builder().packet_id(packet_id).entries(filters)?.build().map(Packet::V3_1_1Unsubscribe)
        }
        Version::V5 => {
            v5_0::Unsubscribe::builder().packet_id(packet_id).entries(filters)?.build().map(Packet::V5_0Unsubscribe)
        }
    }
}

/// A message on its way out.
pub(crate) struct Message<'a> {
    pub(crate) topic: &'a str,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) payload: &'a [u8],
    pub(crate) content_type: &'a str,
    pub(crate) expiry: Option<u32>,
    pub(crate) properties: &'a [(String, String)],
}

pub(super) fn publish(version: Version, packet_id: Option<u16>, message: &Message<'_>) -> Result<Packet, MqttError> {
    let payload = ArcPayload::new(Arc::from(message.payload), 0, message.payload.len());
    if version == Version::V3 {
        let packet = v3_1_1::Publish::builder().topic_name(message.topic)?.qos(wire(message.qos));
        let packet = packet.retain(message.retain).packet_id(packet_id).payload(payload);
        return packet.build().map(Packet::V3_1_1Publish);
    }
    let packet = v5_0::Publish::builder().topic_name(message.topic)?.qos(wire(message.qos));
    let packet = packet.retain(message.retain).packet_id(packet_id).payload(payload).props(properties(message)?);
    packet.build().map(Packet::V5_0Publish)
}

fn properties(message: &Message<'_>) -> Result<Properties, MqttError> {
    let mut properties = Properties::with_capacity(message.properties.len() + 2);
    if !message.content_type.is_empty() {
        properties.push(ContentType::new(message.content_type)?.into());
    }
    if let Some(seconds) = message.expiry {
        properties.push(MessageExpiryInterval::new(seconds)?.into());
    }
    for (name, value) in message.properties {
        properties.push(UserProperty::new(name.as_str(), value.as_str())?.into());
    }
    Ok(properties)
}

/// PUBACK or PUBREC. `refused`: it never can be stored; 3.1.1 has no word for that.
pub(super) fn ack(version: Version, packet_id: u16, qos: Qos, refused: bool) -> Result<Packet, MqttError> {
    match (version, qos) {
        (Version::V3, Qos::ExactlyOnce) => {
            v3_1_1::Pubrec::builder().packet_id(packet_id).build().map(Packet::V3_1_1Pubrec)
        }
        (Version::V3, _) => v3_1_1::Puback::builder().packet_id(packet_id).build().map(Packet::V3_1_1Puback),
        (Version::V5, Qos::ExactlyOnce) => {
            let mut packet = v5_0::Pubrec::builder().packet_id(packet_id);
            if refused {
                packet = packet.reason_code(PubrecReasonCode::ImplementationSpecificError);
            }
            packet.build().map(Packet::V5_0Pubrec)
        }
        (Version::V5, _) => {
            let mut packet = v5_0::Puback::builder().packet_id(packet_id);
            if refused {
                packet = packet.reason_code(PubackReasonCode::ImplementationSpecificError);
            }
            packet.build().map(Packet::V5_0Puback)
        }
    }
}

pub(super) fn pubrel(version: Version, packet_id: u16) -> Result<Packet, MqttError> {
    match version {
        Version::V3 => v3_1_1::Pubrel::builder().packet_id(packet_id).build().map(Packet::V3_1_1Pubrel),
        Version::V5 => v5_0::Pubrel::builder().packet_id(packet_id).build().map(Packet::V5_0Pubrel),
    }
}

pub(super) fn pubcomp(version: Version, packet_id: u16) -> Result<Packet, MqttError> {
    match version {
        Version::V3 => v3_1_1::Pubcomp::builder().packet_id(packet_id).build().map(Packet::V3_1_1Pubcomp),
        Version::V5 => v5_0::Pubcomp::builder().packet_id(packet_id).build().map(Packet::V5_0Pubcomp),
    }
}

pub(super) fn disconnect(version: Version) -> Result<Packet, MqttError> {
    match version {
        Version::V3 => v3_1_1::Disconnect::builder().build().map(Packet::V3_1_1Disconnect),
        Version::V5 => v5_0::Disconnect::builder().build().map(Packet::V5_0Disconnect),
    }
}

fn wire(qos: Qos) -> WireQos {
    match qos {
        Qos::AtMostOnce => WireQos::AtMostOnce,
        Qos::AtLeastOnce => WireQos::AtLeastOnce,
        Qos::ExactlyOnce => WireQos::ExactlyOnce,
    }
}
