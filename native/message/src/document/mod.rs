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
//!
//! ```text
//! parser, script ──► build.rs ──► nodes (node.rs) ──► value.rs, text.rs ──► filter, script, emitter
//!                                      ▲
//!                                   edit.rs ◄── set, remove, rename
//! between processes: tree.rs (a message that steps go on with), parts.rs (a script's worker)
//! ```

mod build;
mod dialect;
mod edit;
mod lists;
mod node;
mod parts;
mod text;
mod tree;
mod value;

use std::sync::Arc;

pub use dialect::Dialect;
pub use edit::EditError;
use lists::Lists;
pub use node::{Conventions, Encoding, Flags, Format, Kind, NONE, Node, Span};
pub use parts::{Extent, PartsBudget, PartsCheck, PartsError};
pub use text::{Piece, Pieces, xml_reference};
pub use value::{Items, Members, Value};

/// What steps append to a document's text; the bytes of a source that make one value; values that are made room for.
const USUAL_TEXT: usize = 64;
const USUAL_VALUE: usize = 16;
const MOST_VALUES: usize = 256;
/// What a document keeps from one payload to the next; what a large one needed beyond is given back.
const KEPT_BYTES: usize = 256 << 10;
const KEPT_NODES: usize = 8 << 10;

/// A parsed payload. Reuse it: `reset` keeps the allocations.
#[derive(Clone, Debug)]
pub struct Document {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    source: usize,
    /// The payload as it came, where `source` is another text.
    payload: Option<Box<[u8]>>,
    root: u32,
    format: Format,
    edited: bool,
    /// Whether the tape says something else than what was read.
    rewritten: bool,
    conventions: Arc<Conventions>,
    /// How it is written as CSV, where it came from there or goes there.
    dialect: Option<Arc<Dialect>>,
    lists: Lists,
}

/// Which of a document's values is the message, and as what it is read and emitted.
#[derive(Clone, Debug)]
pub struct Reading {
    pub root: u32,
    format: Format,
    conventions: Arc<Conventions>,
    dialect: Option<Arc<Dialect>>,
}

impl Default for Document {
    fn default() -> Self {
        Document {
            bytes: Vec::new(),
            nodes: Vec::new(),
            source: 0,
            payload: None,
            root: NONE,
            format: Format::Json,
            edited: false,
            rewritten: false,
            conventions: Arc::default(),
            dialect: None,
            lists: Lists::default(),
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
        // With room for what steps usually add, and for a value every few bytes, so that neither grows in steps.
        self.bytes.reserve(source.len() + USUAL_TEXT);
        self.nodes.reserve(MOST_VALUES.min(source.len() / USUAL_VALUE));
        self.bytes.extend_from_slice(source);
        self.source = source.len();
        self.payload = None;
        self.root = NONE;
        self.format = format;
        self.edited = false;
        self.rewritten = false;
        self.dialect = None;
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
        self.lists.shrink();
    }

    // -- the document as a whole ---------------------------------------------------------------

    /// The payload as it came.
    #[inline]
    #[must_use]
    pub fn source(&self) -> &[u8] {
        self.payload.as_deref().unwrap_or_else(|| self.decoded())
    }

    /// The payload as a text in UTF-8: what was read onto the tape.
    #[inline]
    #[must_use]
    pub fn decoded(&self) -> &[u8] {
        &self.bytes[..self.source]
    }

    /// How long [`Document::decoded`] is.
    #[inline]
    #[must_use]
    pub fn decoded_length(&self) -> usize {
        self.source
    }

    /// Says that the tape stands for a payload whose bytes are others, such as those of another charset.
    pub fn set_payload(&mut self, payload: &[u8]) {
        self.payload = Some(payload.into());
    }

    /// Whether the payload may go on as it came: it was read as it is, and nothing has changed since.
    #[inline]
    #[must_use]
    pub fn is_as_it_came(&self) -> bool {
        !self.edited && self.payload.is_none()
    }

    /// Makes `root` the value that is read, edited and emitted. Splitting is several roots in turn.
    #[inline]
    pub fn set_root(&mut self, root: u32) {
        let is_another = self.root != NONE && self.root != root;
        self.edited |= is_another;
        self.rewritten |= is_another;
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

    /// How the document is written from now on when it is emitted as CSV.
    pub fn set_dialect(&mut self, dialect: &Arc<Dialect>) {
        self.dialect = Some(Arc::clone(dialect));
    }

    #[must_use]
    pub fn dialect(&self) -> Option<&Arc<Dialect>> {
        self.dialect.as_ref()
    }

    /// What steps may change of it beside its tape, to begin again from.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let (conventions, dialect) = (Arc::clone(&self.conventions), self.dialect.clone());
        Reading { root: self.root, format: self.format, conventions, dialect }
    }

    /// Reads `root` as the message was read then, whatever steps have done since; no longer stands for its
    /// source.
    pub fn read_as(&mut self, reading: &Reading, root: u32) {
        self.root = root;
        self.format = reading.format;
        self.conventions = Arc::clone(&reading.conventions);
        self.dialect.clone_from(&reading.dialect);
        self.mark_edited();
    }

    /// Whether `decoded` may be forwarded as it is: no edit, no conversion, no other root.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        !self.edited
    }

    /// Says that the document no longer stands for its source, as after a script.
    pub fn mark_edited(&mut self) {
        self.edited = true;
        self.rewritten = true;
    }

    /// Whether the tape is as its parser has left it: whoever reads the payload again has it, and lacks nothing but
    /// what a `convert` has said of how it is emitted.
    #[must_use]
    pub fn is_as_read(&self) -> bool {
        !self.rewritten
    }

    fn forget_lists(&mut self) {
        self.lists.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"list": ["0", ...]}`.
    fn list(items: usize) -> Document {
        let mut document = Document::default();
        document.reset(b"", Format::Json, &Arc::default());
        let key = document.append(b"list");
        let root = document.push(Node::new(Kind::Object));
        let list = document.push(Node { key, ..Node::new(Kind::List) });
        document.link(root, NONE, list);
        let mut previous = NONE;
        for index in 0..items {
            let item = document.push_text(&index.to_string());
            document.link(list, previous, item);
            previous = item;
        }
        document.set_root(root);
        document
    }

    #[test]
    fn another_root_is_not_the_payload_any_more() {
        let mut document = list(2);
        assert!(document.is_unchanged());
        document.set_root(document.root_index());
        assert!(document.is_unchanged());
        document.set_root(1);
        assert!(!document.is_unchanged());
    }

    #[test]
    fn long_lists_are_read_by_index() {
        let document = list(1_000);
        let items = document.root().get("list").unwrap();
        for index in [0, 15, 16, 999] {
            assert_eq!(items.index(index).unwrap().text().unwrap(), index.to_string());
        }
        assert!(items.index(1_000).is_none());
    }

    #[test]
    fn memory_of_a_large_payload_is_given_back() {
        let mut document = list(100_000);
        let _ = document.root().get("list").unwrap().index(500);
        document.reset(&vec![b'x'; 1 << 20], Format::Json, &Arc::default());
        assert!(document.bytes.capacity() >= 1 << 20);
        document.reset(b"{}", Format::Json, &Arc::default());
        assert!(document.bytes.capacity() <= KEPT_BYTES && document.nodes.capacity() <= KEPT_NODES);
        assert!(document.lists.is_empty());
    }

    #[test]
    fn payloads_of_one_size_keep_their_memory() {
        let mut document = list(100_000);
        let payload = vec![b'x'; 1 << 20];
        document.reset(&payload, Format::Json, &Arc::default());
        let (bytes, nodes) = (document.bytes.capacity(), document.nodes.capacity());
        document.reset(&payload, Format::Json, &Arc::default());
        assert_eq!((document.bytes.capacity(), document.nodes.capacity()), (bytes, nodes));
    }
}
