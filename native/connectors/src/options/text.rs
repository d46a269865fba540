//! Texts of a certain format. Each is a plain string in the file; its schema names the format,
//! which the model checks.

/// Types of texts: `/// What it is.` `Name = "format";`
#[macro_export]
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $format:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl ::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({"type": "string", "format": $format})
            }
        }

        impl ::std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

texts! {
    /// One line without control characters.
    HeaderText = "header-value";
    /// The name of a header that goes on with a message.
    PassedHeader = "passed-header";
    /// The name of a parameter in a URL's query.
    QueryName = "query-name";
    /// A host, or `*.` and a domain.
    OriginHost = "origin-host";
    /// The name of a header that a sender sets.
    SenderHeader = "sender-header";
    /// A URL, with fields of the message in braces.
    UrlText = "url";
    /// Topics of MQTT, with wildcards.
    TopicFilter = "mqtt-filter";
}
