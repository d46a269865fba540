//! What a pipeline file says of files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file that grows by one line of NDJSON for every message: JSON without blanks between its tokens; XML and
/// other text as a JSON string. What is not UTF-8 is a dead letter, `convert/not-representable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOut {
    /// Below the customer's folder for files, `<data>/files/<customer>/`; without `..`. Outs of a customer that name the
    /// same file share it, line by line. Absolute only on a node that runs with `--files-anywhere`.
    #[schemars(length(min = 1, max = 1024), extend("format" = "out-path"))]
    pub path: String,
}
