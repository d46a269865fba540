//! The way between the shards and the model of the server: bytes that take their time, and connections that are cut.
//!
//! ```text
//! shard ──write──► Wire.up ──pump, a piece at a time──► model::Server
//!       ◄──read─── Wire.down ◄──────────────────────────┘
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use model::{ConnectionId, Server};
use nats::{Dialled, Network, Socket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::late::Late;
use crate::listener::Listener;
use crate::message::number;
use crate::story::Story;
use crate::timeline::{BROKEN, NOT_LISTENING};

/// Bytes that a wire holds in one direction before a write waits.
const CAPACITY: usize = 1 << 20;

/// A node is connected again within so long, milliseconds.
pub const RECONNECT_MS: u64 = 3_000;

/// One connection.
#[derive(Default)]
struct Wire {
    up: BytesMut,
    down: BytesMut,
    reader: Option<Waker>,
    writer: Option<Waker>,
    closed: bool,
    /// Closed by neither of its ends.
    is_broken: bool,
    /// Bytes that still pass before it is cut, up and down.
    left: [Option<usize>; 2],
}

impl Wire {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn close(&mut self) {
        (self.closed, self.is_broken) = (true, true);
        self.wake();
    }

    /// How many of so many bytes pass in a direction; the wire is cut behind them.
    fn pass(&mut self, direction: usize, bytes: usize) -> usize {
        let Some(left) = &mut self.left[direction] else { return bytes };
        let passing = bytes.min(*left);
        *left -= passing;
        if *left == 0 {
            (self.closed, self.is_broken) = (true, true);
        }
        passing
    }
}

/// All connections to the server.
pub struct Wires {
    server: RefCell<Server>,
    wires: RefCell<BTreeMap<ConnectionId, Rc<RefCell<Wire>>>>,
    work: Rc<Notify>,
    story: Rc<Story>,
    late: Late,
    pub listener: Listener,
    /// The server takes connections.
    up: Cell<bool>,
    /// Of the parked messages, how many have been noted.
    parked: Cell<u64>,
}

impl Wires {
    #[must_use]
    pub fn new(mut server: Server, story: Rc<Story>) -> Rc<Wires> {
        let listener = Listener::default();
        listener.listen(&mut server);
        let wires = Wires {
            server: RefCell::new(server),
            wires: RefCell::default(),
            work: Rc::default(),
            story,
            late: Late::default(),
            listener,
            up: Cell::new(true),
            parked: Cell::new(0),
        };
        Rc::new(wires)
    }

    /// Does something to the server, from outside the simulation.
    pub fn server<T>(&self, act: impl FnOnce(&mut Server) -> T) -> T {
        let mut server = self.server.borrow_mut();
        server.advance(self.story.server_ns());
        let done = act(&mut server);
        drop(server);
        self.work.notify_one();
        done
    }

    /// Cuts every connection after some more bytes in one direction.
    pub fn cut(&self) {
        for wire in self.wires.borrow().values() {
            let (direction, bytes) = (usize::from(self.story.one_in(2)), self.story.random(0..2_000));
            wire.borrow_mut().left[direction] = usize::try_from(bytes).ok();
        }
        self.work.notify_one();
    }

    /// The server is gone: its connections break, and nobody can connect.
    pub fn stop(&self) {
        self.up.set(false);
        for wire in self.wires.borrow().values() {
            wire.borrow_mut().close();
        }
    }

    pub fn is_up(&self) -> bool {
        self.up.get()
    }

    /// The server is there again, and has forgotten what a restarted one forgets.
    pub fn start(&self) {
        self.server(|server| {
            self.listener.read(server, self.story.elapsed_ms());
            server.restart();
            self.listener.listen(server);
        });
        self.up.set(true);
    }

    /// Moves bytes for as long as the simulation lasts.
    pub async fn pump(self: Rc<Wires>) {
        loop {
            let more = self.step();
            if more {
                sleep(Duration::from_millis(self.story.random(0..3))).await;
                continue;
            }
            let deadline = self.server.borrow().next_deadline();
            let deadline = deadline.into_iter().chain(self.late.next_ns()).min();
            tokio::select! {
                biased;
                () = self.work.notified() => {}
                () = until(&self.story, deadline) => {}
            }
        }
    }

    /// Moves a piece of every wire. Whether something is left.
    fn step(&self) -> bool {
        let mut server = self.server.borrow_mut();
        server.advance(self.story.server_ns());
        let mut wires = self.wires.borrow_mut();
        let mut more = false;
        for (id, wire) in wires.iter() {
            more |= self.lift(&mut server, *id, &mut wire.borrow_mut());
        }
        self.note_parked(&server);
        self.listener.read(&mut server, self.story.elapsed_ms());
        wires.retain(|id, wire| {
            let mut wire = wire.borrow_mut();
            let mut output = Vec::new();
            let is_open = server.take_output(*id, &mut output);
            self.late.delay_some(&self.story, *id, &mut output);
            self.late.take_due(&self.story, *id, &mut output);
            let passing = wire.pass(1, output.len());
            wire.down.extend_from_slice(&output[..passing]);
            if wire.closed {
                server.disconnect(*id);
            }
            if wire.is_broken || !is_open {
                self.story.note(BROKEN);
                // Until it is connected and subscribed again.
                let now = self.story.elapsed_ms();
                self.story.losses.span(NOT_LISTENING, now, now + RECONNECT_MS);
            }
            wire.closed |= !is_open;
            wire.wake();
            !wire.closed
        });
        more
    }

    fn note_parked(&self, server: &Server) {
        let last = server.last_sequence("VRSKY_PARKED").unwrap_or(0);
        let noted = self.parked.replace(last);
        if last > noted {
            let new = server.messages("VRSKY_PARKED").filter(|message| message.sequence > noted);
            let numbers = new.filter_map(|message| number(&message.payload));
            numbers.for_each(|number| self.story.timeline.park(number, self.story.elapsed_ms()));
        }
    }

    /// Gives the server a piece of what a client has written.
    fn lift(&self, server: &mut Server, id: ConnectionId, wire: &mut Wire) -> bool {
        if wire.up.is_empty() {
            return false;
        }
        let piece = if self.story.one_in(4) { self.story.random(1..400) } else { self.story.random(400..40_000) };
        let count = wire.up.len().min(usize::try_from(piece).unwrap_or(1));
        let count = wire.pass(0, count);
        let bytes = wire.up.split_to(count);
        server.receive(id, &bytes);
        !wire.up.is_empty() && !wire.closed
    }
}

async fn until(story: &Story, deadline_ns: Option<u64>) {
    match deadline_ns {
        Some(deadline) => {
            let left = deadline.saturating_sub(story.server_ns());
            // A timer's steps are of a millisecond.
            sleep_until(Instant::now() + Duration::from_nanos(left) + Duration::from_millis(1)).await;
        }
        None => std::future::pending().await,
    }
}

/// A shard's network: the wires, and random numbers of the story.
impl Network for Wires {
    fn dial<'a>(&'a self, _server: &'a nats::Server) -> Dialled<'a> {
        Box::pin(async {
            sleep(Duration::from_millis(self.story.random(1..5))).await;
            if !self.up.get() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (id, wire) = (self.server(Server::connect), Rc::new(RefCell::new(Wire::default())));
            self.wires.borrow_mut().insert(id, Rc::clone(&wire));
            Ok(Socket::Other(Box::pin(End { wire, work: Rc::clone(&self.work) })))
        })
    }

    fn random(&self) -> u64 {
        self.story.u64()
    }
}

/// A shard's end of a wire.
struct End {
    wire: Rc<RefCell<Wire>>,
    work: Rc<Notify>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.wire.borrow_mut().closed = true;
        self.work.notify_one();
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.wire.borrow_mut();
        if wire.down.is_empty() {
            if wire.closed {
                return Poll::Ready(Ok(()));
            }
            wire.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = wire.down.len().min(room.remaining());
        let bytes = wire.down.split_to(count);
        room.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.wire.borrow_mut();
        if wire.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY.saturating_sub(wire.up.len());
        if room == 0 {
            wire.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room);
        wire.up.extend_from_slice(&bytes[..count]);
        self.work.notify_one();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.borrow_mut().closed = true;
        self.work.notify_one();
        Poll::Ready(Ok(()))
    }
}
