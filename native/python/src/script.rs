//! Script: a customer's script, called by hand.

use std::sync::{Arc, OnceLock};

use ::message::{Code, Document, Fault, Format, Limits};
use flow::process::now_ms;
use flow::worker::Worker;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use script::{Language, Program, Runner, Task, TaskContext};

use crate::border::{Owner, detached};
use crate::message::{Incoming, PyMessage};
use crate::options::PyLimits;

/// A thread for scripts, started by the first call that needs it.
#[derive(Default)]
pub struct LazyWorker(OnceLock<Worker>);

impl LazyWorker {
    pub fn get(&self) -> Result<&Worker, Fault> {
        if let Some(worker) = self.0.get() {
            return Ok(worker);
        }
        let worker = Worker::start()?;
        Ok(self.0.get_or_init(|| worker))
    }
}

#[pyclass(frozen, module = "vrsky_fast", name = "Script")]
pub struct PyScript {
    program: Arc<Program>,
    limits: Arc<Limits>,
    worker: LazyWorker,
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
        let limits = limits.map_or_else(Arc::default, |limits| Arc::clone(&limits.limits));
        let program = detached(py, || script::compile(source, language, "script"))?;
        Ok(PyScript { program: Arc::new(program), limits, worker: LazyWorker::default(), owner: Owner::this() })
    }

    fn run(&self, py: Python<'_>, message: &Bound<'_, PyMessage>) -> PyResult<Vec<PyMessage>> {
        self.owner.check(py)?;
        let incoming = Arc::clone(&message.get().incoming);
        let (program, limits, input) = (Arc::clone(&self.program), Arc::clone(&self.limits), Arc::clone(&incoming));
        let parts = detached(py, || self.worker.get()?.call(move |runner| run(runner, program, &input, limits)))?;
        let count = parts.len();
        Ok(parts.iter().enumerate().map(|(n, part)| PyMessage::part(py, &incoming, part, n, count)).collect())
    }
}

/// The payloads of what the script returned.
fn run(
    runner: &mut Runner,
    program: Arc<Program>,
    input: &Incoming,
    limits: Arc<Limits>,
) -> Result<Vec<Vec<u8>>, Fault> {
    if flow::compile::detect(&input.payload, input.content_type()) == Format::Xml {
        return Err(Fault::new(Code::ConvertUnexpectedFormat, "a script works on JSON; convert the payload first"));
    }
    let mut document = Document::default();
    formats::json::parse(&input.payload, &limits, &mut document)?;
    let headers = input.block.as_slice().into();
    let context = TaskContext { id: input.id().into(), time_ms: now_ms(), headers, ..TaskContext::default() };
    let done = runner.run(Task { token: 0, program, document, context, limits: Arc::clone(&limits) });
    let mut document = done.document;
    let roots = done.outcome?;
    if roots.len() > limits.outputs {
        let reason = format!("{} messages, {} are allowed", roots.len(), limits.outputs);
        return Err(Fault::new(Code::ScriptTooManyOutputs, reason));
    }
    let emit = |root: u32| {
        document.set_root(root);
        document.mark_edited();
        let mut payload = Vec::new();
        formats::emit(&document, &mut payload).map(|()| payload)
    };
    roots.into_iter().map(emit).collect()
}
