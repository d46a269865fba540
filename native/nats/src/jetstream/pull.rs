//! Asking a pull consumer for messages, and the status that ends what was asked for.

use std::time::Duration;

use message::Headers;

use crate::protocol::{encode_pub, status, write_number};

/// One request: at most `batch` messages, until `expires`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    pub batch: u32,
    /// Zero: no limit of time.
    pub expires: Duration,
    /// Headers, subjects and payloads together; the request ends before it is exceeded.
    pub max_bytes: Option<u64>,
    /// The server says that it lives whenever it was silent for this long; at most half of `expires`.
    pub idle_heartbeat: Option<Duration>,
    /// Ends at once when the stream has nothing; `expires` must be zero, or it is waited for.
    pub no_wait: bool,
}

/// `next`: see [`super::Api::next_subject`]. Messages and the status come to `reply`.
pub fn encode_pull(out: &mut Vec<u8>, next: &[u8], reply: &[u8], request: &PullRequest) {
    let mut json = Vec::with_capacity(128);
    json.extend_from_slice(b"{\"batch\":");
    write_number(&mut json, u64::from(request.batch));
    let mut duration = |name: &[u8], value: Duration| {
        if !value.is_zero() {
            json.extend_from_slice(name);
            write_number(&mut json, u64::try_from(value.as_nanos()).unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1));
        }
    };
    duration(b",\"expires\":", request.expires);
    duration(b",\"idle_heartbeat\":", request.idle_heartbeat.unwrap_or_default());
    if let Some(bytes) = request.max_bytes {
        json.extend_from_slice(b",\"max_bytes\":");
        write_number(&mut json, bytes);
    }
    if request.no_wait {
        json.extend_from_slice(b",\"no_wait\":true");
    }
    json.push(b'}');
    encode_pub(out, next, reply, &json);
}

/// What comes to a pull's reply subject besides messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// The request is alive; nothing came for a while.
    Heartbeat,
    /// The request is over. What it did not bring may be asked for anew.
    Ended {
        reason: PullEnd,
        /// Of `batch`, not delivered.
        pending_messages: u64,
        /// Of `max_bytes`, not used.
        pending_bytes: u64,
    },
}

/// Why a request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullEnd {
    /// 404: `no_wait`, and the stream had nothing more.
    NoMessages,
    /// 408: `expires` passed.
    Expired,
    /// 409: all that was asked for was delivered.
    BatchCompleted,
    /// 409: the next message would exceed `max_bytes`.
    MaxBytes,
    /// 409: more requests than the consumer allows, or its `max_ack_pending` is reached.
    LimitExceeded,
    /// 409: a larger batch, more bytes or a longer expiry than the consumer allows: never granted as it is asked.
    RequestTooLarge,
    /// 409 or 404: the consumer is gone; asking again is of no use until it is back.
    ConsumerDeleted,
    /// 409: the consumer is of the other kind.
    PushConsumer,
    /// 409: another server of the cluster leads now; ask again.
    LeadershipChange,
    /// 409: the server is going down; ask again once connected.
    ServerShutdown,
    /// 503: nobody listens: no JetStream, or neither stream nor consumer.
    NoResponders,
    /// 400.
    BadRequest,
    Other(u16),
}

impl PullStatus {
    /// `None` when it is a message: a status has a code in its first line and no payload.
    #[must_use]
    #[inline]
    pub fn parse(headers: &[u8], payload: &[u8]) -> Option<PullStatus> {
        if !payload.is_empty() || headers.get(8) != Some(&b' ') {
            return None;
        }
        Self::from_status(headers)
    }

    fn from_status(block: &[u8]) -> Option<PullStatus> {
        let (code, description) = status(block)?;
        if code == 100 {
            return Some(PullStatus::Heartbeat);
        }
        let headers = Headers::new(block);
        let pending = |name| headers.get_str(name).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        Some(PullStatus::Ended {
            reason: PullEnd::new(code, description),
            pending_messages: pending("Nats-Pending-Messages"),
            pending_bytes: pending("Nats-Pending-Bytes"),
        })
    }
}

impl PullEnd {
    fn new(code: u16, description: &[u8]) -> PullEnd {
        let text = String::from_utf8_lossy(description).to_ascii_lowercase();
        match code {
            404 if text.contains("consumer") || text.contains("stream") => Self::ConsumerDeleted,
            404 => Self::NoMessages,
            408 => Self::Expired,
            409 if text.contains("batch completed") => Self::BatchCompleted,
            409 if text.contains("message size exceeds") => Self::MaxBytes,
            409 if text.contains("deleted") => Self::ConsumerDeleted,
            409 if text.contains("push") => Self::PushConsumer,
            409 if text.contains("leadership") => Self::LeadershipChange,
            409 if text.contains("shutdown") => Self::ServerShutdown,
            409 if text.contains("maxrequest") => Self::RequestTooLarge,
            409 if text.contains("exceeded") => Self::LimitExceeded,
            400 => Self::BadRequest,
            503 => Self::NoResponders,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_only_what_is_set() {
        let mut out = Vec::new();
        let mut request = PullRequest {
            batch: 128,
            expires: Duration::from_secs(30),
            max_bytes: None,
            idle_heartbeat: None,
            no_wait: false,
        };
        encode_pull(&mut out, crate::jetstream::Api::default().next_subject("S", "C").as_bytes(), b"r", &request);
        assert_eq!(
            String::from_utf8(std::mem::take(&mut out)).unwrap(),
            "PUB $JS.API.CONSUMER.MSG.NEXT.S.C r 35\r\n{\"batch\":128,\"expires\":30000000000}\r\n"
        );
        request = PullRequest {
            expires: Duration::ZERO,
            max_bytes: Some(9),
            idle_heartbeat: Some(Duration::from_nanos(5)),
            no_wait: true,
            ..request
        };
        encode_pull(&mut out, b"n", b"r", &request);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("{\"batch\":128,\"idle_heartbeat\":5,\"max_bytes\":9,\"no_wait\":true}\r\n"), "{text}");
    }

    #[test]
    fn statuses_have_their_reasons() {
        let ended = |first: &str| match PullStatus::parse(format!("NATS/1.0 {first}\r\n\r\n").as_bytes(), b"") {
            Some(PullStatus::Ended { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(ended("404 No Messages"), PullEnd::NoMessages);
        assert_eq!(ended("408 Request Timeout"), PullEnd::Expired);
        assert_eq!(ended("409 Batch Completed"), PullEnd::BatchCompleted);
        assert_eq!(ended("409 Message Size Exceeds MaxBytes"), PullEnd::MaxBytes);
        assert_eq!(ended("409 Exceeded MaxWaiting"), PullEnd::LimitExceeded);
        assert_eq!(ended("409 Exceeded MaxAckPending"), PullEnd::LimitExceeded);
        for of in ["MaxRequestBatch of 1", "MaxRequestExpires of 1s", "MaxRequestMaxBytes of 2000"] {
            assert_eq!(ended(&format!("409 Exceeded {of}")), PullEnd::RequestTooLarge);
        }
        assert_eq!(ended("409 Consumer Deleted"), PullEnd::ConsumerDeleted);
        assert_eq!(ended("409 Consumer is push based"), PullEnd::PushConsumer);
        assert_eq!(ended("409 Leadership Change"), PullEnd::LeadershipChange);
        assert_eq!(ended("409 Server Shutdown"), PullEnd::ServerShutdown);
        assert_eq!(ended("503"), PullEnd::NoResponders);
        assert_eq!(ended("400 Bad Request"), PullEnd::BadRequest);
        assert_eq!(ended("423 Nats-Wrong-Pin-Id"), PullEnd::Other(423));
        assert_eq!(PullStatus::parse(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", b""), Some(PullStatus::Heartbeat));
    }

    #[test]
    fn what_is_left_of_a_request_is_read() {
        let block = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\nNats-Pending-Bytes: 99\r\n\r\n";
        assert_eq!(
            PullStatus::parse(block, b""),
            Some(PullStatus::Ended { reason: PullEnd::Expired, pending_messages: 7, pending_bytes: 99 })
        );
    }

    #[test]
    fn messages_are_no_statuses() {
        assert_eq!(PullStatus::parse(b"", b""), None);
        assert_eq!(PullStatus::parse(b"NATS/1.0\r\nA: 1\r\n\r\n", b""), None);
        assert_eq!(PullStatus::parse(b"NATS/1.0 404 No Messages\r\n\r\n", b"x"), None);
    }
}
