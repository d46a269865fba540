//! From tags to the tape: which element is whose member, what repeats, what a text becomes.

use message::{Code, Document, Encoding, Fault, Flags, Kind, Limits, NONE, Node, Span};

use super::declared::{Declared, Of, Type, Typed};
use super::nil::Nils;
use super::prefixes::{Prefixes, is_declaration, local};
use super::text::{Part, decode, trimmed};
use super::{Namespaces, Nil, NumberFormat, Reader};
use crate::json;
use crate::names::{Name, Names};

/// An element that has not ended; the first one stands for the document itself.
#[derive(Clone, Copy)]
pub(super) struct Element {
    pub(super) node: u32,
    /// Its newest distinct member; `NONE` in front of the first.
    pub(super) last: u32,
    /// Its name as the end tag has to repeat it.
    pub(super) tag: Name,
    /// Its node in the trie of declared paths.
    declared: u32,
    /// Where the names of its members start, its parts of text, the prefixes it declares.
    pub(super) members: usize,
    pub(super) parts: usize,
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
    pub(super) open: Vec<Element>,
    pub(super) names: Names,
    pub(super) parts: Vec<Part>,
    pub(super) prefixes: Prefixes,
    pub(super) nils: Nils,
    /// Where the name stands of the element whose start tag is being read, in `names`; only for stripped namespaces.
    named: usize,
}

impl Scratch {
    /// Ready for the next document; what a hostile one needed is given back.
    pub(super) fn clear(&mut self) {
        let memory = self.open.capacity() * size_of::<Element>()
            + self.names.memory()
            + self.parts.capacity() * size_of::<Part>()
            + self.prefixes.memory()
            + self.nils.memory();
        if memory > crate::KEPT_MEMORY {
            *self = Scratch::default();
        }
        self.open.clear();
        self.names.close(0);
        self.parts.clear();
        self.prefixes.clear();
        self.nils.clear();
    }
}

pub(super) struct Tree<'s> {
    pub(super) source: &'s [u8],
    limits: &'s Limits,
    pub(super) document: &'s mut Document,
    declared: &'s Declared,
    strip: bool,
    /// Whether a text keeps the blanks around it.
    keeps_blanks: bool,
    /// Whether elements with `xsi:nil` become null.
    nil: bool,
    /// Whether anybody asks what a prefix stands for.
    resolves: bool,
    number_format: NumberFormat,
    /// Whether line ends have to be normalised at all.
    pub(super) carriage_return: bool,
    pub(super) scratch: &'s mut Scratch,
}

impl<'s> Tree<'s> {
    pub(super) fn new(
        reader: &'s Reader,
        source: &'s [u8],
        limits: &'s Limits,
        document: &'s mut Document,
        scratch: &'s mut Scratch,
        carriage_return: bool,
    ) -> Tree<'s> {
        let declared = &reader.declared;
        let node = document.push(Node::new(Kind::Object));
        scratch.open.push(Element {
            node,
            last: NONE,
            tag: Name::default(),
            declared: declared.root(),
            members: 0,
            parts: 0,
            prefixes: 0,
        });
        let strip = reader.namespaces == Namespaces::Strip;
        let (keeps_blanks, nil, number_format) = (!reader.trim, reader.nil == Nil::Null, reader.number_format);
        Tree {
            source,
            limits,
            document,
            declared,
            strip,
            keeps_blanks,
            nil,
            resolves: strip || nil,
            number_format,
            carriage_return,
            scratch,
        }
    }

    /// The document is complete: its root is the object that holds the root element.
    pub(super) fn finish(&mut self) {
        let root = self.scratch.open[0].node;
        self.document.set_root(root);
    }

    pub(super) fn strips_prefixes(&self) -> bool {
        self.strip
    }

    /// Whether [`Tree::leaf`] does not do for elements without attributes.
    #[inline]
    pub(super) fn has_no_leaves(&self) -> bool {
        self.strip || self.keeps_blanks
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
    pub(super) fn innermost(&self) -> Name {
        self.scratch.open.last().map(|element| element.tag).unwrap_or_default()
    }

    #[inline]
    pub(super) fn slice(&self, span: Span) -> &'s [u8] {
        &self.source[span.start as usize..][..span.length as usize]
    }

    /// A start tag; its attributes follow one by one, then `end_attributes`.
    #[inline]
    pub(super) fn open(&mut self, tag: Name) -> Result<(), Fault> {
        let key = if self.strip { Name::new(self.source, local(self.source, tag.span)?) } else { tag };
        let declared = self.declared.child(self.top().declared, Of::Element, key.slice(self.source));
        let node = self.child(key, declared)?;
        if self.strip {
            self.note_name(key, node);
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

    /// Notes where the name stands of an element that has just become a child, for the check of its namespace.
    #[cold]
    fn note_name(&mut self, key: Name, node: u32) {
        let Element { members, last, .. } = *self.top();
        let Scratch { names, prefixes, named, .. } = &mut *self.scratch;
        if last == node {
            *named = names.scope() - 1;
            prefixes.expect_namespace(*named);
        } else {
            *named = names.find_seldom(self.source, members, key).unwrap_or_default();
        }
    }

    /// An element with neither attributes nor children, which most are: `open`, `text` and `close`
    /// in one. Only for names that need no look at their prefix.
    #[inline]
    pub(super) fn leaf(&mut self, tag: Name, text: Part) -> Result<(), Fault> {
        let declared = self.declared.child(self.top().declared, Of::Element, tag.slice(self.source));
        let node = self.child(tag, declared)?;
        match trimmed(text, self.source) {
            None => Ok(()),
            Some(text) => {
                let origin = text.span;
                let text = self.with_line_ends(text);
                self.fill(node, declared, text, origin)
            }
        }
    }

    /// Adds a child to the innermost element, behind its namesakes when it has any.
    #[inline]
    fn child(&mut self, key: Name, declared: u32) -> Result<u32, Fault> {
        if self.depth() >= self.limits.depth {
            return Err(over(Code::XmlTooDeep, "open elements", self.limits.depth, key.span));
        }
        let node = self.push(key.span, Flags(0))?;
        let members = self.top().members;
        if let Some(index) = self.scratch.names.find(self.source, members, key) {
            let entry = self.scratch.names.entry_mut(index);
            let previous = std::mem::replace(&mut entry.last, node);
            self.document.node_mut(previous).same = node;
        } else {
            self.scratch.names.push(self.source, members, key, node);
            self.link(node);
            if self.declared.is_array(declared) {
                self.document.node_mut(node).flags = Flags::LIST;
            }
        }
        Ok(node)
    }

    pub(super) fn attribute(&mut self, attribute: &Attribute) -> Result<(), Fault> {
        let (name, tag) = (attribute.name, Name::new(self.source, attribute.name));
        let Element { members, declared, .. } = *self.top();
        if self.scratch.names.scope() - members >= self.limits.attributes {
            return Err(over(Code::XmlTooManyAttributes, "attributes", self.limits.attributes, name));
        }
        if self.scratch.names.find(self.source, members, tag).is_some() {
            return Err(fault(Code::XmlNotWellFormed, "the attribute stands twice in the same tag", name));
        }
        self.scratch.names.push(self.source, members, tag, 0);
        let value = if attribute.blanks { self.spaced(attribute.value) } else { attribute.value };
        if self.resolves && is_declaration(tag.slice(self.source)) {
            let uri = self.document.text(value, attribute.encoding);
            if self.strip {
                return self.scratch.prefixes.declare(self.source, name, &uri);
            }
            self.scratch.prefixes.bind(self.source, name, &uri);
        }
        let key = if self.strip { local(self.source, name)? } else { name };
        let declared = self.declared.child(declared, Of::Attribute, self.slice(key));
        let node = self.push(key, Flags::ATTRIBUTE)?;
        self.link(node);
        let value = Part { span: value, encoding: attribute.encoding };
        if self.nil {
            self.note_nil(name, node, value);
        }
        self.fill(node, declared, value, attribute.value)
    }

    /// The end of a start tag. Names of attributes and names of children are no rivals.
    #[inline]
    pub(super) fn end_attributes(&mut self) -> Result<(), Fault> {
        if self.resolves {
            self.resolve_tag()?;
        }
        let members = self.top().members;
        self.scratch.names.close(members);
        Ok(())
    }

    /// What the prefixes of a complete start tag stand for.
    #[cold]
    fn resolve_tag(&mut self) -> Result<(), Fault> {
        let Element { tag, members, .. } = *self.top();
        if self.strip {
            let Scratch { names, prefixes, named, .. } = &mut *self.scratch;
            prefixes.check(self.source, tag.span, names, members)?;
            prefixes.check_element(self.source, tag.span, *named)?;
        }
        if self.nil {
            self.find_nil();
        }
        Ok(())
    }

    /// Blanks between two tags: nothing, unless they stand inside a text.
    #[inline]
    pub(super) fn blank(&mut self, start: usize, end: usize) {
        if start < end && (self.keeps_blanks || self.scratch.parts.len() > self.top().parts) {
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
        if self.nil {
            self.close_nil()?;
        }
        let element = *self.top();
        let origin = self.scratch.parts.get(element.parts).map_or(element.tag.span, |part| part.span);
        let text = if self.keeps_blanks { self.kept_text(element) } else { self.take_text(element.parts) };
        if let Some(text) = text {
            let mut node = element.node;
            if element.last != NONE {
                node = self.push(Span::new(origin.start, 0), Flags::TEXT)?;
                self.link(node);
            }
            self.fill(node, element.declared, text, origin)?;
        } else if let Some(typed) = self.declared.typed(element.declared)
            && self.scratch.names.scope() > element.members
            && !typed.text_only
        {
            return Err(mistyped(typed, "it has elements, but no text", element.tag.span));
        }
        if element.last != NONE {
            self.document.node_mut(element.node).kind = Kind::Object;
        }
        self.scratch.names.close(element.members);
        self.scratch.prefixes.close(element.prefixes);
        self.scratch.open.pop();
        Ok(())
    }

    /// The text of a complete element with the blanks around it. A number or boolean never keeps them, and blanks
    /// alone beside elements are what indents them.
    #[cold]
    fn kept_text(&mut self, element: Element) -> Option<Part> {
        if self.declared.typed(element.declared).is_some() {
            return self.take_text(element.parts);
        }
        let text = self.take_whole_text(element.parts)?;
        let has_elements = self.scratch.names.scope() > element.members;
        (!(has_elements && self.is_blank(text))).then_some(text)
    }

    /// Makes `node` the newest member of the innermost element.
    #[inline]
    fn link(&mut self, node: u32) {
        let Element { node: parent, last, .. } = *self.top();
        self.document.link(parent, last, node);
        self.top().last = node;
    }

    /// A node that is null until it is filled.
    #[inline]
    pub(super) fn push(&mut self, key: Span, flags: Flags) -> Result<u32, Fault> {
        if self.document.node_count() >= self.limits.nodes {
            return Err(over(Code::XmlTooManyNodes, "nodes", self.limits.nodes, key));
        }
        Ok(self.document.push(Node { key, flags, ..Node::new(Kind::Null) }))
    }

    /// Makes `node` a text, or what its declared type makes of it; `origin` is where it came from.
    #[inline]
    fn fill(&mut self, node: u32, declared: u32, text: Part, origin: Span) -> Result<(), Fault> {
        let (kind, text) = match self.declared.typed(declared) {
            None => (Kind::Text, text),
            Some(typed) => self.converted(typed, text, origin)?,
        };
        let node = self.document.node_mut(node);
        (node.kind, node.value, node.encoding) = (kind, text.span, text.encoding);
        Ok(())
    }

    fn converted(&mut self, typed: &Typed, mut text: Part, origin: Span) -> Result<(Kind, Part), Fault> {
        if text.encoding != Encoding::Plain {
            text = Part { span: decode(self.document, text), encoding: Encoding::Plain };
        }
        match (typed.kind, self.document.bytes(text.span)) {
            (Type::Number, number) if json::is_number(number) => Ok((Kind::Number, text)),
            (Type::Boolean, b"true" | b"1") => Ok((Kind::True, text)),
            (Type::Boolean, b"false" | b"0") => Ok((Kind::False, text)),
            (Type::Number, number) if self.number_format == NumberFormat::XmlSchema => {
                let number = json::from_xml_schema(number)
                    .ok_or_else(|| mistyped(typed, "its text is no number of XML Schema", origin))?;
                Ok((Kind::Number, Part { span: self.document.append(&number), ..text }))
            }
            (Type::Number, _) => Err(mistyped(typed, "its text is no JSON number", origin)),
            (Type::Boolean, _) => Err(mistyped(typed, "its text is none of true, false, 1, 0", origin)),
        }
    }
}

#[cold]
fn over(code: Code, what: &str, limit: usize, at: Span) -> Fault {
    fault(code, format!("more than {limit} {what}"), at)
}

#[cold]
fn mistyped(typed: &Typed, reason: &str, at: Span) -> Fault {
    let code = match typed.kind {
        Type::Number => Code::ConvertNotANumber,
        Type::Boolean => Code::ConvertNotABoolean,
    };
    fault(code, reason, at).in_field(&*typed.path)
}

#[cold]
fn fault(code: Code, reason: impl Into<String>, at: Span) -> Fault {
    Fault::new(code, reason).at_offset(at.start as usize)
}
