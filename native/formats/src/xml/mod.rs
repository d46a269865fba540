//! XML: what expat accepts becomes what xmltodict makes of it.
//!
//! ```text
//! bytes ──► prolog.rs      byte order mark, charset, XML declaration: which encoding
//!             │ foreign.rs     other encodings: decoded to UTF-8 first
//!             ▼
//!           scan.rs        tags, attributes, text: one pass, no recursion
//!             │ markup.rs      comments, instructions, CDATA, references
//!             │ characters.rs  which character may stand where
//!             ▼
//!           tree.rs        members, repeated names, text  ──► Document
//!             │ text.rs        joins and trims an element's text
//!             │ declared.rs    arrays, numbers, booleans: a trie along the open elements
//!             │ prefixes.rs    namespaces, when they are stripped or `xsi:nil` is looked for
//!             │ nil.rs         elements with `xsi:nil`, when they become null
//!
//! Document ──► emit.rs     ──► bytes
//! ```

mod characters;
mod declared;
mod emit;
mod foreign;
mod markup;
mod nil;
mod options;
mod prefixes;
mod prolog;
mod scan;
mod text;
mod tree;

use std::sync::Arc;

use message::{Conventions, Document, Fault, Format, Limits};

pub use emit::emit;
pub use options::{Doctype, Namespaces, Nil, NumberFormat, XmlOptions};

use declared::Declared;

/// Compiled options, to parse any number of documents; may be shared by threads.
#[derive(Debug)]
pub struct Reader {
    conventions: Arc<Conventions>,
    declared: Declared,
    namespaces: Namespaces,
    doctype: Doctype,
    number_format: NumberFormat,
    trim: bool,
    nil: Nil,
}

impl Reader {
    /// # Errors
    /// `config/invalid-path`, `config/invalid-value`; the place's pointer names the option, such
    /// as `/numbers/0`.
    pub fn new(options: &XmlOptions) -> Result<Reader, Fault> {
        let conventions = options.conventions()?;
        let declared = Declared::compile(options)?;
        let XmlOptions { namespaces, doctype, number_format, trim, nil, .. } = *options;
        Ok(Reader { conventions, declared, namespaces, doctype, number_format, trim, nil })
    }

    #[must_use]
    pub fn conventions(&self) -> &Arc<Conventions> {
        &self.conventions
    }

    /// Fills `document` from one XML document. The document is empty when this fails.
    ///
    /// # Errors
    /// Every `xml/...` code, with the byte offset; `convert/not-a-number`,
    /// `convert/not-a-boolean` with the field, `convert/name-collision`.
    #[inline]
    pub fn parse(&self, source: &[u8], limits: &Limits, document: &mut Document) -> Result<(), Fault> {
        self.parse_as(source, None, limits, document)
    }

    /// The same for a document that came with a charset, such as that of its Content-Type: by RFC 7303 a byte order
    /// mark wins over it, and both over the XML declaration. Inside, and in what is emitted, the document is UTF-8.
    ///
    /// # Errors
    /// Those of [`Reader::parse`]; offsets are bytes of `source`, as it came.
    pub fn parse_as(
        &self,
        source: &[u8],
        charset: Option<&str>,
        limits: &Limits,
        document: &mut Document,
    ) -> Result<(), Fault> {
        let scanned = scan::scan(self, source, charset, limits, document);
        if scanned.is_err() {
            document.reset(&[], Format::Xml, &self.conventions);
        }
        scanned
    }
}
