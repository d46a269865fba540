//! xml_to_json and json_to_xml.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use ::message::{Document, Fault, Format, Limits};
use formats::xml::{Reader, XmlOptions};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::border::detached;
use crate::options::PyXmlOptions;
use crate::payload::payload;

thread_local! {
    /// Kept from call to call, for its allocations.
    static DOCUMENT: RefCell<Document> = RefCell::default();
}

/// A document of this thread. A panic in `work` leaves a fresh one behind.
pub fn with_document<T>(work: impl FnOnce(&mut Document) -> T) -> T {
    let mut document = DOCUMENT.take();
    let done = work(&mut document);
    DOCUMENT.set(document);
    done
}

/// Readers and limits of those who name none.
pub static DEFAULT: LazyLock<(Option<Arc<Reader>>, Limits)> =
    LazyLock::new(|| (Reader::new(&XmlOptions::default()).ok().map(Arc::new), Limits::default()));

pub fn reader(options: Option<&PyXmlOptions>) -> Result<Arc<Reader>, Fault> {
    match (options, &DEFAULT.0) {
        (Some(options), _) => Ok(Arc::clone(&options.reader)),
        (None, Some(reader)) => Ok(Arc::clone(reader)),
        (None, None) => Reader::new(&XmlOptions::default()).map(Arc::new),
    }
}

#[pyfunction]
#[pyo3(signature = (data, options = None))]
pub fn xml_to_json<'py>(data: &Bound<'py, PyAny>, options: Option<&PyXmlOptions>) -> PyResult<Bound<'py, PyBytes>> {
    let (py, data) = (data.py(), payload(data)?);
    let json = detached(py, || {
        let reader = reader(options)?;
        with_document(|document| {
            reader.parse(&data, &DEFAULT.1, document)?;
            document.set_format(Format::Json);
            let mut json = Vec::with_capacity(data.len());
            formats::emit(document, &mut json)?;
            Ok(json)
        })
    })?;
    Ok(PyBytes::new(py, &json))
}

#[pyfunction]
#[pyo3(signature = (data, options = None))]
pub fn json_to_xml<'py>(data: &Bound<'py, PyAny>, options: Option<&PyXmlOptions>) -> PyResult<Bound<'py, PyBytes>> {
    let (py, data) = (data.py(), payload(data)?);
    let xml = detached(py, || {
        let reader = reader(options)?;
        with_document(|document| {
            formats::json::parse(&data, &DEFAULT.1, document)?;
            document.set_conventions(reader.conventions());
            document.set_format(Format::Xml);
            let mut xml = Vec::with_capacity(data.len() * 2);
            formats::emit(document, &mut xml)?;
            Ok(xml)
        })
    })?;
    Ok(PyBytes::new(py, &xml))
}
