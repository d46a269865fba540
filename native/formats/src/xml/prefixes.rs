//! Namespace prefixes, when they are stripped (Namespaces in XML 1.0, third edition).

use message::{Code, Fault, Span};

use super::characters::name_end;
use crate::names::{Name, Names};

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The prefixes declared by the open elements. One scope for all: a prefix cannot be undeclared,
/// so all that counts is whether some open element declares it.
#[derive(Default)]
pub(super) struct Prefixes {
    names: Names,
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
        self.names.scope()
    }

    /// Forgets the prefixes from `length` on.
    pub(super) fn close(&mut self, length: usize) {
        self.names.close(length);
    }

    pub(super) fn memory(&self) -> usize {
        self.names.memory()
    }

    /// Notes the declaration `xmlns="uri"` or `xmlns:prefix="uri"`.
    pub(super) fn declare(&mut self, source: &[u8], name: Span, uri: &str) -> Result<(), Fault> {
        if colon(source, name).is_none() {
            return if uri == XML || uri == XMLNS { Err(fault("the namespace is reserved", name)) } else { Ok(()) };
        }
        let prefix = local(source, name)?;
        let text = &source[prefix.start as usize..][..prefix.length as usize];
        if text == b"xmlns" || (text == b"xml") != (uri == XML) || uri == XMLNS {
            return Err(fault("the prefix or the namespace is reserved", name));
        }
        if uri.is_empty() {
            return Err(fault("a prefix cannot be undeclared", name));
        }
        let prefix = Name::new(source, prefix);
        if self.names.find(source, 0, prefix).is_none() {
            self.names.push(source, 0, prefix, 0);
        }
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
            if attributes.find(source, end, key).is_some() {
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
        if text == b"xml" || self.names.find(source, 0, prefix).is_some() {
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
