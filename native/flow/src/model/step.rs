//! `steps:` what happens to a message.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Expression, FieldPath, FileName, OutName};

/// One step: exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Turns XML into JSON or back, and says which fields are lists, numbers and booleans; a `filter`
    /// before it reads them so too.
    Convert(Convert),
    /// A CEL expression. `true` lets the message pass, `false` drops it; anything else fails it.
    Filter(Expression),
    /// Path to CEL expression: puts the value there, creating objects on the way, in this order.
    Set(
        #[schemars(extend("minProperties" = 1, "maxProperties" = 100, "propertyNames" = {"format": "path"}))]
        IndexMap<String, Expression>,
    ),
    /// Paths of the fields to take away. A field that is not there is no error.
    Remove(OneOrMany<FieldPath>),
    /// Path to new name, in this order. A field that is not there is no error.
    Rename(
        #[schemars(extend("minProperties" = 1, "maxProperties" = 100, "propertyNames" = {"format": "path"}))]
        IndexMap<String, String>,
    ),
    /// TypeScript or JavaScript: `export default (msg, ctx) => msg`, a list of messages, or `null`.
    Script(Script),
    /// Which outs a message goes to: the first case that matches. The last step.
    Route(#[schemars(length(min = 1, max = 100))] Vec<Case>),
}

impl Step {
    /// The step's word in the file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Step::Convert(_) => "convert",
            Step::Filter(_) => "filter",
            Step::Set(_) => "set",
            Step::Remove(_) => "remove",
            Step::Rename(_) => "rename",
            Step::Script(_) => "script",
            Step::Route(_) => "route",
        }
    }

    /// Whether it changes fields, and so needs a document that is no XML any more.
    #[must_use]
    pub fn is_edit(&self) -> bool {
        match self {
            Step::Set(_) | Step::Remove(_) | Step::Rename(_) | Step::Script(_) => true,
            Step::Convert(_) | Step::Filter(_) | Step::Route(_) => false,
        }
    }
}

/// A conversion between XML and JSON.
///
/// Text of XML loses the white space around it, as in xmltodict: `<a> x </a>`, `<a><![CDATA[ x ]]></a>`,
/// `<a>&#32;x</a>` all give `"x"`, and `xml:space="preserve"` changes nothing about it. Text between elements is put together:
/// `<a>x<b/>y</a>` has `"#text": "xy"`, which goes back to XML after the elements. XML that is written begins
/// with an XML declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    /// What the payload is.
    pub from: Format,
    /// What it becomes. Without it: the other format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Format>,
    /// Paths that are lists even with a single element: `order.items.item`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub arrays: Vec<FieldPath>,
    /// Paths that are numbers; everything else in XML stays a text. A value that is no JSON number fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub numbers: Vec<FieldPath>,
    /// Paths that are booleans: `true`, `false`, `1` or `0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub booleans: Vec<FieldPath>,
    /// Stands before an attribute's name: `@id`. Another convention is `-`.
    #[serde(default = "attribute_prefix")]
    #[schemars(length(min = 1, max = 16))]
    pub attribute_prefix: String,
    /// The key of text that stands beside attributes or elements.
    #[serde(default = "text_key")]
    #[schemars(length(min = 1, max = 64))]
    pub text_key: String,
    /// Whether prefixes and declarations of namespaces stay.
    #[serde(default)]
    pub namespaces: Namespaces,
}

fn attribute_prefix() -> String {
    "@".to_owned()
}

fn text_key() -> String {
    "#text".to_owned()
}

/// The format of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// XML 1.0 in UTF-8, without DOCTYPE.
    Xml,
    /// JSON (RFC 8259).
    Json,
}

/// What becomes of XML namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Namespaces {
    /// Names stay as written: `o:order`, `@xmlns:o`.
    #[default]
    Keep,
    /// Prefixes and declarations are taken away: `order`.
    Strip,
}

/// A script: a file beside the pipeline file, or its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Script {
    /// The file's path, without `..`; `.ts` and `.mts` are TypeScript, others such as `.js` and
    /// `.mjs` JavaScript.
    File(FileName),
    /// The script's text.
    Inline(ScriptSource),
}

/// A script in the pipeline file itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptSource {
    /// The script's text.
    pub code: String,
    /// Its language.
    #[serde(default)]
    pub language: Language,
}

/// A script's language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// TypeScript whose types can be stripped: no enum, namespace, parameter property or import.
    #[default]
    Ts,
    /// JavaScript.
    Js,
}

/// One case of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A CEL expression; without it the case always matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expression>,
    /// The out, or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<OneOrMany<OutName>>,
    /// `true`: the message is dropped. Instead of `to`, in the last case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
}

/// One, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "OneOrMany{T}")]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(#[schemars(length(min = 1, max = 100))] Vec<T>),
}

impl<T> OneOrMany<T> {
    /// Each of them, with the end of the pointer that leads to it: nothing, or `/0`.
    #[must_use]
    pub fn list(&self) -> Vec<(&T, String)> {
        match self {
            OneOrMany::One(one) => vec![(one, String::new())],
            OneOrMany::Many(many) => many.iter().enumerate().map(|(at, one)| (one, format!("/{at}"))).collect(),
        }
    }
}
