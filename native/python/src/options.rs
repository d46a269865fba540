//! XmlOptions and Limits: values, checked when they are made.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use ::message::Limits;
use flow::model::ScriptLimits;
use formats::xml::{Namespaces, Reader, XmlOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::errors::{raise, raise_all};

#[pyclass(frozen, module = "vrsky_fast", name = "XmlOptions")]
pub struct PyXmlOptions {
    options: XmlOptions,
    pub reader: Arc<Reader>,
}

#[pymethods]
impl PyXmlOptions {
    #[new]
    #[pyo3(signature = (*, attribute_prefix = "@", text_key = "#text", arrays = vec![], numbers = vec![], booleans = vec![], namespaces = "keep"))]
    fn new(
        py: Python<'_>,
        attribute_prefix: &str,
        text_key: &str,
        arrays: Vec<String>,
        numbers: Vec<String>,
        booleans: Vec<String>,
        namespaces: &str,
    ) -> PyResult<Self> {
        let namespaces = match namespaces {
            "keep" => Namespaces::Keep,
            "strip" => Namespaces::Strip,
            _ => return Err(PyValueError::new_err("namespaces is \"keep\" or \"strip\"")),
        };
        let (attribute_prefix, text_key) = (attribute_prefix.to_owned(), text_key.to_owned());
        let options = XmlOptions { attribute_prefix, text_key, arrays, numbers, booleans, namespaces };
        let reader = Reader::new(&options).map_err(|fault| raise(py, &fault))?;
        Ok(PyXmlOptions { options, reader: Arc::new(reader) })
    }

    #[getter]
    fn attribute_prefix(&self) -> &str {
        &self.options.attribute_prefix
    }

    #[getter]
    fn text_key(&self) -> &str {
        &self.options.text_key
    }

    #[getter]
    fn arrays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.options.arrays)
    }

    #[getter]
    fn numbers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.options.numbers)
    }

    #[getter]
    fn booleans<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.options.booleans)
    }

    #[getter]
    fn namespaces(&self) -> &'static str {
        match self.options.namespaces {
            Namespaces::Keep => "keep",
            Namespaces::Strip => "strip",
        }
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().options == self.options)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.options).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        let XmlOptions { attribute_prefix, text_key, arrays, numbers, booleans, .. } = &self.options;
        let namespaces = self.namespaces();
        format!(
            "XmlOptions(attribute_prefix={attribute_prefix:?}, text_key={text_key:?}, arrays={arrays:?}, \
             numbers={numbers:?}, booleans={booleans:?}, namespaces={namespaces:?})"
        )
    }
}

#[pyclass(frozen, eq, hash, get_all, module = "vrsky_fast", name = "Limits")]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PyLimits {
    cpu_ms: u32,
    memory_mb: u32,
    stack_kb: u32,
    bytes: u32,
    depth: u32,
    nodes: u32,
    attributes: u32,
    name_bytes: u32,
    fuel: u32,
    outputs: u32,
    output_bytes: u32,
}

#[pymethods]
impl PyLimits {
    #[new]
    #[pyo3(signature = (*, cpu_ms = 5, memory_mb = 32, stack_kb = 512, bytes = 8_388_608, depth = 256, nodes = 1_000_000,
        attributes = 256, name_bytes = 1_024, fuel = 100_000, outputs = 1_000, output_bytes = 16_777_216))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn new(
        py: Python<'_>,
        cpu_ms: u32,
        memory_mb: u32,
        stack_kb: u32,
        bytes: u32,
        depth: u32,
        nodes: u32,
        attributes: u32,
        name_bytes: u32,
        fuel: u32,
        outputs: u32,
        output_bytes: u32,
    ) -> PyResult<Self> {
        let limits = PyLimits {
            cpu_ms,
            memory_mb,
            stack_kb,
            bytes,
            depth,
            nodes,
            attributes,
            name_bytes,
            fuel,
            outputs,
            output_bytes,
        };
        let value = serde_json::to_value(limits.model()).unwrap_or_default();
        flow::model::read_limits(value).map_err(|faults| raise_all(py, &faults))?;
        Ok(limits)
    }

    fn __repr__(&self) -> String {
        format!("{self:?}").replace("PyLimits { ", "Limits(").replace(" }", ")").replace(": ", "=")
    }
}

impl PyLimits {
    fn model(&self) -> flow::model::Limits {
        let script = ScriptLimits { cpu_ms: self.cpu_ms, memory_mb: self.memory_mb, stack_kb: self.stack_kb };
        flow::model::Limits {
            bytes: self.bytes,
            depth: self.depth,
            nodes: self.nodes,
            attributes: self.attributes,
            name_bytes: self.name_bytes,
            fuel: self.fuel,
            outputs: self.outputs,
            output_bytes: self.output_bytes,
            script,
            ..flow::model::Limits::default()
        }
    }

    pub fn for_message(&self) -> Arc<Limits> {
        Arc::new(self.model().for_message())
    }
}
