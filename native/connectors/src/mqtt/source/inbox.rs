//! Messages from the broker's PUBLISH to the ack for it.
//!
//! Acks go out in the order in which the messages came, as the protocol wants it. A message that the host cannot store
//! for a reason of its own does not hold up those behind it. After a resumed session the broker repeats what it has no
//! ack for; what is here already is not taken a second time.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use message::{Code, Fault};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Batch;
use super::answers::Ack;
use super::held::{Arrival, Held, State};
use crate::contract::{ConnectorError, Health, Incoming, Settled};

/// When a message comes again whose pipeline was taken away under it.
const RETURNED: Duration = Duration::from_secs(1);

pub(super) struct Inbox {
    held: RefCell<Held>,
    window: usize,
    max_bytes: usize,
    /// For `read_batch`.
    ready: Notify,
    /// For the connection's task: there are acks, or there is room.
    moved: Notify,
    /// Whether this process has subscribed in the session.
    pub(super) has_subscribed: Cell<bool>,
    /// For the host's next question.
    pub(super) reports: RefCell<Vec<Fault>>,
    has_reported: Cell<bool>,
}

impl Inbox {
    pub(super) fn new(window: usize, max_bytes: usize) -> Inbox {
        Inbox {
            held: RefCell::default(),
            window,
            max_bytes,
            ready: Notify::new(),
            moved: Notify::new(),
            has_subscribed: Cell::default(),
            reports: RefCell::default(),
            has_reported: Cell::default(),
        }
    }

    /// Once: the same comes with each connection.
    pub(super) fn report(&self, fault: Fault) {
        if !self.has_reported.replace(true) {
            self.reports.borrow_mut().push(fault);
        }
    }

    pub(super) fn health(&self) -> Health {
        self.held.borrow().failing.map_or(Health::Up, Health::Failing)
    }

    /// Whether the connection is to be read. All that takes room leaves it by what the host does, and nothing waits for
    /// the broker: it could not be heard.
    pub(super) fn has_room(&self) -> bool {
        let held = self.held.borrow();
        let taken = held.messages.len() + held.answers.waiting();
        !held.is_closing && taken < self.window && held.bytes < self.max_bytes
    }

    pub(super) fn on_connected(&self, is_resumed: bool) {
        self.held.borrow_mut().on_connected(is_resumed);
    }

    /// The connection is gone, or there is none.
    pub(super) fn on_lost(&self, code: Code) {
        let mut held = self.held.borrow_mut();
        (held.is_connected, held.failing) = (false, Some(code));
        self.ready.notify_one();
    }

    pub(super) fn on_publish(&self, arrival: Arrival, incoming: impl FnOnce() -> Incoming) {
        let mut held = self.held.borrow_mut();
        if !held.is_closing && held.on_publish(arrival, incoming) {
            self.ready.notify_one();
        }
    }

    /// The broker releases a message of QoS 2: its number may name another one.
    pub(super) fn on_pubrel(&self, packet_id: u16) {
        self.held.borrow_mut().answers.release(packet_id);
    }

    pub(super) fn take_acks(&self) -> Vec<Ack> {
        self.held.borrow_mut().answers.take()
    }

    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Whether a connection that closes has nothing more to wait for.
    pub(super) fn is_done(&self) -> bool {
        let held = self.held.borrow();
        held.is_closing && !held.answers.is_due() && held.messages.values().all(|message| message.state != State::Read)
    }

    pub(super) async fn read_batch(&self, messages: usize, bytes: usize, wait: Duration) -> Batch {
        let deadline = Instant::now() + wait;
        loop {
            let batch = self.held.borrow_mut().take(messages.max(1), bytes);
            if !batch.is_empty() {
                return Ok(batch);
            }
            let next = {
                let held = self.held.borrow();
                if held.has_ended && held.ready.is_empty() {
                    return Err(ConnectorError::EndOfInput);
                }
                if !held.is_connected && !held.is_closing {
                    return Err(ConnectorError::NotConnected);
                }
                held.next_turn().map_or(deadline, |turn| turn.min(deadline))
            };
            if timeout_at(next, self.ready.notified()).await.is_err() && next == deadline {
                return Ok(Vec::new());
            }
        }
    }

    pub(super) fn settle(&self, item: u64, outcome: Settled) {
        let mut held = self.held.borrow_mut();
        let Some(item) = held.number_of(item) else { return };
        match outcome {
            Settled::Stored { .. } => {
                held.failing = None;
                held.finish(item, false);
            }
            Settled::Refused { fault, .. } if is_for_good(&fault) => held.finish(item, true),
            Settled::Refused { fault, retry_after } => held.again(item, &fault, retry_after),
            Settled::Returned { .. } => held.again_after(item, RETURNED),
        }
        if held.is_closing {
            held.leave_unread();
        }
        self.moved.notify_one();
        self.ready.notify_one();
    }

    /// What is not read stays with the broker, but for QoS 0, of which this is the only copy.
    pub(super) fn begin_close(&self) {
        let mut held = self.held.borrow_mut();
        held.is_closing = true;
        held.leave_unread();
        self.moved.notify_one();
        self.ready.notify_one();
    }

    pub(super) fn end(&self) {
        self.held.borrow_mut().has_ended = true;
        self.ready.notify_one();
    }
}

/// Whether no later time would make it fit: its own size or form is the reason.
fn is_for_good(fault: &Fault) -> bool {
    !fault.code().retryable() && matches!(fault.code().http_status(), 400 | 413 | 415 | 422)
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "histories.rs"]
mod histories;
