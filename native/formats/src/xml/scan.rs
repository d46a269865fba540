//! The scanner: one pass over the markup. What it meets it hands to the tree.

use std::cell::RefCell;

use message::{Code, Document, Encoding, Fault, Format, Limits, Span};

use super::characters::{is_character, is_space, name_end, spaces_end, survey, text_end, value_end};
use super::text::Part;
use super::tree::{Attribute, Scratch, Tree};
use super::{Doctype, Reader, foreign, prolog};
use crate::names::Name;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// `charset` is the one that came with the document, if any did.
pub(super) fn scan(
    reader: &Reader,
    source: &[u8],
    charset: Option<&str>,
    limits: &Limits,
    document: &mut Document,
) -> Result<(), Fault> {
    if source.len() > limits.bytes.min(crate::MAX_BYTES) {
        return Err(crate::too_large(Code::XmlTooLarge, source, limits));
    }
    let prolog = prolog::read(source, charset)?;
    match prolog.foreign {
        None => text(reader, source, (prolog.end, prolog.ascii), limits, document),
        Some(foreign) => foreign::scan(reader, source, foreign, limits, document),
    }
}

/// A document in UTF-8 of which the markup starts at `start`; `ascii` when it is to have nothing above 0x7F.
#[inline]
pub(super) fn text(
    reader: &Reader,
    source: &[u8],
    (start, ascii): (usize, bool),
    limits: &Limits,
    document: &mut Document,
) -> Result<(), Fault> {
    let carriage_return = check_characters(source, ascii)?;
    document.reset(source, Format::Xml, &reader.conventions);
    SCRATCH.with_borrow_mut(|scratch| {
        let tree = Tree::new(reader, source, limits, document, scratch, carriage_return);
        let mut scanner = Scanner { source, at: start, limits, tree, doctype: reader.doctype };
        let scanned = scanner.document();
        scanner.tree.finish();
        scratch.clear();
        scanned
    })
}

/// Everything that can be said of the bytes without looking at the markup. Gives whether there is
/// a carriage return.
fn check_characters(source: &[u8], ascii: bool) -> Result<bool, Fault> {
    let survey = survey(source);
    if !survey.ascii {
        if ascii {
            let at = source.iter().position(|byte| *byte >= 0x80).unwrap_or_default();
            return Err(Fault::new(Code::XmlEncoding, "the document is in US-ASCII, but has other bytes").at_offset(at));
        }
        if let Err(error) = std::str::from_utf8(source) {
            return Err(Fault::new(Code::XmlInvalidUtf8, "the bytes are not UTF-8").at_offset(error.valid_up_to()));
        }
    }
    if survey.suspect {
        let text = String::from_utf8_lossy(source);
        if let Some((at, c)) = text.char_indices().find(|(_, c)| !is_character(*c)) {
            let reason = format!("XML cannot carry the character U+{:04X}", u32::from(c));
            return Err(Fault::new(Code::XmlInvalidCharacter, reason).at_offset(at));
        }
    }
    Ok(survey.carriage_return)
}

pub(super) struct Scanner<'s> {
    pub(super) source: &'s [u8],
    pub(super) at: usize,
    pub(super) limits: &'s Limits,
    pub(super) tree: Tree<'s>,
    doctype: Doctype,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Fault> {
        if !self.outside_root(true)? {
            return Err(self.broken("the document has no root element"));
        }
        self.start_tag()?;
        while self.tree.depth() > 0 {
            self.text()?;
            match self.source.get(self.at + 1) {
                Some(b'/') => self.end_tag()?,
                Some(b'!') => self.comment_or_cdata()?,
                Some(b'?') => self.instruction()?,
                _ => self.start_tag()?,
            }
        }
        if self.outside_root(false)? {
            return Err(self.broken("a document has only one root element"));
        }
        Ok(())
    }

    /// Passes over blanks, comments, instructions, and one DOCTYPE where there may be one. Gives whether a tag
    /// follows, or the end.
    fn outside_root(&mut self, mut doctype: bool) -> Result<bool, Fault> {
        loop {
            self.spaces();
            match (self.peek(), self.source.get(self.at + 1)) {
                (None, _) => return Ok(false),
                (Some(b'<'), Some(b'?')) => self.instruction()?,
                (Some(b'<'), Some(b'!')) => {
                    if !self.source[self.at..].starts_with(b"<!DOCTYPE") {
                        self.comment()?;
                    } else if self.doctype == Doctype::Refuse {
                        return Err(self.fault(Code::XmlDoctype, "a DOCTYPE is refused"));
                    } else if std::mem::take(&mut doctype) {
                        self.doctype()?;
                    } else {
                        return Err(self.broken("a DOCTYPE stands only once, before the root element"));
                    }
                }
                (Some(b'<'), _) => return Ok(true),
                _ => return Err(self.broken("there is text outside the root element")),
            }
        }
    }

    /// The text up to the next `<`.
    #[inline]
    fn text(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.spaces();
        if self.peek() == Some(b'<') {
            self.tree.blank(start, self.at);
            return Ok(());
        }
        let mut encoding = Encoding::Plain;
        loop {
            self.at = text_end(self.source, self.at);
            match self.peek() {
                Some(b'<') => break,
                Some(b'&') => {
                    encoding = Encoding::Xml;
                    self.reference()?;
                }
                Some(_) if self.source[self.at..].starts_with(b"]]>") => {
                    return Err(self.broken("`]]>` stands in a text"));
                }
                Some(_) => self.at += 1,
                None => return Err(self.cut_off()),
            }
        }
        self.tree.text(Span::between(start, self.at), encoding);
        Ok(())
    }

    fn start_tag(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let name = Name::new(self.source, self.name()?);
        if self.peek() == Some(b'>') && self.leaf(name)? {
            return Ok(());
        }
        self.tree.open(name)?;
        loop {
            let blanks = self.spaces();
            match self.peek() {
                Some(b'>') => {
                    self.at += 1;
                    return self.tree.end_attributes();
                }
                Some(b'/') => {
                    self.at += 1;
                    self.expect(b'>')?;
                    self.tree.end_attributes()?;
                    return self.tree.close();
                }
                Some(_) if blanks > 0 => self.attribute()?,
                Some(_) => return Err(self.unexpected("a blank, `/` or `>`")),
                None => return Err(self.cut_off()),
            }
        }
    }

    /// `>text</name>` behind the name: gives whether that is what stands there. Anything else is
    /// left for the long way.
    #[inline]
    fn leaf(&mut self, name: Name) -> Result<bool, Fault> {
        let start = self.at + 1;
        let end = text_end(self.source, start);
        if self.tree.has_no_leaves() || !self.source[end..].starts_with(b"</") {
            return Ok(false);
        }
        let Some(after) = self.after_name(end + 2, name).filter(|after| self.source.get(*after) == Some(&b'>')) else {
            return Ok(false);
        };
        self.at = after + 1;
        self.tree.leaf(name, Part { span: Span::between(start, end), encoding: Encoding::Plain })?;
        Ok(true)
    }

    /// Where `name` ends, when it stands at `at`, or something that starts with it.
    #[inline]
    fn after_name(&self, at: usize, name: Name) -> Option<usize> {
        let end = at + name.span.length as usize;
        (end <= self.source.len() && Name::new(self.source, Span::between(at, end)).is(self.source, name))
            .then_some(end)
    }

    fn attribute(&mut self) -> Result<(), Fault> {
        let name = self.name()?;
        self.spaces();
        self.expect(b'=')?;
        self.spaces();
        let quote = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => quote,
            _ => return Err(self.unexpected("a quote")),
        };
        self.at += 1;
        let start = self.at;
        let (mut encoding, mut blanks) = (Encoding::Plain, false);
        loop {
            self.at = value_end(self.source, self.at);
            match self.peek() {
                Some(byte) if byte == quote => break,
                Some(b'&') => {
                    encoding = Encoding::Xml;
                    self.reference()?;
                }
                Some(b'<') => return Err(self.broken("`<` stands in an attribute's value")),
                Some(byte) => {
                    blanks |= is_space(byte);
                    self.at += 1;
                }
                None => return Err(self.cut_off()),
            }
        }
        let value = Span::between(start, self.at);
        self.at += 1;
        self.tree.attribute(&Attribute { name, value, encoding, blanks })
    }

    #[inline]
    fn end_tag(&mut self) -> Result<(), Fault> {
        let start = self.at + 2;
        if let Some(end) = self.after_name(start, self.tree.innermost()) {
            self.at = end;
            self.spaces();
            if self.peek() == Some(b'>') {
                self.at += 1;
                return self.tree.close();
            }
        }
        Err(self.mismatch(start))
    }

    #[cold]
    fn mismatch(&mut self, start: usize) -> Fault {
        self.at = start;
        let name = match self.name() {
            Ok(name) => &self.source[name.start as usize..][..name.length as usize],
            Err(fault) => return fault,
        };
        let open = self.tree.innermost().slice(self.source);
        if name == open {
            self.spaces();
            return self.unexpected("`>`");
        }
        self.at = start;
        let (name, open) = (String::from_utf8_lossy(name), String::from_utf8_lossy(open));
        self.broken(format!("</{name}> stands where <{open}> is open"))
    }

    #[inline(always)]
    pub(super) fn name(&mut self) -> Result<Span, Fault> {
        let start = self.at;
        let end = name_end(self.source, start);
        if end == start {
            return Err(self.unexpected("a name"));
        }
        if end - start > self.limits.name_bytes {
            let reason = format!("a name of {} bytes, allowed are {}", end - start, self.limits.name_bytes);
            return Err(self.fault(Code::XmlNameTooLong, reason));
        }
        self.at = end;
        Ok(Span::between(start, end))
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    #[inline]
    pub(super) fn spaces(&mut self) -> usize {
        let start = self.at;
        self.at = spaces_end(self.source, start);
        self.at - start
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(&format!("`{}`", char::from(byte))));
        }
        self.at += 1;
        Ok(())
    }

    #[cold]
    pub(super) fn unexpected(&self, expected: &str) -> Fault {
        let rest = String::from_utf8_lossy(
            &self.source[self.at.min(self.source.len())..][..4.min(self.source.len() - self.at)],
        )
        .into_owned();
        match rest.chars().next() {
            Some(found) => self.broken(format!("there is {found:?}, expected {expected}")),
            None => self.cut_off(),
        }
    }

    #[cold]
    pub(super) fn cut_off(&self) -> Fault {
        let open = String::from_utf8_lossy(self.tree.innermost().slice(self.source));
        let reason = if self.tree.depth() == 0 {
            "the document ends in the middle".into()
        } else {
            format!("the document ends inside <{open}>")
        };
        Fault::new(Code::XmlNotWellFormed, reason).at_offset(self.source.len())
    }

    #[cold]
    pub(super) fn broken(&self, reason: impl Into<String>) -> Fault {
        self.fault(Code::XmlNotWellFormed, reason)
    }

    #[cold]
    pub(super) fn fault(&self, code: Code, reason: impl Into<String>) -> Fault {
        Fault::new(code, reason).at_offset(self.at)
    }
}
