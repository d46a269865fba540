//! The answers: 202 with the message's id, or a problem document (RFC 9457).

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use message::{Code, Fault};

pub(super) type Answer = Response<Full<Bytes>>;

const ID: HeaderName = HeaderName::from_static("vrsky-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
/// What a sender waits when nobody knows better.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of the path that are repeated in a problem.
const LONGEST_INSTANCE: usize = 256;

/// The message is stored under this id.
pub(super) fn accepted(id: &str) -> Answer {
    let mut body = Vec::with_capacity(id.len() + 9);
    body.extend_from_slice(b"{\"id\":");
    put_string(&mut body, id);
    body.push(b'}');
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = StatusCode::ACCEPTED;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(ID, id);
    }
    answer
}

/// The problem document of a fault; `instance` is the path that was asked for.
pub(super) fn problem(fault: &Fault, retry_after: Option<Duration>, instance: &str) -> Answer {
    let code = fault.code();
    let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = Response::new(Full::new(Bytes::from(document(fault, status, instance))));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM);
    let asked_to_wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    // A pause helps only where the same request may be taken later.
    let pause = retry_after.filter(|_| asked_to_wait || code.retryable());
    if let Some(pause) = pause.or(asked_to_wait.then_some(PAUSE)) {
        headers.insert(RETRY_AFTER, whole_seconds(pause).into());
    }
    answer
}

/// Of a 401: what it asks for.
pub(super) fn asking(mut answer: Answer, challenge: HeaderValue) -> Answer {
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}

/// Of a 405: what may be asked for.
pub(super) fn allowing(mut answer: Answer, allowed: &str) -> Answer {
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    answer
}

/// What a sender gave, back to it: as text that no browser takes for a page.
pub(super) fn echo(text: &str) -> Answer {
    repeated(Bytes::copy_from_slice(text.as_bytes()), TEXT)
}

/// The same as a JSON object with one field.
pub(super) fn echo_json(field: &str, text: &str) -> Answer {
    let mut body = vec![b'{'];
    put_string(&mut body, field);
    body.push(b':');
    put_string(&mut body, text);
    body.push(b'}');
    repeated(body.into(), JSON)
}

fn repeated(body: Bytes, content_type: HeaderValue) -> Answer {
    let mut answer = Response::new(Full::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    headers.insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// A sender of CloudEvents may deliver, so many requests a minute.
pub(super) fn webhook_allowed(origin: HeaderValue, rate: Option<HeaderValue>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    let headers = answer.headers_mut();
    headers.insert(ALLOWED_ORIGIN, origin);
    if let Some(rate) = rate {
        headers.insert(ALLOWED_RATE, rate);
    }
    answer
}

/// Says that the connection ends here: the rest of the body is not going to be read, or the source ends.
pub(super) fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, CLOSE);
    answer
}

/// What a connection over the cap is told before it is closed, as it stands on the wire.
pub(super) fn overloaded() -> Vec<u8> {
    let fault = Fault::new(Code::LimitMemory, "too many connections are open");
    let body = document(&fault, StatusCode::SERVICE_UNAVAILABLE, "");
    let mut wire = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    wire.extend_from_slice(&body);
    wire
}

/// Up, so that whoever waits that long finds what was promised.
fn whole_seconds(pause: Duration) -> u64 {
    pause.as_secs() + u64::from(pause.subsec_nanos() > 0)
}

fn document(fault: &Fault, status: StatusCode, instance: &str) -> Vec<u8> {
    let code = fault.code();
    let place = fault.place().to_string();
    let detail = if place.is_empty() { fault.reason().to_owned() } else { format!("{} ({place})", fault.reason()) };
    let mut body = Vec::with_capacity(384);
    let mut text = |name: &str, value: &str| {
        body.push(if body.is_empty() { b'{' } else { b',' });
        put_string(&mut body, name);
        body.push(b':');
        put_string(&mut body, value);
    };
    text("type", &format!("urn:vrsky:error:{code}"));
    text("title", code.summary());
    text("detail", &detail);
    text("code", code.as_str());
    text("hint", code.advice());
    if !instance.is_empty() {
        text("instance", &instance.chars().take(LONGEST_INSTANCE).collect::<String>());
    }
    body.extend_from_slice(format!(",\"status\":{}}}", status.as_u16()).as_bytes());
    body
}

fn put_string(into: &mut Vec<u8>, text: &str) {
    // Ids are plain, and in every answer.
    if text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
        return;
    }
    // Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(into, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_rounded_up() {
        for (millis, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn every_code_becomes_a_valid_document_with_its_status() {
        for code in Code::ALL {
            let fault = Fault::new(*code, "a \"reason\"\n\u{7}").in_field("order.total");
            let answer = problem(&fault, None, "/in/acme/\u{1}\"x");
            assert_eq!(answer.status().as_u16(), code.http_status(), "{code}");
            let document: serde_json::Value =
                serde_json::from_slice(&document(&fault, answer.status(), "/in/acme/\"x")).unwrap();
            assert_eq!(document["status"], code.http_status());
            assert_eq!(document["code"], code.as_str());
            assert_eq!(document["detail"], "a \"reason\"\n\u{7} (field order.total)");
        }
    }
}
