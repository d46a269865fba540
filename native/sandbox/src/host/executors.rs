//! What a node makes the executors of its shards with.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use message::{Code, Fault};
use script::{Executor, Executors};

use super::{ProcessExecutor, ProcessOptions};
use crate::launch::Launch;
use crate::layers::LayerSet;
use crate::zygote::Zygote;

/// Executors whose scripts run in processes that are forked from a zygote of this command, a program and its arguments.
/// Blocks while that starts. How much may wait is for the shard to say.
///
/// # Errors
/// `script/unavailable`, when it cannot be started, or a layer that has to be there is missing.
pub fn executors(command: Vec<String>) -> Result<Executors, Fault> {
    let zygote = Zygote::of_command(command, LayerSet::REQUIRED).map_err(|error| unavailable(&error.to_string()))?;
    let report = zygote.probe().map_err(|error| unavailable(&error.to_string()))?;
    if let Some((layer, errno)) = report.first_missing(LayerSet::REQUIRED) {
        let why = io::Error::from_raw_os_error(errno);
        return Err(unavailable(&format!("the layer {} is missing: {why}; `vrsky doctor` shows all", layer.name())));
    }
    let launch: Arc<dyn Launch> = Arc::new(zygote);
    let options = ProcessOptions { tasks: usize::MAX, bytes: usize::MAX, ..ProcessOptions::default() };
    Ok(Arc::new(move || {
        let executor = ProcessExecutor::new(Arc::clone(&launch), options);
        let executor = executor.map_err(|error| unavailable(&format!("no thread: {error}")))?;
        Ok(Rc::new(executor) as Rc<dyn Executor>)
    }))
}

fn unavailable(reason: &str) -> Fault {
    Fault::new(Code::ScriptUnavailable, format!("scripts cannot be isolated: {reason}"))
}
