//! The extension module `vrsky_fast._native`: registration, conversion, errors.
//!
//! ```text
//! Python                    here                               Rust
//! bytes, buffers    ──► payload.rs                      ──► &[u8], no copy of bytes
//! XmlOptions, Limits──► options.rs                      ──► formats, message
//! xml_to_json ...   ──► convert.rs, filter.rs, script.rs ─► one crate each
//! Message, Result   ──► message.rs ─┐
//! Pipeline          ──► pipeline.rs ┴─────────────────────► flow::process
//! Node              ──► node.rs     ──────────────────────► flow::engine
//! sandbox_zygote    ──► sandbox.rs  ──────────────────────► sandbox
//! VrskyError tree   ◄── errors.rs   ◄────────────────────── message::Fault
//! ```
//!
//! No message of a running node comes through here. While Rust works the interpreter is released;
//! panics are caught (`border.rs`); what was made before a fork refuses to work after it.

mod border;
mod convert;
mod errors;
mod filter;
mod message;
mod model;
mod node;
mod options;
mod payload;
mod pipeline;
#[cfg(target_os = "linux")]
mod sandbox;
mod script;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(convert::xml_to_json, module)?)?;
    module.add_function(wrap_pyfunction!(convert::json_to_xml, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::compile_pipelines, module)?)?;
    module.add_function(wrap_pyfunction!(model::facts, module)?)?;
    module.add_function(wrap_pyfunction!(model::is_name, module)?)?;
    module.add_function(wrap_pyfunction!(model::patterns_meet, module)?)?;
    module.add_function(wrap_pyfunction!(model::is_secret_name, module)?)?;
    module.add_function(wrap_pyfunction!(model::lane_of, module)?)?;
    module.add_function(wrap_pyfunction!(model::subject_token, module)?)?;
    module.add_function(wrap_pyfunction!(model::sign_nonce, module)?)?;
    module.add_function(wrap_pyfunction!(model::json_schema, module)?)?;
    module.add_function(wrap_pyfunction!(model::connectors, module)?)?;
    module.add_function(wrap_pyfunction!(model::error_table, module)?)?;
    #[cfg(target_os = "linux")]
    {
        module.add_function(wrap_pyfunction!(sandbox::sandbox_zygote, module)?)?;
        module.add_function(wrap_pyfunction!(sandbox::sandbox_probe, module)?)?;
    }
    module.add_class::<options::PyXmlOptions>()?;
    module.add_class::<options::PyLimits>()?;
    module.add_class::<filter::PyFilter>()?;
    module.add_class::<script::PyScript>()?;
    module.add_class::<message::PyMessage>()?;
    module.add_class::<message::PyOutput>()?;
    module.add_class::<message::PyOutcome>()?;
    module.add_class::<pipeline::PyPipeline>()?;
    module.add_class::<node::PyNode>()
}
