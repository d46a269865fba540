//! Script: a customer's script, called by hand.

use std::sync::Arc;

use ::message::Limits;
use flow::api::run_script;
use flow::process::now_ms;
use flow::worker::Worker;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use script::{Language, Program, Runner};

use crate::border::{Owner, detached};
use crate::message::PyMessage;
use crate::options::PyLimits;

#[pyclass(frozen, module = "vrsky_fast", name = "Script")]
pub struct PyScript {
    program: Arc<Program>,
    limits: Arc<Limits>,
    worker: Worker,
    owner: Owner,
}

#[pymethods]
impl PyScript {
    #[new]
    #[pyo3(signature = (source, *, language = "ts", limits = None))]
    fn new(py: Python<'_>, source: &str, language: &str, limits: Option<&PyLimits>) -> PyResult<Self> {
        let language = match language {
            "ts" => Language::TypeScript,
            "js" => Language::JavaScript,
            _ => return Err(PyValueError::new_err("language is \"ts\" or \"js\"")),
        };
        let limits = limits.map_or_else(Arc::default, PyLimits::for_message);
        let program = detached(py, || script::compile(source, language, "script"))?;
        Ok(PyScript { program: Arc::new(program), limits, worker: Worker::default(), owner: Owner::this() })
    }

    fn run(&self, py: Python<'_>, message: &Bound<'_, PyMessage>) -> PyResult<Vec<PyMessage>> {
        self.owner.check(py)?;
        let incoming = Arc::clone(&message.get().incoming);
        let (program, limits, input) = (Arc::clone(&self.program), Arc::clone(&self.limits), Arc::clone(&incoming));
        let job = move |runner: &mut Runner| run_script(runner, &program, &limits, &input.view(now_ms()));
        let parts = detached(py, || self.worker.call(job))?;
        let count = parts.len();
        Ok(parts.iter().enumerate().map(|(n, part)| PyMessage::part(py, &incoming, part, n, count)).collect())
    }
}
