//! The state of one shard, and the three things everything ends in: an output, a closed input, a
//! dead letter.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::{Settled, Source as _};
use message::{Code, Fault, Headers};
use nats::jetstream::{self, AckReply};

use super::connect::Connects;
use super::events::{Event, EventKind, Events};
use super::headers;
use super::ids::{MessageId, OutputKey};
use super::install::{Installed, Route, Target};
use super::large::Large;
use super::ledger::{Closed, Origin, Outcome, Receipt};
use super::metrics::Metric;
use super::node::Settings;
use super::publish::{Parent, Publisher};
use super::pulls::Pulls;
use super::queue::OutQueue;
use super::scripted::Waiting;
use super::sinks::Sinks;
use super::spare::Spare;
use super::subjects;
use super::tally::Announced;

/// One message on its way through the node, by reference.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    pub installed: &'a Rc<Installed>,
    pub parent: Parent,
    pub id: &'a str,
    /// The id under which the message first came in; what people follow it by.
    pub root: &'a str,
    pub headers: Headers<'a>,
    pub content_type: &'a str,
    /// When it was accepted, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// Everything one shard owns. Borrowed for one burst or one completion at a time.
pub struct Core {
    /// By `<customer>.<pipeline>`.
    pub pipelines: HashMap<Box<str>, Rc<Installed>>,
    /// What a source's `binding` number stands for.
    pub bindings: Vec<Rc<Installed>>,
    /// Core NATS ins, by subscription id.
    pub subjects: HashMap<u64, Rc<Installed>>,
    pub publisher: Publisher,
    pub pulls: Pulls,
    /// By `<customer>.<pipeline>.<out>`.
    pub queues: HashMap<Box<str>, Rc<OutQueue>>,
    pub waiting: Waiting,
    /// A script does not end: others cannot begin.
    pub scripts_stuck: bool,
    pub large: Large,
    pub source: Option<Rc<connectors::http::source::HttpSource>>,
    pub events: Arc<Events>,
    pub now_ms: u64,
    pub draining: bool,
    pub settings: Arc<Settings>,
    pub shard_number: usize,
    /// The next subscription id of a core NATS in, counted from `FIRST_SUBJECT`.
    pub next_subject: u64,
    pub connected: bool,
    /// Frames that were written while there was no connection.
    pub late: Vec<u8>,
    /// Queues that want a worker.
    pub hungry: Vec<Rc<OutQueue>>,
    /// Queues whose parked messages nobody looks after yet.
    pub untended: Vec<Rc<OutQueue>>,
    /// Pipelines that wait for room in a lane which nobody watches yet.
    pub(super) crowded: Vec<Rc<Installed>>,
    /// Failures in a row after which an out's messages are parked.
    pub park_after: u32,
    pub sinks: Sinks,
    /// Events that wait for the PubAcks of what they tell of.
    pub(super) announced: Announced,
    pub connects: Connects,
    /// The pipeline of the last message: lanes bring runs of the same.
    pub(super) last: Option<Rc<Installed>>,
    pub(super) spare: Spare,
    pub(super) arena: Vec<u8>,
}

/// How long after a failed publish the input is tried again.
pub(super) const RETRY_PUBLISH: Duration = Duration::from_millis(500);

/// A delay grows with every delivery to this many times what it was at first, and to this long.
const MOST_TIMES_LATER: u32 = 20;
const LATEST: Duration = Duration::from_secs(30);

impl Core {
    /// Opens an input in the ledger with one thing pending: the work on it here.
    pub fn open(&mut self, origin: Origin, token: &[u8]) -> Receipt {
        let receipt = self.publisher.ledger.open(origin, token, self.publisher.tick);
        self.publisher.ledger.expect(receipt);
        receipt
    }

    /// One piece of work on the input is done.
    pub fn settle(&mut self, parent: Parent, outcome: Outcome, out: &mut Vec<u8>) {
        if let Parent::Entry(receipt) = parent
            && let Some(closed) = self.publisher.ledger.settle(receipt, outcome)
        {
            self.close(receipt, closed, out);
        }
    }

    /// Tells the origin of a closed input: ack, NAK, or the HTTP answer.
    pub fn close(&mut self, receipt: Receipt, closed: Closed, out: &mut Vec<u8>) {
        self.tell(receipt, closed.tally, matches!(closed.outcome, Outcome::Ok));
        let token = self.publisher.ledger.token(receipt);
        match (closed.origin, closed.outcome) {
            (Origin::JetStream, Outcome::Ok) => jetstream::encode_ack(out, token),
            (Origin::JetStream, Outcome::Retry(delay, _)) => {
                jetstream::encode_nak(out, token, Some(later(delay, token)));
            }
            (Origin::Http { item, binding, bytes }, outcome) => {
                let settled = answer(token, outcome);
                self.count_answer(binding, bytes as usize, &settled);
                if let Some(source) = &self.source {
                    source.settle(item, settled);
                }
            }
            (Origin::Core, _) => {}
        }
        self.publisher.ledger.forget(receipt);
    }

    fn count_answer(&self, binding: u32, bytes: usize, settled: &Settled) {
        let Some(installed) = self.bindings.get(binding as usize) else { return };
        match settled {
            Settled::Stored { id } => {
                installed.counters.add(Metric::Received, 1);
                installed.counters.add(Metric::ReceivedBytes, bytes as u64);
                self.events.push(|| Event::about(EventKind::Received, self.now_ms, installed, id).at("", bytes));
            }
            Settled::Refused { fault, .. } => {
                installed.counters.add(Metric::Refused, 1);
                self.events.push(|| Event::about(EventKind::Refused, self.now_ms, installed, "").with_fault(fault));
            }
        }
    }

    /// The stream's answer to a publish.
    pub fn on_pub_ack(&mut self, receipt: Receipt, answer: Result<(), Fault>, out: &mut Vec<u8>) {
        if let Err(fault) = &answer {
            self.refused(receipt, fault);
        }
        let outcome = match answer {
            Ok(()) => Outcome::Ok,
            // The frame of a core message stays and is sent again: nobody else could.
            Err(_) if self.publisher.ledger.origin(receipt) == Some(Origin::Core) => return,
            Err(fault) => Outcome::Retry(RETRY_PUBLISH, fault),
        };
        self.publisher.ledger.pub_acked(receipt);
        self.settle(Parent::Entry(receipt), outcome, out);
    }

    /// Publishes one output. `payload` is a range of the arena, or the input's own bytes; `url` is what goes with
    /// it, when its fields make one.
    pub fn emit(
        &mut self,
        envelope: &Envelope<'_>,
        target: usize,
        index: u32,
        payload: Payload<'_>,
        url: Result<Option<&str>, &Fault>,
        out: &mut Vec<u8>,
    ) {
        let installed = envelope.installed;
        let target = &installed.targets[target];
        let id = MessageId::output(&target.key, envelope.id, index);
        let content_type = match &payload {
            Payload::Source(_) => envelope.content_type,
            Payload::Arena(_, content_type) => content_type,
        };
        let envelope = &Envelope { content_type, ..*envelope };
        let block = self.publisher.block.start(installed.customer());
        block.put(headers::MESSAGE_ID, id.as_str().as_bytes());
        if !content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, content_type.as_bytes());
        }
        if matches!(target.route, Route::Lane { .. }) {
            block.put(headers::ROOT, envelope.root.as_bytes());
        }
        if let Route::Stream { stream: Some(stream), .. } = &target.route {
            block.put(headers::EXPECTED_STREAM, stream.as_bytes());
        }
        if let Ok(Some(url)) = url {
            block.put(headers::URL, url.as_bytes());
        }
        block.put_number(headers::TIME, envelope.time_ms).pass(envelope.headers).end();
        let bytes = match payload {
            Payload::Source(bytes) => bytes,
            Payload::Arena(range, _) => &self.arena[range],
        };
        let fits = url.map_err(Fault::clone).and_then(|_| self.publisher.check_size(bytes));
        let published = fits.and_then(|()| match &target.route {
            Route::Core { subject } => {
                self.publisher.publish_core(subject, bytes, out);
                Ok(None)
            }
            Route::Stream { subject, .. } | Route::Lane { subject, .. } => {
                self.publisher.publish_stream(envelope.parent, subject, bytes, out).map(Some)
            }
        });
        match published {
            Ok(receipt) => {
                let size = bytes.len();
                if let Some(receipt) = receipt {
                    self.publisher.ledger.attribute(receipt, installed);
                }
                self.count_emitted(envelope, target, receipt, size);
            }
            Err(fault) if fault.code() == Code::LimitMemory => self.lose(envelope, &fault),
            Err(fault) => {
                let payload = bytes.to_vec();
                self.dead_letter(envelope, &format!("out:{}", target.name), &fault, index, &payload, out);
            }
        }
    }

    fn count_emitted(&mut self, envelope: &Envelope<'_>, target: &Target, waits: Option<Receipt>, size: usize) {
        envelope.installed.counters.add(Metric::Emitted, 1);
        match (&target.route, waits) {
            (Route::Core { .. }, _) => self.count_delivered(envelope, &target.name, size),
            (Route::Stream { .. }, Some(receipt)) => self.count_at_pub_ack(receipt, envelope, &target.name, size),
            _ => {}
        }
    }

    /// Core NATS only, where nothing upstream could send it again: counted and shown, since there
    /// is nowhere left to put it.
    fn lose(&self, envelope: &Envelope<'_>, fault: &Fault) {
        envelope.installed.counters.add(Metric::Lost, 1);
        self.event(EventKind::Dead, envelope, "in", Some(fault), 0);
    }

    /// Puts a message, or a part of one, into `VRSKY_DEAD`. Its input waits for that PubAck too.
    pub fn dead_letter(
        &mut self,
        envelope: &Envelope<'_>,
        step: &str,
        fault: &Fault,
        part: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let installed = envelope.installed;
        installed.counters.add(Metric::Dead, 1);
        self.event(EventKind::Dead, envelope, step, Some(fault), payload.len());
        let subject = subjects::dead(installed.customer(), installed.name(), &subjects::token(step));
        let id = MessageId::output(&OutputKey::new(installed.revision(), &subject), envelope.id, part);
        let block = self.publisher.block.start(installed.customer());
        block.put(headers::MESSAGE_ID, id.as_str().as_bytes());
        block.put(headers::ROOT, envelope.root.as_bytes());
        block.put("Vrsky-Revision", installed.revision().as_bytes());
        block.put_number(headers::TIME, envelope.time_ms).put_fault(fault, step);
        block.put_number("Vrsky-Part", u64::from(part));
        if !envelope.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, envelope.content_type.as_bytes());
        }
        block.pass(envelope.headers);
        let too_large = block.bytes().len() + payload.len() + 64 > self.publisher.max_payload;
        if too_large {
            self.publisher.block.put_number("Vrsky-Omitted-Bytes", payload.len() as u64);
        }
        self.publisher.block.end();
        let kept = if too_large { &[] } else { payload };
        if let Err(fault) = self.publisher.publish_stream(envelope.parent, &subject, kept, out) {
            self.lose(envelope, &fault);
        }
    }

    /// Says what happened to a message, when somebody watches.
    pub fn event(&self, kind: EventKind, envelope: &Envelope<'_>, step: &str, fault: Option<&Fault>, bytes: usize) {
        self.events.push(|| {
            let event = Event::about(kind, self.now_ms, envelope.installed, envelope.root).at(step, bytes);
            match fault {
                Some(fault) => event.with_fault(fault),
                None => event,
            }
        });
    }
}

/// The bytes of an output.
pub enum Payload<'a> {
    /// As the input came.
    Source(&'a [u8]),
    /// A range of the arena, and its content type.
    Arena(std::ops::Range<usize>, &'static str),
}

/// A message that comes back again and again comes less and less often: what it waits for takes time.
fn later(delay: Duration, ack_subject: &[u8]) -> Duration {
    let delivered = AckReply::parse(ack_subject).map_or(1, |ack| ack.delivered);
    let times = u32::try_from(delivered).unwrap_or(u32::MAX).clamp(1, MOST_TIMES_LATER);
    delay.saturating_mul(times).min(LATEST.max(delay))
}

fn answer(token: &[u8], outcome: Outcome) -> Settled {
    match outcome {
        Outcome::Ok => Settled::Stored { id: String::from_utf8_lossy(token).into() },
        Outcome::Retry(after, fault) => {
            Settled::Refused { fault, retry_after: Some(after.max(Duration::from_secs(1))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_again_and_again_waits_longer_each_time_up_to_a_bound() {
        let seconds = |delay: u64, delivered: u64| {
            let ack = format!("$JS.ACK.IN.orders.{delivered}.7.9.1700000000000000000.3");
            later(Duration::from_secs(delay), ack.as_bytes()).as_secs()
        };
        assert_eq!([1, 2, 19, 20, 21, 1_000_000].map(|times| seconds(1, times)), [1, 2, 19, 20, 20, 20]);
        assert_eq!([1, 2, 3, 4, 20].map(|times| seconds(10, times)), [10, 20, 30, 30, 30]);
        // One that was asked for is never shortened.
        assert_eq!(seconds(60, 5), 60);
        assert_eq!(later(Duration::from_secs(1), b"no ack subject"), Duration::from_secs(1));
    }
}
