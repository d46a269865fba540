//! One request: may it come in, and then its body, piece by piece, never more than allowed.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, EXPECT, HOST, ORIGIN};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming as RequestBody};
use message::{Code, Fault};
use tokio::time::timeout;

use super::Shared;
use super::answer::{Answer, accepted, closing, problem};
use super::connection::{Aawaits, Activity};
use super::headers::{forwarded, idempotency_key};
use super::inbox::Admission;
use super::media::check_media;
use super::routes::{Auth, Route};
use crate::contract::{Incoming, Settled};

/// Of a body that is refused unread: read and forgotten up to here, so that the connection can be
/// used again; closed beyond.
const DRAINED_BYTES: u64 = 64 << 10;
/// Reserved at once for a body of known length; the rest grows with what really arrives.
const RESERVED_BYTES: usize = 64 << 10;

pub(super) async fn handle(
    shared: &Rc<Shared>,
    activity: &Activity,
    peer: SocketAddr,
    request: Request<RequestBody>,
) -> Answer {
    activity.enter(Aawaits::Answer);
    let (head, mut body) = request.into_parts();
    let path = head.uri.path();
    let admitted = admit(shared, peer, &head, &body);
    let answer = match admitted {
        Ok((admission, incoming, most)) => match read(shared, admission, &mut body, most).await {
            Ok((admission, payload)) => settled(shared, admission, Incoming { payload, ..incoming }, path).await,
            Err(fault) => {
                shared.count_refusal(fault.code());
                unread(activity, &body, problem(&fault, None, path))
            }
        },
        Err(fault) => {
            shared.count_refusal(fault.code());
            let answer = problem(&fault, None, path);
            let expects = head.headers.contains_key(EXPECT);
            if !expects && drain(shared, &mut body).await { answer } else { unread(activity, &body, answer) }
        }
    };
    activity.enter(Aawaits::Request);
    answer
}

type Admitted = (Admission, Incoming, usize);

/// All that can be said before the body is read.
fn admit(
    shared: &Rc<Shared>,
    peer: SocketAddr,
    head: &http::request::Parts,
    body: &RequestBody,
) -> Result<Admitted, Fault> {
    check_host(head.version, &head.headers)?;
    let route = shared
        .route(head.uri.path())
        .ok_or_else(|| Fault::new(Code::HttpNotFound, "no pipeline listens on this path"))?;
    if head.method != Method::POST {
        return Err(Fault::new(Code::HttpMethodNotAllowed, format!("{} is not allowed here", head.method)));
    }
    authorize(&route, &head.headers, peer)?;
    let content_type = check_media(&head.headers, route.accept)?;
    let headers = forwarded(&head.headers)?;
    let idempotency_key = idempotency_key(&head.headers)?;
    if body.size_hint().lower() > route.max_body as u64 {
        return Err(too_large(route.max_body));
    }
    let admission = shared.inbox.admit().ok_or_else(full)?;
    let incoming =
        Incoming { item: 0, binding: route.binding, payload: Bytes::new(), headers, content_type, idempotency_key };
    Ok((admission, incoming, route.max_body))
}

/// RFC 9112, 3.2: exactly one, or proxies and we might see two different hosts.
fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Fault> {
    let hosts = headers.get_all(HOST).iter().count();
    if hosts == 1 || (hosts == 0 && version == Version::HTTP_10) {
        return Ok(());
    }
    Err(Fault::new(Code::HttpBadRequest, "there has to be one Host header"))
}

fn authorize(route: &Route, headers: &HeaderMap, peer: SocketAddr) -> Result<(), Fault> {
    let token = match &route.auth {
        Auth::None => return Ok(()),
        Auth::LoopbackOnly => return check_local(headers, peer),
        Auth::Bearer(token) => token,
    };
    let refused = |reason: &str| Err(Fault::new(Code::HttpUnauthorized, reason));
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => refused("the Authorization header is missing"),
        (Some(_), Some(_)) => refused("the Authorization header stands there twice"),
        (Some(value), None) => match bearer(value.as_bytes()) {
            Some(presented) if token.matches(presented) => Ok(()),
            Some(_) => refused("the bearer token is wrong"),
            None => refused("the Authorization header has no bearer token"),
        },
    }
}

/// A peer on this machine; and if that is a browser, not on behalf of a page from elsewhere.
fn check_local(headers: &HeaderMap, peer: SocketAddr) -> Result<(), Fault> {
    let refused = |reason: &str| Err(Fault::new(Code::HttpForbidden, reason));
    if !peer.ip().to_canonical().is_loopback() {
        return refused("without `auth` the path serves this machine only");
    }
    if !headers.get_all(ORIGIN).iter().all(|origin| is_local(origin.as_bytes())) {
        return refused("without `auth` the path serves no pages from elsewhere");
    }
    Ok(())
}

fn is_local(origin: &[u8]) -> bool {
    let host = Uri::try_from(origin).ok().filter(|origin| origin.scheme().is_some());
    host.is_some_and(|origin| matches!(origin.host(), Some("localhost" | "127.0.0.1" | "[::1]")))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

/// The body, at most `most` bytes of it, within the budget and the time.
async fn read(
    shared: &Shared,
    mut admission: Admission,
    body: &mut RequestBody,
    most: usize,
) -> Result<(Admission, Bytes), Fault> {
    let collect = async {
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or(most);
        let mut payload = BytesMut::with_capacity(expected.min(RESERVED_BYTES).min(most));
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Fault::new(Code::HttpBadRequest, format!("the body is broken: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if payload.len() + data.len() > most {
                return Err(too_large(most));
            }
            if !admission.grow(data.len()) {
                return Err(full());
            }
            payload.extend_from_slice(&data);
        }
        Ok(payload.freeze())
    };
    let late = || Fault::new(Code::HttpRequestTimeout, "the body did not arrive in time");
    let payload = timeout(shared.options.body_timeout, collect).await.map_err(|_| late())??;
    Ok((admission, payload))
}

async fn settled(shared: &Shared, admission: Admission, incoming: Incoming, path: &str) -> Answer {
    match shared.inbox.submit(admission, incoming).await {
        Some(Settled::Stored { id }) => accepted(&id),
        Some(Settled::Refused { fault, retry_after }) => problem(&fault, retry_after, path),
        None => {
            let fault = Fault::new(Code::HttpUnavailable, "the message was not stored in time; it may still be");
            shared.count_refusal(fault.code());
            problem(&fault, None, path)
        }
    }
}

/// Whether the body has been read to its end, small as it is.
async fn drain(shared: &Shared, body: &mut RequestBody) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if body.size_hint().upper().is_none_or(|upper| upper > DRAINED_BYTES) {
        return false;
    }
    let discard = async { while let Some(Ok(_)) = body.frame().await {} };
    timeout(shared.options.header_timeout, discard).await.is_ok() && body.is_end_stream()
}

fn unread(activity: &Activity, body: &RequestBody, answer: Answer) -> Answer {
    if body.is_end_stream() {
        return answer;
    }
    activity.leave_unread();
    closing(answer)
}

fn too_large(most: usize) -> Fault {
    Fault::new(Code::HttpTooLarge, format!("the body has more than {most} bytes"))
}

fn full() -> Fault {
    Fault::new(Code::LimitMemory, "the node's queues are full")
}
