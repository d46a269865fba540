//! Taps: somebody watches the messages of a pipeline as they come in and after each step. In general nobody does, and
//! the only cost is to see that.
//!
//! ```text
//! vrsky.tap.<customer>.<pipeline>: request ─► on_request ─► lease, and a greeting
//! what came in ────────────────► came_in ─┐
//! steps ─► watch: a Trace ─────► steps ───┼─► sample, filter, budget ─► vrsky.tapped.<customer>.<pipeline>.<token>
//! dead letters ────────────────► died ────┘
//! ```
//!
//! Whoever asks names a token, never a subject: a node publishes what it was shown below `vrsky.tapped.` and nowhere
//! else, whoever may publish requests. A record has no headers of the message, so no credentials.

mod record;
mod request;

use std::sync::Arc;

use message::Fault;
use nats::protocol;

use super::message::{Body, Envelope};
use super::subjects;
use crate::compile::Pipeline;
use crate::process::Snapshots;
use record::{Kind, Record};
use request::Request;

/// The subscription of requests.
pub const REQUESTS: u64 = 3;

/// A tap ends so long after its last request.
const LEASE_TICKS: u64 = 10;
/// Of one shard at the same time.
const MAX_TAPS: usize = 8;
/// Of a payload, in a record.
const MAX_SHOWN: usize = 16 << 10;
/// What a tap may take of a shard in a second: records, and bytes that are shown or rendered for them.
const BUDGET: Budget = Budget { records: 500, bytes: 4 << 20 };
/// Of a record without a payload, about.
const RECORD_BYTES: usize = 512;

/// What is left for this second.
#[derive(Clone, Copy, Debug)]
struct Budget {
    records: usize,
    bytes: usize,
}

impl Budget {
    fn take(&mut self, bytes: usize) -> bool {
        let has_room = self.records > 0 && self.bytes > 0;
        if has_room {
            self.records -= 1;
            self.bytes = self.bytes.saturating_sub(RECORD_BYTES + bytes);
        }
        has_room
    }
}

/// Somebody who watches one pipeline.
struct Tap {
    request: Request,
    customer: Box<str>,
    pipeline: Box<str>,
    /// Where the records go.
    subject: String,
    /// The tick with which it ends.
    ends: u64,
    budget: Budget,
    /// Records for which there was no room since the last one that was sent.
    dropped: u64,
}

impl Tap {
    fn is_of(&self, pipeline: &Pipeline, id: &str) -> bool {
        *self.customer == *pipeline.customer() && *self.pipeline == *pipeline.name() && self.request.samples(id)
    }

    /// Sends a record, or counts it where there is no room. `cost`: bytes that were rendered for it.
    fn send(&mut self, record: &Record<'_>, payload: &[u8], cost: usize, wire: &mut Vec<u8>) {
        if !self.budget.take(cost) {
            self.dropped += 1;
            return;
        }
        let shown = payload.get(..MAX_SHOWN).unwrap_or(payload);
        let dropped = std::mem::take(&mut self.dropped);
        record.with(payload.len(), dropped).write(&self.subject, shown, wire);
    }
}

/// The taps of a shard.
#[derive(Default)]
pub struct Taps {
    taps: Vec<Tap>,
}

impl Taps {
    /// Whether anybody watches.
    #[inline]
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.taps.is_empty()
    }

    /// Subscribes to requests, on a new connection.
    pub fn subscribe(out: &mut Vec<u8>) {
        protocol::encode_sub(out, subjects::ALL_TAPS.as_bytes(), b"", REQUESTS);
    }

    /// A request for a pipeline that is here: the tap begins, goes on, or ends. Unreadable requests have no effect.
    pub fn on_request(
        &mut self,
        (tick, now_ms): (u64, u64),
        pipeline: &Arc<Pipeline>,
        payload: &[u8],
        wire: &mut Vec<u8>,
    ) {
        let Some(request) = Request::read(payload) else { return };
        let subject = subjects::tapped(pipeline.customer(), pipeline.name(), request.token());
        let found = self.taps.iter().position(|tap| tap.subject == subject);
        if request.stops {
            found.map(|at| self.taps.swap_remove(at));
            return;
        }
        let is_full = found.is_none() && self.taps.len() >= MAX_TAPS;
        let mut greeting = Record::of_pipeline(if is_full { Kind::Refused } else { Kind::Hello }, now_ms, pipeline);
        if is_full {
            greeting.reason = "there are as many taps as a node takes";
            return greeting.write(&subject, &[], wire);
        }
        let ends = tick + LEASE_TICKS;
        if let Some(tap) = found.and_then(|at| self.taps.get_mut(at)) {
            (tap.request, tap.ends) = (request, ends);
            greeting.dropped = std::mem::take(&mut tap.dropped);
        } else {
            let (customer, name) = (pipeline.customer().into(), pipeline.name().into());
            let subject = subject.clone();
            self.taps.push(Tap { request, customer, pipeline: name, subject, ends, budget: BUDGET, dropped: 0 });
        }
        greeting.write(&subject, &[], wire);
    }

    /// The server does not permit a publish: `false` when it is none of a tap, which ends.
    pub fn refuse(&mut self, subject: &str) -> bool {
        let before = self.taps.len();
        self.taps.retain(|tap| tap.subject != subject);
        self.taps.len() < before || subject.starts_with(subjects::TAPPED)
    }

    /// Once a second: leases that are over, new budgets, and word of what was dropped.
    pub fn on_tick(&mut self, tick: u64, now_ms: u64, wire: &mut Vec<u8>) {
        self.taps.retain(|tap| tap.ends > tick);
        for tap in &mut self.taps {
            tap.budget = BUDGET;
            if tap.dropped > 0 {
                let record =
                    Record { customer: &tap.customer, pipeline: &tap.pipeline, ..Record::new(Kind::Dropped, now_ms) };
                record.with(0, std::mem::take(&mut tap.dropped)).write(&tap.subject, &[], wire);
            }
        }
    }

    /// A message, as it came in.
    #[cold]
    pub fn came_in(&mut self, now_ms: u64, envelope: &Envelope<'_>, payload: &[u8], wire: &mut Vec<u8>) {
        let record = Record { step: "in", ..Record::of(Kind::In, now_ms, envelope) };
        let shown = payload.len().min(MAX_SHOWN);
        for tap in self.of(envelope) {
            if tap.request.takes("in") {
                tap.send(&record, payload, shown, wire);
            }
        }
    }

    /// What watches the steps of a message; `None` when nobody does, or nobody has room for more.
    #[cold]
    pub fn watch(&mut self, envelope: &Envelope<'_>) -> Option<Snapshots> {
        let mut most: Option<Budget> = None;
        for tap in self.of(envelope).filter(|tap| !tap.request.only_failed) {
            if tap.budget.records == 0 || tap.budget.bytes == 0 {
                tap.dropped += 1;
                continue;
            }
            let Budget { records, bytes } = tap.budget;
            most = Some(most.map_or(tap.budget, |most| Budget {
                records: most.records.max(records),
                bytes: most.bytes.max(bytes),
            }));
        }
        most.map(|Budget { records, bytes }| Snapshots::bounded(records, bytes))
    }

    /// What was seen of the steps of a message.
    #[cold]
    pub fn steps(&mut self, now_ms: u64, envelope: &Envelope<'_>, watch: Snapshots, wire: &mut Vec<u8>) {
        let left_out = watch.left_out();
        let seen = watch.sorted();
        for tap in self.of(envelope).filter(|tap| !tap.request.only_failed) {
            tap.dropped += left_out;
            for snapshot in &seen {
                if !tap.request.takes(&snapshot.label) {
                    continue;
                }
                let (step, verdict) = (snapshot.label.as_str(), snapshot.verdict.as_str());
                let record = Record { step, verdict, ..Record::of(Kind::Step, now_ms, envelope) };
                tap.send(&record, &snapshot.payload, snapshot.payload.len(), wire);
            }
        }
    }

    /// A message, or a part of one, that has become a dead letter.
    #[cold]
    pub fn died(
        &mut self,
        now_ms: u64,
        envelope: &Envelope<'_>,
        (step, fault): (&str, &Fault),
        body: Body<'_>,
        wire: &mut Vec<u8>,
    ) {
        let place = fault.place().to_string();
        let record = Record {
            step,
            code: fault.code().as_str(),
            reason: fault.reason(),
            place: &place,
            ..Record::of(Kind::Dead, now_ms, envelope)
        };
        let shown = body.bytes.len().min(MAX_SHOWN);
        for tap in self.of(envelope) {
            if tap.request.only_failed || tap.request.takes(step) {
                tap.send(&record, body.bytes, shown, wire);
            }
        }
    }

    fn of<'t>(&'t mut self, envelope: &'t Envelope<'_>) -> impl Iterator<Item = &'t mut Tap> {
        self.taps.iter_mut().filter(|tap| tap.is_of(&envelope.owner.pipeline, envelope.id))
    }
}
