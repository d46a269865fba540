//! Filter: one expression, for any number of payloads.

use std::sync::Arc;

use ::message::Format;
use expression::Filter;
use flow::api;
use formats::xml::Reader;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::border::{Owner, detached};
use crate::convert::reader;
use crate::options::PyXmlOptions;
use crate::payload::payload;

#[pyclass(frozen, module = "vrsky_fast", name = "Filter")]
pub struct PyFilter {
    filter: Filter,
    #[pyo3(get)]
    expression: String,
    /// `None` looks at the payload.
    format: Option<Format>,
    reader: Arc<Reader>,
    owner: Owner,
}

#[pymethods]
impl PyFilter {
    #[new]
    #[pyo3(signature = (expression, *, format = "auto", xml = None))]
    fn new(py: Python<'_>, expression: String, format: &str, xml: Option<&PyXmlOptions>) -> PyResult<Self> {
        let format = match format {
            "auto" => None,
            "xml" => Some(Format::Xml),
            "json" => Some(Format::Json),
            _ => return Err(PyValueError::new_err("format is \"auto\", \"xml\" or \"json\"")),
        };
        let (filter, reader) = detached(py, || Ok((Filter::compile(&expression)?, reader(xml)?)))?;
        Ok(PyFilter { filter, expression, format, reader, owner: Owner::this() })
    }

    fn matches(&self, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (py, data) = (data.py(), payload(data)?);
        self.owner.check(py)?;
        detached(py, || api::matches(&self.filter, &self.reader, self.format, &data))
    }

    fn __repr__(&self) -> String {
        format!("Filter({:?})", self.expression)
    }
}
