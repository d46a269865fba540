//! The HTTP server of a shard.
//!
//! ```text
//! listen.rs      one listener per shard
//!    ▼
//! accept.rs      accept loop, ticks
//!    ▼
//! door.rs        how many connections there may be, of all peers and of one
//!    ▼
//! connection.rs  one task per connection: timeouts (activity), graceful end, lingering close
//!    ▼
//! request.rs     route, method, token, media type (routes, path, headers, auth, media); handshakes end here (handshake)
//!    ▼
//! body.rs        the body, capped, and its signature while it comes (signature); then unpacked (gzip, form),
//!                on another thread when that takes long (turns)
//!    ▼
//! inbox.rs       the queue that `read_batch` empties; each request waits in a slot for `settle`
//!                (shares: what a customer may hold of it, and a peer of the connections)
//!    ▼
//! answer.rs      202 with the id, or a problem document
//! ```
//!
//! A request that is not HTTP at all (a broken head, smuggled lengths, more than 100 headers) is
//! answered by the HTTP layer itself, with a bare 400, 414 or 431, and its connection closed.

mod accept;
mod activity;
mod answer;
mod auth;
mod body;
mod connection;
mod door;
mod form;
mod gzip;
mod handshake;
mod headers;
mod inbox;
mod inherited;
mod listen;
mod media;
mod options;
mod path;
mod request;
mod routes;
mod shares;
pub mod signature;
mod spec;
mod turns;

use std::cell::{RefCell, RefMut};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use tokio::sync::watch;

use crate::contract::{Health, LocalFuture, Read, Settled, Source};
use connection::Phase;
use door::Door;
use inbox::Inbox;
use routes::Matched;

pub use auth::{Auth, Scheme, Token};
pub use handshake::{Handshake, Reply, When};
pub use headers::is_passed_on;
pub use inherited::{inherited, spread};
pub use listen::listen;
pub use media::Accept;
pub use options::SourceOptions;
pub use path::{parameters as path_parameters, shape as path_shape};
pub use routes::{Passes, Route, Routes};
pub use spec::{HttpAuth, HttpInput, HttpSourceKind, PresentedBy, Signing};

/// What the accept loop, the connections and the host's handle share.
struct Shared {
    options: SourceOptions,
    routes: RefCell<Routes>,
    inbox: Rc<Inbox>,
    door: Rc<Door>,
    refusals: RefCell<Vec<(Code, u64)>>,
    phase: watch::Sender<Phase>,
}

/// What the source holds, and what it has refused by itself, by code, since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    pub connections: usize,
    /// Requests being read, queued, or waiting for `settle`, and their bodies' bytes.
    pub in_flight: usize,
    pub in_flight_bytes: usize,
    pub refusals: Vec<(Code, u64)>,
}

pub struct HttpSource {
    address: SocketAddr,
    /// Until `connect`.
    listeners: RefCell<Vec<tokio::net::TcpListener>>,
    shared: Rc<Shared>,
}

impl HttpSource {
    /// Accepts nothing yet, then from each of `listeners`, at least one, on one address. Does not block. Call it inside a `LocalSet` on a current-thread runtime
    /// with I/O and time enabled.
    pub fn new(listeners: Vec<TcpListener>, options: SourceOptions) -> Result<HttpSource, Fault> {
        let unusable = |error: std::io::Error| Fault::new(Code::ConfigInvalidValue, format!("cannot listen: {error}"));
        let open = |listener: TcpListener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        };
        let listeners: Vec<_> = listeners.into_iter().map(open).collect::<Result<_, _>>().map_err(unusable)?;
        let nowhere = || Fault::new(Code::ConfigInvalidValue, "no listener");
        let address = listeners.first().ok_or_else(nowhere)?.local_addr().map_err(unusable)?;
        let shared = Rc::new(Shared {
            inbox: Inbox::new(options.max_in_flight, options.max_in_flight_bytes),
            options,
            routes: RefCell::default(),
            door: Rc::default(),
            refusals: RefCell::default(),
            phase: watch::Sender::new(Phase::Serving),
        });
        Ok(HttpSource { address, listeners: RefCell::new(listeners), shared })
    }

    /// The address that is bound, with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn stats(&self) -> SourceStats {
        let (in_flight, in_flight_bytes) = self.shared.inbox.in_flight();
        SourceStats {
            connections: self.shared.door.open(),
            in_flight,
            in_flight_bytes,
            refusals: self.shared.refusals.borrow().clone(),
        }
    }
}

/// A source whose senders choose a pipeline by its path.
pub trait RoutedSource: Source {
    /// To look at or to change. A request sees all of a change or nothing of it: the guard is held across no await.
    fn routes(&self) -> RefMut<'_, Routes>;

    /// How many connections are open.
    fn connections(&self) -> usize {
        0
    }
}

impl RoutedSource for HttpSource {
    fn routes(&self) -> RefMut<'_, Routes> {
        self.shared.routes.borrow_mut()
    }

    fn connections(&self) -> usize {
        self.shared.door.open()
    }
}

impl Source for HttpSource {
    /// Starts to accept; without routes every path is 404.
    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        let listeners = self.listeners.take();
        if !listeners.is_empty() {
            tokio::task::spawn_local(accept::beat(Rc::clone(&self.shared)));
        }
        for listener in listeners {
            tokio::task::spawn_local(accept::accept(Rc::clone(&self.shared), listener));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    /// Failing while it holds as much as it may, and turns requests away.
    fn health(&self) -> Health {
        if self.shared.inbox.is_full() { Health::Failing(Code::LimitMemory) } else { Health::Up }
    }

    fn read_batch(&self, messages: usize, bytes: usize, wait: Duration) -> LocalFuture<'_, Read> {
        Box::pin(self.shared.inbox.read_batch(messages, bytes, wait))
    }

    fn settle(&self, item: u64, outcome: Settled) {
        self.shared.inbox.settle(item, outcome);
    }

    fn close(&self, deadline: Duration) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            self.shared.phase.send_replace(Phase::Draining);
            let door = &self.shared.door;
            if tokio::time::timeout(deadline, door.all_ended()).await.is_err() {
                self.shared.phase.send_replace(Phase::Aborting);
                door.all_ended().await;
            }
            self.shared.inbox.end();
        })
    }
}

/// A source that is dropped without `close` cuts its connections off: nobody would answer them.
impl Drop for HttpSource {
    fn drop(&mut self) {
        self.shared.phase.send_replace(Phase::Aborting);
        self.shared.inbox.end();
    }
}

impl Shared {
    fn count_refusal(&self, code: Code) {
        let mut refusals = self.refusals.borrow_mut();
        match refusals.iter_mut().find(|(counted, _)| *counted == code) {
            Some((_, count)) => *count += 1,
            None => refusals.push((code, 1)),
        }
    }

    /// The route of a path, by a reference of its own, so that a reload cannot pull it away.
    fn route(&self, path: &str) -> Option<Matched> {
        self.routes.borrow().find(path)
    }
}
