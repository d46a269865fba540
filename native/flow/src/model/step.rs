//! `steps:` what happens to a message.

use connectors::options::is_default;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Csv, Expression, FieldPath, FileName, OutName};

/// One step: exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Turns XML or CSV into JSON or back, and says which fields are lists, numbers and booleans; a `filter`
    /// before it reads them so too.
    Convert(Box<Convert>),
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

    /// The words of the steps that leave a message as it is, and decide.
    pub const DECIDING: [&str; 2] = ["filter", "route"];

    /// Whether it decides, and changes nothing.
    #[must_use]
    pub fn decides(&self) -> bool {
        Step::DECIDING.contains(&self.name())
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

/// A conversion between XML, CSV and JSON.
///
/// XML is read in UTF-8, US-ASCII, ISO-8859-1, windows-1252 and UTF-16, and written in UTF-8. A byte order mark says which
/// it is, else the charset of the `Content-Type`, else the XML declaration (RFC 7303). XML that goes on unchanged stays
/// as it came if it is UTF-8; of another charset, it goes on in UTF-8, with `encoding="UTF-8"` in its declaration if
/// that named one. XML that is made from a changed message begins with an XML declaration.
///
/// Text of XML loses the white space around it: `<a> x </a>`, `<a><![CDATA[ x ]]></a>`, `<a>&#32;x</a>` all give `"x"`, and
/// `xml:space="preserve"` changes nothing about it. White space is the space, the tab and the line ends; a no-break
/// space (U+00A0) is a character of the text. Text between elements is put together: `<a>x<b/>y</a>` has
/// `"#text": "xy"`, which goes back to XML after the elements.
///
/// CSV in UTF-8, with or without a byte order mark, becomes a list with an object for each row. Fields are texts, but for
/// columns that `numbers` and `booleans` name; blanks around those are none of theirs, and an empty one is null. Empty lines
/// are no rows. Every row has to have as many fields as there are columns, at most 1,000 of them and 1 MiB in each;
/// a quote that does not close, or stands within a field that does not begin with one, fails with line, column and byte.
/// The script `export default (rows) => rows` makes a message of each row, up to `limits.outputs`. A list of objects
/// becomes CSV with a row for each, and an object alone with one row; a field that is not there, or null, is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    /// What the payload is.
    pub from: Format,
    /// What it becomes. Without it: from JSON, XML; from another format, JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Format>,
    /// Paths that are lists even with a single element: `order.items.item`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub arrays: Vec<FieldPath>,
    /// Paths that are numbers, of CSV the names of columns; everything else in XML and CSV stays a text. A value that is no
    /// JSON number fails.
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
    /// Whether XML with a DOCTYPE is taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub doctype: Doctype,
    /// How the values of `numbers` may be written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub number_format: NumberFormat,
    /// Whether text of XML loses the white space around it. `false` keeps it: `<a> x </a>` gives `" x "`, and `<a> </a>`
    /// gives `" "`. White space alone between elements is left out all the same, and a number or boolean never has any.
    #[serde(default = "trim", skip_serializing_if = "is_true")]
    pub trim: bool,
    /// What becomes of an element with `xsi:nil="true"`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nil: Nil,
    /// How CSV is written, where it is read or made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Csv>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_true(value: &bool) -> bool {
    *value
}

fn trim() -> bool {
    true
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
    /// XML 1.0.
    Xml,
    /// JSON (RFC 8259).
    Json,
    /// CSV (RFC 4180), with the delimiters and quotes that `csv` says.
    Csv,
}

/// What becomes of XML namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Namespaces {
    /// Names stay as written: `o:order`, `@xmlns:o`.
    #[default]
    Keep,
    /// Prefixes and declarations are taken away: `order`. Attributes that would have the same name then fail, and so do
    /// elements of different namespaces: `<a:id/>` beside `<b:id/>`.
    Strip,
}

/// What becomes of a DOCTYPE. What it names is never loaded, and no entities but XML's five are expanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Doctype {
    /// XML with a DOCTYPE fails.
    #[default]
    Refuse,
    /// A DOCTYPE is passed over, such as those of cXML, plist and SVG; in XML that goes on unchanged, it stays. One with an
    /// internal subset, `<!DOCTYPE a [...]>`, fails.
    Ignore,
}

/// How numbers are written in XML and CSV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// As in JSON: `5`, `-0.50`, `1e3`. Others fail.
    #[default]
    Json,
    /// Also as in XML Schema, `xs:decimal` and `xs:double`: `+5` becomes `5`, `.5` becomes `0.5`, `5.` becomes `5`, and
    /// `000010.000` becomes `10.000`, with every digit that counts. `INF` and `NaN` fail.
    XmlSchema,
}

/// What becomes of an element with `xsi:nil="true"`, by whatever prefix of the namespace
/// `http://www.w3.org/2001/XMLSchema-instance`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nil {
    /// `xsi:nil` is an attribute like any other.
    #[default]
    Keep,
    /// The element is null; beside other attributes, its text is: `{"@id": "1", "#text": null}`. An element that has
    /// content in spite of `xsi:nil` stays as it is.
    Null,
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
