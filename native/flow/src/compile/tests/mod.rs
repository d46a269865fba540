//! Pipelines from the texts of files: which are refused, and what the others become.

mod compiled;
mod csv;
mod refused;

use std::collections::HashMap;

use message::{Context, Headers};
use serde_json::{Value, json};

use super::*;

fn pipeline(steps: Value, out: Value) -> Result<Arc<Pipeline>, Vec<Fault>> {
    let file = json!({
        "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "steps": steps, "out": out,
    });
    Pipeline::from_json(&file.to_string(), &files())
}

/// That of a message.
fn context(pipeline: &Pipeline) -> Context<'_> {
    Context {
        id: "1",
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        time_ms: 0,
        headers: Headers::default(),
    }
}

fn files() -> HashMap<String, String> {
    HashMap::from([("net.ts".to_owned(), "export default (msg: any) => msg".to_owned())])
}

fn one() -> Value {
    json!({"stdout": {}})
}

fn two() -> Value {
    json!({"erp": {"stdout": {}}, "audit": {"stdout": {}}})
}
