//! From a request to a stored message: the answer is given when the PubAck is there.
//!
//! ```text
//! source ─read_batch─► on_batch ─► admit ─► settlement.store ──────► lane
//!   ▲                     │          └─ with a key: keyed.rs ──┘       │
//!   └───────answer────────┴──────── Effect::Answer ◄─── PubAck ────────┘
//! ```

mod keyed;
mod own;
#[cfg(test)]
mod own_tests;
mod pace;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::Duration;

use connectors::http::source::RoutedSource;
use connectors::{Health, Incoming, Settled};
use message::{Code, Fault, Headers};
use tokio::time::Instant;

use super::ids::Id;
use super::message::{Body, EntryId, Envelope, Foreign, InputRef, Owner};
use super::observe::{Event, EventKind, Metric};
use super::registry::{Registry, Revision};
use super::settlement::{Letter, MAX_HEADERS, Origin, Outcome, Settlement, Stored};
use keyed::Keyed;
pub use keyed::{KeyAction, Recorded};
use own::OwnSources;
pub use own::{Effect as OwnEffect, Ended, SourceId, Turn};

/// Of one batch.
pub const MAX_MESSAGES: usize = 256;
pub const MAX_BYTES: usize = 4 << 20;
/// When a client may try again that was refused for a reason that passes.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A longer one is none that a dead letter has.
const LONGEST_CONTENT_TYPE: usize = 1 << 10;
/// Bytes of a message's own headers: what a stream takes, less room for ours.
const MOST_HEADERS: usize = MAX_HEADERS - (1 << 10);

/// What one request is refused with.
type Refusal = (Fault, Duration);

/// The sources of a shard: the HTTP server, which pipelines share, each with a route of its own, and those that have a
/// task of their own.
#[derive(Default)]
pub struct Ingress {
    source: Option<Rc<dyn RoutedSource>>,
    keyed: Keyed,
    pub own: OwnSources,
}

impl Ingress {
    #[must_use]
    pub fn new(source: Option<Rc<dyn RoutedSource>>) -> Ingress {
        Ingress { source, keyed: Keyed::default(), own: OwnSources::default() }
    }

    #[must_use]
    pub fn source(&self) -> Option<&Rc<dyn RoutedSource>> {
        self.source.as_ref()
    }

    /// Puts the route of a revision in place of that of the one before it. `max_body`: what the server takes.
    ///
    /// # Errors
    /// `config/invalid-name` and `config/invalid-value` for what cannot be served.
    pub fn install(&self, revision: &Revision, max_body: usize) -> Result<(), Fault> {
        let (Some(source), Some((path, route))) = (&self.source, revision.route(max_body)) else { return Ok(()) };
        source.routes().replace(revision.owner.customer(), &path, route)
    }

    /// Takes the route of a revision out, unless `next`, which has replaced it, listens on its path.
    pub fn retire(&self, revision: &Revision, next: Option<&Revision>) {
        let next_path = next.and_then(|next| next.pipeline().http()).map(|http| http.path.as_str());
        if let (Some(source), Some((path, route))) = (&self.source, revision.route(0))
            && next_path != Some(&*path)
        {
            source.routes().remove(revision.owner.customer(), &path, route.binding);
        }
    }

    /// One batch of requests: checked, published, and entered in the ledger. `works_for` is told whose each is.
    pub fn on_batch(
        &mut self,
        settlement: &mut Settlement,
        registry: &Registry,
        batch: Vec<Incoming>,
        mut works_for: impl FnMut(&Rc<Revision>),
    ) {
        let now = Instant::now();
        for incoming in batch {
            let revision = registry.bound(incoming.binding).and_then(|revision| registry.current(revision));
            let Some(revision) = revision else {
                self.settle(incoming.item, Settled::Returned { payload: incoming.payload });
                continue;
            };
            works_for(revision);
            match admit(settlement, revision, now) {
                Ok(()) => self.take(settlement, revision, incoming),
                Err((fault, after)) => self.refuse(revision, incoming.item, fault, after),
            }
        }
    }

    fn take(&mut self, settlement: &mut Settlement, revision: &Rc<Revision>, incoming: Incoming) {
        revision.active.set(true);
        let (id, input) = open(settlement, &revision.owner, &incoming);
        if incoming.idempotency_key.is_some() {
            self.keyed.record(settlement, revision, input, id, incoming);
        } else {
            store(settlement, revision, input, &id, &incoming);
        }
    }

    /// The record of a key is there, or there was one already.
    pub fn on_key(
        &mut self,
        settlement: &mut Settlement,
        input: EntryId,
        item: u64,
        recorded: Result<(), Fault>,
    ) -> Option<KeyAction> {
        self.keyed.on_key(settlement, input, item, recorded)
    }

    /// What the record of a key says was read.
    pub fn on_record(&mut self, settlement: &mut Settlement, item: u64, found: Result<Option<Recorded>, Fault>) {
        self.keyed.on_record(settlement, item, found);
    }

    fn refuse(&mut self, revision: &Revision, item: u64, fault: Fault, after: Duration) {
        revision.owner.counters.add(Metric::Refused, 1);
        self.settle(item, Settled::Refused { fault, retry_after: Some(after) });
    }

    /// A message of the source is stored, or refused by its stream.
    pub fn answer(
        &mut self,
        settlement: &mut Settlement,
        revision: Option<&Revision>,
        bytes: u32,
        item: u64,
        settled: Settled,
    ) {
        self.keyed.answered(settlement, item, &settled);
        if let Some(revision) = revision {
            count(settlement, revision, bytes, &settled);
        }
        self.settle(item, settled);
    }

    fn settle(&mut self, item: u64, settled: Settled) {
        match (SourceId::of(item), &self.source) {
            ((SourceId::SHARED, item), Some(source)) => source.settle(item, settled),
            ((id, item), _) => self.own.settle(id, item, settled),
        }
    }

    /// Takes what it may of a batch, in its order. Gives how long to wait before the rest is offered again.
    pub fn offer(
        &mut self,
        settlement: &mut Settlement,
        registry: &Registry,
        id: SourceId,
        batch: &mut VecDeque<Incoming>,
    ) -> Option<Duration> {
        let now = Instant::now();
        while let Some(incoming) = batch.front_mut() {
            let revision = self.own.revision(id).and_then(|revision| registry.current(revision)).cloned();
            let Some(revision) = revision else {
                self.return_all(id, batch);
                return None;
            };
            if let Err((fault, after)) = admit(settlement, &revision, now) {
                self.own.set_fault(id, Some(&fault));
                return Some(after);
            }
            self.own.take(id, incoming.item, incoming.payload.len());
            (incoming.item, incoming.binding) = (id.item(incoming.item), revision.binding);
            let most = revision.pipeline().limits().bytes.min(settlement.max_body());
            if let Some(incoming) = batch.pop_front() {
                match unfit(&incoming, most) {
                    Some(fault) => self.give_up(settlement, &revision, &incoming, &fault),
                    None => self.take(settlement, &revision, incoming),
                }
            }
        }
        None
    }

    /// The pipeline is gone: the source has them again.
    fn return_all(&mut self, id: SourceId, batch: &mut VecDeque<Incoming>) {
        for incoming in batch.drain(..) {
            self.own.settle(id, incoming.item, Settled::Returned { payload: incoming.payload });
        }
    }

    /// What is no message, or one that no stream takes: a dead letter, without its payload where that is too large, and
    /// the source is done with it.
    fn give_up(&self, settlement: &mut Settlement, revision: &Rc<Revision>, incoming: &Incoming, fault: &Fault) {
        let owner = &revision.owner;
        let (id, input) = open(settlement, owner, incoming);
        let block = [b"NATS/1.0\r\n", &*incoming.headers, b"\r\n"].concat();
        let envelope = Envelope {
            owner,
            input,
            id: id.as_str(),
            part: 0,
            redrive: 0,
            resume: None,
            headers: Headers::new(&block),
            foreign: Foreign::default(),
            content_type: "",
            time_ms: settlement.now_ms(),
        };
        let is_long = incoming.content_type.len() > LONGEST_CONTENT_TYPE;
        let content_type = if is_long { "" } else { &incoming.content_type };
        let body = Body { bytes: &incoming.payload, content_type };
        settlement.dead_letter(&envelope, &Letter::new("in", fault, body));
        settlement.settle(input, Outcome::Ok);
    }

    /// Whether a source is read on.
    #[must_use]
    pub fn is_read(&self, id: SourceId) -> bool {
        self.own.revision(id).is_some()
    }

    /// Whether the source of a revision connects for the first time.
    #[must_use]
    pub fn is_starting(&self, revision: &Revision) -> bool {
        self.own.is_starting(revision)
    }

    /// How the source of a revision is, where it is not the NATS connection.
    #[must_use]
    pub fn health_of(&self, revision: &Revision) -> Option<Health> {
        match revision.pipeline().http() {
            Some(_) => self.source.as_ref().map(|source| source.health()),
            None => self.own.health(revision),
        }
    }
}

/// Enters a message in the ledger, under the id that it has by its key, its place, or by chance.
fn open(settlement: &mut Settlement, owner: &Owner, incoming: &Incoming) -> (Id, InputRef) {
    let id = match (&incoming.idempotency_key, &incoming.place) {
        (Some(key), _) => Id::from_key(owner.customer(), owner.name(), key.as_bytes(), &incoming.payload),
        (None, Some(place)) => Id::from_source(owner.customer(), owner.name(), place.as_bytes()),
        (None, None) => settlement.random_id(owner.customer()),
    };
    let bytes = u32::try_from(incoming.payload.len()).unwrap_or(u32::MAX);
    let origin = Origin::Source { item: incoming.item, binding: incoming.binding, bytes };
    let input = settlement.open_source(owner, origin, &id, incoming.payload.len());
    (id, input)
}

/// Why a message cannot be stored as one.
fn unfit(incoming: &Incoming, most: usize) -> Option<Fault> {
    let bytes = incoming.payload.len();
    let too_large = || Fault::new(Code::ConnectorTooLarge, format!("{bytes} bytes, and the pipeline takes {most}"));
    let headers = incoming.headers.len() + incoming.content_type.len();
    let too_many = || Fault::new(Code::NatsMaxHeaders, format!("{headers} bytes of headers; {MOST_HEADERS} are taken"));
    incoming
        .fault
        .clone()
        .or_else(|| (bytes > most).then(too_large))
        .or_else(|| (headers > MOST_HEADERS).then(too_many))
}

fn admit(settlement: &Settlement, revision: &Revision, now: Instant) -> Result<(), Refusal> {
    if !settlement.is_connected() {
        return Err((Fault::new(Code::NatsDisconnected, "the NATS server is away"), RETRY_AFTER));
    }
    if settlement.is_deaf() {
        return Err((Fault::new(Code::NatsAuthorization, "the server does not permit its answers"), RETRY_AFTER));
    }
    if revision.is_closed {
        let reason = format!("{} moves to other lanes", revision.owner.customer());
        return Err((Fault::new(Code::TenantMoving, reason), RETRY_AFTER));
    }
    if revision.backlog_full.get() {
        let reason = format!("{} messages wait", revision.pipeline().backlog());
        return Err((Fault::new(Code::LimitBacklog, reason), RETRY_AFTER));
    }
    let Some(bucket) = &revision.bucket else { return Ok(()) };
    let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(1, now);
    taken.map_err(|after| (Fault::new(Code::LimitRate, "the pipeline's `limits.rate` is used up"), after))
}

/// Publishes a request to its lane; its entry waits for the PubAck.
fn store(settlement: &mut Settlement, revision: &Revision, input: InputRef, id: &Id, incoming: &Incoming) {
    let stored = Stored {
        owner: &revision.owner,
        id,
        subject: &revision.in_subject,
        stream: &revision.in_stream,
        body: Body { bytes: &incoming.payload, content_type: &incoming.content_type },
        lines: &incoming.headers,
    };
    let stored = settlement.store(input, &stored);
    let outcome = stored.map_or_else(|fault| Outcome::Retry(RETRY_AFTER, fault), |()| Outcome::Ok);
    settlement.settle(input, outcome);
}

fn count(settlement: &Settlement, revision: &Revision, bytes: u32, settled: &Settled) {
    let (counters, pipeline) = (&revision.owner.counters, &revision.owner.pipeline);
    let event = |kind, id: &str| Event::about(kind, settlement.now_ms(), pipeline, id);
    match settled {
        Settled::Stored { id } => {
            counters.add(Metric::Received, 1);
            counters.add(Metric::ReceivedBytes, u64::from(bytes));
            settlement.events().push(|| event(EventKind::Received, id).at("", bytes as usize));
        }
        Settled::Refused { fault, .. } => {
            counters.add(Metric::Refused, 1);
            settlement.events().push(|| event(EventKind::Refused, "").with_fault(fault));
        }
        Settled::Returned { .. } => {}
    }
}
