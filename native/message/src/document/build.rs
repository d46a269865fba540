//! Building on the tape: what parsers push and link, and what steps and scripts add.

use std::sync::Arc;

use super::{Document, Flags, Kind, NONE, Node, Span};

impl Document {
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

    /// Memory it holds on to, in use or not, about.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.nodes.capacity() * size_of::<Node>()
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

    /// The root's value as a document of its own, which has no source: what one part of a split takes
    /// along, instead of everything. `None` when it would be of more than `most` bytes, tape included.
    #[must_use]
    pub fn detached(&self, most: usize) -> Option<Document> {
        let mut part = Document {
            format: self.format,
            conventions: Arc::clone(&self.conventions),
            dialect: self.dialect.clone(),
            ..Document::default()
        };
        part.mark_edited();
        if self.root == NONE {
            return Some(part);
        }
        let root = self.node(self.root);
        part.root =
            part.push(Node { key: Span::default(), next: NONE, flags: root.flags.without(Flags::NAMING), ..*root });
        // Nodes whose texts and links are still those of `self`.
        let mut fresh = vec![part.root];
        while let Some(at) = fresh.pop() {
            let Node { kind, key, value, first, next, same, .. } = *part.node(at);
            let key = part.append(self.bytes(key));
            // What a container was written as is of no use without its source.
            let is_leaf = !matches!(kind, Kind::Object | Kind::List);
            let value = if is_leaf { part.append(self.bytes(value)) } else { Span::default() };
            let [first, next, same] = [first, next, same].map(|original| {
                if original == NONE {
                    return NONE;
                }
                let twin = part.push(*self.node(original));
                fresh.push(twin);
                twin
            });
            *part.node_mut(at) = Node { key, value, first, next, same, ..*part.node(at) };
            if part.size() > most {
                return None;
            }
        }
        Some(part)
    }

    /// Bytes of its texts and its tape.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len() + self.nodes.len() * size_of::<Node>()
    }
}
