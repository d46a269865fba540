//! Bytes that are not the protocol. The connection they came from cannot be read any further.

use std::fmt;

use message::{Code, Fault};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No operation of the protocol begins like this.
    UnknownOperation,
    /// A line without its end, longer than allowed; `limit` in bytes.
    LineTooLong { limit: usize },
    /// A line that does not end with CR LF.
    LineEnd,
    /// MSG or HMSG with too few or too many arguments, or a number that is none.
    Arguments,
    /// A payload, with its headers, larger than allowed; both in bytes.
    PayloadTooLarge { bytes: usize, limit: usize },
    /// HMSG whose headers are longer than the whole.
    HeadersTooLong,
    /// A payload that is not followed by CR LF.
    PayloadEnd,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOperation => f.write_str("unknown operation"),
            Self::LineTooLong { limit } => write!(f, "a line longer than {limit} bytes"),
            Self::LineEnd => f.write_str("a line that does not end with CR LF"),
            Self::Arguments => f.write_str("bad arguments of a message"),
            Self::PayloadTooLarge { bytes, limit } => write!(f, "a payload of {bytes} bytes, allowed are {limit}"),
            Self::HeadersTooLong => f.write_str("headers longer than the message"),
            Self::PayloadEnd => f.write_str("a payload that does not end with CR LF"),
        }
    }
}

impl std::error::Error for ProtocolError {}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Fault {
        Fault::new(Code::NatsProtocol, format!("the server sent {error}"))
    }
}
