//! What happened to single messages, for people who watch: a bounded ring that is emptied by its
//! reader a few times a second. Under load only the first ones of each interval are kept; the
//! counters stay exact.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use message::Fault;
use serde::Serialize;

use crate::compile::Pipeline;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    Received,
    Filtered,
    Delivered,
    Retried,
    Dead,
    /// A core NATS message, or a publish to core NATS, that nobody has any more.
    Lost,
    Refused,
    /// An out fails for longer: its messages are parked.
    Parking,
    /// It works again, and nothing of it is parked any more.
    Resumed,
    /// A script has said something about a message.
    Console,
    /// About the node: a connection lost or restored.
    Node,
}

/// One line for the reader. Holds codes, ids and places, never a value of the message but what its script says.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub kind: EventKind,
    pub time_ms: u64,
    pub customer: String,
    pub pipeline: String,
    pub id: String,
    /// The step that filtered or failed it, or the out that took it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// The filter's expression, or the fault's reason and place.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    pub bytes: usize,
}

impl Event {
    #[must_use]
    pub fn about(kind: EventKind, time_ms: u64, pipeline: &Pipeline, id: &str) -> Event {
        Event {
            customer: pipeline.customer().to_owned(),
            pipeline: pipeline.name().to_owned(),
            id: id.to_owned(),
            ..Event::of_node(kind, time_ms)
        }
    }

    /// About the node rather than about a message.
    #[must_use]
    pub fn of_node(kind: EventKind, time_ms: u64) -> Event {
        Event {
            kind,
            time_ms,
            customer: String::new(),
            pipeline: String::new(),
            id: String::new(),
            step: String::new(),
            why: String::new(),
            code: None,
            bytes: 0,
        }
    }

    #[must_use]
    pub fn at(self, step: &str, bytes: usize) -> Event {
        Event { step: step.to_owned(), bytes, ..self }
    }

    #[must_use]
    pub fn because(self, why: &str) -> Event {
        Event { why: why.to_owned(), ..self }
    }

    #[must_use]
    pub fn with_fault(self, fault: &Fault) -> Event {
        Event { why: fault.why(), code: Some(fault.code().as_str()), ..self }
    }
}

const ROOM: usize = 256;

#[derive(Debug, Default)]
pub struct Events {
    waiting: AtomicUsize,
    ring: Mutex<Vec<Event>>,
}

impl Events {
    /// Whether [`Events::push`] would keep one.
    #[inline]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.load(Relaxed) < ROOM
    }

    /// `event` is only built when there is room for it.
    #[inline]
    pub fn push(&self, event: impl FnOnce() -> Event) {
        if self.has_room() {
            self.keep(event());
        }
    }

    /// For what happens once in an outage: kept also when messages have filled the ring.
    pub fn push_rare(&self, event: impl FnOnce() -> Event) {
        if self.waiting.load(Relaxed) < 2 * ROOM {
            self.keep(event());
        }
    }

    fn keep(&self, event: Event) {
        if let Ok(mut ring) = self.ring.lock() {
            ring.push(event);
            self.waiting.store(ring.len(), Relaxed);
        }
    }

    /// Everything since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        self.ring.lock().map_or_else(
            |_| Vec::new(),
            |mut ring| {
                self.waiting.store(0, Relaxed);
                std::mem::take(&mut *ring)
            },
        )
    }
}
