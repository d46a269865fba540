//! What a connection waits for, and for how long: noted by its socket and its requests, looked at
//! by its task.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::SourceOptions;

const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// The first byte of the next request.
    Request,
    Headers,
    Body,
    /// Ours; the inbox sees to it that it comes.
    Answer,
}

/// What the socket, the requests and the task of one connection tell each other.
///
/// Requests only note what they wait for. The task looks from time to time, and counts from the
/// first look that finds a wait: no clock is read and no timer set for a request that is quick.
pub(super) struct Activity {
    awaits: Cell<Awaits>,
    /// How often that has changed.
    changes: Cell<u64>,
    /// Something has come.
    touched: Cell<bool>,
    /// The peer was too slow with a body.
    late: Cell<bool>,
    /// A body was left unread, so the close has to linger.
    unread: Cell<bool>,
    /// Bytes of the body that is being read.
    arrived: Cell<usize>,
    /// Another connection gets its place.
    evicted: Notify,
    stream: RefCell<Option<TcpStream>>,
}

impl Activity {
    pub(super) fn new() -> Activity {
        Activity {
            awaits: Cell::new(Awaits::Headers),
            touched: Cell::new(false),
            changes: Cell::new(0),
            late: Cell::new(false),
            unread: Cell::new(false),
            arrived: Cell::new(0),
            evicted: Notify::new(),
            stream: RefCell::new(None),
        }
    }

    pub(super) fn enter(&self, awaits: Awaits) {
        self.awaits.set(awaits);
        self.arrived.set(0);
        self.changes.set(self.changes.get() + 1);
    }

    pub(super) fn awaits(&self) -> Awaits {
        self.awaits.get()
    }

    /// Whether it has sent no whole head of a request.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.awaits.get(), Awaits::Request | Awaits::Headers)
    }

    /// Whether nothing has come since the connection was made.
    pub(super) fn is_untouched(&self) -> bool {
        !self.touched.get()
    }

    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    pub(super) fn note_arrived(&self, bytes: usize) {
        self.arrived.set(self.arrived.get() + bytes);
    }

    /// The request that waits for its body is told at its next poll.
    pub(super) fn give_up(&self) {
        self.late.set(true);
    }

    /// The socket, once the HTTP layer is done with it, if it has to linger.
    pub(super) fn lingering(&self) -> Option<TcpStream> {
        self.stream.take().filter(|_| self.unread.get())
    }

    pub(super) fn is_late(&self) -> bool {
        self.late.get()
    }

    pub(super) fn leave_unread(&self) {
        self.unread.set(true);
    }

    /// How long the peer may take, if it is the peer that is waited for.
    fn patience(&self, options: &SourceOptions) -> Option<Duration> {
        match self.awaits.get() {
            Awaits::Request => Some(options.idle_timeout),
            Awaits::Headers => Some(options.header_timeout),
            Awaits::Body => {
                let arrived = self.arrived.get() as f64 / options.least_body_rate.max(1) as f64;
                Some(options.body_timeout + Duration::from_secs_f64(arrived))
            }
            Awaits::Answer => None,
        }
    }
}

/// The looks of a connection's task.
pub(super) struct Watch {
    pub(super) every: Duration,
    /// The change that the last look found, and when that was.
    seen: (u64, Instant),
}

impl Watch {
    pub(super) fn new(options: &SourceOptions) -> Watch {
        let shortest = options.header_timeout.min(options.body_timeout).min(options.idle_timeout);
        Watch { every: (shortest / 4).max(SHORTEST_LOOK), seen: (0, Instant::now()) }
    }

    /// Whether the peer's time is over.
    pub(super) fn is_over(&mut self, activity: &Activity, options: &SourceOptions) -> bool {
        let now = Instant::now();
        if self.seen.0 != activity.changes.get() {
            self.seen = (activity.changes.get(), now);
        }
        activity.patience(options).is_some_and(|patience| now - self.seen.1 >= patience)
    }
}

/// The socket as the HTTP layer sees it. Notes when a request begins, and leaves the stream
/// behind when the HTTP layer is done with it.
pub(super) struct Socket {
    stream: Option<TcpStream>,
    activity: Rc<Activity>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, activity: &Rc<Activity>) -> Socket {
        Socket { stream: Some(stream), activity: Rc::clone(activity) }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.activity.stream.replace(self.stream.take());
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream()?.poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.touched.set(true);
            if self.activity.awaits.get() == Awaits::Request {
                self.activity.enter(Awaits::Headers);
            }
        }
        read
    }
}

/// Not vectored: answers are small, and cheaper to copy together than to write from two places.
impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
