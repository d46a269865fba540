//! One connection, from accept to close: who awaits how long for whom.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::{Shared, SourceOptions, request};

/// The smallest read buffer that the HTTP layer allows.
const LEAST_BUFFER: usize = 8 << 10;
/// How long, and how much of, a body that nobody reads is still taken off the wire, so that its
/// sender gets to see the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Each connection ends after the request it is in.
    Draining,
    /// Each connection ends now.
    Aborting,
}

/// How many are open, and a bell for when none is.
#[derive(Default)]
pub(super) struct Connections {
    open: Cell<usize>,
    closed: Notify,
}

/// One of them; counted until dropped.
pub(super) struct Open(Rc<Shared>);

impl Connections {
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    pub(super) async fn all_closed(&self) {
        while self.open.get() > 0 {
            self.closed.notified().await;
        }
    }
}

impl Open {
    /// `None` when `most` are open already.
    pub(super) fn one(shared: &Rc<Shared>) -> Option<Open> {
        let open = &shared.connections.open;
        (open.get() < shared.options.max_connections).then(|| {
            open.set(open.get() + 1);
            Open(Rc::clone(shared))
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let connections = &self.0.connections;
        connections.open.set(connections.open.get() - 1);
        connections.closed.notify_one();
    }
}

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
    /// The peer was too slow with a body.
    late: Cell<bool>,
    /// A body was left unread, so the close has to linger.
    unread: Cell<bool>,
    stream: RefCell<Option<TcpStream>>,
}

impl Activity {
    fn new() -> Activity {
        Activity {
            awaits: Cell::new(Awaits::Headers),
            changes: Cell::new(0),
            late: Cell::new(false),
            unread: Cell::new(false),
            stream: RefCell::new(None),
        }
    }

    pub(super) fn enter(&self, awaits: Awaits) {
        self.awaits.set(awaits);
        self.changes.set(self.changes.get() + 1);
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
            Awaits::Body => Some(options.body_timeout),
            Awaits::Answer => None,
        }
    }
}

/// The looks of a connection's task.
struct Watch {
    every: Duration,
    /// The change that the last look found, and when that was.
    seen: (u64, Instant),
}

impl Watch {
    fn new(options: &SourceOptions) -> Watch {
        let shortest = options.header_timeout.min(options.body_timeout).min(options.idle_timeout);
        Watch { every: (shortest / 4).max(SHORTEST_LOOK), seen: (0, Instant::now()) }
    }

    /// Whether the peer's time is over.
    fn is_over(&mut self, activity: &Activity, options: &SourceOptions) -> bool {
        let now = Instant::now();
        if self.seen.0 != activity.changes.get() {
            self.seen = (activity.changes.get(), now);
        }
        activity.patience(options).is_some_and(|patience| now - self.seen.1 >= patience)
    }
}

pub(super) async fn serve(shared: Rc<Shared>, open: Open, stream: TcpStream, peer: SocketAddr) {
    let activity = Rc::new(Activity::new());
    if !converse(&shared, &activity, stream, peer).await {
        return;
    }
    let stream = activity.stream.take();
    if let (true, Some(stream)) = (activity.unread.get(), stream) {
        linger(stream).await;
    }
    drop(open);
}

/// Serves the connection's requests; `false` when it was cut off.
async fn converse(shared: &Rc<Shared>, activity: &Rc<Activity>, stream: TcpStream, peer: SocketAddr) -> bool {
    let socket = TokioIo::new(Socket { stream: Some(stream), activity: Rc::clone(activity) });
    let service = service_fn(|request| {
        let (shared, activity) = (Rc::clone(shared), Rc::clone(activity));
        async move { Ok::<_, Infallible>(request::handle(&shared, &activity, peer, request).await) }
    });
    let mut connection = pin!(protocol(&shared.options).serve_connection(socket, service));
    let mut phase = shared.phase.subscribe();
    let mut watch = Watch::new(&shared.options);
    let mut timer = pin!(sleep(watch.every));
    loop {
        if *phase.borrow_and_update() == Phase::Draining {
            connection.as_mut().graceful_shutdown();
        }
        tokio::select! {
            biased;
            _ = connection.as_mut() => return true,
            changed = phase.changed() => if changed.is_err() || *phase.borrow() == Phase::Aborting {
                return false;
            },
            () = timer.as_mut() => {
                if watch.is_over(activity, &shared.options) {
                    if activity.awaits.get() != Awaits::Body {
                        return false;
                    }
                    // The request is polled with its connection, and answers.
                    activity.late.set(true);
                }
                timer.as_mut().reset(Instant::now() + watch.every);
            }
        }
    }
}

fn protocol(options: &SourceOptions) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The headers' time is counted here; see `Activity`.
    builder.header_read_timeout(None);
    builder.max_header_size(options.max_header_bytes);
    builder.max_buf_size((options.max_header_bytes * 2).max(LEAST_BUFFER));
    builder
}

/// Half-closed by now: reads and forgets what the peer still sends.
async fn linger(mut stream: TcpStream) {
    let mut scratch = vec![0; 64 << 10];
    let drain = async {
        let mut left = LINGER_BYTES;
        while let Ok(read @ 1..) = stream.read(&mut scratch).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(LINGER, drain).await;
}

/// The socket as the HTTP layer sees it. Notes when a request begins, and leaves the stream
/// behind when the HTTP layer is done with it.
struct Socket {
    stream: Option<TcpStream>,
    activity: Rc<Activity>,
}

impl Socket {
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
        if buffer.filled().len() > before && self.activity.awaits.get() == Awaits::Request {
            self.activity.enter(Awaits::Headers);
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
