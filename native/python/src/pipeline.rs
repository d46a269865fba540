//! Pipeline: a compiled pipeline file, run here and now.

use std::collections::HashMap;
use std::sync::Arc;

use ::message::{Code, Fault};
use flow::compile::{Compiled, Pipeline, check_canary, compile_all};
use flow::model::Ceilings;
use flow::process::{Processed, Snapshot, dry_run, now_ms, process, process_split};
use flow::summary::summary;
use flow::worker::Worker;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use script::Runner;
use serde_json::json;

use crate::border::{Owner, detached};
use crate::errors::{raise, raise_all};
use crate::message::{PyMessage, PyOutcome};

/// Compiles, or raises the first of all faults.
pub fn compile(py: Python<'_>, json: &str, files: &HashMap<String, String>) -> PyResult<Arc<Pipeline>> {
    // The inner result is what compiling says; the outer one is for a panic.
    let compiled = detached(py, || Ok(Pipeline::from_json(json, files)))?;
    compiled.map_err(|faults| raise_all(py, &faults))
}

/// Compiles many; in place of each that has faults stands the exception that `compile` would raise.
#[pyfunction]
pub fn compile_pipelines(
    py: Python<'_>,
    files: Vec<(String, HashMap<String, String>)>,
) -> PyResult<Vec<Bound<'_, PyAny>>> {
    let compiled = detached(py, || Ok(compile_all(&files)))?;
    let object = |one: Compiled| match one {
        Ok(pipeline) => Bound::new(py, PyPipeline::new(pipeline)).map(Bound::into_any),
        Err(faults) => Ok(raise_all(py, &faults).into_value(py).into_bound(py).into_any()),
    };
    compiled.into_iter().map(object).collect()
}

#[pyclass(frozen, module = "vrsky_fast", name = "Pipeline")]
pub struct PyPipeline {
    pub pipeline: Arc<Pipeline>,
    worker: Worker,
    owner: Owner,
}

#[pymethods]
impl PyPipeline {
    #[classmethod]
    #[pyo3(signature = (path, variables = None))]
    fn load<'py>(
        class: &Bound<'py, PyType>,
        path: &Bound<'py, PyAny>,
        variables: Option<HashMap<String, String>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        let path = py.import("pathlib")?.getattr("Path")?.call1((path,))?;
        let load = py.import("vrsky_fast.config")?.getattr("load")?;
        load.call1((path, py.None(), variables.unwrap_or_default()))?.getattr("compiled")
    }

    #[staticmethod]
    #[pyo3(signature = (json, files = None))]
    fn from_json(py: Python<'_>, json: &str, files: Option<HashMap<String, String>>) -> PyResult<Self> {
        compile(py, json, &files.unwrap_or_default()).map(PyPipeline::new)
    }

    fn check_canary(&self, py: Python<'_>, canary: &Bound<'_, PyPipeline>) -> PyResult<()> {
        let canary = Arc::clone(&canary.get().pipeline);
        detached(py, || check_canary(&self.pipeline, &canary))
    }

    fn check_ceilings(&self, py: Python<'_>, ceilings_json: &str) -> PyResult<()> {
        let ceilings: Ceilings = serde_json::from_str(ceilings_json)
            .map_err(|error| raise(py, &Fault::new(Code::ConfigInvalidValue, format!("ceilings: {error}"))))?;
        match ceilings.faults(&self.pipeline.file().limits) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(raise_all(py, &faults)),
        }
    }

    #[getter]
    fn customer(&self) -> &str {
        self.pipeline.customer()
    }

    #[getter]
    fn name(&self) -> &str {
        self.pipeline.name()
    }

    #[getter]
    fn revision(&self) -> &str {
        self.pipeline.revision()
    }

    #[getter]
    fn json(&self) -> String {
        self.pipeline.file().canonical()
    }

    #[getter]
    fn summary(&self) -> String {
        json!(summary(&self.pipeline)).to_string()
    }

    #[pyo3(signature = (messages, split = false))]
    fn process(&self, py: Python<'_>, messages: Vec<Bound<'_, PyMessage>>, split: bool) -> PyResult<Vec<PyOutcome>> {
        let messages: Vec<_> = messages.iter().map(|message| Arc::clone(&message.get().incoming)).collect();
        let all = self.with_runner(py, move |pipeline, runner| {
            let time_ms = now_ms();
            let run = if split { process_split } else { process };
            let each = messages.iter().map(|message| run(pipeline, &message.view(time_ms), runner));
            Ok(each.collect::<Vec<Processed>>())
        })?;
        all.into_iter().map(|processed| PyOutcome::new(py, &self.pipeline, processed)).collect()
    }

    fn dry_run<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyMessage>,
    ) -> PyResult<Vec<(String, Bound<'py, PyBytes>, String)>> {
        let incoming = Arc::clone(&message.get().incoming);
        let (_, snapshots) =
            self.with_runner(py, move |pipeline, runner| Ok(dry_run(pipeline, &incoming.view(now_ms()), runner)))?;
        let tuple = |Snapshot { label, payload, verdict }| (label, PyBytes::new(py, &payload), verdict);
        Ok(snapshots.into_iter().map(tuple).collect())
    }

    fn __repr__(&self) -> String {
        format!("Pipeline({}.{}, revision {})", self.customer(), self.name(), self.revision())
    }
}

impl PyPipeline {
    fn new(pipeline: Arc<Pipeline>) -> PyPipeline {
        PyPipeline { pipeline, worker: Worker::default(), owner: Owner::this() }
    }

    /// Scripts need a stack that the caller's thread may not have; everything else runs on it.
    fn with_runner<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Pipeline, &mut Runner) -> Result<T, Fault> + Send + 'static,
    ) -> PyResult<T> {
        self.owner.check(py)?;
        detached(py, || {
            if self.pipeline.programs().next().is_none() {
                return work(&self.pipeline, &mut Runner::new());
            }
            let pipeline = Arc::clone(&self.pipeline);
            self.worker.call(move |runner| work(&pipeline, runner))
        })
    }
}
