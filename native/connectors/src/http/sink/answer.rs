//! What an answer, or its absence, means for the delivery.

use std::error::Error;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use message::{Code, Fault};

use super::connector::NoConnection;
use super::retry_after::retry_after;
use super::{RetryMode, SinkOptions};
use crate::contract::Outcome;

/// An answer's body is read and forgotten up to here, so that the connection can be used again;
/// beyond, the connection is dropped.
const LONGEST_BODY: usize = 64 << 10;

/// What came of a request.
pub(super) struct Answer {
    /// `None` when there is no answer.
    pub(super) status: Option<StatusCode>,
    pub(super) outcome: Outcome,
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Answer {
        Answer { status: None, outcome }
    }
}

/// Of an answer that is no redirect.
pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, options: &SinkOptions) -> Outcome {
    let reason = format!("the server answered {status}");
    match status.as_u16() {
        200..=299 => Outcome::Delivered,
        508 => Outcome::Permanent(Fault::new(Code::HttpLoop, reason)),
        408 | 425 | 429 | 500..=599 => {
            let after = retry_after(headers, SystemTime::now(), options.max_retry_after);
            Outcome::Retry { fault: Fault::new(Code::HttpServerError, reason), after }
        }
        300..=399 => Outcome::Permanent(Fault::new(Code::HttpRedirect, reason)),
        400..=499 => Outcome::Permanent(Fault::new(Code::HttpRejected, reason)),
        _ => broken(&reason, options),
    }
}

/// Reads the rest of the answer. Only a 2xx whose body breaks off is in doubt: whatever else the
/// server said, it did not take the message.
pub(super) async fn finish(outcome: Outcome, mut body: Incoming, options: &SinkOptions) -> Outcome {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => length += frame.data_ref().map_or(0, bytes::Bytes::len),
            Err(_) if matches!(outcome, Outcome::Delivered) => return broken("the server's answer broke off", options),
            Err(_) => break,
        }
        if length > LONGEST_BODY {
            break;
        }
    }
    outcome
}

/// The request was sent, and the answer is none.
fn broken(reason: &str, options: &SinkOptions) -> Outcome {
    match options.retry {
        RetryMode::Default => again(Fault::new(Code::HttpBadResponse, reason)),
        RetryMode::Safe => {
            Outcome::Permanent(Fault::new(Code::HttpAmbiguous, format!("{reason}; it may have taken the message")))
        }
    }
}

/// No answer came. `sent`: whether any of the request may have left.
pub(super) fn of_timeout(timeout: Duration, sent: bool, options: &SinkOptions) -> Outcome {
    let reason = format!("no whole answer within {} ms", timeout.as_millis());
    if sent && options.retry == RetryMode::Safe {
        return Outcome::Permanent(Fault::new(Code::HttpAmbiguous, format!("{reason}; it may have taken the message")));
    }
    again(Fault::new(Code::HttpTimeout, reason))
}

pub(super) fn of_error(error: &legacy::Error, options: &SinkOptions) -> Outcome {
    if let Some(fault) = find::<NoConnection>(error).map(|cause| cause.0.clone()) {
        return if fault.code().retryable() { again(fault) } else { Outcome::Permanent(fault) };
    }
    if error.is_connect() {
        return again(Fault::new(Code::HttpConnect, format!("no connection: {}", innermost(error))));
    }
    // Handed back unsent: the connection closed before the request was written to it.
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled) {
        return again(Fault::new(Code::HttpConnect, "the connection closed before the request was sent"));
    }
    broken(&format!("the server's answer is broken: {}", innermost(error)), options)
}

fn again(fault: Fault) -> Outcome {
    Outcome::Retry { fault, after: None }
}

pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The cause says more than the layers around it.
pub(super) fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}
