//! What senders of webhooks ask before they deliver to a path: is it yours, and do you want this?
//!
//! A handshake is answered by the source itself and never becomes a message. Those in the query or by OPTIONS come before
//! a sender can sign, so they pass by tokens and signatures; one in a body does not.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use message::{Code, Fault};
use serde_json::Value;

use super::answer::{Answer, echo, echo_json, webhook_allowed};
use super::auth::{Token, known};
use super::form;

/// Bytes of a challenge; those of Microsoft have some hundreds.
const MAX_CHALLENGE: usize = 2048;
/// Bytes of a body that can be a handshake.
const MAX_BODY: usize = 16 << 10;
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const REQUEST_RATE: HeaderName = HeaderName::from_static("webhook-request-rate");

/// What a route answers by itself.
#[derive(Clone, Debug)]
pub enum Handshake {
    /// A challenge in the query: `GET ?hub.mode=subscribe&hub.verify_token=...&hub.challenge=...`, as Meta, WebSub, Dropbox
    /// and (by POST) Microsoft Graph ask.
    Query {
        method: Method,
        /// The parameter that is sent back.
        challenge: String,
        /// The parameter with what the sender was told, and what that may be.
        verify: Option<(String, Vec<Token>)>,
    },
    /// A challenge in a JSON object that is posted, as Slack, Twitch and monday.com ask.
    Body {
        /// The field that is sent back.
        challenge: String,
        when: When,
        reply: Reply,
    },
    /// `OPTIONS` with `WebHook-Request-Origin`, by CloudEvents.
    CloudEvents {
        /// Hosts that may deliver, or `*.` and a domain; everybody when there is none here.
        origins: Vec<String>,
        /// Requests a minute.
        rate: Option<u32>,
    },
}

/// What tells a posted challenge from a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// This field of the object has this text.
    Field(String, String),
    /// This header of the request has this value.
    Header(HeaderName, String),
    /// The object has nothing else.
    Alone,
}

/// How a posted challenge is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Text,
    /// As an object with the same field.
    Json,
}

impl Handshake {
    pub(super) fn method(&self) -> &Method {
        match self {
            Handshake::Query { method, .. } => method,
            Handshake::Body { .. } => &Method::POST,
            Handshake::CloudEvents { .. } => &Method::OPTIONS,
        }
    }

    /// The answer to a request whose head is one; `None` for another one.
    fn in_head(&self, head: &Parts) -> Option<Result<Answer, Fault>> {
        match self {
            Handshake::Query { method, challenge, verify } if head.method == *method => {
                query(head.uri.query()?, challenge, verify.as_ref()).transpose()
            }
            Handshake::CloudEvents { origins, rate } if head.method == Method::OPTIONS => {
                let origin = head.headers.get(REQUEST_ORIGIN)?;
                let rate = rate.map(HeaderValue::from).or_else(|| any(head.headers.contains_key(REQUEST_RATE)));
                Some(allowed(origins, origin).map(|origin| webhook_allowed(origin, rate)))
            }
            _ => None,
        }
    }

    fn in_body(&self, headers: &HeaderMap, object: &Value) -> Option<Result<Answer, Fault>> {
        let Handshake::Body { challenge, when, reply } = self else { return None };
        let object = object.as_object()?;
        let value = object.get(challenge)?.as_str()?;
        let is_one = match when {
            When::Alone => object.len() == 1,
            When::Field(name, text) => object.get(name).and_then(Value::as_str) == Some(text),
            When::Header(name, text) => headers.get(name).is_some_and(|value| value.as_bytes() == text.as_bytes()),
        };
        is_one.then(|| {
            check(value).map(|()| match reply {
                Reply::Text => echo(value),
                Reply::Json => echo_json(challenge, value),
            })
        })
    }
}

fn any(asked: bool) -> Option<HeaderValue> {
    asked.then(|| HeaderValue::from_static("*"))
}

/// The answer to a handshake that needs no body.
pub(super) fn in_head(handshakes: &[Handshake], head: &Parts) -> Option<Result<Answer, Fault>> {
    handshakes.iter().find_map(|handshake| handshake.in_head(head))
}

/// The answer to a body that is a handshake, and no message.
pub(super) fn in_body(handshakes: &[Handshake], headers: &HeaderMap, body: &[u8]) -> Option<Result<Answer, Fault>> {
    let is_asked = handshakes.iter().any(|handshake| matches!(handshake, Handshake::Body { .. }));
    if !is_asked || body.len() > MAX_BODY {
        return None;
    }
    let object = serde_json::from_slice(body).ok()?;
    handshakes.iter().find_map(|handshake| handshake.in_body(headers, &object))
}

fn query(query: &str, challenge: &str, verify: Option<&(String, Vec<Token>)>) -> Result<Option<Answer>, Fault> {
    let (mut found, mut presented) = (None, None);
    for pair in form::pairs(query.as_bytes()) {
        let (name, value) = pair?;
        if verify.is_some_and(|(parameter, _)| *parameter == name) {
            presented = Some(value.clone());
        }
        if name == challenge && found.replace(value).is_some() {
            return Err(refused("the query has the challenge twice"));
        }
    }
    let Some(found) = found else { return Ok(None) };
    if let Some((parameter, tokens)) = verify {
        let presented = presented.ok_or_else(|| refused(format!("the query has no {parameter}")))?;
        known(tokens, presented.as_bytes()).ok_or_else(|| refused(format!("{parameter} is not what was agreed")))?;
    }
    check(&found)?;
    Ok(Some(echo(&found)))
}

fn check(challenge: &str) -> Result<(), Fault> {
    if challenge.is_empty() || challenge.len() > MAX_CHALLENGE || challenge.chars().any(char::is_control) {
        return Err(refused(format!("a challenge is 1 to {MAX_CHALLENGE} bytes without control characters")));
    }
    Ok(())
}

/// What is answered to this origin: what is allowed, never what came.
fn allowed(origins: &[String], origin: &HeaderValue) -> Result<HeaderValue, Fault> {
    if origins.is_empty() {
        return Ok(HeaderValue::from_static("*"));
    }
    let origin = origin.to_str().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = |allowed: &&String| match allowed.strip_prefix('*') {
        Some(domain) => origin.len() > domain.len() && origin.ends_with(&domain.to_ascii_lowercase()),
        None => origin.eq_ignore_ascii_case(allowed),
    };
    let is_host = origin.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let found = origins.iter().find(fits).filter(|_| is_host);
    found
        .and_then(|_| HeaderValue::from_str(&origin).ok())
        .ok_or_else(|| refused("the origin is none of those that may deliver here"))
}

fn refused(reason: impl Into<String>) -> Fault {
    Fault::new(Code::HttpHandshakeRefused, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_body_of(when: When, body: &str) -> Option<u16> {
        let handshake = Handshake::Body { challenge: "challenge".into(), when, reply: Reply::Text };
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-type"), HeaderValue::from_static("verify"))]);
        let answer = in_body(&[handshake], &headers, body.as_bytes())?;
        Some(answer.map_or_else(|fault| fault.code().http_status(), |answer| answer.status().as_u16()))
    }

    #[test]
    fn a_message_with_a_field_of_that_name_is_no_handshake() {
        let slack = || When::Field("type".into(), "url_verification".into());
        assert_eq!(in_body_of(slack(), r#"{"type":"url_verification","challenge":"3e"}"#), Some(200));
        assert_eq!(in_body_of(slack(), r#"{"type":"event_callback","challenge":"3e"}"#), None);
        assert_eq!(in_body_of(When::Alone, r#"{"challenge":"3e"}"#), Some(200));
        assert_eq!(in_body_of(When::Alone, r#"{"challenge":"3e","event":1}"#), None);
        let header = |value: &str| When::Header(HeaderName::from_static("x-type"), value.into());
        assert_eq!(in_body_of(header("verify"), r#"{"challenge":"3e","x":{}}"#), Some(200));
        assert_eq!(in_body_of(header("other"), r#"{"challenge":"3e"}"#), None);
        for none in [r#"{"challenge":3}"#, r#"["challenge"]"#, "", "{", "{}", &"[".repeat(10_000)] {
            assert_eq!(in_body_of(When::Alone, none), None);
        }
        for bad in ["", "\\u0000", "\\r\\n", &"x".repeat(3_000)] {
            assert_eq!(in_body_of(When::Alone, &format!("{{\"challenge\":\"{bad}\"}}")), Some(403));
        }
    }

    #[test]
    fn an_origin_is_answered_only_when_it_may_deliver() {
        let origins = ["eventgrid.azure.net".to_owned(), "*.webpubsub.azure.com".to_owned()];
        let answer = |origin: &str| allowed(&origins, &HeaderValue::from_str(origin).unwrap()).ok();
        assert_eq!(answer("EventGrid.azure.net").unwrap(), "eventgrid.azure.net");
        assert_eq!(answer("a.webpubsub.azure.com").unwrap(), "a.webpubsub.azure.com");
        for none in [
            "",
            "*",
            "evil.example",
            "webpubsub.azure.com",
            ".webpubsub.azure.com",
            "evilwebpubsub.azure.com",
            "a/.webpubsub.azure.com",
            "eventgrid.azure.net.evil.example",
        ] {
            assert!(answer(none).is_none(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_query_has_is_echoed_as_text_or_not_at_all(text in "\\PC{0,40}", raw in "[a-z%&=+.0-9]{0,60}") {
            let _ = query(&raw, "c", None);
            let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
            if let Ok(Some(answer)) = query(&format!("c={encoded}"), "c", None) {
                prop_assert_eq!(&answer.headers()["content-type"], "text/plain; charset=utf-8");
                prop_assert_eq!(&answer.headers()["x-content-type-options"], "nosniff");
            } else {
                prop_assert!(text.is_empty() || text.chars().any(char::is_control));
            }
        }
    }
}
