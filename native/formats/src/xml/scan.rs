//! The scanner: one pass over the markup. What it meets it hands to the tree.

use std::cell::Cell;

use message::{Code, Document, Encoding, Fault, Format, Limits, Span};

use super::characters::{is_space, name_length, spaces, survey, text_length, value_length};
use super::tree::{Attribute, Scratch, Tree};
use super::{Reader, prolog};

thread_local! {
    static KEPT: Cell<Scratch> = Cell::default();
}

pub(super) fn scan(reader: &Reader, source: &[u8], limits: &Limits, document: &mut Document) -> Result<(), Fault> {
    if source.len() > limits.bytes.min(crate::MAX_BYTES) {
        return Err(crate::too_large(Code::XmlTooLarge, source, limits));
    }
    let prolog = prolog::read(source)?;
    let carriage_return = check_characters(source, prolog.ascii)?;
    document.reset(source, Format::Xml, &reader.conventions);
    let tree = Tree::new(reader, source, limits, document, KEPT.take(), carriage_return);
    let mut scanner = Scanner { source, at: prolog.end, limits, tree };
    scanner.document()?;
    let scratch = scanner.tree.finish();
    if scratch.memory() < crate::KEPT_MEMORY {
        KEPT.set(scratch);
    }
    Ok(())
}

/// Everything that can be said of the bytes without looking at the markup. Gives whether there is
/// a carriage return.
fn check_characters(source: &[u8], ascii: bool) -> Result<bool, Fault> {
    let text = match std::str::from_utf8(source) {
        Ok(text) => text,
        Err(error) => {
            return Err(Fault::new(Code::XmlInvalidUtf8, "the bytes are not UTF-8").at_offset(error.valid_up_to()));
        }
    };
    let survey = survey(text);
    if let Some(at) = survey.refused {
        let c = text[at..].chars().next().unwrap_or_default();
        let reason = format!("XML cannot carry the character U+{:04X}", u32::from(c));
        return Err(Fault::new(Code::XmlInvalidCharacter, reason).at_offset(at));
    }
    if ascii && !survey.ascii {
        let at = source.iter().position(|byte| *byte >= 0x80).unwrap_or_default();
        return Err(Fault::new(Code::XmlEncoding, "the document declares US-ASCII, but has other bytes").at_offset(at));
    }
    Ok(survey.carriage_return)
}

pub(super) struct Scanner<'s> {
    pub(super) source: &'s [u8],
    pub(super) at: usize,
    pub(super) limits: &'s Limits,
    pub(super) tree: Tree<'s>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Fault> {
        if !self.outside_root()? {
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
        if self.outside_root()? {
            return Err(self.broken("a document has only one root element"));
        }
        Ok(())
    }

    /// Passes over blanks, comments and instructions. Gives whether a tag follows, or the end.
    fn outside_root(&mut self) -> Result<bool, Fault> {
        loop {
            self.spaces();
            match (self.peek(), self.source.get(self.at + 1)) {
                (None, _) => return Ok(false),
                (Some(b'<'), Some(b'?')) => self.instruction()?,
                (Some(b'<'), Some(b'!')) => {
                    if self.source[self.at..].starts_with(b"<!DOCTYPE") {
                        return Err(self.fault(Code::XmlDoctype, "a DOCTYPE is refused"));
                    }
                    self.comment()?;
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
            self.at += text_length(&self.source[self.at..]);
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
        let name = self.name()?;
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
            self.at += value_length(&self.source[self.at..]);
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
        let open = self.tree.innermost();
        if self.source[start..].starts_with(open) {
            self.at = start + open.len();
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
        let open = self.tree.innermost();
        if name == open {
            self.spaces();
            return self.unexpected("`>`");
        }
        self.at = start;
        let (name, open) = (String::from_utf8_lossy(name), String::from_utf8_lossy(open));
        self.broken(format!("</{name}> stands where <{open}> is open"))
    }

    #[inline]
    pub(super) fn name(&mut self) -> Result<Span, Fault> {
        let length = name_length(&self.source[self.at..]);
        if length == 0 {
            return Err(self.unexpected("a name"));
        }
        if length > self.limits.name_bytes {
            let reason = format!("a name of {length} bytes, allowed are {}", self.limits.name_bytes);
            return Err(self.fault(Code::XmlNameTooLong, reason));
        }
        let start = self.at;
        self.at += length;
        Ok(Span::between(start, self.at))
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    #[inline]
    pub(super) fn spaces(&mut self) -> usize {
        let length = spaces(&self.source[self.at..]);
        self.at += length;
        length
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
        let open = String::from_utf8_lossy(self.tree.innermost());
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
