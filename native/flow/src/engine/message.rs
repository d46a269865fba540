//! A message on its way through the shard: borrowed while it is worked on, owned while it waits.
//!
//! ```text
//! frame ─► Envelope (borrows the read buffer) ─► steps ─► publish
//!              └─ has to wait: OwnedMessage ─► script, large payload, sink ─► Envelope again
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use message::{Context, Headers, Line, TRACEPARENT_LENGTH, is_traceparent};
use nats::jetstream::AckReply;

use super::canary::Trial;
use super::ids::{Id, IdKey};
use super::observe::Counters;
use crate::compile::Pipeline;

/// The number of a customer in its shard. Never given to another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerId(pub u32);

/// The number of a revision in its shard. Given to another one when nothing of the first is in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevisionId(pub u32);

/// The number of an out's queue in its shard. Never given to another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u32);

/// Names one entry of the ledger, for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(u64);

impl EntryId {
    #[must_use]
    pub const fn new(index: u32, generation: u32) -> EntryId {
        EntryId((generation as u64) << 32 | index as u64)
    }

    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub const fn index(self) -> usize {
        (self.0 as u32) as usize
    }

    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The number that stands in a reply subject.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn from_number(number: u64) -> EntryId {
        EntryId(number)
    }
}

/// What an output's success is reported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputRef {
    /// An input in the ledger.
    Entry(EntryId),
    /// A core NATS message: nobody can send it again, so each publish that needs a PubAck enters
    /// its own frame in the ledger and is repeated from there until it has one.
    Core,
}

/// Whose a message is: one revision of one pipeline of one customer.
pub struct Owner {
    pub id: RevisionId,
    pub customer_id: CustomerId,
    pub pipeline: Arc<Pipeline>,
    pub counters: Arc<Counters>,
    /// Of the ids of messages that are known by their place in a stream.
    pub place_key: IdKey,
    /// Where the pipeline has a canary.
    pub trial: Option<Trial>,
}

impl Owner {
    #[must_use]
    #[inline]
    pub fn customer(&self) -> &str {
        self.pipeline.customer()
    }

    #[must_use]
    #[inline]
    pub fn name(&self) -> &str {
        self.pipeline.name()
    }

    #[must_use]
    #[inline]
    pub fn revision(&self) -> &str {
        self.pipeline.revision()
    }

    /// The id of a message that is known by its place in a stream.
    #[must_use]
    pub fn place(&self, ack: &AckReply<'_>) -> Id {
        Id::from_place(self.customer(), &self.place_key, ack.stream, ack.stream_sequence, ack.timestamp_ns)
    }
}

/// Where the headers stand that are not ours, so that they are passed on in one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foreign {
    /// Nobody has looked, or they do not stand beside each other as whole lines.
    #[default]
    Scattered,
    /// From this byte of the block to that.
    Run { start: u32, end: u32, traced: Traced },
}

/// Whether one of the headers is a `traceparent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traced {
    #[default]
    No,
    /// One, written `traceparent: ` and a value of the usual length, which begins at this byte of the block.
    At(u32),
    /// Several, or written in another way.
    Otherwise,
}

impl Traced {
    #[inline]
    fn with(self, line: &Line<'_>, block: &[u8]) -> Traced {
        if !is_traceparent(line.name) {
            return self;
        }
        let at = line.start + line.name.len() + 2;
        let is_usual = line.end == at + TRACEPARENT_LENGTH + 2 && block.get(at - 2..at) == Some(b": ");
        match (self, u32::try_from(at)) {
            (Traced::No, Ok(at)) if is_usual => Traced::At(at),
            _ => Traced::Otherwise,
        }
    }
}

impl Foreign {
    /// With one more line of the block.
    #[must_use]
    #[inline]
    pub fn with(self, line: &Line<'_>, block: &[u8]) -> Foreign {
        let (Foreign::Run { start, end, traced }, Ok(from), Ok(to)) =
            (self, u32::try_from(line.start), u32::try_from(line.end))
        else {
            return Foreign::Scattered;
        };
        let is_beside = end == 0 || end == from;
        match is_beside && block.get(..line.end).is_some_and(|before| before.ends_with(b"\r\n")) {
            true => {
                let traced = traced.with(line, block);
                Foreign::Run { start: if end == 0 { from } else { start }, end: to, traced }
            }
            false => Foreign::Scattered,
        }
    }

    /// Their lines, where they are in one piece.
    #[must_use]
    #[inline]
    pub fn lines(self, block: &[u8]) -> Option<&[u8]> {
        match self {
            Foreign::Run { start, end, .. } => block.get(start as usize..end as usize),
            Foreign::Scattered => None,
        }
    }
}

/// One message, by reference.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    pub owner: &'a Owner,
    pub input: InputRef,
    /// The message's id: fixed where it came in, the same for all of its parts, copies and retries.
    pub id: &'a str,
    /// Which part of a split message it is, from 0; 0 for one that was not split.
    pub part: u64,
    /// How often it was sent again from the dead letters.
    pub redrive: u32,
    /// The label of the step with which a redriven part goes on.
    pub resume: Option<&'a str>,
    /// As it came; what is ours among them is passed over when it is published.
    pub headers: Headers<'a>,
    pub foreign: Foreign,
    pub content_type: &'a str,
    /// When it was accepted, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

impl<'a> Envelope<'a> {
    /// What expressions and scripts see of it beside its payload.
    #[must_use]
    pub fn context(&self) -> Context<'a> {
        context(&self.owner.pipeline, self.id, self.time_ms, self.headers)
    }
}

fn context<'a>(pipeline: &'a Pipeline, id: &'a str, time_ms: u64, headers: Headers<'a>) -> Context<'a> {
    Context {
        id,
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        time_ms,
        headers,
    }
}

/// A message's own copy. May go to another thread.
#[derive(Clone, Debug)]
pub struct OwnedMessage {
    pub id: Arc<str>,
    pub part: u64,
    pub redrive: u32,
    pub resume: Option<Box<str>>,
    pub headers: Arc<[u8]>,
    pub foreign: Foreign,
    pub content_type: Box<str>,
    pub time_ms: u64,
    /// Empty while a document holds it.
    pub payload: Bytes,
}

impl OwnedMessage {
    #[must_use]
    pub fn of(envelope: &Envelope<'_>, payload: Bytes) -> OwnedMessage {
        OwnedMessage {
            id: envelope.id.into(),
            part: envelope.part,
            redrive: envelope.redrive,
            resume: envelope.resume.map(Into::into),
            headers: envelope.headers.block().into(),
            foreign: envelope.foreign,
            content_type: envelope.content_type.into(),
            time_ms: envelope.time_ms,
            payload,
        }
    }

    #[must_use]
    pub fn envelope<'a>(&'a self, owner: &'a Owner, input: InputRef) -> Envelope<'a> {
        Envelope {
            owner,
            input,
            id: &self.id,
            part: self.part,
            redrive: self.redrive,
            resume: self.resume.as_deref(),
            headers: Headers::new(&self.headers),
            foreign: self.foreign,
            content_type: &self.content_type,
            time_ms: self.time_ms,
        }
    }

    /// What expressions and scripts see of it beside its payload.
    #[must_use]
    pub fn context<'a>(&'a self, pipeline: &'a Pipeline) -> Context<'a> {
        context(pipeline, &self.id, self.time_ms, Headers::new(&self.headers))
    }
}

/// Bytes with their media type, which is empty when nobody has named it.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    pub bytes: &'a [u8],
    pub content_type: &'a str,
}

/// The stream that has to confirm a publish; not known before the server has said it.
pub type StreamName = Rc<RefCell<Option<Rc<str>>>>;

/// Where an out's messages are published.
#[derive(Clone, Debug)]
pub enum Route {
    /// A subject of core NATS: nobody confirms.
    Core { subject: String },
    /// A subject of a stream of the user's: delivered with its PubAck. `expected` is sent along when the pipeline
    /// file names the stream.
    Stream { subject: String, expected: Option<String>, stream: StreamName },
    /// Our outgoing lane: a sink delivers it from there.
    Lane { subject: String, stream: Rc<str> },
}

/// One out, as it is published to.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    /// Position in the pipeline's outs.
    pub number: u32,
    /// Whether the pipeline has no other out.
    pub is_only: bool,
    pub route: Route,
    /// Of the publish to its lane or stream.
    pub publish_key: IdKey,
    /// Of the delivery: the same whatever the revision, the lane or the attempt.
    pub delivery_key: IdKey,
}
