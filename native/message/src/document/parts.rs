//! A document's tape as bytes for another process, and the part that the other process added, read back with every
//! check: the other process may run hostile code.
//!
//! ```text
//! host                                          worker
//! write_whole ──► head, bytes, nodes ─────────► read_whole
//! extent()                                      a script appends texts and nodes, and changes none
//! read_parts ◄── texts and nodes behind extent ─ write_parts
//! ```
//!
//! A node takes 32 bytes, little-endian: kind, encoding, flags, 0, then key, value, first, next, same.
//!
//! What `read_parts` accepts can be read, edited, copied and emitted like any other document: every index and range
//! exists, every text is UTF-8, a walk from a root meets every node once and ends, and the emitted text is bounded. What
//! it does not check: that digits are a number, and that a range of the source is the value that the nodes below it say.
//! A worker whose engine was broken into can so give its own customer a message that is no JSON.

use std::sync::Arc;

use super::tree::{ENCODINGS, FORMATS, KINDS};
use super::{Conventions, Document, Flags, Kind, NONE, Node, Span};
use crate::packed::{Unpack, put_bytes, put_number};

/// Bytes of a node.
const NODE_BYTES: usize = 32;

/// How long a tape is: what lies before is known to both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub bytes: usize,
    pub nodes: usize,
}

/// How much may be added to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartsBudget {
    /// Added texts; and how much longer the emitted text may become, apart from punctuation.
    pub bytes: usize,
    /// Added nodes.
    pub nodes: usize,
    /// Nesting of the whole document.
    pub depth: usize,
}

impl PartsBudget {
    /// As much as there is.
    const UNLIMITED: PartsBudget = PartsBudget { bytes: usize::MAX, nodes: usize::MAX, depth: usize::MAX };
}

/// Why parts are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartsError {
    /// The bytes end too early, or a number in them is impossible.
    Torn,
    /// More texts or nodes than the budget has.
    TooMuch,
    /// A text that is no UTF-8.
    NotUtf8,
    /// A kind, an encoding or flags that do not exist.
    UnknownKind,
    /// A range outside of the bytes, or through the middle of a character.
    BadRange,
    /// A link to a node that does not exist, or from a node that has no children.
    BadLink,
    /// A node that several links or roots lead to: a cycle, or shared members.
    Shared,
    /// Nested deeper than the budget has.
    TooDeep,
    /// Emitted, the document would be longer than the budget has.
    TooLong,
}

impl std::fmt::Display for PartsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PartsError::Torn => "the bytes are torn",
            PartsError::TooMuch => "there are more texts or values than allowed",
            PartsError::NotUtf8 => "a text is no UTF-8",
            PartsError::UnknownKind => "a value is of an unknown kind",
            PartsError::BadRange => "a range lies outside of the text",
            PartsError::BadLink => "a link leads nowhere",
            PartsError::Shared => "a value stands in two places",
            PartsError::TooDeep => "the values are nested too deep",
            PartsError::TooLong => "the values are longer than allowed",
        })
    }
}

impl std::error::Error for PartsError {}

/// What checking needs: kept from one document to the next, so that nothing is allocated for each.
#[derive(Debug, Default)]
pub struct PartsCheck {
    /// Nodes that the walk has met, a bit each.
    met: Vec<u64>,
    left: Vec<Visit>,
    /// What texts may still be charged to: `TOP`, `FREE`, then one for each new container that is a range of the source.
    rooms: Vec<u64>,
}

/// A node to be visited.
#[derive(Clone, Copy, Debug)]
struct Visit {
    node: u32,
    room: u32,
    depth: u32,
    is_root: bool,
}

/// The room of what is emitted beside the old document.
const TOP: u32 = 0;
/// The room below old nodes, which were checked before.
const FREE: u32 = 1;

impl Document {
    /// How long the tape is now.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent { bytes: self.bytes.len(), nodes: self.nodes.len() }
    }

    /// Appends the whole document for [`Document::read_whole`]: all that a script can see of it. Left out are the
    /// payload in another charset and the CSV dialect.
    pub fn write_whole(&self, out: &mut Vec<u8>) {
        out.push(self.format as u8);
        put_bytes(out, self.conventions.attribute_prefix.as_bytes());
        put_bytes(out, self.conventions.text_key.as_bytes());
        put_number(out, self.source as u64);
        put_number(out, self.root.into());
        self.write_parts(Extent::default(), out);
    }

    /// Reads what [`Document::write_whole`] has written, in a process that trusts the one that wrote it: indices and ranges
    /// are checked, so that nothing panics; that a walk ends is not.
    ///
    /// # Errors
    /// When the bytes are not of that. The document is then of no use but to be filled again.
    pub fn read_whole(&mut self, from: &mut Unpack<'_>) -> Result<(), PartsError> {
        let format = from.byte().and_then(|byte| FORMATS.get(usize::from(byte)).copied());
        let format = format.ok_or(PartsError::UnknownKind)?;
        let conventions = self.read_conventions(from).ok_or(PartsError::Torn)?;
        let source = from.size().ok_or(PartsError::Torn)?;
        let root = from.number().and_then(|root| u32::try_from(root).ok()).ok_or(PartsError::Torn)?;
        self.reset(&[], format, &conventions);
        self.add_parts(from, &PartsBudget::UNLIMITED)?;
        if source > self.bytes.len() {
            return Err(PartsError::BadRange);
        }
        if root != NONE && root as usize >= self.nodes.len() {
            return Err(PartsError::BadLink);
        }
        self.source = source;
        self.root = root;
        Ok(())
    }

    /// Those that it has already, where they are the same, as they nearly always are.
    pub(super) fn read_conventions(&self, from: &mut Unpack<'_>) -> Option<Arc<Conventions>> {
        let (attribute_prefix, text_key) = (from.text()?, from.text()?);
        let have = &self.conventions;
        if *have.attribute_prefix == *attribute_prefix && *have.text_key == *text_key {
            return Some(Arc::clone(have));
        }
        let (attribute_prefix, text_key) = (attribute_prefix.into(), text_key.into());
        Some(Arc::new(Conventions { attribute_prefix, text_key }))
    }

    /// Appends what the tape has behind `from`, for [`Document::read_parts`] of a document that has the rest.
    ///
    /// # Panics
    /// When the tape is shorter than `from`.
    pub fn write_parts(&self, from: Extent, out: &mut Vec<u8>) {
        put_bytes(out, &self.bytes[from.bytes..]);
        let nodes = &self.nodes[from.nodes..];
        put_number(out, nodes.len() as u64);
        let start = out.len();
        out.resize(start + nodes.len() * NODE_BYTES, 0);
        for (place, node) in out[start..].as_chunks_mut::<NODE_BYTES>().0.iter_mut().zip(nodes) {
            pack(node, place);
        }
    }

    /// Adds texts and nodes that [`Document::write_parts`] has written. `roots` are the nodes that will be made roots.
    /// Takes time in proportion to the parts and to what can be reached from the roots.
    ///
    /// # Errors
    /// When anything is not as it should be; the document is then as it was.
    pub fn read_parts(
        &mut self,
        from: &mut Unpack<'_>,
        roots: &[u32],
        budget: &PartsBudget,
        check: &mut PartsCheck,
    ) -> Result<(), PartsError> {
        let old = self.extent();
        let read = self.add_parts(from, budget).and_then(|()| check.walk(self, old.nodes, roots, budget));
        if read.is_err() {
            self.cut(old);
        }
        read
    }

    /// Takes away what was added behind `to`. Nothing before it may lead there.
    pub fn cut(&mut self, to: Extent) {
        self.bytes.truncate(to.bytes);
        self.nodes.truncate(to.nodes);
    }

    fn add_parts(&mut self, from: &mut Unpack<'_>, budget: &PartsBudget) -> Result<(), PartsError> {
        let text = from.bytes().ok_or(PartsError::Torn)?;
        let count = from.size().ok_or(PartsError::Torn)?;
        if text.len() > budget.bytes || count > budget.nodes {
            return Err(PartsError::TooMuch);
        }
        let total = self.nodes.len().checked_add(count).filter(|total| *total < NONE as usize);
        let (Some(total), Some(size)) = (total, count.checked_mul(NODE_BYTES)) else { return Err(PartsError::TooMuch) };
        let (nodes, rest) = from.0.split_at_checked(size).ok_or(PartsError::Torn)?;
        from.0 = rest;
        if std::str::from_utf8(text).is_err() {
            return Err(PartsError::NotUtf8);
        }
        if u32::try_from(self.bytes.len() + text.len()).is_err() {
            return Err(PartsError::TooMuch);
        }
        self.bytes.extend_from_slice(text);
        // Then every place is between two characters.
        let is_ascii = self.bytes.is_ascii();
        let (bytes, first) = (&self.bytes, self.nodes.len());
        self.nodes.resize(total, Node::new(Kind::Null));
        for (node, packed) in self.nodes[first..].iter_mut().zip(nodes.as_chunks().0) {
            if !unpack(packed, node) {
                return Err(PartsError::UnknownKind);
            }
            if !(is_text(bytes, node.key, is_ascii) && is_text(bytes, node.value, is_ascii)) {
                return Err(PartsError::BadRange);
            }
            let is_node = |link: u32| link == NONE || (link as usize) < total;
            let may_have_children = matches!(node.kind, Kind::Object | Kind::List) || node.first == NONE;
            if !(is_node(node.first) && is_node(node.next) && is_node(node.same) && may_have_children) {
                return Err(PartsError::BadLink);
            }
        }
        Ok(())
    }
}

/// Whether a range is one of the tape's bytes, from one character to another.
#[inline]
fn is_text(bytes: &[u8], span: Span, is_ascii: bool) -> bool {
    let (start, end) = (span.start as usize, span.start as usize + span.length as usize);
    let is_border = |at: usize| bytes.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
    end <= bytes.len() && (is_ascii || is_border(start) && is_border(end))
}

impl PartsCheck {
    /// Walks from the roots, as everything does that reads, copies or emits a document.
    fn walk(&mut self, document: &Document, old: usize, roots: &[u32], budget: &PartsBudget) -> Result<(), PartsError> {
        let nodes = &document.nodes;
        if roots.iter().any(|root| *root as usize >= nodes.len()) {
            return Err(PartsError::BadLink);
        }
        let length = self.emitted_length(document);
        self.rooms.clear();
        self.rooms.extend([length.saturating_add(budget.bytes as u64), u64::MAX]);
        self.met.clear();
        self.met.resize(nodes.len().div_ceil(64), 0);
        self.left.clear();
        self.left.extend(roots.iter().map(|root| Visit { node: *root, room: TOP, depth: 1, is_root: true }));
        while let Some(visit) = self.left.pop() {
            let (word, bit) = (&mut self.met[visit.node as usize / 64], 1 << (visit.node % 64));
            if *word & bit != 0 {
                return Err(PartsError::Shared);
            }
            *word |= bit;
            if visit.depth as usize > budget.depth {
                return Err(PartsError::TooDeep);
            }
            let node = &nodes[visit.node as usize];
            let is_new = visit.node as usize >= old;
            let below = self.charge(node, is_new, visit.room)?;
            let next = if visit.is_root { NONE } else { node.next };
            for link in [next, node.same].into_iter().filter(|link| *link != NONE) {
                self.left.push(Visit { node: link, is_root: false, ..visit });
            }
            if node.first != NONE {
                self.left.push(Visit { node: node.first, room: below, depth: visit.depth + 1, is_root: false });
            }
        }
        Ok(())
    }

    /// Charges a node's texts to its room; gives the room of its children. The members of a container that is a range
    /// of the source lie in that range, so they are not longer together.
    fn charge(&mut self, node: &Node, is_new: bool, room: u32) -> Result<u32, PartsError> {
        let is_free = room == FREE || (room == TOP && !is_new);
        if !is_free {
            let is_emitted = is_range(node) || !matches!(node.kind, Kind::Object | Kind::List);
            let length = u64::from(node.key.length) + if is_emitted { u64::from(node.value.length) } else { 0 };
            let left = &mut self.rooms[room as usize];
            *left = left.checked_sub(length).ok_or(PartsError::TooLong)?;
        }
        if !is_new {
            return Ok(FREE);
        }
        if !is_range(node) {
            return Ok(room);
        }
        self.rooms.push(node.value.length.into());
        u32::try_from(self.rooms.len() - 1).map_err(|_| PartsError::TooMuch)
    }

    /// Bytes of the document as it is emitted now, without punctuation.
    fn emitted_length(&mut self, document: &Document) -> u64 {
        let mut length = 0;
        self.left.clear();
        let visit = |left: &mut Vec<Visit>, node: u32| {
            if node != NONE {
                left.push(Visit { node, room: FREE, depth: 0, is_root: false });
            }
        };
        if let Some(root) = document.nodes.get(document.root as usize) {
            length += own_length(root);
            visit(&mut self.left, if is_range(root) { NONE } else { root.first });
            visit(&mut self.left, root.same);
        }
        while let Some(Visit { node, .. }) = self.left.pop() {
            let node = document.node(node);
            length += own_length(node);
            visit(&mut self.left, if is_range(node) { NONE } else { node.first });
            visit(&mut self.left, node.next);
            visit(&mut self.left, node.same);
        }
        length
    }
}

/// Whether a container is emitted as a range of the source.
fn is_range(node: &Node) -> bool {
    matches!(node.kind, Kind::Object | Kind::List) && node.value.length > 0 && !node.flags.has(Flags::DIRTY)
}

fn own_length(node: &Node) -> u64 {
    let is_leaf = !matches!(node.kind, Kind::Object | Kind::List);
    let value = if is_leaf || is_range(node) { node.value.length } else { 0 };
    u64::from(node.key.length) + u64::from(value)
}

/// In pairs of words: the processor waits for narrow writes that are read back as wide ones.
#[inline]
fn pack(node: &Node, place: &mut [u8; NODE_BYTES]) {
    let Node { key, value, first, next, same, .. } = *node;
    let marks = u32::from_le_bytes([node.kind as u8, node.encoding as u8, node.flags.0, 0]);
    let pairs = [(marks, key.start), (key.length, value.start), (value.length, first), (next, same)];
    for (place, (low, high)) in place.as_chunks_mut::<8>().0.iter_mut().zip(pairs) {
        *place = (u64::from(low) | u64::from(high) << 32).to_le_bytes();
    }
}

/// Into its place at once, for the same reason. Gives whether it is a node.
#[inline]
fn unpack(bytes: &[u8; NODE_BYTES], node: &mut Node) -> bool {
    let pairs = bytes.as_chunks::<8>().0;
    let pair = |at: usize| u64::from_le_bytes(pairs[at]);
    #[allow(clippy::cast_possible_truncation)] // half of it
    let (low, high) = (|at| pair(at) as u32, |at| (pair(at) >> 32) as u32);
    let [kind, encoding, flags, _] = low(0).to_le_bytes();
    let (Some(kind), Some(encoding)) = (KINDS.get(usize::from(kind)), ENCODINGS.get(usize::from(encoding))) else {
        return false;
    };
    (node.kind, node.encoding, node.flags) = (*kind, *encoding, Flags(flags));
    (node.key, node.value) = (Span::new(high(0), low(1)), Span::new(high(1), low(2)));
    (node.first, node.next, node.same) = (high(2), low(3), high(3));
    flags <= Flags::ALL.0
}

#[cfg(test)]
mod tests;
