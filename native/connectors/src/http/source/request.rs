//! One request: may it come in, and then its body, piece by piece, never more than allowed.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{Method, Request, StatusCode, Version};
use hyper::body::{Body, Frame, Incoming as RequestBody};
use message::{Code, Fault};

use super::Shared;
use super::activity::{Activity, Awaits};
use super::answer::{Answer, accepted, asking, closing, problem};
use super::auth::authorize;
use super::form;
use super::gzip;
use super::headers::{Encoding, Found};
use super::inbox::Admission;
use super::media::{Accept, check_media};
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
    let (head, mut body) = request.into_parts();
    let path = head.uri.path();
    let answer = match admit(shared, peer, &head, body.size_hint().lower()) {
        Ok((admission, incoming, limits)) => match read(activity, admission, &mut body, limits).await {
            Ok((admission, payload)) => settled(shared, peer, &head, admission, Incoming { payload, ..incoming }).await,
            Err(fault) => {
                shared.count_refusal(fault.code());
                unread(activity, &body, problem(&fault, None, path))
            }
        },
        Err(fault) => {
            shared.count_refusal(fault.code());
            let answer = problem(&fault, None, path);
            let expects = head.headers.contains_key(EXPECT);
            if !expects && drain(activity, &mut body).await { answer } else { unread(activity, &body, answer) }
        }
    };
    activity.enter(Awaits::Request);
    if answer.status() != StatusCode::UNAUTHORIZED {
        return answer;
    }
    match shared.route(path) {
        Some(route) => asking(answer, route.auth.challenge()),
        None => answer,
    }
}

type Admitted = (Admission, Incoming, BodyLimits);

/// What the body may be.
#[derive(Clone, Copy)]
struct BodyLimits {
    bytes: usize,
    is_packed: bool,
    is_form: bool,
}

/// All that can be said before the body is read, of which `announced` bytes are certain to come.
fn admit(
    shared: &Rc<Shared>,
    peer: SocketAddr,
    head: &http::request::Parts,
    announced: u64,
) -> Result<Admitted, Fault> {
    let mut found = Found::new(&head.headers);
    check_host(head.version, &found)?;
    found.transfer_coding()?;
    let route = shared
        .route(head.uri.path())
        .ok_or_else(|| Fault::new(Code::HttpNotFound, "no pipeline listens on this path"))?;
    if head.method != Method::POST {
        return Err(Fault::new(Code::HttpMethodNotAllowed, format!("{} is not allowed here", head.method)));
    }
    authorize(&route.auth, &found, &head.headers, peer)?;
    let mut content_type = check_media(&found, route.accept)?;
    let is_form = route.accept != Accept::ANY && &*content_type == form::MEDIA;
    if is_form {
        content_type = "application/json".into();
    }
    found.hops()?;
    found.pass(&route.passes, &head.headers, head.uri.query())?;
    let headers = found.forwarded()?;
    let idempotency_key = found.idempotency_key()?;
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
    };
    let is_packed = found.encoding == Encoding::Gzip;
    Ok((admission, incoming, BodyLimits { bytes: route.max_body, is_packed, is_form }))
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

/// The body, at most so many bytes of it, within the budget and the time.
async fn read(
    activity: &Activity,
    mut admission: Admission,
    body: &mut RequestBody,
    limits: BodyLimits,
) -> Result<(Admission, Bytes), Fault> {
    let most = limits.bytes;
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(most);
    let mut payload = BytesMut::with_capacity(expected.min(RESERVED_BYTES).min(most));
    activity.enter(Awaits::Body);
    while let Some(frame) = next_frame(activity, body).await? {
        let Ok(data) = frame.into_data() else { continue };
        if payload.len() + data.len() > most {
            return Err(too_large(most));
        }
        activity.note_arrived(data.len());
        if !admission.grow(data.len()) {
            return Err(full());
        }
        payload.extend_from_slice(&data);
    }
    activity.enter(Awaits::Answer);
    let mut payload = payload.freeze();
    if limits.is_packed {
        payload = gzip::unpack(&mut admission, payload, most).await?;
    }
    if limits.is_form {
        let json = form::to_json(&payload)?;
        if json.len() > most {
            return Err(too_large(most));
        }
        if !admission.grow(json.len().saturating_sub(payload.len())) {
            return Err(full());
        }
        payload = json.into();
    }
    Ok((admission, payload))
}

async fn next_frame(activity: &Activity, body: &mut RequestBody) -> Result<Option<Frame<Bytes>>, Fault> {
    let frame = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Pending if activity.is_late() => {
            Poll::Ready(Err(Fault::new(Code::HttpRequestTimeout, "the body did not arrive in time")))
        }
        Poll::Pending => Poll::Pending,
        Poll::Ready(frame) => Poll::Ready(Ok(frame)),
    });
    let broken = |error| Fault::new(Code::HttpBadRequest, format!("the body is broken: {error}"));
    frame.await?.transpose().map_err(broken)
}

/// Hands a request to the host, and again when its pipeline has gone meanwhile and the path leads to another one.
async fn settled(
    shared: &Rc<Shared>,
    peer: SocketAddr,
    head: &http::request::Parts,
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
    head: &http::request::Parts,
    payload: Bytes,
    earlier: u32,
) -> Result<(Admission, Incoming), Fault> {
    let (mut admission, incoming, _) = admit(shared, peer, head, payload.len() as u64)?;
    if incoming.binding == earlier {
        return Err(Fault::new(Code::HttpNotFound, "the pipeline is gone"));
    }
    if !admission.grow(payload.len()) {
        return Err(full());
    }
    Ok((admission, Incoming { payload, ..incoming }))
}

/// Whether the body has been read to its end, small as it is.
async fn drain(activity: &Activity, body: &mut RequestBody) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if body.size_hint().upper().is_none_or(|upper| upper > DRAINED_BYTES) {
        return false;
    }
    activity.enter(Awaits::Body);
    while let Ok(Some(_)) = next_frame(activity, body).await {}
    body.is_end_stream()
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

pub(super) fn full() -> Fault {
    Fault::new(Code::LimitMemory, "the node's queues are full")
}
