//! One mutable tape with a JSON model.
//!
//! ```text
//! bytes: [ the payload, as it came ............ | text that edits and scripts brought ]
//!            ▲ key, value spans                       ▲ key, value spans
//! nodes: [ root ][ member ][ member ]...     first ─► first child
//!            │       └─ next ─► the next distinct member
//!            │       └─ same ─► the next element of the same name (XML): together they read as a list
//!            └─ first ─► first member
//! ```
//!
//! All links are u32 indices and all texts are ranges of `bytes`, so a document is two vectors
//! that can be copied to another process as they are. The payload is copied in once (15 ns for
//! 460 B); what that buys is a document without a lifetime, free to wait in a queue or to cross to
//! an executor. A parser fills the tape by `reset` and `push`; steps read it by [`Value`] and edit
//! it by `set`, `remove`, `rename`; an emitter walks it once at the end.

mod edit;
mod text;
mod value;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

pub use edit::EditError;
pub use text::{Piece, Pieces, xml_reference};
pub use value::{Items, Members, Value};

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

/// A list by its node, and whether that node is read as a chain.
type ListKey = (u32, bool);

/// What a document keeps from one payload to the next; what a large one needed beyond is given back.
const KEPT_BYTES: usize = 256 << 10;
const KEPT_NODES: usize = 8 << 10;
const KEPT_LISTS: usize = 64;

/// A parsed payload. Reuse it: `reset` keeps the allocations.
#[derive(Clone, Debug)]
pub struct Document {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    source: usize,
    root: u32,
    format: Format,
    edited: bool,
    conventions: Arc<Conventions>,
    /// The elements of every list that was read by a high index, so that it is walked only once.
    lists: RefCell<HashMap<ListKey, Box<[u32]>>>,
}

impl Default for Document {
    fn default() -> Self {
        Document {
            bytes: Vec::new(),
            nodes: Vec::new(),
            source: 0,
            root: NONE,
            format: Format::Json,
            edited: false,
            conventions: Arc::default(),
            lists: RefCell::default(),
        }
    }
}

impl Document {
    /// Forgets everything, copies `source` in, and waits for a parser's `push`.
    pub fn reset(&mut self, source: &[u8], format: Format, conventions: &Arc<Conventions>) {
        self.bytes.clear();
        self.nodes.clear();
        self.forget_lists();
        self.give_back(source.len());
        self.bytes.extend_from_slice(source);
        self.source = source.len();
        self.root = NONE;
        self.format = format;
        self.edited = false;
        if !Arc::ptr_eq(&self.conventions, conventions) {
            self.conventions = Arc::clone(conventions);
        }
    }

    /// Gives memory back that a payload of `length` bytes cannot need: one hostile document must
    /// not cost its memory for as long as the document is reused.
    fn give_back(&mut self, length: usize) {
        if self.bytes.capacity() > KEPT_BYTES.max(2 * length) {
            self.bytes.shrink_to(KEPT_BYTES);
        }
        // A value has at least one byte.
        if self.nodes.capacity() > KEPT_NODES.max(2 * length) {
            self.nodes.shrink_to(KEPT_NODES);
        }
        if self.lists.get_mut().capacity() > KEPT_LISTS {
            self.lists.get_mut().shrink_to(KEPT_LISTS);
        }
    }

    // -- what a parser or a script builds ------------------------------------------------------

    /// Appends a node and gives its index; the caller links it.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // Limits::nodes is checked by the caller
    pub fn push(&mut self, node: Node) -> u32 {
        let index = self.nodes.len() as u32;
        self.nodes.push(node);
        index
    }

    #[inline]
    #[must_use]
    pub fn node(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }

    #[inline]
    pub fn node_mut(&mut self, index: u32) -> &mut Node {
        &mut self.nodes[index as usize]
    }

    #[inline]
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Appends text that is not in the source; gives its range.
    #[inline]
    pub fn append(&mut self, text: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        Span::between(start, self.bytes.len())
    }

    /// The bytes of a range.
    #[inline]
    #[must_use]
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..(span.start + span.length) as usize]
    }

    /// Source and appended text together; spans index into it.
    #[inline]
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        &self.bytes
    }

    /// Source and appended text together, to append in place; spans index into it.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Links `child` as the first child of `parent`, or after `previous`.
    #[inline]
    pub fn link(&mut self, parent: u32, previous: u32, child: u32) {
        if previous == NONE {
            self.nodes[parent as usize].first = child;
        } else {
            self.nodes[previous as usize].next = child;
        }
    }

    pub fn push_leaf(&mut self, kind: Kind, text: &[u8]) -> u32 {
        let value = self.append(text);
        self.push(Node { value, ..Node::new(kind) })
    }

    pub fn push_text(&mut self, text: &str) -> u32 {
        self.push_leaf(Kind::Text, text.as_bytes())
    }

    pub fn push_bool(&mut self, value: bool) -> u32 {
        self.push(Node::new(if value { Kind::True } else { Kind::False }))
    }

    pub fn push_i64(&mut self, value: i64) -> u32 {
        self.push_leaf(Kind::Number, value.to_string().as_bytes())
    }

    /// `value` has to be finite; JSON has no other numbers. Shortest digits that read back equal.
    pub fn push_f64(&mut self, value: f64) -> u32 {
        self.push_leaf(Kind::Number, ryu::Buffer::new().format_finite(value).as_bytes())
    }

    /// A second node for the same value, to stand elsewhere; texts are shared, nodes are copied.
    /// With `as_item` the copy is of one element of a chain, otherwise of the whole chain.
    pub fn push_copy(&mut self, value: u32, as_item: bool) -> u32 {
        let mut copy = Node { key: Span::default(), next: NONE, ..*self.node(value) };
        copy.flags = copy.flags.without(Flags::NAMING);
        if as_item {
            copy.same = NONE;
            copy.flags = copy.flags.without(Flags::LIST);
        }
        let head = self.push(copy);
        // A fresh copy still leads to the original's relatives; they are copied in turn.
        let mut fresh = vec![head];
        while let Some(at) = fresh.pop() {
            let Node { first, next, same, .. } = *self.node(at);
            let mut twin = |original: u32| {
                if original == NONE {
                    return NONE;
                }
                let twin = self.push(*self.node(original));
                fresh.push(twin);
                twin
            };
            let (first, next, same) = (twin(first), twin(next), twin(same));
            let node = self.node_mut(at);
            (node.first, node.next, node.same) = (first, next, same);
        }
        head
    }

    // -- the document as a whole ---------------------------------------------------------------

    /// The payload as it came.
    #[inline]
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.bytes[..self.source]
    }

    /// Makes `root` the value that is read, edited and emitted. Splitting is several roots in turn.
    #[inline]
    pub fn set_root(&mut self, root: u32) {
        self.root = root;
    }

    #[inline]
    #[must_use]
    pub fn root_index(&self) -> u32 {
        self.root
    }

    /// The root's value. A document that was never filled reads as null.
    #[inline]
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::new(self, self.root)
    }

    /// The value at a position that [`Value::position`] gave.
    #[inline]
    #[must_use]
    pub fn value_at(&self, node: u32, item: bool) -> Value<'_> {
        Value::at(self, node, item)
    }

    #[inline]
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// What `convert` does: the tape already has the JSON model, only the emitter changes.
    pub fn set_format(&mut self, format: Format) {
        if self.format != format {
            self.format = format;
            self.edited = true;
        }
    }

    /// Under which keys attributes and text read from now on, and which keys become attributes and
    /// text when the document is emitted as XML.
    pub fn set_conventions(&mut self, conventions: &Arc<Conventions>) {
        self.conventions = Arc::clone(conventions);
    }

    #[inline]
    #[must_use]
    pub fn conventions(&self) -> &Arc<Conventions> {
        &self.conventions
    }

    /// Whether `source` may be forwarded as it is: no edit, no conversion, no other root.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        !self.edited
    }

    /// Says that the document no longer stands for its source, as after a script.
    pub fn mark_edited(&mut self) {
        self.edited = true;
    }

    fn forget_lists(&mut self) {
        self.lists.get_mut().clear();
    }
}
