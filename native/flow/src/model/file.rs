//! The file as a whole: reading it, its canonical form, its schema.

use std::sync::LazyLock;

use indexmap::IndexMap;
use message::{Code, Fault};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::walk::walk;
use super::{Example, In, Limits, Outs, Step, TableFile};

/// The version of the format that this build reads and writes.
pub const VERSION: u32 = 1;

/// Larger files are refused before they are parsed, bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// A pipeline of one customer: where messages come in, what happens to them, where they go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    /// Version of the format; 1.
    #[serde(default = "version")]
    #[schemars(extend("format" = "version"))]
    pub vrsky: u32,
    /// Whose pipeline it is. Becomes a part of subjects and paths: 1 to 40 of a-z, 0-9 and inner hyphens.
    #[schemars(extend("format" = "name"))]
    pub customer: String,
    /// Its name, unique for the customer, of the same characters.
    #[schemars(extend("format" = "name"))]
    pub pipeline: String,
    /// Where messages come in.
    #[serde(rename = "in")]
    pub input: In,
    /// Lookup tables by name, which expressions and scripts read: `lookup("countries", msg.country).name`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(extend("maxProperties" = 20, "propertyNames" = {"format": "name"}))]
    pub tables: IndexMap<String, TableFile>,
    /// What happens to a message, in this order. Without steps its bytes are forwarded as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub steps: Vec<Step>,
    /// Where messages go: one connector, or several by name.
    pub out: Outs,
    /// Caps on what the pipeline and one message may cost.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// Examples with what is to come out, run by `vrsky test`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Example>,
}

fn version() -> u32 {
    VERSION
}

impl PipelineFile {
    /// The one text of this file: keys in the model's order, defaults written out.
    #[must_use]
    pub fn canonical(&self) -> String {
        // The model has text keys and finite numbers only, so that there is nothing to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Names what runs: a hash of the canonical text and of the scripts and tables beside it, 16 hex digits.
    #[must_use]
    pub fn revision<'t>(&self, files: impl IntoIterator<Item = &'t str>) -> String {
        let mut hash = blake3::Hasher::new();
        let mut put = |part: &str| {
            // Length first, so that no two lists of parts hash alike.
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        put(&self.canonical());
        files.into_iter().for_each(put);
        hash.finalize().to_hex().as_str()[..16].to_owned()
    }
}

/// Reads a pipeline file from JSON. Gives every fault that was found, each with the pointer of the
/// key or value that is wrong and, where one is near, with what was probably meant.
pub fn read(json: &str) -> Result<PipelineFile, Vec<Fault>> {
    read_value(parse(json)?)
}

/// The same, with what there is of the file although some of its values are wrong, so that these hide nothing
/// that is judged later. There is nothing when its shape is wrong elsewhere than in its tests.
pub fn examine(json: &str) -> (Option<PipelineFile>, Vec<Fault>) {
    let mut value = match parse(json) {
        Ok(value) => value,
        Err(faults) => return (None, faults),
    };
    let faults = walk(schema(), schema(), &value);
    if faults.iter().any(|fault| is_long(&value, fault)) {
        return (None, faults);
    }
    match PipelineFile::deserialize(&value) {
        Ok(file) => (Some(file), faults),
        Err(error) if faults.is_empty() => (None, unforeseen(&error)),
        Err(_) => {
            value.as_object_mut().and_then(|file| file.remove("tests"));
            (serde_json::from_value(value).ok(), faults)
        }
    }
}

/// Whether a fault is of a list or mapping so long that to compile it, only to refuse it, would take seconds.
fn is_long(file: &Value, fault: &Fault) -> bool {
    const LONG: usize = 100;
    match fault.place().pointer.as_deref().and_then(|pointer| file.pointer(pointer)) {
        Some(Value::Array(list)) => list.len() > LONG,
        Some(Value::Object(map)) => map.len() > LONG,
        _ => false,
    }
}

fn parse(json: &str) -> Result<Value, Vec<Fault>> {
    if json.len() > MAX_BYTES {
        return Err(vec![Fault::new(Code::ConfigTooLarge, "the pipeline file is larger than 1 MiB").at_pointer("")]);
    }
    serde_json::from_str(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let place = (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX));
        vec![Fault::new(Code::ConfigInvalidYaml, error.to_string()).at_pointer("").at_line(place.0, place.1)]
    })
}

/// The same from a parsed value.
pub fn read_value(value: Value) -> Result<PipelineFile, Vec<Fault>> {
    let faults = walk(schema(), schema(), &value);
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(value).map_err(|error| unforeseen(&error))
}

/// The walk accepts exactly what the types do (tested); this is for the case that it ceases to.
fn unforeseen(error: &serde_json::Error) -> Vec<Fault> {
    vec![Fault::new(Code::ConfigInvalidValue, error.to_string()).at_pointer("")]
}

/// Reads `limits` alone, with the pointers of faults counted from there.
///
/// # Errors
/// Like [`read`].
pub fn read_limits(value: Value) -> Result<Limits, Vec<Fault>> {
    let faults = schema().pointer("/$defs/Limits").map(|limits| walk(schema(), limits, &value)).unwrap_or_default();
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(value)
        .map_err(|error| vec![Fault::new(Code::ConfigInvalidValue, error.to_string()).at_pointer("")])
}

/// The JSON Schema (2020-12) of the file, with a description for every key. Custom formats: `name`,
/// `path`, `expression`, `rate`, `time`, `subject`, `url`, `version`.
#[must_use]
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12();
        let mut schema = settings.into_generator().into_root_schema_for::<PipelineFile>().to_value();
        tidy(&mut schema);
        schema
    });
    &SCHEMA
}

/// What serde would take and a person does not write: `null` for a key that may be left out. And
/// Rust's number types, which say nothing that the bounds do not.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get("type") {
                let kept = types.iter().find(|kind| kind.as_str() != Some("null")).cloned();
                map.extend(kept.map(|kind| ("type".to_owned(), kind)));
            }
            let is_null = |branch: &Value| branch.get("type").and_then(Value::as_str) == Some("null");
            if map.get("anyOf").and_then(Value::as_array).is_some_and(|branches| branches.iter().any(is_null)) {
                let branches = map.remove("anyOf");
                let kept = branches.iter().filter_map(Value::as_array).flatten().find(|branch| !is_null(branch));
                map.extend(kept.and_then(Value::as_object).into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
            }
            if map.get("format").and_then(Value::as_str) == Some("uint32") {
                map.remove("format");
            }
            map.values_mut().for_each(tidy);
        }
        _ => {}
    }
}
