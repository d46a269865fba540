//! From the options of MQTT to a source and a sink: what both share.

use message::{Code, Fault};

use super::broker::{Broker, Qos, Version};
use super::options::{MqttBroker, MqttText};
use crate::kind::Secrets;
use crate::options::Secret;
use crate::tls::TlsOptions;

/// How the ids of clients begin that no file has named.
const OWN: &str = "vrsky_";

/// Of the options below `/broker`. `own`: what the client is called without a `client_id`.
pub(super) fn broker_faults(options: &MqttBroker, own: Option<&str>) -> Vec<Fault> {
    let fault = |pointer: &str, reason: &str| Fault::new(Code::ConfigInvalidValue, reason).at_pointer(pointer);
    let mut faults = Vec::new();
    match Broker::parse(&options.url) {
        Ok(broker) if broker.tls.is_none() && options.tls.is_some() => {
            faults.push(fault("/broker/tls", "`tls` is for mqtts; the URL has another scheme"));
        }
        Ok(_) => {}
        Err(fault) => faults.push(fault.at_pointer("/broker/url")),
    }
    if let Some(tls) = &options.tls
        && tls.certificate.is_some() != tls.key.is_some()
    {
        faults.push(fault("/broker/tls", "`certificate` and `key` belong together"));
    }
    if options.password.is_some() && options.user.is_none() && options.version == Version::V3 {
        faults.push(fault("/broker/password", "MQTT 3.1.1 has no password without a `user`"));
    }
    let is_taken = |id: &str| id.get(..OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN));
    if options.client_id.as_deref().is_some_and(|id| is_taken(id) && Some(id) != own) {
        let reason = "is the session of another pipeline; begin it with anything but `vrsky_`, or leave it out";
        faults.push(fault("/broker/client_id", reason));
    }
    let seconds = options.keep_alive.length().as_secs();
    if !(5..=65_535).contains(&seconds) {
        faults.push(fault("/broker/keep_alive", "wants a time from 5s to 18h"));
    }
    faults
}

/// What only MQTT 5 has: the options that are given, by their names.
pub(super) fn version_faults(version: Version, given: &[(&str, bool)]) -> Vec<Fault> {
    let of_v5 = |(key, _): &(&str, bool)| {
        let reason = format!("`{key}` belongs to MQTT 5, and `version` is v3.1.1");
        Fault::new(Code::ConfigInvalidValue, reason).at_pointer(format!("/{key}"))
    };
    given.iter().filter(|(_, is_given)| *is_given && version == Version::V3).map(of_v5).collect()
}

pub(super) fn referred(options: &MqttBroker) -> impl Iterator<Item = &Secret> {
    let user = options.user.as_ref().and_then(named);
    let tls = options.tls.iter().flat_map(|tls| [&tls.ca, &tls.certificate, &tls.key]).flatten();
    user.into_iter().chain(&options.password).chain(tls)
}

pub(super) fn named(text: &MqttText) -> Option<&Secret> {
    match text {
        MqttText::Secret(secret) => Some(secret),
        MqttText::Text(_) => None,
    }
}

pub(super) fn text(text: &MqttText, secrets: &dyn Secrets) -> Result<String, Fault> {
    match text {
        MqttText::Text(text) => Ok(text.to_string()),
        MqttText::Secret(named) => secrets.get(&named.secret).map(str::to_owned),
    }
}

/// With the values of its secrets.
pub(super) fn broker(options: &MqttBroker, secrets: &dyn Secrets) -> Result<Broker, Fault> {
    let broker = Broker::parse(&options.url)?;
    let tls = match (&broker.tls, &options.tls) {
        (Some(_), Some(tls)) => Some(TlsOptions::of(secrets, [&tls.ca, &tls.certificate, &tls.key])?),
        (tls, _) => tls.clone(),
    };
    Ok(Broker {
        tls,
        version: options.version,
        user: options.user.as_ref().map(|user| text(user, secrets)).transpose()?,
        password: options.password.as_ref().map(|named| secrets.get(&named.secret).map(str::to_owned)).transpose()?,
        keep_alive: options.keep_alive.length(),
        ..broker
    })
}

pub(super) fn qos(level: u8) -> Qos {
    match level {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        _ => Qos::ExactlyOnce,
    }
}

/// No name of a customer or a pipeline holds an underscore.
pub(super) fn own_client_id(customer: &str, pipeline: &str) -> String {
    format!("{OWN}{customer}_{pipeline}")
}
