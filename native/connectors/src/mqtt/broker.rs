//! How a broker is reached, and by which version of the protocol.

use std::fmt;
use std::time::Duration;

use http::Uri;
use message::{Code, Fault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::guard::numeric_host;
use crate::tls::TlsOptions;

/// Headers and properties, user properties included, have this much of a packet beside the payload.
pub const PACKET_OVERHEAD: u32 = 64 << 10;

const MAX_CLIENT_ID: usize = 128;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// 3.1.1: without user properties, content type, expiry, and reasons for what is refused
    #[serde(rename = "v3.1.1")]
    V3,
    /// 5
    #[default]
    #[serde(rename = "v5")]
    V5,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    AtMostOnce,
    #[default]
    AtLeastOnce,
    ExactlyOnce,
}

impl Qos {
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
            Qos::ExactlyOnce => 2,
        }
    }
}

/// How a broker is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    /// `None`: plain TCP.
    pub tls: Option<TlsOptions>,
    pub version: Version,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Between two signs of life.
    pub keep_alive: Duration,
    /// Name lookup, TCP, TLS, CONNECT and SUBSCRIBE.
    pub connect_timeout: Duration,
    /// The largest packet that is taken from the broker; a larger one ends the connection before it is read.
    pub max_packet: u32,
}

impl Broker {
    /// Of `mqtt://host:1883` or `mqtts://host:8883`.
    ///
    /// # Errors
    /// `config/invalid-value` for another URL.
    pub fn parse(url: &str) -> Result<Broker, Fault> {
        let refused = |reason: &str| Fault::new(Code::ConfigInvalidValue, format!("the broker's URL {reason}"));
        let uri: Uri = url.parse().map_err(|_| refused("cannot be used; write it like mqtts://broker.example:8883"))?;
        let (tls, standard) = match uri.scheme_str() {
            Some("mqtt") => (None, 1883),
            Some("mqtts") => (Some(TlsOptions::default()), 8883),
            _ => return Err(refused("has to start with mqtt:// or mqtts://")),
        };
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| refused("has no host"))?;
        if authority.contains('@') {
            return Err(refused("has a user name or password; use `user` and `password`"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || url.contains('#') {
            return Err(refused("has a path; topics have keys of their own"));
        }
        if numeric_host(host) {
            return Err(refused("has a host that is a number in disguise; write an address as a.b.c.d"));
        }
        let port = match authority.get(host.len()..).and_then(|rest| rest.strip_prefix(':')) {
            None => standard,
            Some(digits) => {
                digits.parse().ok().filter(|port| *port != 0).ok_or_else(|| refused("has an unusable port"))?
            }
        };
        Ok(Broker { tls, ..Broker::at(host, port) })
    }

    /// Host and port, the same for the same broker as far as its URL tells.
    #[must_use]
    pub fn address(&self) -> String {
        format!("mqtt {}:{}", self.host.to_ascii_lowercase(), self.port)
    }

    /// Plain TCP, MQTT 5.
    #[must_use]
    pub fn at(host: &str, port: u16) -> Broker {
        Broker {
            host: host.to_owned(),
            port,
            tls: None,
            version: Version::V5,
            user: None,
            password: None,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_packet: (8 << 20) + PACKET_OVERHEAD,
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broker { host, port, version, .. } = self;
        f.debug_struct("Broker").field("at", &format_args!("{host}:{port}")).field("version", version).finish()
    }
}

pub(super) fn check_client_id(id: &str) -> Result<(), Fault> {
    if id.is_empty() || id.len() > MAX_CLIENT_ID || id.chars().any(char::is_control) {
        return Err(invalid("/client_id", "the client id has to have 1 to 128 bytes, without control characters"));
    }
    Ok(())
}

pub(super) fn invalid(pointer: &str, reason: &str) -> Fault {
    Fault::new(Code::ConfigInvalidValue, reason).at_pointer(pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_url_has_a_scheme_a_host_and_perhaps_a_port() {
        let plain = Broker::parse("mqtt://broker.example").unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.tls.is_some()), ("broker.example", 1883, false));
        let tls = Broker::parse("mqtts://[2001:db8::1]:9883/").unwrap();
        assert_eq!((tls.host.as_str(), tls.port, tls.tls.is_some()), ("[2001:db8::1]", 9883, true));
        for bad in [
            "",
            "broker.example",
            "http://broker.example",
            "mqtt://",
            "mqtt://user:pass@broker.example",
            "mqtt://broker.example:0",
            "mqtt://broker.example:99999",
            "mqtt://broker.example/topic",
            "mqtt://broker.example?x=1",
            "mqtt://2130706433",
            "mqtt://0x7f.1",
        ] {
            assert_eq!(Broker::parse(bad).unwrap_err().code(), Code::ConfigInvalidValue, "{bad}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let broker = Broker { password: Some("hunter2".into()), ..Broker::at("broker.example", 1883) };
        assert!(!format!("{broker:?}").contains("hunter2"));
    }
}
