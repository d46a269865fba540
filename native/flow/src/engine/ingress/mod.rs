//! From a request to a stored message: the answer is given when the PubAck is there.
//!
//! ```text
//! source ─read_batch─► on_batch ─► admit ─► settlement.store ──────► lane
//!   ▲                     │          └─ with a key: keyed.rs ──┘       │
//!   └───────answer────────┴──────── Effect::Answer ◄─── PubAck ────────┘
//! ```

mod keyed;

use std::rc::Rc;
use std::sync::PoisonError;
use std::time::Duration;

use connectors::http::source::RoutedSource;
use connectors::{Health, Incoming, Settled};
use message::{Code, Fault};
use tokio::time::Instant;

use super::ids::Id;
use super::message::{Body, EntryId, InputRef};
use super::observe::{Event, EventKind, Metric};
use super::registry::{Registry, Revision};
use super::settlement::{Origin, Outcome, Settlement, Stored};
use keyed::Keyed;
pub use keyed::{KeyAction, Recorded};

/// Of one batch.
pub const MAX_MESSAGES: usize = 256;
pub const MAX_BYTES: usize = 4 << 20;
/// When a client may try again that was refused for a reason that passes.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What one request is refused with.
type Refusal = (Fault, Duration);

/// The source of a shard: pipelines share it, each with a route of its own.
#[derive(Default)]
pub struct Ingress {
    source: Option<Rc<dyn RoutedSource>>,
    keyed: Keyed,
}

impl Ingress {
    #[must_use]
    pub fn new(source: Option<Rc<dyn RoutedSource>>) -> Ingress {
        Ingress { source, keyed: Keyed::default() }
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

    /// One batch of requests: checked, published, and entered in the ledger.
    pub fn on_batch(&mut self, settlement: &mut Settlement, registry: &Registry, batch: Vec<Incoming>) {
        let now = Instant::now();
        for incoming in batch {
            let revision = registry.bound(incoming.binding).and_then(|revision| registry.current(revision));
            let Some(revision) = revision else {
                self.settle(incoming.item, Settled::Returned { payload: incoming.payload });
                continue;
            };
            match admit(settlement, revision, now) {
                Ok(()) => self.take(settlement, revision, incoming),
                Err((fault, after)) => self.refuse(revision, incoming.item, fault, after),
            }
        }
    }

    fn take(&mut self, settlement: &mut Settlement, revision: &Rc<Revision>, incoming: Incoming) {
        revision.active.set(true);
        let owner = &revision.owner;
        let id = match &incoming.idempotency_key {
            Some(key) => Id::from_key(owner.customer(), owner.name(), key.as_bytes(), &incoming.payload),
            None => settlement.random_id(owner.customer()),
        };
        let bytes = u32::try_from(incoming.payload.len()).unwrap_or(u32::MAX);
        let origin = Origin::Source { item: incoming.item, binding: incoming.binding, bytes };
        let input = settlement.open_source(owner, origin, &id, incoming.payload.len());
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

    fn refuse(&self, revision: &Revision, item: u64, fault: Fault, after: Duration) {
        revision.owner.counters.add(Metric::Refused, 1);
        self.settle(item, Settled::Refused { fault, retry_after: Some(after) });
    }

    /// A message of the source is stored, or refused by its stream.
    pub fn answer(
        &mut self,
        settlement: &Settlement,
        revision: Option<&Revision>,
        bytes: u32,
        item: u64,
        settled: Settled,
    ) {
        self.keyed.forget(item);
        if let Some(revision) = revision {
            count(settlement, revision, bytes, &settled);
        }
        self.settle(item, settled);
    }

    fn settle(&self, item: u64, settled: Settled) {
        if let Some(source) = &self.source {
            source.settle(item, settled);
        }
    }

    #[must_use]
    pub fn health(&self) -> Health {
        self.source.as_ref().map_or(Health::Up, |source| source.health())
    }
}

fn admit(settlement: &Settlement, revision: &Revision, now: Instant) -> Result<(), Refusal> {
    if !settlement.is_connected() {
        return Err((Fault::new(Code::NatsDisconnected, "the NATS server is away"), RETRY_AFTER));
    }
    if settlement.is_deaf() {
        return Err((Fault::new(Code::NatsAuthorization, "the server does not permit its answers"), RETRY_AFTER));
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
        subject: &revision.logic_subject,
        stream: &revision.logic_stream,
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
