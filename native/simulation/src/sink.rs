//! Receivers that work, fail, hang and lie, and the sinks that reach them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use connectors::kind::{Policy, SinkSpec};
use connectors::{Delivery, Health, LocalFuture, Outcome, Sink};
use message::{Code, Fault};
use tokio::time::sleep;

use crate::story::Story;

/// How a receiver behaves, for as long as a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Well,
    /// Answers 500.
    Fails,
    /// Refuses connections.
    Unreachable,
    /// Takes nothing and does not answer.
    Hangs,
    /// Takes it, and the answer is lost.
    Lies,
    /// Answers after so many milliseconds.
    Slow(u32),
}

/// What a receiver was sent, and has.
#[derive(Clone, Debug)]
pub struct Got {
    pub id: String,
    pub customer: String,
    pub pipeline: String,
    pub payload: Bytes,
    pub at_ms: u64,
    /// The answer was lost.
    pub is_unanswered: bool,
}

/// One server behind an out.
pub struct Receiver {
    name: String,
    behaviour: Cell<Behaviour>,
    /// Takes what it has refused before.
    forgives: Rc<Cell<bool>>,
    got: RefCell<Vec<Got>>,
}

impl Receiver {
    pub fn behave(&self, behaviour: Behaviour) {
        self.behaviour.set(behaviour);
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.borrow().clone()
    }
}

/// All receivers, by the name in their URL or path.
#[derive(Default)]
pub struct Receivers {
    by_name: RefCell<BTreeMap<String, Rc<Receiver>>>,
    forgive: Rc<Cell<bool>>,
}

impl Receivers {
    /// The receiver of this name; made when nobody has asked for it before.
    pub fn get(&self, name: &str) -> Rc<Receiver> {
        let make = || Receiver {
            name: name.to_owned(),
            behaviour: Cell::new(Behaviour::Well),
            forgives: Rc::clone(&self.forgive),
            got: RefCell::default(),
        };
        Rc::clone(self.by_name.borrow_mut().entry(name.to_owned()).or_insert_with(|| Rc::new(make())))
    }

    pub fn all(&self) -> Vec<Rc<Receiver>> {
        self.by_name.borrow().values().map(Rc::clone).collect()
    }

    /// Whether all take from now on what they refuse otherwise.
    pub fn forgive(&self, forgives: bool) {
        self.forgive.set(forgives);
    }

    /// All of them, by name.
    pub fn by_name(&self) -> BTreeMap<String, Rc<Receiver>> {
        self.by_name.borrow().clone()
    }
}

/// A sink of one out.
pub struct ModelSink {
    pub receiver: Rc<Receiver>,
    pub story: Rc<Story>,
    pub policy: Policy,
    /// One request carries a whole batch.
    pub is_request: bool,
}

/// Where an out sends to: `http://erp.sim/`.
pub fn place_of(out: &dyn SinkSpec) -> String {
    let described = out.describe();
    described.strip_prefix("POST ").unwrap_or(&described).to_owned()
}

/// A message with this in it is answered 500, always.
pub const POISON: &str = "\"poison\"";
/// A message with this in it is refused for good.
pub const REFUSED: &str = "\"refused\"";

fn holds(payload: &[u8], text: &str) -> bool {
    memchr::memmem::find(payload, text.as_bytes()).is_some()
}

impl ModelSink {
    /// What one request is answered with, for all of its messages.
    async fn deliver(&self, batch: &[Delivery<'_>]) -> Outcome {
        let any = |text| batch.iter().any(|delivery| holds(delivery.payload, text));
        let retry = |code, reason: &str| Outcome::Retry { fault: Fault::new(code, reason), after: None };
        sleep(Duration::from_millis(self.story.random(1..8))).await;
        match self.receiver.behaviour.get() {
            Behaviour::Unreachable => return retry(Code::HttpConnect, "refused"),
            Behaviour::Fails => return retry(Code::HttpServerError, "500"),
            Behaviour::Hangs => {
                sleep(self.policy.timeout).await;
                return retry(Code::HttpTimeout, "no answer");
            }
            Behaviour::Slow(millis) => sleep(Duration::from_millis(u64::from(millis))).await,
            Behaviour::Well | Behaviour::Lies => {}
        }
        let is_strict = self.receiver.name.starts_with("http") && !self.receiver.forgives.get();
        if is_strict && any(POISON) {
            return retry(Code::HttpServerError, "500");
        }
        if is_strict && any(REFUSED) {
            return Outcome::Permanent(Fault::new(Code::HttpRejected, "400"));
        }
        let is_unanswered = self.receiver.behaviour.get() == Behaviour::Lies;
        for delivery in batch {
            self.take(delivery, is_unanswered);
        }
        if is_unanswered {
            let ids = || batch.iter().map(|delivery| delivery.id).collect::<Vec<_>>().join(", ");
            self.story.tell(|| format!("{} does not say that it has {}", self.receiver.name, ids()));
            sleep(self.policy.timeout).await;
            return retry(Code::HttpTimeout, "the answer is lost");
        }
        Outcome::Delivered
    }

    /// In one request; in halves, where one message is refused.
    async fn together(&self, batch: &[Delivery<'_>]) -> Vec<Outcome> {
        let (mut outcomes, mut waiting) = (Vec::with_capacity(batch.len()), vec![batch]);
        while let Some(part) = waiting.pop() {
            let outcome = self.deliver(part).await;
            if part.len() > 1 && matches!(outcome, Outcome::Permanent(_)) {
                let (first, second) = part.split_at(part.len() / 2);
                waiting.extend([second, first]);
                continue;
            }
            let is_last = self.policy.workers == 1 && matches!(outcome, Outcome::Retry { .. });
            let count = if is_last { batch.len() - outcomes.len() } else { part.len() };
            outcomes.extend(std::iter::repeat_n(outcome, count));
            if is_last {
                break;
            }
        }
        outcomes
    }

    fn take(&self, delivery: &Delivery<'_>, is_unanswered: bool) {
        self.story.tell(|| format!("{} gets {}", self.receiver.name, delivery.id));
        self.receiver.got.borrow_mut().push(Got {
            id: delivery.id.to_owned(),
            customer: delivery.customer.to_owned(),
            pipeline: delivery.pipeline.to_owned(),
            payload: delivery.payload.clone(),
            at_ms: self.story.elapsed_ms(),
            is_unanswered,
        });
    }
}

impl Sink for ModelSink {
    fn check(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(async {
            match self.receiver.behaviour.get() {
                Behaviour::Unreachable => Err(Fault::new(Code::HttpConnect, "refused")),
                _ => Ok(()),
            }
        })
    }

    fn health(&self) -> Health {
        Health::Up
    }

    fn write_batch<'a>(&'a self, batch: &'a [Delivery<'a>]) -> LocalFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            if self.is_request {
                return self.together(batch).await;
            }
            let mut outcomes = Vec::with_capacity(batch.len());
            for delivery in batch.chunks(1) {
                outcomes.push(self.deliver(delivery).await);
            }
            outcomes
        })
    }

    fn close(&self) -> LocalFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
