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
use tokio::time::{Instant, sleep_until, timeout};

use super::{Shared, SourceOptions, request};

/// The smallest read buffer that the HTTP layer allows.
const LEAST_BUFFER: usize = 8 << 10;
/// How long, and how much of, a body that nobody reads is still taken off the wire, so that its
/// sender gets to see the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

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

/// What a connection awaits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aawaits {
    /// For the first byte of the next request.
    Request,
    Headers,
    /// In a request, which has timeouts of its own.
    Answer,
}

/// What the socket, the requests and the task of one connection tell each other.
pub(super) struct Activity {
    awaits: Cell<Aawaits>,
    since: Cell<Instant>,
    /// A body was left unread, so the close has to linger.
    unread: Cell<bool>,
    stream: RefCell<Option<TcpStream>>,
}

impl Activity {
    pub(super) fn enter(&self, awaits: Aawaits) {
        self.awaits.set(awaits);
        self.since.set(Instant::now());
    }

    pub(super) fn leave_unread(&self) {
        self.unread.set(true);
    }

    /// When the peer has to have done what is waited for, if it is waited for the peer.
    fn deadline(&self, options: &SourceOptions) -> Option<Instant> {
        match self.awaits.get() {
            Aawaits::Request => Some(self.since.get() + options.idle_timeout),
            Aawaits::Headers => Some(self.since.get() + options.header_timeout),
            Aawaits::Answer => None,
        }
    }
}

pub(super) async fn serve(shared: Rc<Shared>, open: Open, stream: TcpStream, peer: SocketAddr) {
    let activity = Rc::new(Activity {
        awaits: Cell::new(Aawaits::Headers),
        since: Cell::new(Instant::now()),
        unread: Cell::new(false),
        stream: RefCell::new(None),
    });
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
    // Deadlines move with every request; the timer does not: it looks from time to time.
    let look = shared.options.header_timeout.min(shared.options.idle_timeout) / 4;
    let mut timer = pin!(sleep_until(Instant::now() + look));
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
                let now = Instant::now();
                let deadline = activity.deadline(&shared.options).unwrap_or(now + look);
                if deadline <= now {
                    return false;
                }
                timer.as_mut().reset(deadline.min(now + look));
            }
        }
    }
}

fn protocol(options: &SourceOptions) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Our own timer counts the headers' time; see `Activity`.
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
        if buffer.filled().len() > before && self.activity.awaits.get() == Aawaits::Request {
            self.activity.enter(Aawaits::Headers);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
