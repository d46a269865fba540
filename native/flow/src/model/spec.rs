//! `spec()` of the connectors: their options, each kind's part of the pipeline file's schema.

use connectors::kind::Kind;
use connectors::registry;
use serde::Serialize;
use serde_json::{Map, Value};

use super::schema;

/// One kind of connector, as an in or as an out.
#[derive(Clone, Debug, Serialize)]
pub struct Spec {
    pub kind: String,
    /// `in` or `out`.
    pub direction: &'static str,
    /// In a sentence or two.
    pub summary: String,
    /// A pipeline file that uses it, YAML.
    pub example: &'static str,
    /// What `vrsky check` looks at.
    pub checked: &'static str,
    /// JSON Schema (2020-12) of the options, complete in itself. Secrets are `writeOnly`.
    pub schema: Value,
}

/// Every kind, ins first, in the order of the registry.
#[must_use]
pub fn specs() -> Vec<Spec> {
    let sources = registry::sources().iter().map(|kind| spec("in", "In", *kind));
    let sinks = registry::sinks().iter().map(|kind| spec("out", "Out", *kind));
    sources.chain(sinks).collect()
}

fn spec(direction: &'static str, definition: &str, kind: &dyn Kind) -> Spec {
    let branches = schema().pointer(&format!("/$defs/{definition}/oneOf")).and_then(Value::as_array);
    let options = branches.into_iter().flatten().find_map(|branch| branch.get("properties")?.get(kind.name()));
    Spec {
        kind: kind.name().to_owned(),
        direction,
        summary: kind.summary().to_owned(),
        example: kind.example(),
        checked: kind.checked(),
        schema: options.map(complete).unwrap_or_default(),
    }
}

/// The definition that `options` refers to, with those that it needs itself.
fn complete(options: &Value) -> Value {
    let mut needed = Map::new();
    let mut whole = match referred(options) {
        Some((_, definition)) => definition.clone(),
        None => options.clone(),
    };
    collect(&whole, &mut needed);
    if let Value::Object(map) = &mut whole {
        map.insert("$schema".to_owned(), schema()["$schema"].clone());
        if !needed.is_empty() {
            map.insert("$defs".to_owned(), Value::Object(needed));
        }
    }
    whole
}

fn collect(value: &Value, needed: &mut Map<String, Value>) {
    if let Some((name, definition)) = referred(value)
        && !needed.contains_key(name)
    {
        needed.insert(name.to_owned(), definition.clone());
        collect(definition, needed);
    }
    match value {
        Value::Object(map) => map.values().for_each(|inner| collect(inner, needed)),
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, needed)),
        _ => {}
    }
}

fn referred(value: &Value) -> Option<(&str, &'static Value)> {
    let name = value.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
    Some((name, schema().get("$defs")?.get(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_there_with_a_summary_and_options_complete_in_themselves() {
        let specs = specs();
        assert_eq!(specs.len(), registry::sources().len() + registry::sinks().len());
        for spec in &specs {
            assert!(!spec.summary.is_empty(), "{spec:?}");
            assert_eq!(spec.schema["type"], "object", "{spec:?}");
            let text = spec.schema.to_string();
            for (at, _) in text.match_indices("#/$defs/") {
                let name = text[at + 8..].split('"').next().unwrap();
                assert!(spec.schema["$defs"].get(name).is_some(), "{name} is missing in {text}");
            }
        }
    }

    #[test]
    fn secrets_are_marked() {
        let marked = |spec: &Spec| spec.schema.pointer("/$defs/Secret/writeOnly") == Some(&Value::Bool(true));
        let with_secrets: Vec<String> = specs()
            .iter()
            .filter(|spec| marked(spec))
            .map(|spec| format!("{} {}", spec.direction, spec.kind))
            .collect();
        for kind in ["in http", "out http"] {
            assert!(with_secrets.contains(&kind.to_owned()), "{with_secrets:?}");
        }
    }
}
