//! The pipeline file's model, for those who read YAML and write docs.

use std::path::PathBuf;

use ::message::{Code, check_name, check_secret_name};
use pyo3::prelude::*;
use serde_json::json;

use crate::border::detached;

/// A JWT or a public key, and a signature.
type Proof = (Option<String>, Option<String>, String);

#[pyfunction]
pub fn facts() -> String {
    flow::facts::facts().to_string()
}

#[pyfunction]
pub fn is_name(text: &str) -> bool {
    check_name(text).is_ok()
}

#[pyfunction]
pub fn patterns_meet(one: &str, other: &str) -> bool {
    flow::summary::patterns_meet(one, other)
}

#[pyfunction]
pub fn is_secret_name(text: &str) -> bool {
    check_secret_name(text).is_ok()
}

#[pyfunction]
pub fn lane_of(customer: &str, lanes: u32) -> u32 {
    flow::facts::lane_of(customer, lanes)
}

#[pyfunction]
pub fn subject_token(text: &str) -> String {
    flow::facts::token(text)
}

#[pyfunction]
pub fn sign_nonce(py: Python<'_>, file: PathBuf, is_creds: bool, nonce: &str) -> PyResult<Proof> {
    detached(py, || flow::engine::sign_nonce(file, is_creds, nonce))
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
