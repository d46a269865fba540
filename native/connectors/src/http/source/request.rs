//! One request: may it come in, is it for us alone, and then its body.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::EXPECT;
use http::request::Parts;
use http::{Method, Request, StatusCode, Version};
use hyper::body::{Body, Incoming as RequestBody};
use message::{Code, Fault};

use super::activity::{Activity, Awaits};
use super::answer::{Answer, accepted, allowing, asking, closing, problem};
use super::auth::{Auth, Token, authorize, check_local};
use super::body::{BodyLimits, Payload, drain, full, read, too_large, unread};
use super::connection::Phase;
use super::headers::{self, Encoding, Found};
use super::inbox::Admission;
use super::media::{Accept, check_media};
use super::routes::{Matched, Route};
use super::signature::{Verified, Verifier};
use super::{Shared, form, handshake};
use crate::contract::{Incoming, Settled};

const JSON: &str = "application/json";

pub(super) async fn handle(
    shared: &Rc<Shared>,
    activity: &Activity,
    peer: SocketAddr,
    request: Request<RequestBody>,
) -> Answer {
    let (head, mut body) = request.into_parts();
    let matched = shared.route(head.uri.path());
    let path = head.uri.path();
    let answer = match matched.as_ref().and_then(|matched| shaken(peer, &head, &matched.route)) {
        Some(answer) => {
            without_body(activity, &head, &mut body, answer.unwrap_or_else(|fault| refuse(shared, &fault, path))).await
        }
        None => match admit(shared, peer, &head, matched.as_ref(), body.size_hint().lower(), body.is_end_stream()) {
            Ok(admitted) => message(shared, activity, peer, &head, &mut body, admitted).await,
            Err(fault) => without_body(activity, &head, &mut body, refuse(shared, &fault, path)).await,
        },
    };
    activity.enter(Awaits::Request);
    // In a drain the HTTP layer says so itself, but for a connection whose first request came just now.
    let answer = if *shared.phase.borrow() == Phase::Serving { answer } else { closing(answer) };
    match (answer.status(), matched) {
        (StatusCode::UNAUTHORIZED, Some(matched)) => asking(answer, matched.route.challenge()),
        (StatusCode::METHOD_NOT_ALLOWED, Some(matched)) => allowing(answer, &matched.route.allow()),
        _ => answer,
    }
}

fn refuse(shared: &Rc<Shared>, fault: &Fault, path: &str) -> Answer {
    shared.count_refusal(fault.code());
    problem(fault, None, path)
}

/// A request whose body may come.
struct Admitted {
    admission: Admission,
    incoming: Incoming,
    limits: BodyLimits,
    matched: Matched,
    verifier: Option<Verifier>,
    /// What the request is for, beside its path; a part of its key.
    target: String,
}

/// The answer to a handshake that needs no body; `None` for a request that is none.
fn shaken(peer: SocketAddr, head: &Parts, route: &Route) -> Option<Result<Answer, Fault>> {
    let answer = handshake::in_head(&route.handshakes, head)?;
    let found = Found::new(&head.headers);
    let mut checked = check_host(head.version, &found).and_then(|()| found.transfer_coding());
    if matches!(route.auth, Auth::LoopbackOnly) {
        checked = checked.and_then(|()| check_local(&found, peer));
    }
    Some(checked.and(answer))
}

/// All that can be said before the body is read, of which `announced` bytes are certain to come; `is_empty`: none do.
fn admit(
    shared: &Rc<Shared>,
    peer: SocketAddr,
    head: &Parts,
    matched: Option<&Matched>,
    announced: u64,
    is_empty: bool,
) -> Result<Admitted, Fault> {
    let mut found = Found::new(&head.headers);
    check_host(head.version, &found)?;
    found.transfer_coding()?;
    let matched = matched.ok_or_else(|| Fault::new(Code::HttpNotFound, "no pipeline listens on this path"))?;
    let route = &matched.route;
    if !route.takes(&head.method) {
        return Err(Fault::new(Code::HttpMethodNotAllowed, format!("{} is not allowed here", head.method)));
    }
    let token = authorize(&route.auth, &found, &head.headers, peer)?;
    let signature = route.signature.as_ref();
    let verifier = signature.map(|signature| signature.begin(&head.headers, SystemTime::now())).transpose()?;
    // What is not there has no type.
    let is_document = is_empty && is_read_as_object(route, &head.method);
    let mut content_type = if is_document { JSON.into() } else { check_media(&found, route.accept)? };
    let is_form = route.accept != Accept::ANY && &*content_type == form::MEDIA;
    if is_form {
        content_type = JSON.into();
    }
    found.hops()?;
    found.pass(&route.passes, &head.headers, head.uri.query())?;
    found.pass_parameters(&matched.parameters)?;
    add_our_own(&mut found, route, &head.method, token.and_then(Token::name));
    let headers = found.forwarded()?;
    let target = found.take_target();
    let idempotency_key = found.idempotency_key()?.map(|key| key_for(&key, &target));
    let sender = token.and_then(Token::sender);
    let idempotency_key = idempotency_key.map(|key| key_of(key, sender));
    if announced > route.max_body as u64 {
        return Err(too_large(route.max_body));
    }
    let admission = shared.inbox.admit(customer(head.uri.path())).ok_or_else(full)?;
    let incoming = Incoming {
        item: 0,
        binding: route.binding,
        payload: Bytes::new(),
        headers,
        content_type,
        idempotency_key,
        place: None,
        fault: None,
    };
    let limits = BodyLimits { bytes: route.max_body, is_packed: found.encoding == Encoding::Gzip, is_form };
    Ok(Admitted { admission, incoming, limits, matched: matched.clone(), verifier, target })
}

/// Whether a request without a body is an empty object to those who read it: to their conditions and scripts, which find
/// its parameters in the headers.
fn is_read_as_object(route: &Route, method: &Method) -> bool {
    (*method == Method::GET || *method == Method::DELETE) && route.accept.reads_json()
}

/// As the steps read it, if they do.
fn document(incoming: Incoming, route: &Route, method: &Method) -> Incoming {
    if !incoming.payload.is_empty() || !is_read_as_object(route, method) {
        return incoming;
    }
    Incoming { payload: Bytes::from_static(b"{}"), content_type: JSON.into(), ..incoming }
}

/// A key counts for what its request is for. No key has a line end.
fn key_for(key: &str, target: &str) -> Box<str> {
    if target.is_empty() { key.into() } else { format!("{key}\n{target}").into() }
}

/// A key counts for its sender, where there are several.
fn key_of(key: Box<str>, sender: Option<&str>) -> Box<str> {
    let Some(sender) = sender else { return key };
    let separator = if key.ends_with('\n') { "" } else { "\n" };
    format!("{key}{separator}Sender: {sender}\n").into()
}

fn add_our_own(found: &mut Found<'_>, route: &Route, method: &Method, name: Option<&str>) {
    if route.methods.len() > 1 {
        found.aim("Request-", "method", method.as_str());
    }
    if let Some(name) = name {
        found.add("Auth-", "name", name);
    }
}

/// Whose path it is: `/in/CUSTOMER/...`.
fn customer(path: &str) -> &str {
    path.split('/').nth(2).unwrap_or_default()
}

/// RFC 9112, 3.2: exactly one, or proxies and we might see two different hosts.
fn check_host(version: Version, found: &Found<'_>) -> Result<(), Fault> {
    if found.hosts == 1 || (found.hosts == 0 && version == Version::HTTP_10) {
        return Ok(());
    }
    Err(Fault::new(Code::HttpBadRequest, "there has to be one Host header"))
}

/// Reads the body of a request that may come in, and hands it to the host, unless the body is a handshake.
async fn message(
    shared: &Rc<Shared>,
    activity: &Activity,
    peer: SocketAddr,
    head: &Parts,
    body: &mut RequestBody,
    admitted: Admitted,
) -> Answer {
    let Admitted { admission, incoming, limits, matched, verifier, target } = admitted;
    let refuse = |fault: &Fault| refuse(shared, fault, head.uri.path());
    let Payload { admission, payload, verified } = match read(activity, admission, body, limits, verifier).await {
        Ok(read) => read,
        Err(fault) => return unread(activity, body, refuse(&fault)),
    };
    if let Some(answer) = handshake::in_body(&matched.route.handshakes, &head.headers, &payload) {
        return answer.unwrap_or_else(|fault| refuse(&fault));
    }
    let incoming = signed(Incoming { payload, ..incoming }, verified, &target);
    let incoming = document(incoming, &matched.route, &head.method);
    settled(shared, peer, head, admission, incoming).await
}

/// What is signed says which deliveries are one, not what the sender writes beside it.
fn signed(mut incoming: Incoming, verified: Option<Verified>, target: &str) -> Incoming {
    let Some(verified) = verified else { return incoming };
    if let Some(name) = &verified.name {
        headers::add(&mut incoming.headers, "Auth-", "name", name);
    }
    let Verified { key, name, sender } = verified;
    incoming.idempotency_key = match key {
        Some(key) => Some(key_of(key_for(&key, target), sender.as_deref())),
        // Nothing of this key is signed.
        None => incoming.idempotency_key.map(|key| key_of(key, sender.or(name).as_deref())),
    };
    incoming
}

/// Hands a request to the host, and again when its pipeline has gone meanwhile and the path leads to another one.
async fn settled(
    shared: &Rc<Shared>,
    peer: SocketAddr,
    head: &Parts,
    mut admission: Admission,
    mut incoming: Incoming,
) -> Answer {
    let path = head.uri.path();
    loop {
        let earlier = incoming.binding;
        let payload = match shared.inbox.submit(admission, incoming).await {
            Some(Settled::Stored { id }) => return accepted(&id),
            Some(Settled::Refused { fault, retry_after }) => return problem(&fault, retry_after, path),
            Some(Settled::Returned { payload }) => payload,
            None => {
                let fault = Fault::new(Code::HttpUnavailable, "the message was not stored in time; it may still be");
                shared.count_refusal(fault.code());
                return problem(&fault, None, path);
            }
        };
        match admit_again(shared, peer, head, payload, earlier) {
            Ok(again) => (admission, incoming) = again,
            Err(fault) => {
                shared.count_refusal(fault.code());
                return problem(&fault, None, path);
            }
        }
    }
}

/// A request whose body is here, for whom its path leads to now. `earlier`: a binding that is gone.
fn admit_again(
    shared: &Rc<Shared>,
    peer: SocketAddr,
    head: &Parts,
    payload: Bytes,
    earlier: u32,
) -> Result<(Admission, Incoming), Fault> {
    let matched = shared.route(head.uri.path()).filter(|matched| matched.route.binding != earlier);
    let matched = matched.ok_or_else(|| Fault::new(Code::HttpNotFound, "the pipeline is gone"))?;
    if matched.route.signature.is_some() {
        // The body is not as it came any more: the sender has to send it again.
        return Err(Fault::new(Code::HttpUnavailable, "the path has just become that of another pipeline"));
    }
    let Admitted { mut admission, incoming, .. } =
        admit(shared, peer, head, Some(&matched), payload.len() as u64, payload.is_empty())?;
    if !admission.grow(payload.len()) {
        return Err(full());
    }
    Ok((admission, document(Incoming { payload, ..incoming }, &matched.route, &head.method)))
}

/// An answer that needs no body, of which the rest is not going to be read.
async fn without_body(activity: &Activity, head: &Parts, body: &mut RequestBody, answer: Answer) -> Answer {
    let expects = head.headers.contains_key(EXPECT);
    if !expects && drain(activity, body).await { answer } else { unread(activity, body, answer) }
}
