//! What a node makes the executors of its shards with.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use message::{Code, Fault};
use script::{Executor, Executors};

use super::workers::{Workers, lock};
use crate::launch::{Launch, Worker, WorkerLimits};
use crate::layers::LayerSet;
use crate::zygote::Zygote;

/// A zygote that is started, and tried, when a script needs it first: a node without scripts never has one.
pub struct LazyZygote {
    command: Vec<String>,
    started: Mutex<Option<Arc<Zygote>>>,
}

impl LazyZygote {
    /// `command`: a program and its arguments.
    #[must_use]
    pub fn new(command: Vec<String>) -> LazyZygote {
        LazyZygote { command, started: Mutex::default() }
    }

    /// Starts it, unless it is. Blocks for as long as that takes. After an error it is tried again the next time.
    ///
    /// # Errors
    /// `script/unavailable`, when it cannot be started, or a layer that has to be there is missing.
    pub fn start(&self) -> Result<Arc<Zygote>, Fault> {
        let mut started = lock(&self.started);
        if let Some(zygote) = &*started {
            return Ok(Arc::clone(zygote));
        }
        let failed = |error: io::Error| unavailable(&error.to_string());
        let zygote = Zygote::of_command(self.command.clone(), LayerSet::REQUIRED).map_err(failed)?;
        let report = zygote.probe().map_err(failed)?;
        if let Some((layer, errno)) = report.first_missing(LayerSet::REQUIRED) {
            let why = io::Error::from_raw_os_error(errno);
            return Err(unavailable(&format!("the layer {} is missing: {why}", layer.name())));
        }
        Ok(Arc::clone(started.insert(Arc::new(zygote))))
    }
}

impl Launch for LazyZygote {
    fn launch(&self, memory: BorrowedFd<'_>, limits: &WorkerLimits) -> io::Result<Worker> {
        self.start().map_err(|fault| io::Error::other(fault.reason().to_owned()))?.launch(memory, limits)
    }

    fn is_started(&self) -> bool {
        self.started.try_lock().is_ok_and(|started| started.is_some())
    }
}

/// One executor for each shard, all of the same workers.
#[must_use]
pub fn executors(workers: &Arc<Workers>) -> Executors {
    let workers = Arc::clone(workers);
    Arc::new(move || Ok(Rc::new(workers.executor()) as Rc<dyn Executor>))
}

fn unavailable(reason: &str) -> Fault {
    let advice = "`vrsky doctor` shows what is missing; `--isolation none` runs scripts in the node's own process";
    Fault::new(Code::ScriptUnavailable, format!("scripts cannot be isolated: {reason}; {advice}"))
}
