//! A document's root as bytes that another program reads back as the same document: what a message is between two
//! nodes that each run some of its steps.
//!
//! Emitted and parsed again it would be another one: XML knows which member is an attribute, JSON copies what is
//! untouched byte for byte, a number keeps its digits. So the tape itself is written, node by node, each before its
//! children. A range of the source is written as a range where the reader has the source too, and as its text otherwise.

use std::sync::Arc;

use super::{Dialect, Document, Encoding, Flags, Format, Kind, NONE, Node, Span};
use crate::packed::{Unpack, put_bytes, put_number};

/// Bits of a node's first byte, above those of its kind.
const FIRST: u8 = 1 << 3;
const NEXT: u8 = 1 << 4;
const SAME: u8 = 1 << 5;
/// Bits of its second byte: flags, then encoding, then whether key and value are ranges of the source.
const ENCODING: u8 = 4;
const KEY_IN_SOURCE: u8 = 1 << 6;
const VALUE_IN_SOURCE: u8 = 1 << 7;

pub(super) const KINDS: [Kind; 7] =
    [Kind::Null, Kind::False, Kind::True, Kind::Number, Kind::Text, Kind::Object, Kind::List];
pub(super) const ENCODINGS: [Encoding; 3] = [Encoding::Plain, Encoding::Xml, Encoding::Json];
pub(super) const FORMATS: [Format; 3] = [Format::Json, Format::Xml, Format::Csv];

/// Which link of a node leads to the next one that is read.
#[derive(Clone, Copy)]
enum Link {
    First,
    Next,
    Same,
}

impl Document {
    /// Appends the root's value, with how it is read and emitted, for [`Document::read_tree`].
    pub fn write_tree(&self, out: &mut Vec<u8>) {
        out.push(self.format as u8);
        put_bytes(out, self.conventions.attribute_prefix.as_bytes());
        put_bytes(out, self.conventions.text_key.as_bytes());
        put_dialect(out, self.dialect.as_deref());
        // In another charset the reader does not have the text.
        let source = if self.payload.is_none() { self.source } else { 0 };
        out.push(u8::from(source > 0));
        out.push(u8::from(self.root != NONE));
        if self.root == NONE {
            return;
        }
        let root = self.node(self.root);
        let root = Node { key: Span::default(), next: NONE, flags: root.flags.without(Flags::NAMING), ..*root };
        self.put_node(&root, source, out);
        let mut left = vec![root.same, root.first];
        while let Some(at) = left.pop() {
            if at == NONE {
                continue;
            }
            let node = self.node(at);
            self.put_node(node, source, out);
            left.extend([node.next, node.same, node.first]);
        }
    }

    fn put_node(&self, node: &Node, source: usize, out: &mut Vec<u8>) {
        let is_there = |link: u32, bit: u8| if link == NONE { 0 } else { bit };
        let links = is_there(node.first, FIRST) | is_there(node.next, NEXT) | is_there(node.same, SAME);
        out.push(node.kind as u8 | links);
        let is_in_source = |span: Span| span.length > 0 && (span.start + span.length) as usize <= source;
        // What a container was written as is of no use without its source.
        let is_leaf = !matches!(node.kind, Kind::Object | Kind::List);
        let value = if is_leaf || is_in_source(node.value) { node.value } else { Span::default() };
        let of = |span: Span, bit: u8| if is_in_source(span) { bit } else { 0 };
        let ranges = of(node.key, KEY_IN_SOURCE) | of(value, VALUE_IN_SOURCE);
        out.push(node.flags.0 | (node.encoding as u8) << ENCODING | ranges);
        for span in [node.key, value] {
            if is_in_source(span) {
                put_number(out, span.start.into());
                put_number(out, span.length.into());
            } else {
                put_bytes(out, self.bytes(span));
            }
        }
    }

    /// Reads what [`Document::write_tree`] has written. `source`: the payload that the document was made of. `None`, and
    /// a document of no use, when the bytes are not of that.
    pub fn read_tree(&mut self, source: &[u8], from: &mut Unpack<'_>) -> Option<()> {
        let format = *FORMATS.get(usize::from(from.byte()?))?;
        let conventions = self.read_conventions(from)?;
        let dialect = read_dialect(from)?;
        let has_source = from.byte()? != 0;
        self.reset(if has_source { source } else { &[] }, format, &conventions);
        self.dialect = dialect;
        self.mark_edited();
        if from.byte()? == 0 {
            return Some(());
        }
        let (root, links) = self.read_node(from)?;
        self.root = root;
        let mut left = Vec::new();
        push_links(&mut left, root, links);
        while let Some((of, link)) = left.pop() {
            let (at, links) = self.read_node(from)?;
            let node = self.node_mut(of);
            match link {
                Link::First => node.first = at,
                Link::Next => node.next = at,
                Link::Same => node.same = at,
            }
            push_links(&mut left, at, links);
        }
        Some(())
    }

    /// Gives its index, and the bits of its links.
    fn read_node(&mut self, from: &mut Unpack<'_>) -> Option<(u32, u8)> {
        let (kind, more) = (from.byte()?, from.byte()?);
        let mut node = Node::new(*KINDS.get(usize::from(kind & 7))?);
        node.flags = Flags(more & 0xf);
        node.encoding = *ENCODINGS.get(usize::from(more >> ENCODING & 3))?;
        node.key = self.read_span(from, more & KEY_IN_SOURCE != 0)?;
        node.value = self.read_span(from, more & VALUE_IN_SOURCE != 0)?;
        Some((self.push(node), kind))
    }

    fn read_span(&mut self, from: &mut Unpack<'_>, is_in_source: bool) -> Option<Span> {
        if !is_in_source {
            let bytes = from.bytes()?;
            return Some(if bytes.is_empty() { Span::default() } else { self.append(bytes) });
        }
        let (start, length) = (from.size()?, from.size()?);
        let end = start.checked_add(length).filter(|end| *end <= self.source)?;
        Some(Span::between(start, end))
    }
}

/// The first child is read first.
fn push_links(left: &mut Vec<(u32, Link)>, of: u32, links: u8) {
    let all = [(NEXT, Link::Next), (SAME, Link::Same), (FIRST, Link::First)];
    left.extend(all.into_iter().filter(|(bit, _)| links & bit != 0).map(|(_, link)| (of, link)));
}

fn put_dialect(out: &mut Vec<u8>, dialect: Option<&Dialect>) {
    let Some(dialect) = dialect else { return out.push(0) };
    let Dialect { delimiter, quote, crlf, header, columns, empty_is_null } = dialect;
    out.extend_from_slice(&[1, *delimiter, u8::from(quote.is_some()), quote.unwrap_or_default()]);
    out.extend([crlf, header, empty_is_null].map(|flag| u8::from(*flag)));
    put_number(out, columns.len() as u64);
    columns.iter().for_each(|column| put_bytes(out, column.as_bytes()));
}

#[allow(clippy::option_option)] // the outer one: whether it can be read
fn read_dialect(from: &mut Unpack<'_>) -> Option<Option<Arc<Dialect>>> {
    if from.byte()? == 0 {
        return Some(None);
    }
    let delimiter = from.byte()?;
    let (has_quote, quote) = (from.byte()?, from.byte()?);
    let [crlf, header, empty_is_null] = [from.byte()? != 0, from.byte()? != 0, from.byte()? != 0];
    let count = from.size()?;
    let columns = (0..count).map(|_| from.text().map(Into::into)).collect::<Option<_>>()?;
    let quote = (has_quote != 0).then_some(quote);
    Some(Some(Arc::new(Dialect { delimiter, quote, crlf, header, columns, empty_is_null })))
}
