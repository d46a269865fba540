//! XmlOptions and Limits: values, checked when they are made.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use ::message::Limits;
use flow::model::ScriptLimits;
use formats::xml::{Doctype, Namespaces, Nil, NumberFormat, Reader, XmlOptions};
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
    #[pyo3(signature = (*, attribute_prefix = "@", text_key = "#text", arrays = vec![], numbers = vec![], booleans = vec![],
        namespaces = "keep", doctype = "refuse", number_format = "json", trim = true, nil = "keep"))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn new(
        py: Python<'_>,
        attribute_prefix: &str,
        text_key: &str,
        arrays: Vec<String>,
        numbers: Vec<String>,
        booleans: Vec<String>,
        namespaces: &str,
        doctype: &str,
        number_format: &str,
        trim: bool,
        nil: &str,
    ) -> PyResult<Self> {
        let options = XmlOptions {
            attribute_prefix: attribute_prefix.to_owned(),
            text_key: text_key.to_owned(),
            arrays,
            numbers,
            booleans,
            namespaces: one_of("namespaces", &NAMESPACES, namespaces)?,
            doctype: one_of("doctype", &DOCTYPES, doctype)?,
            number_format: one_of("number_format", &NUMBER_FORMATS, number_format)?,
            trim,
            nil: one_of("nil", &NILS, nil)?,
        };
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
        word(&NAMESPACES, self.options.namespaces)
    }

    #[getter]
    fn doctype(&self) -> &'static str {
        word(&DOCTYPES, self.options.doctype)
    }

    #[getter]
    fn number_format(&self) -> &'static str {
        word(&NUMBER_FORMATS, self.options.number_format)
    }

    #[getter]
    fn trim(&self) -> bool {
        self.options.trim
    }

    #[getter]
    fn nil(&self) -> &'static str {
        word(&NILS, self.options.nil)
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
        let (namespaces, doctype, number_format) = (self.namespaces(), self.doctype(), self.number_format());
        let (trim, nil) = (if self.options.trim { "True" } else { "False" }, self.nil());
        format!(
            "XmlOptions(attribute_prefix={attribute_prefix:?}, text_key={text_key:?}, arrays={arrays:?}, \
             numbers={numbers:?}, booleans={booleans:?}, namespaces={namespaces:?}, doctype={doctype:?}, \
             number_format={number_format:?}, trim={trim}, nil={nil:?})"
        )
    }
}

/// The words of an option, each with its value; as in a pipeline file.
type Words<T> = [(&'static str, T); 2];

const NAMESPACES: Words<Namespaces> = [("keep", Namespaces::Keep), ("strip", Namespaces::Strip)];
const DOCTYPES: Words<Doctype> = [("refuse", Doctype::Refuse), ("ignore", Doctype::Ignore)];
const NUMBER_FORMATS: Words<NumberFormat> = [("json", NumberFormat::Json), ("xml_schema", NumberFormat::XmlSchema)];
const NILS: Words<Nil> = [("keep", Nil::Keep), ("null", Nil::Null)];

fn one_of<T: Copy>(option: &str, words: &Words<T>, given: &str) -> PyResult<T> {
    let found = words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value);
    let [(one, _), (other, _)] = words;
    found.ok_or_else(|| PyValueError::new_err(format!("{option} is \"{one}\" or \"{other}\"")))
}

fn word<T: PartialEq>(words: &Words<T>, value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
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
