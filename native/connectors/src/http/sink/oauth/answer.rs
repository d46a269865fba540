//! What the token server has answered (RFC 6749, 5).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use message::{Code, Fault};
use serde_json::Value;

use super::again;
use crate::contract::Outcome;
use crate::http::sink::retry_after::retry_after;

/// Bytes of an answer.
const MAX_BODY: usize = 64 << 10;
/// Bytes of a token: servers take no longer header.
const MAX_TOKEN: usize = 16 << 10;
/// How long a token lives of which nothing is said, and the longest life that is believed.
const DEFAULT_LIFE: Duration = Duration::from_secs(300);
const MAX_LIFE: Duration = Duration::from_secs(86_400);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

pub(super) struct Granted {
    pub(super) authorization: HeaderValue,
    pub(super) life: Duration,
}

pub(super) async fn read(response: Response<Incoming>) -> Result<Granted, Outcome> {
    let (head, body) = response.into_parts();
    let after = retry_after(&head.headers, SystemTime::now(), MAX_RETRY_AFTER);
    let body = Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes);
    if head.status != StatusCode::OK {
        // What it says of the reason is of use, and may be missing.
        return Err(refused(head.status, &body.unwrap_or_default(), after));
    }
    let body = body.map_err(|_| unusable("is cut off, or longer than 64 KiB"))?;
    granted(&body).map_err(unusable)
}

fn unusable(reason: &str) -> Outcome {
    again(Fault::new(Code::HttpOauthBadAnswer, format!("the token server's answer {reason}")), None)
}

fn refused(status: StatusCode, body: &[u8], after: Option<Duration>) -> Outcome {
    let said = error_of(body).map(|error| format!(": {error}")).unwrap_or_default();
    let reason = format!("the token server answered {status}{said}");
    let code = match status.as_u16() {
        408 | 425 | 429 | 500..=599 => Code::HttpOauthUnavailable,
        400..=499 => Code::HttpOauthRefused,
        _ => Code::HttpOauthBadAnswer,
    };
    again(Fault::new(code, reason), after)
}

/// Such as `invalid_client`. Its description may hold anything, and is not shown.
fn error_of(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let error = answer.get("error")?.as_str()?;
    let is_word =
        (1..=64).contains(&error.len()) && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_word.then(|| error.to_owned())
}

/// Why not: the answer itself is never shown.
fn granted(body: &Bytes) -> Result<Granted, &'static str> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| "is no JSON")?;
    let token = answer.get("access_token").and_then(Value::as_str).ok_or("has no `access_token`")?;
    let is_bearer = match answer.get("token_type") {
        // It is required, and yet some leave it out.
        None | Some(Value::Null) => true,
        Some(kind) => kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")),
    };
    if !is_bearer {
        return Err("has a token that is no bearer token");
    }
    // As `b64token` and more (RFC 6750, 2.1): nothing that ends a header or makes two of one.
    if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a token that no header can carry");
    }
    let mut authorization =
        HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "has a token that no header can carry")?;
    authorization.set_sensitive(true);
    Ok(Granted { authorization, life: life(answer.get("expires_in")) })
}

/// Seconds; some write them as a text.
fn life(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let bounded = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, MAX_LIFE.as_secs_f64()));
    seconds.filter(|seconds: &f64| !seconds.is_nan()).map_or(DEFAULT_LIFE, bounded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn life_of(json: &str) -> u64 {
        life(Some(&serde_json::from_str(json).unwrap())).as_secs()
    }

    #[test]
    fn a_life_is_seconds_as_number_or_text_within_a_day() {
        for (json, seconds) in [
            ("3600", 3_600),
            ("\"3599\"", 3_599),
            ("0", 0),
            ("-5", 0),
            ("1e300", 86_400),
            ("\"soon\"", 300),
            ("\"nan\"", 300),
            ("null", 300),
            ("[]", 300),
        ] {
            assert_eq!(life_of(json), seconds, "{json}");
        }
        assert_eq!(life(None), DEFAULT_LIFE);
    }

    #[test]
    fn an_error_is_shown_when_it_is_a_word() {
        assert_eq!(error_of(br#"{"error":"invalid_client","error_description":"s3cret"}"#).unwrap(), "invalid_client");
        for body in [&b"{\"error\":\"Bearer x\"}"[..], b"{\"error\":7}", b"{\"error\":\"\"}", b"<html>", b""] {
            assert_eq!(error_of(body), None);
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (granted(&Bytes::from(body.clone())), error_of(&body));
        }

        #[test]
        fn a_token_is_used_only_as_a_header_can_carry_it(token in "\\PC{0,20}", kind in "(?i)bearer|mac|") {
            let body = serde_json::json!({"access_token": token, "token_type": kind}).to_string();
            let fine = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            let is_bearer = kind.eq_ignore_ascii_case("bearer");
            prop_assert_eq!(granted(&Bytes::from(body)).is_ok(), fine && is_bearer);
        }
    }
}
