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

/// How long the body of a refused request may take to end, so that the connection can be used again.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(2);
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// The first byte of the next request.
    Request,
    Headers,
    Body,
    /// The end of a body that nobody reads: its request is refused already.
    Refused,
    /// Ours; the inbox sees to it that it comes.
    Answer,
}

/// Why a connection can end for another one; what comes first ends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Idleness {
    /// Its request is refused, and the rest of its body of no use to anybody.
    Refused,
    /// It has sent no whole head of a request.
    Idle,
    /// Its body comes at less than `least_body_rate`.
    Slow,
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
    /// The last look has found that the body comes too slowly.
    slow: Cell<bool>,
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
            slow: Cell::new(false),
            unread: Cell::new(false),
            arrived: Cell::new(0),
            evicted: Notify::new(),
            stream: RefCell::new(None),
        }
    }

    pub(super) fn enter(&self, awaits: Awaits) {
        self.awaits.set(awaits);
        self.arrived.set(0);
        self.slow.set(false);
        self.changes.set(self.changes.get() + 1);
    }

    pub(super) fn awaits(&self) -> Awaits {
        self.awaits.get()
    }

    /// How readily it ends for another connection; `None` for one with a request that is worked on.
    pub(super) fn idleness(&self) -> Option<Idleness> {
        match self.awaits.get() {
            _ if self.unread.get() => Some(Idleness::Refused),
            Awaits::Refused => Some(Idleness::Refused),
            Awaits::Request | Awaits::Headers => Some(Idleness::Idle),
            Awaits::Body => self.slow.get().then_some(Idleness::Slow),
            Awaits::Answer => None,
        }
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
            Awaits::Refused => Some(REFUSED_TIMEOUT.min(options.body_timeout)),
            Awaits::Answer => None,
        }
    }

    /// Whether less of a body has come in a time than may be.
    fn is_behind(&self, since: Duration, options: &SourceOptions) -> bool {
        self.awaits.get() == Awaits::Body
            && (self.arrived.get() as f64) < options.least_body_rate as f64 * since.as_secs_f64()
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
        let is_seen = self.seen.0 == activity.changes.get();
        activity.slow.set(is_seen && activity.is_behind(now - self.seen.1, options));
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
