//! XmlOptions and Limits: values, checked when they are made.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ::message::Limits;
use formats::xml::{Namespaces, Reader, XmlOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serde_json::json;

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
        hash(&format!("{:?}", self.options))
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

#[pyclass(frozen, module = "vrsky_fast", name = "Limits")]
pub struct PyLimits {
    pub limits: Arc<Limits>,
}

#[pymethods]
impl PyLimits {
    #[new]
    #[pyo3(signature = (*, cpu_ms = 5, memory_mb = 32, stack_kb = 512, bytes = 8_388_608, depth = 256, nodes = 1_000_000,
        attributes = 256, name_bytes = 1_024, fuel = 100_000, outputs = 1_000, output_bytes = 16_777_216))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn new(
        py: Python<'_>,
        cpu_ms: i64,
        memory_mb: i64,
        stack_kb: i64,
        bytes: i64,
        depth: i64,
        nodes: i64,
        attributes: i64,
        name_bytes: i64,
        fuel: i64,
        outputs: i64,
        output_bytes: i64,
    ) -> PyResult<Self> {
        let script = json!({"cpu_ms": cpu_ms, "memory_mb": memory_mb, "stack_kb": stack_kb});
        let value = json!({
            "bytes": bytes, "depth": depth, "nodes": nodes, "attributes": attributes, "name_bytes": name_bytes,
            "fuel": fuel, "outputs": outputs, "output_bytes": output_bytes, "script": script,
        });
        let limits = flow::model::read_limits(value).map_err(|faults| raise_all(py, &faults))?;
        Ok(PyLimits { limits: Arc::new(limits.for_message()) })
    }

    #[getter]
    fn cpu_ms(&self) -> u32 {
        self.limits.script_cpu_ms
    }

    #[getter]
    fn memory_mb(&self) -> u32 {
        self.limits.script_memory_mb
    }

    #[getter]
    fn stack_kb(&self) -> u32 {
        self.limits.script_stack_kb
    }

    #[getter]
    fn bytes(&self) -> usize {
        self.limits.bytes
    }

    #[getter]
    fn depth(&self) -> usize {
        self.limits.depth
    }

    #[getter]
    fn nodes(&self) -> usize {
        self.limits.nodes
    }

    #[getter]
    fn attributes(&self) -> usize {
        self.limits.attributes
    }

    #[getter]
    fn name_bytes(&self) -> usize {
        self.limits.name_bytes
    }

    #[getter]
    fn fuel(&self) -> u64 {
        self.limits.fuel
    }

    #[getter]
    fn outputs(&self) -> usize {
        self.limits.outputs
    }

    #[getter]
    fn output_bytes(&self) -> usize {
        self.limits.output_bytes
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().limits == self.limits)
    }

    fn __hash__(&self) -> u64 {
        hash(&format!("{:?}", self.limits))
    }

    fn __repr__(&self) -> String {
        let Limits { bytes, depth, nodes, attributes, name_bytes, fuel, outputs, output_bytes, .. } = *self.limits;
        let (cpu_ms, memory_mb, stack_kb) = (self.cpu_ms(), self.memory_mb(), self.stack_kb());
        format!(
            "Limits(cpu_ms={cpu_ms}, memory_mb={memory_mb}, stack_kb={stack_kb}, bytes={bytes}, depth={depth}, \
             nodes={nodes}, attributes={attributes}, name_bytes={name_bytes}, fuel={fuel}, outputs={outputs}, \
             output_bytes={output_bytes})"
        )
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
