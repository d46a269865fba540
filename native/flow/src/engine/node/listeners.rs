//! The sockets that HTTP pipelines are served on: bound here, or given to this process, and handed on to the next one.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use connectors::http::source::{inherited, listen};
use message::{Code, Fault};

use super::{Node, NodeType, Settings, lock};

/// None where no HTTP is served.
pub fn bind(settings: &Settings) -> Result<Vec<TcpListener>, Fault> {
    match settings.listen {
        _ if !settings.serves(NodeType::Incoming) => Ok(Vec::new()),
        _ if !settings.inherited.is_empty() => inherited(&settings.inherited),
        Some(address) => listen(address, settings.threads as usize),
        None => Ok(Vec::new()),
    }
}

pub fn copies(listeners: &[TcpListener]) -> Result<Vec<TcpListener>, Fault> {
    let refused = |error| Fault::new(Code::ConfigCannotListen, format!("a listener cannot be copied: {error}"));
    listeners.iter().map(|one| one.try_clone().map_err(refused)).collect()
}

impl Node {
    /// Copies of the sockets that HTTP pipelines are served on, for a process that takes them over: whoever connects
    /// between this node's drain and that one's start waits, and is not refused. Empty while it does not run.
    ///
    /// # Errors
    /// `config/cannot-listen` when the process has no descriptors left.
    pub fn listeners(&self) -> Result<Vec<OwnedFd>, Fault> {
        Ok(copies(&lock(&self.state).listeners)?.into_iter().map(OwnedFd::from).collect())
    }
}
