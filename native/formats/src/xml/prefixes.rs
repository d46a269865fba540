//! Namespace prefixes, when they are stripped or `xsi:nil` is looked for (Namespaces in XML 1.0, third edition).

use std::collections::HashMap;

use message::{Code, Fault, NONE, Span};

use super::characters::name_end;
use crate::names::{Name, Names};

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The namespace of `xsi:nil`, `xsi:type` and others.
const XML_SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// The number of no namespace, of [`XML_SCHEMA_INSTANCE`] and [`XML`]; others have the numbers behind.
const NO_NAMESPACE: u32 = 0;
pub(super) const XSI: u32 = 1;
const XML_NAMESPACE: u32 = 2;

/// Namespaces keep their numbers from one document to the next up to this many bytes; a service has few of them.
const KEPT_BYTES: usize = 16 << 10;

/// The prefixes declared by the open elements. The default namespace has the empty prefix.
#[derive(Default)]
pub(super) struct Prefixes {
    /// Each prefix once; `last` is its innermost binding.
    names: Names,
    bindings: Vec<Binding>,
    numbers: HashMap<Box<str>, u32>,
    /// Bytes of all numbered namespaces, and some for each.
    numbered: usize,
    /// The namespace of the first of each name among the elements that are open or complete beside open ones, at the
    /// name's index in the tree's names; `NONE` until its start tag ends.
    namespaces: Vec<u32>,
}

/// A declaration of an open element.
struct Binding {
    /// The index of the prefix.
    prefix: usize,
    namespace: u32,
    /// The binding that this one hides; `NONE` if there is none.
    outer: u32,
}

/// Whether the attribute declares a namespace.
pub(super) fn is_declaration(name: &[u8]) -> bool {
    name == b"xmlns" || name.starts_with(b"xmlns:")
}

/// A name without its prefix.
pub(super) fn local(source: &[u8], name: Span) -> Result<Span, Fault> {
    match colon(source, name) {
        None => Ok(name),
        Some(at) => {
            let (start, end) = (name.start as usize, name.start as usize + name.length as usize);
            let local = &source[at + 1..end];
            if at == start || name_end(local, 0) != local.len() || local.is_empty() || local.contains(&b':') {
                return Err(fault("the name has more or less than a prefix and a local part", name));
            }
            Ok(Span::between(at + 1, end))
        }
    }
}

fn colon(source: &[u8], name: Span) -> Option<usize> {
    let start = name.start as usize;
    source[start..][..name.length as usize].iter().position(|byte| *byte == b':').map(|at| start + at)
}

impl Prefixes {
    pub(super) fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Forgets the bindings from `length` on, the newest first.
    #[inline]
    pub(super) fn close(&mut self, length: usize) {
        while self.bindings.len() > length {
            self.unbind();
        }
    }

    /// Ready for the next document.
    pub(super) fn clear(&mut self) {
        self.close(0);
        if self.numbered > KEPT_BYTES {
            (self.numbers, self.numbered) = (HashMap::new(), 0);
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.names.memory()
            + self.bindings.capacity() * size_of::<Binding>()
            + self.namespaces.capacity() * size_of::<u32>()
            + self.numbered
    }

    fn unbind(&mut self) {
        let Some(Binding { prefix, outer, .. }) = self.bindings.pop() else { return };
        match outer {
            // The outermost binding of a prefix entered it, so its name is the newest.
            NONE => self.names.close(prefix),
            outer => self.names.entry_mut(prefix).last = outer,
        }
    }

    /// Binds the prefix that `xmlns="uri"` or `xmlns:prefix="uri"` declares, right or wrong.
    #[allow(clippy::cast_possible_truncation)] // fewer than bytes in a document
    pub(super) fn bind(&mut self, source: &[u8], name: Span, uri: &str) {
        let end = (name.start + name.length) as usize;
        let start = colon(source, name).map_or(end, |at| at + 1);
        let prefix = Name::new(source, Span::between(start, end));
        let (namespace, binding) = (self.number(uri), self.bindings.len() as u32);
        let (prefix, outer) = match self.names.find_seldom(source, 0, prefix) {
            Some(known) => (known, std::mem::replace(&mut self.names.entry_mut(known).last, binding)),
            None => {
                self.names.push(source, 0, prefix, binding);
                (self.names.scope() - 1, NONE)
            }
        };
        self.bindings.push(Binding { prefix, namespace, outer });
    }

    #[allow(clippy::cast_possible_truncation)]
    fn number(&mut self, uri: &str) -> u32 {
        match uri {
            "" => NO_NAMESPACE,
            XML_SCHEMA_INSTANCE => XSI,
            XML => XML_NAMESPACE,
            _ => match self.numbers.get(uri) {
                Some(number) => *number,
                None => {
                    let number = XML_NAMESPACE + 1 + self.numbers.len() as u32;
                    self.numbers.insert(uri.into(), number);
                    self.numbered += uri.len() + 64;
                    number
                }
            },
        }
    }

    /// The namespace of an element's name, or of an attribute's that has a prefix.
    pub(super) fn namespace(&self, source: &[u8], name: Span) -> u32 {
        let start = name.start as usize;
        let prefix = Name::new(source, Span::between(start, colon(source, name).unwrap_or(start)));
        if prefix.slice(source) == b"xml" {
            return XML_NAMESPACE;
        }
        let entry = self.names.find_seldom(source, 0, prefix).and_then(|at| self.names.entries(0).get(at));
        let binding = entry.and_then(|entry| self.bindings.get(entry.last as usize));
        binding.map_or(NO_NAMESPACE, |binding| binding.namespace)
    }

    /// A name is the first of its kind in its element, at this index of the tree's names.
    pub(super) fn expect_namespace(&mut self, index: usize) {
        if self.namespaces.len() <= index {
            self.namespaces.resize(index + 1, NONE);
        }
        if let Some(namespace) = self.namespaces.get_mut(index) {
            *namespace = NONE;
        }
    }

    /// Two elements become one key only if they are of one namespace: `p:b` beside `q:b` are a list where both
    /// prefixes stand for the same.
    pub(super) fn check_element(&mut self, source: &[u8], tag: Span, index: usize) -> Result<(), Fault> {
        let namespace = self.namespace(source, tag);
        match self.namespaces.get_mut(index) {
            Some(first) if *first == NONE => *first = namespace,
            Some(first) if *first != namespace => {
                let reason = "elements of different namespaces have the same name without their prefixes";
                return Err(Fault::new(Code::ConvertNameCollision, reason).at_offset(tag.start as usize));
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks the declaration `xmlns="uri"` or `xmlns:prefix="uri"`, and binds its prefix.
    pub(super) fn declare(&mut self, source: &[u8], name: Span, uri: &str) -> Result<(), Fault> {
        if colon(source, name).is_none() {
            if uri == XML || uri == XMLNS {
                return Err(fault("the namespace is reserved", name));
            }
            self.bind(source, name, uri);
            return Ok(());
        }
        let prefix = local(source, name)?;
        let text = &source[prefix.start as usize..][..prefix.length as usize];
        if text == b"xmlns" || (text == b"xml") != (uri == XML) || uri == XMLNS {
            return Err(fault("the prefix or the namespace is reserved", name));
        }
        if uri.is_empty() {
            return Err(fault("a prefix cannot be undeclared", name));
        }
        self.bind(source, name, uri);
        Ok(())
    }

    /// Checks a complete start tag: every prefix is declared, and no two attributes, which are the
    /// names from `scope` on, become the same key.
    pub(super) fn check(&self, source: &[u8], tag: Span, attributes: &mut Names, scope: usize) -> Result<(), Fault> {
        self.check_bound(source, tag)?;
        let end = attributes.scope();
        let names: Vec<Span> = attributes.entries(scope).iter().map(|entry| entry.name.span).collect();
        if !names.iter().any(|name| colon(source, *name).is_some()) {
            return Ok(());
        }
        for name in names {
            if is_declaration(&source[name.start as usize..][..name.length as usize]) {
                continue;
            }
            self.check_bound(source, name)?;
            let key = Name::new(source, local(source, name)?);
            if attributes.find_seldom(source, end, key).is_some() {
                let reason = "two attributes have the same name without their prefixes";
                return Err(Fault::new(Code::ConvertNameCollision, reason).at_offset(name.start as usize));
            }
            attributes.push(source, end, key, 0);
        }
        attributes.close(end);
        Ok(())
    }

    fn check_bound(&self, source: &[u8], name: Span) -> Result<(), Fault> {
        let Some(colon) = colon(source, name) else { return Ok(()) };
        let prefix = Name::new(source, Span::between(name.start as usize, colon));
        let text = prefix.slice(source);
        if text == b"xml" || self.names.find_seldom(source, 0, prefix).is_some() {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]);
        let reason = format!("the prefix {shown} is not declared");
        Err(Fault::new(Code::XmlUnboundPrefix, reason).at_offset(name.start as usize))
    }
}

#[cold]
fn fault(reason: &str, at: Span) -> Fault {
    Fault::new(Code::XmlNotWellFormed, reason).at_offset(at.start as usize)
}
