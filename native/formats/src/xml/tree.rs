//! From tags to the tape: which element is whose member, what repeats, what a text becomes.

use message::{Code, Document, Encoding, Fault, Flags, Kind, Limits, NONE, Node, Span};

use super::declared::{Declared, Of, Type};
use super::prefixes::{Prefixes, is_declaration, local};
use super::text::{Part, decode};
use super::{Namespaces, Reader};
use crate::json;
use crate::names::Names;

/// An element that has not ended; the first one stands for the document itself.
#[derive(Clone, Copy)]
pub(super) struct Element {
    node: u32,
    /// Its newest distinct member; `NONE` in front of the first.
    last: u32,
    /// Its name as the end tag has to repeat it.
    tag: Span,
    /// Its node in the trie of declared paths.
    declared: u32,
    /// Where the names of its members start, its parts of text, the prefixes it declares.
    members: usize,
    parts: usize,
    prefixes: usize,
}

/// An attribute as the scanner saw it.
pub(super) struct Attribute {
    pub(super) name: Span,
    pub(super) value: Span,
    pub(super) encoding: Encoding,
    /// The value has blanks that are not spaces.
    pub(super) blanks: bool,
}

/// What a tree works with, kept by its thread from one document to the next.
#[derive(Default)]
pub(super) struct Scratch {
    open: Vec<Element>,
    names: Names,
    pub(super) parts: Vec<Part>,
    prefixes: Prefixes,
}

impl Scratch {
    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.open.capacity() * size_of::<Element>()
            + self.names.memory()
            + self.parts.capacity() * size_of::<Part>()
            + self.prefixes.memory()
    }
}

pub(super) struct Tree<'s> {
    pub(super) source: &'s [u8],
    limits: &'s Limits,
    pub(super) document: &'s mut Document,
    declared: &'s Declared,
    strip: bool,
    /// Whether line ends have to be normalised at all.
    pub(super) carriage_return: bool,
    pub(super) scratch: Scratch,
}

impl<'s> Tree<'s> {
    pub(super) fn new(
        reader: &'s Reader,
        source: &'s [u8],
        limits: &'s Limits,
        document: &'s mut Document,
        mut scratch: Scratch,
        carriage_return: bool,
    ) -> Tree<'s> {
        let declared = &reader.declared;
        let node = document.push(Node::new(Kind::Object));
        scratch.open.push(Element {
            node,
            last: NONE,
            tag: Span::default(),
            declared: declared.root(),
            members: 0,
            parts: 0,
            prefixes: 0,
        });
        let strip = reader.namespaces == Namespaces::Strip;
        Tree { source, limits, document, declared, strip, carriage_return, scratch }
    }

    /// The document is complete: its root is the object that holds the root element.
    pub(super) fn finish(mut self) -> Scratch {
        if let Some(element) = self.scratch.open.pop() {
            self.scratch.names.close(element.members);
            self.document.set_root(element.node);
        }
        self.scratch
    }

    pub(super) fn strips_prefixes(&self) -> bool {
        self.strip
    }

    /// Open elements.
    #[inline]
    pub(super) fn depth(&self) -> usize {
        self.scratch.open.len() - 1
    }

    #[inline]
    fn top(&mut self) -> &mut Element {
        let top = self.scratch.open.len() - 1;
        &mut self.scratch.open[top]
    }

    /// The name of the innermost open element.
    #[inline]
    pub(super) fn innermost(&self) -> &'s [u8] {
        let tag = self.scratch.open.last().map(|element| element.tag);
        self.slice(tag.unwrap_or_default())
    }

    #[inline]
    pub(super) fn slice(&self, span: Span) -> &'s [u8] {
        &self.source[span.start as usize..][..span.length as usize]
    }

    /// A start tag; its attributes follow one by one, then `end_attributes`.
    pub(super) fn open(&mut self, tag: Span) -> Result<(), Fault> {
        if self.depth() >= self.limits.depth {
            return Err(over(Code::XmlTooDeep, "open elements", self.limits.depth, tag));
        }
        let key = if self.strip { local(self.source, tag)? } else { tag };
        let parent = *self.top();
        let declared = self.declared.child(parent.declared, Of::Element, self.slice(key));
        let node = self.push(Node { key, ..Node::new(Kind::Null) })?;
        match self.scratch.names.find(self.source, parent.members, key) {
            Some(index) => {
                let entry = self.scratch.names.entry_mut(index);
                let previous = std::mem::replace(&mut entry.last, node);
                self.document.node_mut(previous).same = node;
            }
            None => {
                self.scratch.names.push(self.source, parent.members, key, node);
                self.link(node);
                if self.declared.is_array(declared) {
                    self.document.node_mut(node).flags = Flags::LIST;
                }
            }
        }
        self.scratch.open.push(Element {
            node,
            last: NONE,
            tag,
            declared,
            members: self.scratch.names.scope(),
            parts: self.scratch.parts.len(),
            prefixes: self.scratch.prefixes.len(),
        });
        Ok(())
    }

    pub(super) fn attribute(&mut self, attribute: &Attribute) -> Result<(), Fault> {
        let name = attribute.name;
        let element = *self.top();
        if self.scratch.names.scope() - element.members >= self.limits.attributes {
            return Err(over(Code::XmlTooManyAttributes, "attributes", self.limits.attributes, name));
        }
        if self.scratch.names.find(self.source, element.members, name).is_some() {
            return Err(fault(Code::XmlNotWellFormed, "the attribute stands twice in the same tag", name));
        }
        self.scratch.names.push(self.source, element.members, name, 0);
        let value = if attribute.blanks { self.spaced(attribute.value) } else { attribute.value };
        if self.strip && is_declaration(self.slice(name)) {
            let uri = self.document.text(value, attribute.encoding);
            return self.scratch.prefixes.declare(self.source, name, &uri);
        }
        let key = if self.strip { local(self.source, name)? } else { name };
        let declared = self.declared.child(element.declared, Of::Attribute, self.slice(key));
        let (kind, value, encoding) = self.typed(declared, value, attribute.encoding, attribute.value)?;
        let node = Node { key, value, encoding, flags: Flags::ATTRIBUTE, ..Node::new(kind) };
        let node = self.push(node)?;
        self.link(node);
        Ok(())
    }

    /// The end of a start tag. Names of attributes and names of children are no rivals.
    #[inline]
    pub(super) fn end_attributes(&mut self) -> Result<(), Fault> {
        let element = *self.top();
        if self.strip {
            let Scratch { names, prefixes, .. } = &mut self.scratch;
            prefixes.check(self.source, element.tag, names, element.members)?;
        }
        self.scratch.names.close(element.members);
        Ok(())
    }

    /// Blanks between two tags: nothing, unless they stand inside a text.
    #[inline]
    pub(super) fn blank(&mut self, start: usize, end: usize) {
        if start < end && self.scratch.parts.len() > self.top().parts {
            self.text(Span::between(start, end), Encoding::Plain);
        }
    }

    /// A part of the innermost element's text.
    #[inline]
    pub(super) fn text(&mut self, span: Span, encoding: Encoding) {
        self.scratch.parts.push(Part { span, encoding });
    }

    /// An end tag. Now it shows what the element is: null, a text, or an object.
    #[inline]
    pub(super) fn close(&mut self) -> Result<(), Fault> {
        let element = *self.top();
        if let Some((span, encoding)) = self.take_text(element.parts) {
            let (kind, value, encoding) = self.typed(element.declared, span, encoding, span)?;
            let leaf = Node { value, encoding, ..Node::new(kind) };
            if element.last == NONE {
                let node = self.document.node_mut(element.node);
                (node.kind, node.value, node.encoding) = (leaf.kind, leaf.value, leaf.encoding);
            } else {
                let text = self.push(Node { flags: Flags::TEXT, ..leaf })?;
                self.link(text);
            }
        } else if let Some((typed, path)) = self.declared.typed(element.declared)
            && self.scratch.names.scope() > element.members
        {
            return Err(mistyped(typed, path, "it has elements, but no text", element.tag));
        }
        if element.last != NONE {
            self.document.node_mut(element.node).kind = Kind::Object;
        }
        self.scratch.names.close(element.members);
        self.scratch.prefixes.close(element.prefixes);
        self.scratch.open.pop();
        Ok(())
    }

    /// Makes `node` the newest member of the innermost element.
    #[inline]
    fn link(&mut self, node: u32) {
        let Element { node: parent, last, .. } = *self.top();
        self.document.link(parent, last, node);
        self.top().last = node;
    }

    #[inline]
    fn push(&mut self, node: Node) -> Result<u32, Fault> {
        if self.document.node_count() >= self.limits.nodes {
            return Err(over(Code::XmlTooManyNodes, "nodes", self.limits.nodes, node.key));
        }
        Ok(self.document.push(node))
    }

    /// What a text is under its declared type; `origin` is where it came from.
    fn typed(
        &mut self,
        declared: u32,
        value: Span,
        encoding: Encoding,
        origin: Span,
    ) -> Result<(Kind, Span, Encoding), Fault> {
        let Some((typed, path)) = self.declared.typed(declared) else {
            return Ok((Kind::Text, value, encoding));
        };
        let (value, encoding) = match encoding {
            Encoding::Plain => (value, encoding),
            _ => (decode(self.document, value, encoding), Encoding::Plain),
        };
        let text = self.document.bytes(value);
        let kind = match typed {
            Type::Number if json::is_number(text) => Kind::Number,
            Type::Boolean if matches!(text, b"true" | b"1") => Kind::True,
            Type::Boolean if matches!(text, b"false" | b"0") => Kind::False,
            Type::Number => return Err(mistyped(typed, path, "its text is no JSON number", origin)),
            Type::Boolean => return Err(mistyped(typed, path, "its text is none of true, false, 1, 0", origin)),
        };
        Ok((kind, if kind == Kind::Number { value } else { Span::default() }, encoding))
    }
}

#[cold]
fn over(code: Code, what: &str, limit: usize, at: Span) -> Fault {
    fault(code, format!("more than {limit} {what}"), at)
}

#[cold]
fn mistyped(typed: Type, path: &str, reason: &str, at: Span) -> Fault {
    let code = match typed {
        Type::Number => Code::ConvertNotANumber,
        Type::Boolean => Code::ConvertNotABoolean,
    };
    fault(code, reason, at).in_field(path)
}

#[cold]
fn fault(code: Code, reason: impl Into<String>, at: Span) -> Fault {
    Fault::new(code, reason).at_offset(at.start as usize)
}
