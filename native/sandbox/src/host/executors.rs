//! What a node makes the executors of its shards with.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use message::{Code, Fault};
use script::{Executor, Executors};

use super::{ProcessOptions, Workers};
use crate::launch::Launch;
use crate::layers::LayerSet;
use crate::zygote::Zygote;

/// Workers that are forked from a zygote of this command, a program and its arguments. Blocks while that starts.
///
/// # Errors
/// `script/unavailable`, when it cannot be started, or a layer that has to be there is missing.
pub fn workers(command: Vec<String>, options: ProcessOptions) -> Result<Arc<Workers>, Fault> {
    let zygote = Zygote::of_command(command, LayerSet::REQUIRED).map_err(|error| unavailable(&error.to_string()))?;
    let report = zygote.probe().map_err(|error| unavailable(&error.to_string()))?;
    if let Some((layer, errno)) = report.first_missing(LayerSet::REQUIRED) {
        let why = io::Error::from_raw_os_error(errno);
        return Err(unavailable(&format!("the layer {} is missing: {why}; `vrsky doctor` shows all", layer.name())));
    }
    let launch: Arc<dyn Launch> = Arc::new(zygote);
    Workers::new(launch, options).map_err(|error| unavailable(&format!("no thread: {error}")))
}

/// One executor for each shard, all of the same workers.
#[must_use]
pub fn executors(workers: &Arc<Workers>) -> Executors {
    let workers = Arc::clone(workers);
    Arc::new(move || Ok(Rc::new(workers.executor()) as Rc<dyn Executor>))
}

fn unavailable(reason: &str) -> Fault {
    Fault::new(Code::ScriptUnavailable, format!("scripts cannot be isolated: {reason}"))
}
