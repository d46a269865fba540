//! `in:` where messages come in.

use std::borrow::Cow;

use connectors::kind::{Kind, SourceKind};
use connectors::registry;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::connector::{Connector, alternatives};

/// Where messages come in: the kind of a source, and its options.
#[derive(Clone, Debug, PartialEq)]
pub struct In(Connector);

impl In {
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.0
    }

    /// `None` for a kind that this build does not know, which no file can name.
    #[must_use]
    pub fn kind(&self) -> Option<&'static dyn SourceKind> {
        registry::source(&self.0.kind)
    }
}

impl Serialize for In {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for In {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<In, D::Error> {
        let find = |name: &str| registry::source(name).map(|kind| kind as &dyn Kind);
        Connector::read(deserializer, find).map(In)
    }
}

impl JsonSchema for In {
    fn schema_name() -> Cow<'static, str> {
        "In".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = registry::sources().iter().map(|kind| *kind as &dyn Kind);
        alternatives("Where messages come in: exactly one of these.", kinds, generator)
    }
}
