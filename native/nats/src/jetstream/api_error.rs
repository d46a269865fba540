//! What JetStream answers when it refuses, and our code for it.

use message::{Code, Fault};
use serde::Deserialize;

/// `{"code":503,"err_code":10077,"description":"maximum messages exceeded"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ApiError {
    /// In the manner of HTTP.
    pub code: u16,
    /// The server's own, stable number.
    pub err_code: u32,
    pub description: String,
}

impl ApiError {
    /// The server answers a full subject and a full stream with the same numbers; only the
    /// description tells the customer's backlog from a stream, or disk, that is full for everyone.
    #[must_use]
    pub fn our_code(&self) -> Code {
        let text = self.description.to_ascii_lowercase();
        match self.err_code {
            10077 if text.contains("per subject") => Code::LimitBacklog,
            // Store failed, account or server resources, storage, memory.
            10077 | 10002 | 10023 | 10028 | 10047 => Code::NatsStreamFull,
            10054 => Code::NatsMaxPayload,
            // Stream not found, another one than expected, JetStream not enabled (for the account).
            10059 | 10060 | 10039 | 10076 => Code::NatsNoStream,
            // The cluster has no leader just now, or is not ready: it passes.
            10004 | 10008 | 10009 | 10118 => Code::NatsTimeout,
            _ if text.contains("no space left") => Code::NatsStreamFull,
            _ if self.code == 503 || self.code == 429 => Code::NatsTimeout,
            _ => Code::NatsRefused,
        }
    }

    #[must_use]
    pub fn fault(&self) -> Fault {
        let text: String = self.description.chars().filter(|c| !c.is_control()).take(300).collect();
        Fault::new(self.our_code(), format!("JetStream answered {} ({}): {text}", self.code, self.err_code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: u16, err_code: u32, description: &str) -> Code {
        ApiError { code, err_code, description: description.into() }.fault().code()
    }

    #[test]
    fn a_full_subject_is_the_customers_a_full_stream_is_not() {
        assert_eq!(code(503, 10077, "maximum messages per subject exceeded"), Code::LimitBacklog);
        assert_eq!(code(503, 10077, "maximum messages exceeded"), Code::NatsStreamFull);
        assert_eq!(code(503, 10077, "maximum bytes exceeded"), Code::NatsStreamFull);
        assert_eq!(code(500, 10047, "insufficient storage resources available"), Code::NatsStreamFull);
        assert_eq!(code(503, 10023, "insufficient resources"), Code::NatsStreamFull);
        assert_eq!(code(500, 10049, "write x: no space left on device"), Code::NatsStreamFull);
    }

    #[test]
    fn other_refusals() {
        assert_eq!(code(404, 10059, "stream not found"), Code::NatsNoStream);
        assert_eq!(code(503, 10076, "JetStream not enabled"), Code::NatsNoStream);
        assert_eq!(code(400, 10054, "message size exceeds maximum allowed"), Code::NatsMaxPayload);
        assert_eq!(code(503, 10008, "JetStream system temporarily unavailable"), Code::NatsTimeout);
        assert_eq!(code(400, 10071, "wrong last sequence: 7"), Code::NatsRefused);
    }
}
