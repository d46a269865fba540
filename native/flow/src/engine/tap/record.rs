//! What is sent to somebody who watches: one line of JSON, then the bytes of the payload, or the first of them.

use nats::protocol;
use serde::Serialize;

use crate::compile::Pipeline;
use crate::engine::message::Envelope;

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A node that runs the pipeline has heard the request.
    Hello,
    /// It takes no more taps.
    Refused,
    In,
    Step,
    Dead,
    /// Nothing but how many records there was no room for.
    Dropped,
}

/// Empty texts and zeros are left out.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Record<'a> {
    pub kind: Kind,
    /// Milliseconds since the Unix epoch, by the node's clock.
    pub time_ms: u64,
    pub customer: &'a str,
    pub pipeline: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub revision: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub id: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    pub part: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub content_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub step: &'a str,
    /// `pass`, `drop`, `to erp, audit`, or `failed` with code and reason.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub verdict: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub place: &'a str,
    /// Of the payload as it is; fewer may follow.
    pub bytes: usize,
    /// Records for which there was no room since the last one.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> Record<'a> {
    pub const fn new(kind: Kind, time_ms: u64) -> Record<'a> {
        Record {
            kind,
            time_ms,
            customer: "",
            pipeline: "",
            revision: "",
            id: "",
            part: 0,
            content_type: "",
            step: "",
            verdict: "",
            code: "",
            reason: "",
            place: "",
            bytes: 0,
            dropped: 0,
        }
    }

    pub fn of_pipeline(kind: Kind, time_ms: u64, pipeline: &'a Pipeline) -> Record<'a> {
        let (customer, name, revision) = (pipeline.customer(), pipeline.name(), pipeline.revision());
        Record { customer, pipeline: name, revision, ..Record::new(kind, time_ms) }
    }

    pub fn of(kind: Kind, time_ms: u64, envelope: &'a Envelope<'_>) -> Record<'a> {
        Record {
            id: envelope.id,
            part: envelope.part,
            content_type: envelope.content_type,
            ..Record::of_pipeline(kind, time_ms, &envelope.owner.pipeline)
        }
    }

    pub fn with(self, bytes: usize, dropped: u64) -> Record<'a> {
        Record { bytes, dropped, ..self }
    }

    /// Adds the frame that publishes it.
    pub fn write(&self, subject: &str, payload: &[u8], wire: &mut Vec<u8>) {
        // A struct of texts and numbers: nothing of it can fail.
        let mut body = serde_json::to_vec(self).unwrap_or_default();
        body.push(b'\n');
        body.extend_from_slice(payload);
        protocol::encode_pub(wire, subject.as_bytes(), b"", &body);
    }
}
