//! How XML becomes the JSON model, and back: what a `convert` step or a caller can choose.

use std::sync::Arc;

use message::{Code, Conventions, Fault};

use super::characters::is_name;

/// What happens to namespace prefixes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// Names stay as they are written; declarations are attributes like any other.
    #[default]
    Keep,
    /// Prefixes and declarations are dropped. Every prefix has to be declared.
    Strip,
}

/// What happens to a DOCTYPE. Whatever it names is never loaded, and no entity is expanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doctype {
    #[default]
    Refuse,
    /// One without an internal subset is passed over.
    Ignore,
}

/// How a text of a path in `numbers` may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberFormat {
    #[default]
    Json,
    /// Also as XML Schema writes decimal numbers: `+5`, `.5`, `5.`, `005`.
    XmlSchema,
}

/// What happens to an element with `xsi:nil="true"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nil {
    /// `xsi:nil` is an attribute like any other.
    #[default]
    Keep,
    /// An element without content is null.
    Null,
}

/// The options of one conversion. The defaults are xmltodict's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlOptions {
    /// In front of an attribute's name: `@`, or `-` as other tools have it. Never the start of an
    /// element's name, so that the two cannot be mistaken for each other.
    pub attribute_prefix: String,
    /// The key of text beside attributes or children. Never an element's name.
    pub text_key: String,
    /// Paths of elements that are lists even when they stand alone.
    pub arrays: Vec<String>,
    /// Paths of elements and attributes that hold a number.
    pub numbers: Vec<String>,
    /// Paths of elements and attributes that hold `true`, `false`, `1` or `0`.
    pub booleans: Vec<String>,
    pub namespaces: Namespaces,
    pub doctype: Doctype,
    pub number_format: NumberFormat,
    /// Whether an element's text loses the white space around it.
    pub trim: bool,
    pub nil: Nil,
}

impl Default for XmlOptions {
    fn default() -> Self {
        XmlOptions {
            attribute_prefix: "@".into(),
            text_key: "#text".into(),
            arrays: Vec::new(),
            numbers: Vec::new(),
            booleans: Vec::new(),
            namespaces: Namespaces::Keep,
            doctype: Doctype::Refuse,
            number_format: NumberFormat::Json,
            trim: true,
            nil: Nil::Keep,
        }
    }
}

impl XmlOptions {
    /// The part of the options that a document carries with it. For XML from a document that did
    /// not come from XML: `document.set_conventions(&options.conventions()?)`.
    ///
    /// # Errors
    /// `config/invalid-value` when an attribute or text could read as an element.
    pub fn conventions(&self) -> Result<Arc<Conventions>, Fault> {
        let refused =
            |pointer: &str, reason: &str| Err(Fault::new(Code::ConfigInvalidValue, reason).at_pointer(pointer));
        let (prefix, text_key) = (&self.attribute_prefix, &self.text_key);
        let first = prefix.chars().next().map(String::from).unwrap_or_default();
        if prefix.is_empty() || is_name(first.as_bytes()) {
            let reason = "an attribute prefix starts with a character that no name starts with, such as `@` or `-`";
            return refused("/attribute_prefix", reason);
        }
        if text_key.is_empty() || is_name(text_key.as_bytes()) {
            return refused("/text_key", "a text key is no element name; `#text` is one");
        }
        if text_key.strip_prefix(prefix.as_str()).is_some_and(|rest| is_name(rest.as_bytes())) {
            return refused("/text_key", "the text key would read as an attribute");
        }
        Ok(Arc::new(Conventions { attribute_prefix: prefix.as_str().into(), text_key: text_key.as_str().into() }))
    }
}
