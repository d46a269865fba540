//! The zygote of script workers: its own program's main function, and what it can take from workers here.

use std::os::fd::RawFd;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use flow::engine::Executors;
use message::{Code, Fault};
use pyo3::prelude::*;
use sandbox::zygote::{Options, run};
use sandbox::{Launch, LayerSet, ProcessExecutor, ProcessOptions, State, Zygote};
use script::Executor;
use serde_json::json;

/// The interpreter is not released: a zygote has one thread and runs nothing of Python any more.
#[pyfunction]
pub fn sandbox_zygote(control: RawFd) -> PyResult<()> {
    sandbox::worker::prepare();
    Ok(run(control, Options { worker: sandbox::worker::serve, layers: LayerSet::ALL })?)
}

/// A zygote of this command, which is a program and its arguments.
fn start(command: Vec<String>) -> std::io::Result<Zygote> {
    let words = move || {
        let mut words = Command::new(command.first().map_or("", String::as_str));
        words.args(command.iter().skip(1));
        words
    };
    Zygote::start(words, LayerSet::REQUIRED)
}

/// Executors whose scripts run in processes that are forked from a zygote of this command. Blocks while that starts.
///
/// # Errors
/// `script/unavailable`, when it cannot be started, or a layer that has to be there is missing.
pub fn executors(command: Vec<String>) -> Result<Executors, Fault> {
    let unavailable =
        |reason: String| Fault::new(Code::ScriptUnavailable, format!("scripts cannot be isolated: {reason}"));
    let zygote = start(command).map_err(|error| unavailable(error.to_string()))?;
    let report = zygote.probe().map_err(|error| unavailable(error.to_string()))?;
    if let Some((layer, errno)) = report.first_missing(LayerSet::REQUIRED) {
        let why = std::io::Error::from_raw_os_error(errno);
        return Err(unavailable(format!("the layer {} is missing: {why}; `vrsky doctor` shows all", layer.name())));
    }
    let launch: Arc<dyn Launch> = Arc::new(zygote);
    let options = ProcessOptions { tasks: usize::MAX, bytes: usize::MAX, ..ProcessOptions::default() };
    Ok(Arc::new(move || {
        let executor = ProcessExecutor::new(Arc::clone(&launch), options);
        let executor = executor.map_err(|error| unavailable(format!("no thread: {error}")))?;
        Ok(Rc::new(executor) as Rc<dyn Executor>)
    }))
}

#[pyfunction]
pub fn sandbox_probe(py: Python<'_>, command: Vec<String>) -> PyResult<String> {
    let report = py.detach(|| start(command)?.probe())?;
    let layers = report.iter().map(|(layer, state)| {
        let reason = match state {
            State::Applied => None,
            State::Missing(errno) => Some(std::io::Error::from_raw_os_error(errno).to_string()),
            State::Off => Some("not asked for".into()),
        };
        let required = LayerSet::REQUIRED.has(layer);
        json!({"layer": layer.name(), "stops": layer.stops(), "required": required, "ok": reason.is_none(), "reason": reason})
    });
    Ok(json!(layers.collect::<Vec<_>>()).to_string())
}
