//! The text of `-ERR`, as a type.

use std::fmt;

use message::{Code, Fault};

/// What the server complains about. After some of these it closes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// A publish or subscription that the account may not make; the connection stays. The text
    /// names the subject.
    PermissionsViolation(String),
    /// A subject the server refuses; the connection stays.
    InvalidSubject(String),
    /// Credentials refused, expired or revoked; the connection closes.
    AuthorizationViolation(String),
    /// This client read too slowly; the connection closes.
    SlowConsumer,
    /// This client did not answer the server's pings; the connection closes.
    StaleConnection,
    /// A publish larger than max_payload; the connection closes.
    MaximumPayload,
    /// The server is about to shut down (lame duck mode); the connection will close.
    ShuttingDown,
    Other(String),
}

/// What the account may not do, with the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    Publish(&'a str),
    Subscription(&'a str),
}

impl ServerError {
    /// `text` is what stands between the quotes of `-ERR '...'`.
    #[must_use]
    pub fn parse(text: &[u8]) -> ServerError {
        let text = String::from_utf8_lossy(text);
        let lower = text.to_ascii_lowercase();
        let text = || text.chars().filter(|c| !c.is_control()).take(500).collect();
        match lower.as_str() {
            "slow consumer" => Self::SlowConsumer,
            "stale connection" => Self::StaleConnection,
            "maximum payload violation" => Self::MaximumPayload,
            "server shutdown" => Self::ShuttingDown,
            lower if lower.starts_with("permissions violation") => Self::PermissionsViolation(text()),
            lower if lower.starts_with("invalid subject") || lower.starts_with("invalid publish subject") => {
                Self::InvalidSubject(text())
            }
            lower if lower.starts_with("authorization") || lower.contains("authentication") => {
                Self::AuthorizationViolation(text())
            }
            _ => Self::Other(text()),
        }
    }

    /// The publish or subscription that a permissions violation names.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal<'_>> {
        let Self::PermissionsViolation(text) = self else { return None };
        let mut quoted = text.split('"');
        let (verb, subject) = (quoted.next()?.to_ascii_lowercase(), quoted.next()?);
        match verb.split_whitespace().next_back()? == "to" {
            true if verb.contains("publish") => Some(Refusal::Publish(subject)),
            true if verb.contains("subscription") => Some(Refusal::Subscription(subject)),
            _ => None,
        }
    }

    /// Whether the server closes the connection after it.
    #[must_use]
    pub fn closes(&self) -> bool {
        !matches!(self, Self::PermissionsViolation(_) | Self::InvalidSubject(_) | Self::ShuttingDown)
    }

    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::PermissionsViolation(_) | Self::AuthorizationViolation(_) => Code::NatsAuthorization,
            Self::MaximumPayload => Code::NatsMaxPayload,
            Self::InvalidSubject(_) | Self::Other(_) => Code::NatsRefused,
            Self::SlowConsumer | Self::StaleConnection | Self::ShuttingDown => Code::NatsDisconnected,
        };
        Fault::new(code, self.to_string())
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PermissionsViolation(text) | Self::InvalidSubject(text) => write!(f, "{text}"),
            Self::AuthorizationViolation(text) => write!(f, "{text}"),
            Self::SlowConsumer => f.write_str("the server dropped a slow consumer"),
            Self::StaleConnection => f.write_str("the server had no answer to its pings"),
            Self::MaximumPayload => f.write_str("a publish larger than the server's max_payload"),
            Self::ShuttingDown => f.write_str("the server is shutting down"),
            Self::Other(text) => write!(f, "the server said: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_has_its_type_and_code() {
        let cases: [(&str, ServerError, Code, bool); 8] = [
            ("Slow Consumer", ServerError::SlowConsumer, Code::NatsDisconnected, true),
            ("Stale Connection", ServerError::StaleConnection, Code::NatsDisconnected, true),
            ("Maximum Payload Violation", ServerError::MaximumPayload, Code::NatsMaxPayload, true),
            (
                "Authorization Violation",
                ServerError::AuthorizationViolation("Authorization Violation".into()),
                Code::NatsAuthorization,
                true,
            ),
            (
                "User Authentication Expired",
                ServerError::AuthorizationViolation("User Authentication Expired".into()),
                Code::NatsAuthorization,
                true,
            ),
            (
                "Permissions Violation for Publish to \"x\"",
                ServerError::PermissionsViolation("Permissions Violation for Publish to \"x\"".into()),
                Code::NatsAuthorization,
                false,
            ),
            ("Invalid Subject", ServerError::InvalidSubject("Invalid Subject".into()), Code::NatsRefused, false),
            (
                "Maximum Connections Exceeded",
                ServerError::Other("Maximum Connections Exceeded".into()),
                Code::NatsRefused,
                true,
            ),
        ];
        for (text, error, code, closes) in cases {
            let parsed = ServerError::parse(text.as_bytes());
            assert_eq!((parsed.fault().code(), parsed.closes()), (code, closes), "{text}");
            assert_eq!(parsed, error);
        }
    }

    #[test]
    fn a_permissions_violation_names_what_is_refused() {
        let refusal = |text: &str| match ServerError::parse(text.as_bytes()).refusal() {
            Some(Refusal::Publish(subject)) => format!("publish {subject}"),
            Some(Refusal::Subscription(subject)) => format!("subscription {subject}"),
            None => String::new(),
        };
        assert_eq!(refusal("Permissions Violation for Publish to \"a.b\""), "publish a.b");
        assert_eq!(refusal("Permissions Violation for Subscription to \"a.>\""), "subscription a.>");
        assert_eq!(refusal("Permissions Violation for Subscription to \"a\" using queue \"q\""), "subscription a");
        assert_eq!(refusal("Permissions Violation for Publish with Reply of \"a\""), "");
        assert_eq!(refusal("Slow Consumer"), "");
    }
}
