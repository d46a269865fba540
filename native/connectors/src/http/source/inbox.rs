//! Requests that are read and not yet answered: a queue for the host, and a slot per request in
//! which its sender waits for `settle`.
//!
//! A request is admitted before its body is read, so that one budget, in messages and bytes,
//! covers all that the source holds; no customer has all of it (`shares.rs`). It is released when the host settles, not when the sender
//! goes away: until then the host holds the payload.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use message::Fault;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::shares::{ShareId, Shares, is_fair};
use super::turns::Turns;
use crate::contract::{ConnectorError, Incoming, Settled};

/// Ticks in one settlement timeout.
pub(super) const TICKS: u32 = 10;

pub(super) struct Inbox {
    held: RefCell<Held>,
    max_messages: usize,
    max_bytes: usize,
    ready: Notify,
    turns: Turns,
}

#[derive(Default)]
struct Held {
    queue: VecDeque<Incoming>,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    messages: usize,
    bytes: usize,
    shares: Shares<String>,
    tick: u32,
    ended: bool,
}

struct Slot {
    /// Tells two requests apart that use the same slot one after the other.
    generation: u32,
    share: ShareId,
    bytes: usize,
    since: u32,
    state: State,
}

enum State {
    Vacant,
    Waiting(Option<Waker>),
    Settled(Settled),
    /// The sender has gone, or was told 503; `settle` only frees the slot.
    Abandoned,
}

/// What a request with its body holds of the budget until it is queued; given back when dropped.
pub(super) struct Admission {
    /// `None` once a slot has taken the budget over.
    inbox: Option<Rc<Inbox>>,
    share: ShareId,
    bytes: usize,
}

impl Admission {
    /// Takes `bytes` more; `false` when the budget, or the customer's share of it, is used up.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let Some(inbox) = &self.inbox else { return false };
        let mut held = inbox.held.borrow_mut();
        if !is_fair(held.shares.bytes(self.share), bytes, inbox.max_bytes.saturating_sub(held.bytes)) {
            return false;
        }
        held.bytes += bytes;
        held.shares.add_bytes(self.share, bytes);
        self.bytes += bytes;
        true
    }

    /// Holds so many bytes less.
    pub(super) fn give_back(&mut self, bytes: usize) {
        let Some(inbox) = &self.inbox else { return };
        let mut held = inbox.held.borrow_mut();
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        held.bytes -= bytes;
        held.shares.give_back(self.share, bytes);
    }

    /// What `work` returns, on another thread in the customer's turn.
    ///
    /// # Errors
    /// `internal/panic`
    pub(super) async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        match &self.inbox {
            Some(inbox) => inbox.turns.run(self.share, work).await,
            None => Ok(work()),
        }
    }

    fn hand_over(mut self) -> (ShareId, usize) {
        self.inbox = None;
        (self.share, self.bytes)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(inbox) = &self.inbox {
            inbox.held.borrow_mut().release(self.share, self.bytes);
        }
    }
}

impl Inbox {
    pub(super) fn new(max_messages: usize, max_bytes: usize) -> Rc<Inbox> {
        Rc::new(Inbox {
            held: RefCell::default(),
            max_messages,
            max_bytes,
            ready: Notify::new(),
            turns: Turns::default(),
        })
    }

    /// Whether the next request is turned away.
    pub(super) fn is_full(&self) -> bool {
        let held = self.held.borrow();
        held.messages >= self.max_messages || held.bytes >= self.max_bytes
    }

    /// `None` when the budget, or the customer's share of it, is used up.
    pub(super) fn admit(self: &Rc<Inbox>, customer: &str) -> Option<Admission> {
        if self.is_full() {
            return None;
        }
        let mut held = self.held.borrow_mut();
        let share = held.shares.of(customer);
        if held.ended || !is_fair(held.shares.units(share), 1, self.max_messages - held.messages) {
            return None;
        }
        held.messages += 1;
        held.shares.add_unit(share);
        Some(Admission { inbox: Some(Rc::clone(self)), share, bytes: 0 })
    }

    pub(super) fn in_flight(&self) -> (usize, usize) {
        let held = self.held.borrow();
        (held.messages, held.bytes)
    }

    pub(super) async fn read_batch(
        &self,
        max_messages: usize,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<Incoming>, ConnectorError> {
        let deadline = Instant::now() + max_wait;
        loop {
            let batch = self.held.borrow_mut().take(max_messages.max(1), max_bytes);
            if !batch.is_empty() {
                return Ok(batch);
            }
            if self.held.borrow().ended {
                return Err(ConnectorError::EndOfInput);
            }
            if timeout_at(deadline, self.ready.notified()).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    pub(super) fn settle(&self, item: u64, outcome: Settled) {
        let mut held = self.held.borrow_mut();
        let Some((index, slot)) = held.slot(item) else { return };
        let (share, bytes) = (slot.share, std::mem::take(&mut slot.bytes));
        match std::mem::replace(&mut slot.state, State::Vacant) {
            State::Waiting(waker) => {
                slot.state = State::Settled(outcome);
                held.release(share, bytes);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Abandoned => {
                held.release(share, bytes);
                held.vacate(index);
            }
            // Settled before: the host's second word does not count.
            state => slot.state = state,
        }
    }

    /// Called `TICKS` times in a settlement timeout. Gives up on requests that waited for all of
    /// it, to within a tick, without a clock call or a timer per request.
    pub(super) fn tick(&self) {
        let mut held = self.held.borrow_mut();
        held.tick = held.tick.wrapping_add(1);
        let now = held.tick;
        for slot in &mut held.slots {
            let State::Waiting(waker) = &mut slot.state else { continue };
            if now.wrapping_sub(slot.since) > TICKS {
                let waker = waker.take();
                slot.state = State::Abandoned;
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// No request will follow: `read_batch` says so once the queue is empty.
    pub(super) fn end(&self) {
        self.held.borrow_mut().ended = true;
        self.ready.notify_one();
    }

    /// Queues the request and waits; `None` when the host has not settled in time.
    pub(super) async fn submit(&self, admission: Admission, incoming: Incoming) -> Option<Settled> {
        let budget = admission.hand_over();
        let item = self.held.borrow_mut().enqueue(budget, incoming);
        let _abandon = Abandon { inbox: self, item };
        self.ready.notify_one();
        poll_fn(|cx| self.held.borrow_mut().poll_settled(item, cx.waker())).await
    }
}

/// Frees the slot when the sender is answered, or marks it when it has gone away.
struct Abandon<'a> {
    inbox: &'a Inbox,
    item: u64,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        let mut held = self.inbox.held.borrow_mut();
        let Some((index, slot)) = held.slot(self.item) else { return };
        match slot.state {
            State::Waiting(_) => slot.state = State::Abandoned,
            // Settled in the very moment in which the sender went away.
            State::Settled(_) => held.vacate(index),
            State::Abandoned | State::Vacant => {}
        }
    }
}

impl Held {
    fn slot(&mut self, item: u64) -> Option<(u32, &mut Slot)> {
        let (generation, index) = ((item >> 32) as u32, item as u32);
        let slot = self.slots.get_mut(index as usize)?;
        (slot.generation == generation && !matches!(slot.state, State::Vacant)).then_some((index, slot))
    }

    fn release(&mut self, share: ShareId, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
        self.shares.release(share, bytes);
    }

    fn vacate(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.state = State::Vacant;
        // Numbers of messages stay below the host's mark.
        slot.generation = slot.generation.wrapping_add(1) & (u32::MAX >> 1);
        self.vacant.push(index);
    }

    fn enqueue(&mut self, (share, bytes): (ShareId, usize), mut incoming: Incoming) -> u64 {
        let (since, state) = (self.tick, State::Waiting(None));
        let index = if let Some(index) = self.vacant.pop() {
            let slot = &mut self.slots[index as usize];
            (slot.share, slot.bytes, slot.since, slot.state) = (share, bytes, since, state);
            index
        } else {
            self.slots.push(Slot { generation: 0, share, bytes, since, state });
            self.slots.len() as u32 - 1
        };
        incoming.item = u64::from(self.slots[index as usize].generation) << 32 | u64::from(index);
        let item = incoming.item;
        self.queue.push_back(incoming);
        item
    }

    /// What is queued, in order. Requests whose sender has gone are passed over: nobody was told
    /// that they are stored, and nobody waits for it.
    fn take(&mut self, max_messages: usize, max_bytes: usize) -> Vec<Incoming> {
        let mut batch = Vec::with_capacity(max_messages.min(self.queue.len()));
        let mut bytes = 0;
        while let Some(next) = self.queue.front() {
            if batch.len() == max_messages || (!batch.is_empty() && bytes + next.payload.len() > max_bytes) {
                break;
            }
            bytes += next.payload.len();
            let Some(next) = self.queue.pop_front() else { break };
            match self.slot(next.item) {
                Some((index, slot)) if matches!(slot.state, State::Abandoned) => {
                    bytes -= next.payload.len();
                    let (share, held) = (slot.share, slot.bytes);
                    self.release(share, held);
                    self.vacate(index);
                }
                _ => batch.push(next),
            }
        }
        batch
    }

    fn poll_settled(&mut self, item: u64, waker: &Waker) -> Poll<Option<Settled>> {
        let Some((index, slot)) = self.slot(item) else { return Poll::Ready(None) };
        match &mut slot.state {
            State::Waiting(waiting) => {
                if !waiting.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    *waiting = Some(waker.clone());
                }
                Poll::Pending
            }
            State::Settled(_) => {
                let State::Settled(outcome) = std::mem::replace(&mut slot.state, State::Vacant) else {
                    return Poll::Pending;
                };
                self.vacate(index);
                Poll::Ready(Some(outcome))
            }
            State::Abandoned | State::Vacant => Poll::Ready(None),
        }
    }
}
