//! Where other tasks of the same thread leave what is to be sent.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use message::Fault;

use super::requests::{Reply, Requests};
use crate::jetstream::Api;

/// A cheap handle on what one connection will send next.
#[derive(Clone)]
pub struct Outbox(Rc<RefCell<Inner>>);

struct Inner {
    connected: bool,
    max_payload: usize,
    buffer: Vec<u8>,
    /// Taken by the driver, not yet written.
    in_write: usize,
    /// A turn is wanted, though there is nothing to send.
    woken: bool,
    /// The server had better give a sign of life.
    suspected: bool,
    /// Nothing of what is not sent yet may be sent.
    revoked: bool,
    guard: Option<Rc<dyn Fn() -> bool>>,
    driver: Option<Waker>,
    requests: Requests,
    api: Api,
}

impl Outbox {
    /// `random`: of the subject of its answers.
    pub(super) fn new(random: [u64; 2], api: Api) -> Self {
        Outbox(Rc::new(RefCell::new(Inner {
            connected: false,
            max_payload: 0,
            buffer: Vec::new(),
            in_write: 0,
            woken: false,
            suspected: false,
            revoked: false,
            guard: None,
            driver: None,
            requests: Requests::new(random),
            api,
        })))
    }

    /// Appends encoded frames, whole ones only; they leave with the next turn. Never blocks: look at
    /// [`Outbox::pending`] first.
    ///
    /// `false` when there is no connection: nothing was taken, `encode` was not called. `true` does
    /// not mean sent: what a breaking connection held is dropped, and the handler told.
    #[must_use]
    pub fn write(&self, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut inner = self.0.borrow_mut();
        if !inner.connected {
            return false;
        }
        let mut buffer = std::mem::take(&mut inner.buffer);
        drop(inner);
        encode(&mut buffer);
        let mut inner = self.0.borrow_mut();
        buffer.append(&mut inner.buffer);
        inner.buffer = buffer;
        let driver = inner.driver.take();
        drop(inner);
        if let Some(driver) = driver {
            driver.wake();
        }
        true
    }

    /// Makes the connection take a turn, and so call `Handler::on_burst_end`, though there is nothing
    /// to send: for work that was finished elsewhere on this thread.
    pub fn wake(&self) {
        let mut inner = self.0.borrow_mut();
        inner.woken = true;
        let driver = inner.driver.take();
        drop(inner);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// An answer is late: has the server asked for a sign of life. One of a cluster that gives none is left within
    /// seconds.
    pub fn suspect(&self) {
        self.0.borrow_mut().suspected = true;
        self.wake();
    }

    /// Revokes what is not sent yet: the connection is given up before anything more is written, with what the operating
    /// system has not sent, and the next one is made. As when it breaks by itself, the handler is told.
    pub fn revoke(&self) {
        let mut inner = self.0.borrow_mut();
        inner.revoked = inner.connected;
        drop(inner);
        self.wake();
    }

    /// Asked before each write whether what is not sent yet may not be sent any more. Never blocks.
    pub fn set_guard(&self, is_revoked: Rc<dyn Fn() -> bool>) {
        self.0.borrow_mut().guard = Some(is_revoked);
    }

    pub(super) fn is_revoked(&self) -> bool {
        let inner = self.0.borrow();
        inner.revoked || inner.guard.as_ref().is_some_and(|is_revoked| is_revoked())
    }

    pub(super) fn take_suspicion(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().suspected)
    }

    /// Bytes on their way to the socket. Above a few megabytes, stop taking work in.
    #[must_use]
    pub fn pending(&self) -> usize {
        let inner = self.0.borrow();
        inner.buffer.len() + inner.in_write
    }

    #[must_use]
    pub fn connected(&self) -> bool {
        self.0.borrow().connected
    }

    /// Where JetStream's API listens.
    #[must_use]
    pub fn api(&self) -> Api {
        self.0.borrow().api.clone()
    }

    /// Of the server connected last; headers and payload together, bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.0.borrow().max_payload
    }

    /// Publishes `payload` and waits for one answer. For control only: each costs a table entry.
    /// Another task must be turning the connection.
    ///
    /// # Errors
    /// `nats/disconnected` without a connection, or when it breaks; `nats/no-stream` when nobody
    /// listens; `nats/timeout`.
    pub async fn request(&self, subject: &str, payload: &[u8], timeout: Duration) -> Result<Reply, Fault> {
        super::requests::request(self, subject, payload, timeout).await
    }

    pub(super) fn with_requests<T>(&self, work: impl FnOnce(&mut Requests) -> T) -> T {
        work(&mut self.0.borrow_mut().requests)
    }

    pub(super) fn set_max_payload(&self, bytes: usize) {
        self.0.borrow_mut().max_payload = bytes;
    }

    pub(super) fn set_connected(&self) {
        self.0.borrow_mut().connected = true;
    }

    /// From now on nothing is taken; what was is dropped. Returns its size.
    pub(super) fn disconnect(&self) -> usize {
        let mut inner = self.0.borrow_mut();
        inner.connected = false;
        inner.revoked = false;
        let dropped = inner.buffer.len() + inner.in_write;
        inner.buffer = Vec::new();
        inner.in_write = 0;
        let waiting = inner.requests.disconnect();
        drop(inner);
        drop(waiting);
        dropped
    }

    /// Ready when there is something to send, or a turn is wanted.
    pub(super) fn poll_dirty(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.0.borrow_mut();
        if !inner.buffer.is_empty() || std::mem::take(&mut inner.woken) {
            return Poll::Ready(());
        }
        match &mut inner.driver {
            Some(driver) => driver.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Moves everything behind what `write` holds.
    pub(super) fn take_into(&self, write: &mut Vec<u8>) {
        let mut inner = self.0.borrow_mut();
        if write.is_empty() {
            std::mem::swap(write, &mut inner.buffer);
        } else {
            write.append(&mut inner.buffer);
        }
    }

    pub(super) fn set_in_write(&self, bytes: usize) {
        self.0.borrow_mut().in_write = bytes;
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("connected", &self.connected()).field("pending", &self.pending()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_keep_their_order_even_from_within_a_write() {
        let outbox = Outbox::new([1, 2], Api::default());
        assert!(!outbox.write(|_| panic!("not connected")));
        outbox.set_connected();
        assert!(outbox.write(|out| {
            out.extend_from_slice(b"1");
            assert!(outbox.write(|out| out.extend_from_slice(b"3")));
            out.extend_from_slice(b"2");
        }));
        assert_eq!(outbox.pending(), 3);
        let mut write = b"0".to_vec();
        outbox.take_into(&mut write);
        assert_eq!(write, b"0123");
    }

    #[test]
    fn what_a_broken_connection_held_is_counted_and_gone() {
        let outbox = Outbox::new([1, 2], Api::default());
        outbox.set_connected();
        assert!(outbox.write(|out| out.extend_from_slice(b"12345")));
        outbox.set_in_write(2);
        assert_eq!(outbox.disconnect(), 7);
        assert_eq!((outbox.pending(), outbox.connected()), (0, false));
    }
}
