//! A request's body: piece by piece, never more than allowed, and its signature before anything reads it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming as RequestBody};
use message::{Code, Fault};
use tokio::task::yield_now;

use super::activity::{Activity, Awaits};
use super::answer::{Answer, closing};
use super::inbox::Admission;
use super::signature::{Verified, Verifier};
use super::{form, gzip};

/// Of a body that is refused unread: read and forgotten up to here, so that the connection can be
/// used again; closed beyond.
const DRAINED_BYTES: u64 = 64 << 10;
/// Reserved at once for a body of known length; the rest grows with what really arrives.
const RESERVED_BYTES: usize = 64 << 10;
/// Bytes that a turn of the shard verifies: each of up to eight secrets is a pass over them.
const VERIFIED_AT_ONCE: usize = 256 << 10;

/// What the body may be.
#[derive(Clone, Copy)]
pub(super) struct BodyLimits {
    pub(super) bytes: usize,
    pub(super) is_packed: bool,
    pub(super) is_form: bool,
}

/// A body that was read, as its pipeline wants it.
pub(super) struct Payload {
    pub(super) admission: Admission,
    pub(super) payload: Bytes,
    /// What its signature says, on a path that asks for one.
    pub(super) verified: Option<Verified>,
}

/// The body, at most so many bytes of it, within the budget and the time. A signature is over the bytes as they come.
pub(super) async fn read(
    activity: &Activity,
    mut admission: Admission,
    body: &mut RequestBody,
    limits: BodyLimits,
    mut verifier: Option<Verifier>,
) -> Result<Payload, Fault> {
    let payload = arrived(activity, &mut admission, body, limits.bytes, verifier.as_mut()).await?;
    let verified = verifier.map(Verifier::finish).transpose()?;
    let payload = opened(&mut admission, payload, limits).await?;
    Ok(Payload { admission, payload, verified })
}

async fn arrived(
    activity: &Activity,
    admission: &mut Admission,
    body: &mut RequestBody,
    most: usize,
    mut verifier: Option<&mut Verifier>,
) -> Result<Bytes, Fault> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(most);
    let mut payload = BytesMut::with_capacity(expected.min(RESERVED_BYTES).min(most));
    activity.enter(Awaits::Body);
    let mut unyielded = 0;
    while let Some(frame) = next_frame(activity, body).await? {
        let Ok(data) = frame.into_data() else { continue };
        if payload.len() + data.len() > most {
            return Err(too_large(most));
        }
        activity.note_arrived(data.len());
        if !admission.grow(data.len()) {
            return Err(full());
        }
        if let Some(verifier) = &mut verifier {
            verifier.update(&data);
            unyielded += data.len();
            if unyielded >= VERIFIED_AT_ONCE {
                unyielded = 0;
                yield_now().await;
            }
        }
        payload.extend_from_slice(&data);
    }
    activity.enter(Awaits::Answer);
    Ok(payload.freeze())
}

/// A longer form is made JSON on another thread.
const LONG_FORM: usize = 8 << 10;

/// Unpacked, and a form as JSON.
async fn opened(admission: &mut Admission, mut payload: Bytes, limits: BodyLimits) -> Result<Bytes, Fault> {
    let most = limits.bytes;
    if limits.is_packed {
        payload = gzip::unpack(admission, payload, most).await?;
    }
    if limits.is_form {
        payload = form_as_json(admission, payload, most).await?;
    }
    Ok(payload)
}

async fn form_as_json(admission: &mut Admission, form: Bytes, most: usize) -> Result<Bytes, Fault> {
    let length = form.len();
    // Before it is there, as with gzip.
    let room = most.min(form::longest_json(length));
    if !admission.grow(room) {
        return Err(full());
    }
    let json = if length > LONG_FORM {
        admission.elsewhere(move || form::to_json(&form, most)).await??
    } else {
        form::to_json(&form, most)?
    };
    admission.give_back((length + room).saturating_sub(json.len()));
    Ok(json.into())
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

/// Whether the body has been read to its end, small as it is.
pub(super) async fn drain(activity: &Activity, body: &mut RequestBody) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if body.size_hint().upper().is_none_or(|upper| upper > DRAINED_BYTES) {
        return false;
    }
    activity.enter(Awaits::Refused);
    while let Ok(Some(_)) = next_frame(activity, body).await {}
    body.is_end_stream()
}

pub(super) fn unread(activity: &Activity, body: &RequestBody, answer: Answer) -> Answer {
    if body.is_end_stream() {
        return answer;
    }
    activity.leave_unread();
    closing(answer)
}

pub(super) fn too_large(most: usize) -> Fault {
    Fault::new(Code::HttpTooLarge, format!("the body has more than {most} bytes"))
}

pub(super) fn full() -> Fault {
    Fault::new(Code::LimitMemory, "the node's queues are full")
}
