//! What the engine does not compute: the wall clock, randomness, the network, other threads, connectors.
//!
//! ```text
//! SystemWorld   sockets, threads, the operating system's clock and random numbers   a node's
//! any other     of all of it what a seed says, in one thread                         a simulation's
//! ```
//!
//! Time that only goes forward is tokio's: a runtime with a paused clock has its own. There is no other clock, no other
//! randomness and no map without an order that is iterated in the engine; a test holds that.

mod elsewhere;
mod lease;

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::http::source::{HttpSource, RoutedSource, SourceOptions};
use connectors::kind::{Host, Secrets, SinkSpec, SourceTask};
use connectors::tls::Tls;
use connectors::{Sink, Source};
use message::{Code, Fault};
use nats::{Network, SystemNetwork};
use script::{Executor, Executors, ThreadExecutor, ThreadOptions};

use crate::process::now_ms;

pub use elsewhere::{Elsewhere, Work, WorkThread};
pub use lease::Lease;

/// One per shard.
pub trait World {
    /// The wall clock, milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// CPU time that this thread has used, where that can be known.
    fn thread_cpu(&self) -> Option<Duration> {
        None
    }

    /// Bytes that nobody can guess.
    ///
    /// # Errors
    /// There are none.
    fn secret(&self) -> Result<[u8; 32], Fault>;

    /// Where the NATS server is reached.
    fn network(&self) -> Rc<dyn Network>;

    /// Runs the customers' scripts.
    ///
    /// # Errors
    /// `script/unavailable`
    fn executor(&self) -> Result<Rc<dyn Executor>, Fault>;

    /// Where work is done that would hold up the shard.
    fn elsewhere(&self) -> Box<dyn Elsewhere>;

    /// What brings requests in, if this shard has it. Asked once.
    ///
    /// # Errors
    /// It cannot listen.
    fn source(&self) -> Result<Option<Rc<dyn RoutedSource>>, Fault>;

    /// Where the node takes HTTP requests, if it does.
    fn listens_on(&self) -> Option<SocketAddr>;

    /// Whom servers may be certified by.
    ///
    /// # Errors
    /// `config/invalid-value`
    fn tls(&self) -> Result<Tls, Fault>;

    /// Makes a sink; connects to nothing.
    ///
    /// # Errors
    /// Like [`SinkSpec::open`].
    fn sink(&self, spec: &dyn SinkSpec, secrets: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Sink>, Fault> {
        spec.open(secrets, host)
    }

    /// Makes a source that is read by a task of its own; connects to nothing.
    ///
    /// # Errors
    /// Like [`SourceTask::open`].
    fn own_source(
        &self,
        task: &dyn SourceTask,
        secrets: &dyn Secrets,
        host: &Host<'_>,
    ) -> Result<Rc<dyn Source>, Fault> {
        task.open(secrets, host)
    }
}

/// That of the process.
pub struct SystemWorld {
    tls: Tls,
    listens_on: Option<SocketAddr>,
    listeners: Cell<Vec<TcpListener>>,
    executors: Executors,
}

impl SystemWorld {
    #[must_use]
    pub fn new(tls: Tls, listeners: Vec<TcpListener>) -> SystemWorld {
        let listens_on = listeners.first().and_then(|listener| listener.local_addr().ok());
        SystemWorld { tls, listens_on, listeners: Cell::new(listeners), executors: on_threads() }
    }

    /// One that serves nobody, of a node that would listen there.
    #[must_use]
    pub fn of_node(tls: Tls, listens_on: Option<SocketAddr>) -> SystemWorld {
        SystemWorld { tls, listens_on, listeners: Cell::default(), executors: on_threads() }
    }

    /// The same with other executors for its scripts.
    #[must_use]
    pub fn with(self, executors: Executors) -> SystemWorld {
        SystemWorld { executors, ..self }
    }
}

/// Scripts run on a thread beside their shard, in this process. What may wait for them is the steps' to say, customer by
/// customer: a bound for all would be one's to fill.
#[must_use]
pub fn on_threads() -> Executors {
    Arc::new(|| {
        let options = ThreadOptions { tasks: usize::MAX, bytes: usize::MAX, ..ThreadOptions::default() };
        let executor = ThreadExecutor::new(options)
            .map_err(|error| Fault::new(Code::ScriptUnavailable, format!("no thread for scripts: {error}")))?;
        Ok(Rc::new(executor))
    })
}

impl World for SystemWorld {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn thread_cpu(&self) -> Option<Duration> {
        Some(script::thread_cpu())
    }

    fn secret(&self) -> Result<[u8; 32], Fault> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Fault::new(Code::InternalPanic, format!("no random bytes: {error}")))?;
        Ok(bytes)
    }

    fn network(&self) -> Rc<dyn Network> {
        Rc::new(SystemNetwork)
    }

    fn executor(&self) -> Result<Rc<dyn Executor>, Fault> {
        (self.executors)()
    }

    fn elsewhere(&self) -> Box<dyn Elsewhere> {
        Box::<WorkThread>::default()
    }

    /// Nothing else of this process holds the listeners: a drain closes them. Whoever comes then is refused, unless
    /// another process has taken them over.
    fn source(&self) -> Result<Option<Rc<dyn RoutedSource>>, Fault> {
        let listeners = self.listeners.take();
        if listeners.is_empty() {
            return Ok(None);
        }
        Ok(Some(Rc::new(HttpSource::new(listeners, SourceOptions::default())?)))
    }

    fn listens_on(&self) -> Option<SocketAddr> {
        self.listens_on
    }

    fn tls(&self) -> Result<Tls, Fault> {
        Ok(self.tls.clone())
    }
}
