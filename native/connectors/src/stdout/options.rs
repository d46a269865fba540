//! What a pipeline file says of standard output.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Standard output, one line for every message: JSON without blanks between its tokens, other text as it is, with
/// control characters escaped and what is not UTF-8 as U+FFFD. The lines stand among those of `vrsky run --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutOut {}
