//! xml_to_json and json_to_xml.

use std::sync::{Arc, OnceLock};

use ::message::Fault;
use flow::api;
use formats::xml::{Reader, XmlOptions};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::border::detached;
use crate::options::PyXmlOptions;
use crate::payload::payload;

/// The reader of these options, or of none.
pub fn reader(options: Option<&PyXmlOptions>) -> Result<Arc<Reader>, Fault> {
    static DEFAULT: OnceLock<Arc<Reader>> = OnceLock::new();
    match (options, DEFAULT.get()) {
        (Some(options), _) => Ok(Arc::clone(&options.reader)),
        (None, Some(reader)) => Ok(Arc::clone(reader)),
        (None, None) => {
            let reader = Arc::new(Reader::new(&XmlOptions::default())?);
            Ok(Arc::clone(DEFAULT.get_or_init(|| reader)))
        }
    }
}

#[pyfunction]
#[pyo3(signature = (data, options = None))]
pub fn xml_to_json<'py>(data: &Bound<'py, PyAny>, options: Option<&PyXmlOptions>) -> PyResult<Bound<'py, PyBytes>> {
    let (py, data) = (data.py(), payload(data)?);
    let json = detached(py, || api::xml_to_json(&*reader(options)?, &data))?;
    Ok(PyBytes::new(py, &json))
}

#[pyfunction]
#[pyo3(signature = (data, options = None))]
pub fn json_to_xml<'py>(data: &Bound<'py, PyAny>, options: Option<&PyXmlOptions>) -> PyResult<Bound<'py, PyBytes>> {
    let (py, data) = (data.py(), payload(data)?);
    let xml = detached(py, || api::json_to_xml(&*reader(options)?, &data))?;
    Ok(PyBytes::new(py, &xml))
}
