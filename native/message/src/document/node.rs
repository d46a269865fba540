//! What the tape is made of: nodes, and the ranges they point to.

/// No node: the end of a chain.
pub const NONE: u32 = u32::MAX;

/// What a node is in the JSON model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Null,
    False,
    True,
    /// `value` is the raw text of a JSON number; no digit is lost.
    Number,
    Text,
    Object,
    List,
}

/// How the bytes of a text stand for its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// As they are, UTF-8.
    Plain,
    /// With `&amp;`, `&#10;` and the like, already checked by the scanner.
    Xml,
    /// With `\n`, `\u00e9` and the like, already checked by the scanner.
    Json,
}

/// The wire format a document came from, and would be emitted as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Xml,
    Csv,
}

/// Marks on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The member is an XML attribute: its key reads with the attribute prefix.
    pub const ATTRIBUTE: Flags = Flags(1);
    /// The member is an element's text beside attributes or children: its key is the text key.
    pub const TEXT: Flags = Flags(2);
    /// Reads as a list even when it stands alone (declared in `arrays`).
    pub const LIST: Flags = Flags(4);
    /// Edited here or below: its source range may not be copied.
    pub const DIRTY: Flags = Flags(8);
    /// What says how the key is read; it belongs to the place, not to the value.
    pub const NAMING: Flags = Flags(1 | 2);
    /// All marks that there are.
    pub const ALL: Flags = Flags(1 | 2 | 4 | 8);

    #[must_use]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    #[must_use]
    pub const fn only(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

/// A range of the document's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub length: u32,
}

impl Span {
    #[must_use]
    pub const fn new(start: u32, length: u32) -> Span {
        Span { start, length }
    }

    /// Offsets fit: payloads are capped far below 4 GiB before they are parsed.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub const fn between(start: usize, end: usize) -> Span {
        Span { start: start as u32, length: (end - start) as u32 }
    }
}

/// One value, with the key under which its parent holds it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Node {
    pub kind: Kind,
    /// Of `value`, when `kind` is `Text`.
    pub encoding: Encoding,
    pub flags: Flags,
    /// Plain characters. In a range of the source there is none that JSON would escape.
    pub key: Span,
    /// The text of a leaf. For an object or list that came from JSON, its whole range in the
    /// source, brackets included; empty when there is none.
    pub value: Span,
    pub first: u32,
    pub next: u32,
    pub same: u32,
}

impl Node {
    #[must_use]
    pub const fn new(kind: Kind) -> Node {
        Node {
            kind,
            encoding: Encoding::Plain,
            flags: Flags(0),
            key: Span::new(0, 0),
            value: Span::new(0, 0),
            first: NONE,
            next: NONE,
            same: NONE,
        }
    }

    /// Whether the node, together with those that follow it by `same`, reads as a list: elements of
    /// one name, or one that is declared a list.
    #[inline]
    #[must_use]
    pub const fn is_chain(&self) -> bool {
        self.same != NONE || self.flags.has(Flags::LIST)
    }
}

/// How XML names become JSON keys, and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conventions {
    /// Before an attribute's name: `@` (xmltodict) or `-`.
    pub attribute_prefix: Box<str>,
    /// The key of text beside attributes or children: `#text`.
    pub text_key: Box<str>,
}

impl Default for Conventions {
    fn default() -> Self {
        Conventions { attribute_prefix: "@".into(), text_key: "#text".into() }
    }
}
