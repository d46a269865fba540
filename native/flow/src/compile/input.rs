//! `in`, compiled by its kind.

use std::sync::Arc;

use connectors::kind::{PipelineContext, Reads, SourceSpec};
use message::{Code, Fault, Format};

use super::beneath;
use crate::model::PipelineFile;

/// `expected` is what the steps read, if they read one format only; `outs_read` whether an out reads the payload.
pub fn compile(
    file: &PipelineFile,
    expected: Option<Format>,
    outs_read: bool,
) -> Result<Arc<dyn SourceSpec>, Vec<Fault>> {
    let connector = file.input.connector();
    let Some(kind) = file.input.kind() else {
        let reason = format!("this build has no source `{}`", connector.kind);
        return Err(vec![Fault::new(Code::ConfigInvalidValue, reason).at_pointer("/in")]);
    };
    let pipeline = PipelineContext {
        customer: &file.customer,
        pipeline: &file.pipeline,
        max_bytes: file.limits.bytes as usize,
        reads: match expected {
            _ if file.steps.is_empty() && !outs_read => Reads::Nothing,
            Some(format) => Reads::Only(format),
            None => Reads::Any,
        },
    };
    let base = format!("/in/{}", connector.kind);
    kind.compile(&connector.options, &pipeline).map_err(|faults| beneath(&base, faults))
}
