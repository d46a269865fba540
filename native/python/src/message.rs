//! Message, Output and Result: what goes in and comes out of a Pipeline and a Script.

use std::sync::Arc;

use ::message::{Fault, Place};
use flow::api::header_block;
use flow::compile::Pipeline;
use flow::process::{Message, Processed};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::errors::{place, raise};
use crate::payload::payload;

/// A message as Rust keeps it, for as long as a worker may need it.
pub struct Incoming {
    payload: PyBackedBytes,
    headers: Vec<(String, String)>,
    /// The same as a NATS header block.
    block: Vec<u8>,
    id: Option<String>,
}

impl Incoming {
    pub fn view(&self, time_ms: u64) -> Message<'_> {
        let mut headers = self.headers.iter();
        let content_type = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        Message {
            payload: &self.payload,
            content_type: content_type.map_or("", |(_, value)| value),
            headers: &self.block,
            id: self.id.as_deref().unwrap_or_default(),
            time_ms,
        }
    }
}

#[pyclass(frozen, module = "vrsky_fast", name = "Message")]
pub struct PyMessage {
    pub incoming: Arc<Incoming>,
}

#[pymethods]
impl PyMessage {
    #[new]
    #[pyo3(signature = (payload, headers = None, id = None))]
    fn new(payload: &Bound<'_, PyAny>, headers: Option<&Bound<'_, PyDict>>, id: Option<String>) -> PyResult<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in headers.iter().flat_map(|headers| headers.iter()) {
            pairs.push((name.extract()?, value.extract()?));
        }
        let block = header_block(&pairs).map_err(|fault| raise(payload.py(), &fault))?;
        let payload = self::payload(payload)?;
        Ok(PyMessage { incoming: Arc::new(Incoming { payload, headers: pairs, block, id }) })
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok((&self.incoming.payload).into_pyobject(py)?.into_any())
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        self.incoming.headers.iter().try_for_each(|(name, value)| headers.set_item(name, value))?;
        Ok(headers)
    }

    #[getter]
    fn id(&self) -> Option<&str> {
        self.incoming.id.as_deref()
    }

    fn __repr__(&self) -> String {
        let id = self.incoming.id.as_ref().map_or("None".to_owned(), |id| format!("{id:?}"));
        format!("Message({} bytes, headers={}, id={id})", self.incoming.payload.len(), self.incoming.headers.len())
    }
}

impl PyMessage {
    /// What came of `from`: number `part` of `parts`.
    pub fn part(py: Python<'_>, from: &Incoming, payload: &[u8], part: usize, parts: usize) -> Self {
        let id = from.id.as_ref().map(|id| if parts == 1 { id.clone() } else { format!("{id}[{part}]") });
        let payload = PyBytes::new(py, payload).into();
        let (headers, block) = (from.headers.clone(), from.block.clone());
        PyMessage { incoming: Arc::new(Incoming { payload, headers, block, id }) }
    }
}

#[pyclass(frozen, get_all, module = "vrsky_fast", name = "Output")]
pub struct PyOutput {
    out: String,
    payload: Py<PyBytes>,
    content_type: String,
    url: Option<String>,
}

#[pymethods]
impl PyOutput {
    fn __repr__(&self, py: Python<'_>) -> String {
        format!("Output({:?}, {} bytes, {:?})", self.out, self.payload.bind(py).as_bytes().len(), self.content_type)
    }
}

#[pyclass(frozen, get_all, module = "vrsky_fast", name = "Result")]
pub struct PyOutcome {
    status: &'static str,
    outputs: Py<PyTuple>,
    code: Option<&'static str>,
    reason: Option<String>,
    place: Option<Py<PyAny>>,
}

impl PyOutcome {
    pub fn new(py: Python<'_>, pipeline: &Pipeline, processed: Processed) -> PyResult<Self> {
        let outputs = processed.outputs.into_iter().map(|output| {
            let out = pipeline.outs().get(output.out).map(|out| out.name.clone()).unwrap_or_default();
            let payload = PyBytes::new(py, &output.payload).unbind();
            Py::new(py, PyOutput { out, payload, content_type: output.content_type, url: output.url })
        });
        let outputs = PyTuple::new(py, outputs.collect::<PyResult<Vec<_>>>()?)?.unbind();
        let dropped = processed.dropped_by.map(|stage| {
            let step = Some(pipeline.stage_label(stage).to_owned());
            Place { step, ..Place::default() }
        });
        let known = processed.fault.as_ref().map(Fault::place).or(dropped.as_ref());
        let place = known.map(|known| place(py, known)).transpose()?.flatten().map(Bound::unbind);
        Ok(PyOutcome {
            status: processed.status.as_str(),
            outputs,
            code: processed.fault.as_ref().map(|fault| fault.code().as_str()),
            reason: processed.fault.as_ref().map(|fault| fault.reason().to_owned()),
            place,
        })
    }
}

#[pymethods]
impl PyOutcome {
    fn __repr__(&self, py: Python<'_>) -> String {
        let outputs = self.outputs.bind(py).as_any().len().unwrap_or_default();
        let code = self.code.map_or(String::new(), |code| format!(", {code}"));
        format!("Result({:?}, {outputs} outputs{code})", self.status)
    }
}
