//! A connector as it stands in the file: `{http: {path: /orders}}`. What options its kind has, the kind knows.

use connectors::kind::Kind;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

/// The name of a kind, and its options in their canonical form.
#[derive(Clone, Debug, PartialEq)]
pub struct Connector {
    pub kind: String,
    pub options: Value,
}

impl Connector {
    /// A mapping with one key, which `find` knows.
    pub(super) fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        find: impl Fn(&str) -> Option<&'static dyn Kind>,
    ) -> Result<Connector, D::Error> {
        let mut entries = Map::<String, Value>::deserialize(deserializer)?.into_iter();
        let (Some((name, options)), None) = (entries.next(), entries.next()) else {
            return Err(D::Error::custom("a connector is one kind and its options"));
        };
        let kind = find(&name).ok_or_else(|| D::Error::custom(format!("`{name}` is no kind of connector")))?;
        let options = kind.canonical(&options).map_err(D::Error::custom)?;
        Ok(Connector { kind: name, options })
    }
}

impl Serialize for Connector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.kind, &self.options)?;
        map.end()
    }
}

/// The schema of a choice between kinds.
pub(super) fn alternatives<'k>(
    description: &str,
    kinds: impl Iterator<Item = &'k dyn Kind>,
    generator: &mut SchemaGenerator,
) -> Schema {
    let one = |kind: &dyn Kind, options: Schema| {
        json!({
            "description": kind.summary(),
            "type": "object",
            "properties": {kind.name(): options},
            "additionalProperties": false,
            "required": [kind.name()],
        })
    };
    let all: Vec<Value> = kinds.map(|kind| one(kind, kind.schema(generator))).collect();
    json_schema!({"description": description, "oneOf": all})
}
