//! The zygote of script workers: its own program's main function, and what it can take from workers here.

use std::os::fd::RawFd;

use pyo3::prelude::*;
use sandbox::zygote::{Options, run};
use sandbox::{LayerSet, State, Zygote};
use serde_json::json;

/// The interpreter is not released: a zygote has one thread and runs nothing of Python any more.
#[pyfunction]
pub fn sandbox_zygote(control: RawFd) -> PyResult<()> {
    sandbox::worker::prepare();
    Ok(run(control, Options { worker: sandbox::worker::serve, layers: LayerSet::ALL })?)
}

#[pyfunction]
pub fn sandbox_probe(py: Python<'_>, command: Vec<String>) -> PyResult<String> {
    let report = py.detach(|| Zygote::of_command(command, LayerSet::REQUIRED)?.probe())?;
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
