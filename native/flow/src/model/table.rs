//! `tables:` files whose rows are looked up by a key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FileName;

/// A lookup table: a file of CSV or JSON beside the pipeline file, read when the pipeline is installed.
///
/// CSV has a header; its cells are texts, or what `numbers` and `booleans` say. JSON is an object whose names are the
/// keys, or a list of objects with a member that is the `key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    /// The file's path, without `..`; it ends with `.csv` or `.json`. At most 4 MiB, 100,000 rows and 500,000 values.
    pub file: FileName,
    /// The column of CSV, or the member of a list's objects, that a row is found by. Each value stands once. A JSON
    /// object needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub key: Option<String>,
    /// Between the fields of CSV: one character, such as `;`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: Option<String>,
    /// Columns of CSV that are numbers, as JSON writes them; an empty cell is null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub numbers: Vec<String>,
    /// Columns of CSV that are booleans: `true`, `false`, `1` or `0`; an empty cell is null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub booleans: Vec<String>,
}
