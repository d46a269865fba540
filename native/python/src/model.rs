//! The pipeline file's model, for those who read YAML and write docs.

use std::collections::HashMap;

use ::message::Code;
use pyo3::prelude::*;
use serde_json::json;

use crate::pipeline::compile;

#[pyfunction]
#[pyo3(signature = (json, files = None))]
pub fn check_pipeline(py: Python<'_>, json: &str, files: Option<HashMap<String, String>>) -> PyResult<String> {
    Ok(compile(py, json, &files.unwrap_or_default())?.file().canonical())
}

#[pyfunction]
pub fn json_schema() -> String {
    flow::model::schema().to_string()
}

#[pyfunction]
pub fn connectors() -> String {
    json!(flow::model::specs()).to_string()
}

#[pyfunction]
pub fn error_table() -> String {
    let rows = Code::ALL.iter().map(|code| {
        json!({
            "code": code.as_str(),
            "stage": format!("{:?}", code.stage()).to_lowercase(),
            "retryable": code.retryable(),
            "http_status": code.http_status(),
            "summary": code.summary(),
            "advice": code.advice(),
        })
    });
    serde_json::Value::from_iter(rows).to_string()
}
