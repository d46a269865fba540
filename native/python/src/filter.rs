//! Filter: one expression, for any number of payloads.

use std::sync::Arc;

use ::message::{Context, Format, Headers};
use expression::Filter;
use formats::xml::Reader;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::border::{Owner, detached};
use crate::convert::{DEFAULT, reader, with_document};
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
        let limits = &DEFAULT.1;
        let context =
            Context { id: "", customer: "", pipeline: "", revision: "", time_ms: 0, headers: Headers::default() };
        detached(py, || {
            with_document(|document| {
                match self.format.unwrap_or_else(|| flow::compile::detect(&data, "")) {
                    Format::Xml => self.reader.parse(&data, limits, document)?,
                    Format::Json => formats::json::parse(&data, limits, document)?,
                }
                self.filter.matches(document, &context, limits)
            })
        })
    }

    fn __repr__(&self) -> String {
        format!("Filter({:?})", self.expression)
    }
}
