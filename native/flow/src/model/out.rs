//! `out:` where messages go.

use std::borrow::Cow;

use connectors::kind::{Kind, SinkKind};
use connectors::registry;
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::connector::{Connector, alternatives};

/// The name of an out that is the file's only connector and has no name there.
pub const SINGLE_OUT: &str = "default";

/// One connector, which is then the out named `default`, or several by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Outs {
    /// One connector.
    Single(Out),
    /// Name of the out to connector. A `route` step chooses between them.
    Named(
        #[schemars(extend("minProperties" = 1, "maxProperties" = 64, "propertyNames" = {"format": "name"}))]
        IndexMap<String, Out>,
    ),
}

impl Outs {
    /// Name and connector of every out, in the file's order, with the pointer to it.
    #[must_use]
    pub fn list(&self) -> Vec<(&str, &Out, String)> {
        match self {
            Outs::Single(out) => vec![(SINGLE_OUT, out, "/out".to_owned())],
            Outs::Named(outs) => outs.iter().map(|(name, out)| (name.as_str(), out, format!("/out/{name}"))).collect(),
        }
    }
}

/// Where a message goes: the kind of a sink, and its options.
#[derive(Clone, Debug, PartialEq)]
pub struct Out(Connector);

impl Out {
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.0
    }

    /// `None` for a kind that this build does not know, which no file can name.
    #[must_use]
    pub fn kind(&self) -> Option<&'static dyn SinkKind> {
        registry::sink(&self.0.kind)
    }
}

impl Serialize for Out {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Out {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Out, D::Error> {
        let find = |name: &str| registry::sink(name).map(|kind| kind as &dyn Kind);
        Connector::read(deserializer, find).map(Out)
    }
}

impl JsonSchema for Out {
    fn schema_name() -> Cow<'static, str> {
        "Out".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = registry::sinks().iter().map(|kind| *kind as &dyn Kind);
        alternatives("Where a message goes: exactly one of these.", kinds, generator)
    }
}
