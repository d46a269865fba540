//! Texts of a certain format. Each is a plain string in the file; its schema names the format,
//! which format.rs checks.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $format:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": $format})
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

texts! {
    /// A CEL expression.
    Expression = "expression";
    /// A field's path: `order.items[0].price`, `order["@id"]`.
    FieldPath = "path";
    /// The name of an out.
    OutName = "name";
    /// A file beside the pipeline file.
    FileName = "file";
    /// Messages per time: `5000/s`, `300/m`, `10/h`.
    Rate = "rate";
    /// One line without control characters.
    HeaderText = "header-value";
    /// The name of a header that goes on with a message.
    PassedHeader = "passed-header";
    /// The name of a parameter in a URL's query.
    QueryName = "query-name";
    /// A URL, with fields of the message in braces.
    UrlText = "url";
}
