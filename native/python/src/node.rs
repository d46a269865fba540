//! Node: the engine, started and watched by Python; its messages never come here.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use ::message::{Code, Fault};
use ::sandbox::{Launch, LazyZygote, ProcessOptions, Reason, Workers};
use flow::compile::Pipeline;
use flow::engine::{CanaryInstall, Install, Installs, Key, Node, Secrets, Settings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::json;

use crate::border::{Owner, detached};
use crate::errors::raise;
use crate::pipeline::{PyPipeline, compile};

#[pyclass(frozen, module = "vrsky_fast", name = "Node")]
pub struct PyNode {
    /// `None` only while it is dropped.
    node: Option<Node>,
    /// Processes for scripts, which the child of a fork must not end either.
    workers: Option<Arc<Workers>>,
    owner: Owner,
}

#[pymethods]
impl PyNode {
    #[new]
    #[pyo3(signature = (config_json, script_workers = None, most_workers = 1_024, workers_bytes = 1 << 30))]
    fn new(
        py: Python<'_>,
        config_json: &str,
        script_workers: Option<Vec<String>>,
        most_workers: usize,
        workers_bytes: u64,
    ) -> PyResult<Self> {
        let settings: Settings = serde_json::from_str(config_json).map_err(|error| {
            raise(py, &Fault::new(Code::ConfigInvalidValue, format!("the node's settings: {error}")))
        })?;
        let (node, workers) = detached(py, || match script_workers {
            Some(command) => {
                let zygote = Arc::new(LazyZygote::new(command));
                let options = ProcessOptions::of_node(most_workers, workers_bytes);
                let workers = Workers::new(Arc::clone(&zygote) as Arc<dyn Launch>, options)
                    .map_err(|error| Fault::new(Code::ScriptUnavailable, format!("no thread for scripts: {error}")))?;
                let ready = Arc::new(move || zygote.start().map(drop));
                let node = Node::with_executors(settings, ::sandbox::executors(&workers), ready)?;
                Ok((node, Some(workers)))
            }
            None => Ok((Node::new(settings)?, None)),
        })?;
        Ok(PyNode { node: Some(node), workers, owner: Owner::this() })
    }

    #[pyo3(signature = (pipeline, files = None, secrets = None))]
    fn install(
        &self,
        py: Python<'_>,
        pipeline: Given<'_>,
        files: Option<HashMap<String, String>>,
        secrets: Option<BTreeMap<String, String>>,
    ) -> PyResult<String> {
        let node = self.node(py)?;
        let (pipeline, secrets) = given(py, pipeline, files, secrets)?;
        let revision = pipeline.revision().to_owned();
        detached(py, || node.install(pipeline, secrets))?;
        Ok(revision)
    }

    #[pyo3(signature = (pipeline, files = None, secrets = None))]
    fn check(
        &self,
        py: Python<'_>,
        pipeline: Given<'_>,
        files: Option<HashMap<String, String>>,
        secrets: Option<BTreeMap<String, String>>,
    ) -> PyResult<String> {
        let node = self.node(py)?;
        let (pipeline, secrets) = given(py, pipeline, files, secrets)?;
        detached(py, || text(&node.check(&pipeline, &secrets)?))
    }

    #[pyo3(signature = (installs, removes, dry = false, canaries = None))]
    fn change<'py>(
        &self,
        py: Python<'py>,
        installs: Vec<(Bound<'py, PyPipeline>, BTreeMap<String, String>)>,
        removes: Vec<(String, String)>,
        dry: bool,
        canaries: Option<HashMap<usize, (Bound<'py, PyPipeline>, u32)>>,
    ) -> PyResult<Option<(usize, Bound<'py, PyAny>)>> {
        let node = self.node(py)?;
        let canaries = canaries.unwrap_or_default();
        let given = installs.into_iter().enumerate().map(|(place, (one, secrets))| {
            let canary = canaries.get(&place).map(|(canary, millionths)| CanaryInstall {
                pipeline: Arc::clone(&canary.get().pipeline),
                millionths: *millionths,
            });
            Install { pipeline: Arc::clone(&one.get().pipeline), secrets: Secrets::new(secrets), canary }
        });
        let (installs, removes): (Installs, Vec<Key>) = (given.collect(), keys(removes));
        let change = if dry { Node::try_change } else { Node::change };
        match detached(py, || Ok(change(node, installs, &removes)))? {
            Ok(()) => Ok(None),
            Err((place, fault)) => Ok(Some((place, raise(py, &fault).into_value(py).into_bound(py).into_any()))),
        }
    }

    fn remove(&self, py: Python<'_>, customer: &str, pipeline: &str) -> PyResult<bool> {
        let node = self.node(py)?;
        detached(py, || Ok(node.remove(customer, pipeline)))
    }

    fn serve_as(&self, py: Python<'_>, part_json: &str) -> PyResult<()> {
        let node = self.node(py)?;
        detached(py, || node.serve_as(part_json))
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        let node = self.node(py)?;
        detached(py, || node.start())
    }

    fn addresses(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.node(py)?.address().iter().map(ToString::to_string).collect())
    }

    fn listeners(&self, py: Python<'_>) -> PyResult<Vec<i32>> {
        let node = self.node(py)?;
        detached(py, || Ok(node.listeners()?.into_iter().map(IntoRawFd::into_raw_fd).collect()))
    }

    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        let node = self.node(py)?;
        detached(py, || text(&node.stats()))
    }

    fn canaries(&self, py: Python<'_>) -> PyResult<String> {
        let node = self.node(py)?;
        detached(py, || text(&node.canaries()))
    }

    fn stats_changed(&self, py: Python<'_>) -> PyResult<String> {
        let node = self.node(py)?;
        detached(py, || text(&node.changes()))
    }

    fn metrics(&self, py: Python<'_>, most: Option<usize>) -> PyResult<String> {
        let node = self.node(py)?;
        detached(py, || text(&node.metrics(most)))
    }

    fn script_workers(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.node(py)?;
        let Some(workers) = &self.workers else { return Ok(None) };
        detached(py, || {
            let state = workers.state();
            let ends: BTreeMap<&str, u64> =
                Reason::ALL.into_iter().map(|reason| (reason.as_str(), state.counts.ends(reason))).collect();
            let (starts, waits) = (state.counts.starts, state.counts.waits);
            let (workers, bytes, budget) = (state.workers, state.bytes, state.budget);
            text(&json!({
                "workers": workers, "bytes": bytes, "budget": budget, "starts": starts, "waits": waits, "ends": ends,
            }))
            .map(Some)
        })
    }

    fn check_shards(&self, py: Python<'_>) -> PyResult<()> {
        let node = self.node(py)?;
        detached(py, || node.check_shards())
    }

    fn lease(&self, py: Python<'_>, grant: Vec<(String, String)>, revoke: Vec<(String, String)>) -> PyResult<()> {
        let node = self.node(py)?;
        let [grant, revoke] = [grant, revoke].map(keys);
        detached(py, || {
            node.lease(&grant, &revoke);
            Ok(())
        })
    }

    fn begin_lease(&self, py: Python<'_>, until_ms: u64) -> PyResult<()> {
        self.node(py)?.begin_lease(until_ms);
        Ok(())
    }

    fn renew_lease(&self, py: Python<'_>, until_ms: u64) -> PyResult<bool> {
        Ok(self.node(py)?.renew_lease(until_ms))
    }

    #[staticmethod]
    fn boot_ms() -> u64 {
        flow::process::boot_ms()
    }

    fn events(&self, py: Python<'_>) -> PyResult<String> {
        let node = self.node(py)?;
        detached(py, || {
            node.check_shards()?;
            lines(&node.events())
        })
    }

    fn drain(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let node = self.node(py)?;
        let deadline =
            Duration::try_from_secs_f64(seconds).map_err(|_| PyValueError::new_err("seconds is a number from 0"))?;
        detached(py, || Ok(node.drain(deadline)))
    }
}

impl PyNode {
    fn node(&self, py: Python<'_>) -> PyResult<&Node> {
        self.owner.check(py)?;
        self.node.as_ref().ok_or_else(|| raise(py, &Fault::new(Code::InternalForked, "the node is gone")))
    }
}

impl Drop for PyNode {
    fn drop(&mut self) {
        // The child of a fork has none of the node's threads to wait for.
        if self.owner.is_this() {
            return;
        }
        std::mem::forget((self.node.take(), self.workers.take()));
    }
}

/// A pipeline as Python gives it: compiled, or as its file's JSON.
#[derive(FromPyObject)]
enum Given<'py> {
    Compiled(Bound<'py, PyPipeline>),
    Json(String),
}

/// The same with its secrets.
fn given(
    py: Python<'_>,
    pipeline: Given<'_>,
    files: Option<HashMap<String, String>>,
    secrets: Option<BTreeMap<String, String>>,
) -> PyResult<(Arc<Pipeline>, Secrets)> {
    let pipeline = match pipeline {
        Given::Compiled(compiled) => Arc::clone(&compiled.get().pipeline),
        Given::Json(json) => compile(py, &json, &files.unwrap_or_default())?,
    };
    Ok((pipeline, Secrets::new(secrets.unwrap_or_default())))
}

fn keys(names: Vec<(String, String)>) -> Vec<Key> {
    names.into_iter().map(|(customer, name)| (customer.into(), name.into())).collect()
}

/// Each on a line.
fn lines(values: &[impl Serialize]) -> Result<String, Fault> {
    let mut lines = String::new();
    for value in values {
        lines.push_str(&text(value)?);
        lines.push('\n');
    }
    Ok(lines)
}

fn text(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::new(Code::InternalPanic, error.to_string()))
}
