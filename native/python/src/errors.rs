//! Faults become exceptions of `vrsky_fast.errors`, by the stage of their code.

use ::message::{Fault, Place};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};

fn errors(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    MODULE.get_or_try_init(py, || py.import("vrsky_fast.errors").map(Bound::unbind)).map(|module| module.bind(py))
}

/// A `vrsky_fast.errors.Place`; None when nothing is known of the place.
pub fn place<'py>(py: Python<'py>, place: &Place) -> PyResult<Option<Bound<'py, PyAny>>> {
    if *place == Place::default() {
        return Ok(None);
    }
    let Place { file, pointer, line, column, offset, field, step } = place;
    let parts = PyDict::new(py);
    parts.set_item("file", file)?;
    parts.set_item("pointer", pointer)?;
    parts.set_item("line", line)?;
    parts.set_item("column", column)?;
    parts.set_item("offset", offset)?;
    parts.set_item("field", field)?;
    parts.set_item("step", step)?;
    errors(py)?.getattr("Place")?.call((), Some(&parts)).map(Some)
}

fn error<'py>(py: Python<'py>, fault: &Fault) -> PyResult<Bound<'py, PyAny>> {
    let place = place(py, fault.place())?;
    errors(py)?.getattr("error_for")?.call1((fault.code().as_str(), fault.reason(), place))
}

/// The exception for `fault`.
pub fn raise(py: Python<'_>, fault: &Fault) -> PyErr {
    error(py, fault).map_or_else(|failed| failed, PyErr::from_value)
}

/// The exception for the first of several faults; its `faults` holds all of them.
pub fn raise_all(py: Python<'_>, faults: &[Fault]) -> PyErr {
    let all = || {
        let all = faults.iter().map(|fault| error(py, fault)).collect::<PyResult<Vec<_>>>()?;
        errors(py)?.getattr("first_of")?.call1((all,))
    };
    all().map_or_else(|failed| failed, PyErr::from_value)
}
