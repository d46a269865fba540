//! A source without sockets: requests are handed to it, and their answers come back.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use connectors::http::source::{RoutedSource, Routes};
use connectors::{ConnectorError, Health, Incoming, LocalFuture, Read, Settled, Source};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

/// What a client sends.
#[derive(Clone, Debug)]
pub struct Request {
    /// `/in/<customer><path>`
    pub path: String,
    pub payload: Bytes,
    pub key: Option<String>,
    /// `Name: value\r\n`
    pub headers: String,
}

/// What a client hears.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 202, with the message's id.
    Accepted(Box<str>),
    /// Refused, with the fault's code.
    Refused(message::Code),
    /// 404
    NoPath,
}

type Sender = oneshot::Sender<Answer>;

/// The source of one shard.
#[derive(Default)]
pub struct ModelSource {
    routes: RefCell<Routes>,
    queue: RefCell<VecDeque<Incoming>>,
    waiting: RefCell<BTreeMap<u64, (Request, Sender)>>,
    next: Cell<u64>,
    arrived: Notify,
    closed: Cell<bool>,
}

impl ModelSource {
    /// Sends a request. The answer never comes when the shard dies first.
    pub fn post(self: &Rc<Self>, request: Request) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.enter(request, sender);
        receiver
    }

    fn enter(&self, request: Request, sender: Sender) {
        let route = (!self.closed.get()).then(|| self.routes.borrow().get(&request.path)).flatten();
        let Some(route) = route else {
            // The client may have given up.
            let _ = sender.send(Answer::NoPath);
            return;
        };
        if request.payload.len() > route.max_body {
            // The client may have given up.
            let _ = sender.send(Answer::Refused(message::Code::HttpTooLarge));
            return;
        }
        let item = self.next.replace(self.next.get() + 1);
        self.queue.borrow_mut().push_back(Incoming {
            item,
            binding: route.binding,
            payload: request.payload.clone(),
            headers: request.headers.clone().into_bytes(),
            content_type: "application/json".into(),
            place: None,
            fault: None,
            idempotency_key: request.key.as_deref().map(Into::into),
        });
        self.waiting.borrow_mut().insert(item, (request, sender));
        self.arrived.notify_one();
    }

    /// Whether nothing more comes.
    fn is_over(&self) -> bool {
        self.closed.get() && self.waiting.borrow().is_empty()
    }

    /// What is there, at most so much.
    fn take(&self, messages: usize, bytes: usize) -> Vec<Incoming> {
        let (mut queue, mut taken, mut held) = (self.queue.borrow_mut(), Vec::new(), 0);
        while let Some(next) = queue.front()
            && taken.len() < messages
            && (taken.is_empty() || held + next.payload.len() <= bytes)
        {
            held += next.payload.len();
            taken.extend(queue.pop_front());
        }
        taken
    }
}

impl RoutedSource for ModelSource {
    fn routes(&self) -> RefMut<'_, Routes> {
        self.routes.borrow_mut()
    }
}

impl Source for ModelSource {
    fn connect(&self) -> LocalFuture<'_, Result<(), message::Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn health(&self) -> Health {
        Health::Up
    }

    fn read_batch(&self, messages: usize, bytes: usize, wait: Duration) -> LocalFuture<'_, Read> {
        Box::pin(async move {
            if self.queue.borrow().is_empty() && !self.is_over() {
                // An empty batch says that the wait is over.
                let _ = timeout(wait, self.arrived.notified()).await;
            }
            let batch = self.take(messages, bytes);
            if batch.is_empty() && self.is_over() {
                return Err(ConnectorError::EndOfInput);
            }
            Ok(batch)
        })
    }

    fn settle(&self, item: u64, outcome: Settled) {
        let Some((request, sender)) = self.waiting.borrow_mut().remove(&item) else { return };
        let answer = match outcome {
            Settled::Stored { id } => Answer::Accepted(id),
            Settled::Refused { fault, .. } => Answer::Refused(fault.code()),
            Settled::Returned { payload } => return self.enter(Request { payload, ..request }, sender),
        };
        // The client may have given up.
        let _ = sender.send(answer);
        if self.closed.get() {
            self.arrived.notify_one();
        }
    }

    fn close(&self, deadline: Duration) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            self.closed.set(true);
            self.arrived.notify_one();
            let end = tokio::time::Instant::now() + deadline;
            while !self.waiting.borrow().is_empty() && tokio::time::Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    }
}
