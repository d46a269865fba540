//! An element's text: its parts joined, trimmed, with normalised line ends.

use std::ops::Range;

use memchr::memchr;
use message::{Document, Encoding, Piece, Pieces, Span, xml_reference};

use super::characters::{is_space, spaces_end};
use super::tree::Tree;

/// A stretch of text between two pieces of markup.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) span: Span,
    pub(super) encoding: Encoding,
}

impl Tree<'_> {
    /// The text that the parts from `from` on make together, without the blanks around it; `None`
    /// when nothing is left. Takes the parts away.
    #[inline]
    pub(super) fn take_text(&mut self, from: usize) -> Option<Part> {
        let text = match &self.scratch.parts[from..] {
            [] => return None,
            [only] => trimmed(*only, self.source).map(|text| self.with_line_ends(text)),
            _ => {
                let joined = self.joined(from);
                trimmed(joined, self.document.buffer())
            }
        };
        self.scratch.parts.truncate(from);
        text
    }

    /// The same with the blanks around it.
    #[cold]
    pub(super) fn take_whole_text(&mut self, from: usize) -> Option<Part> {
        let text = match &self.scratch.parts[from..] {
            [] => return None,
            [only] => self.with_line_ends(*only),
            _ => self.joined(from),
        };
        self.scratch.parts.truncate(from);
        (text.span.length > 0).then_some(text)
    }

    /// Whether the text, which stands on the tape, is nothing but blanks.
    #[cold]
    pub(super) fn is_blank(&self, text: Part) -> bool {
        trim(self.document.bytes(text.span), text.encoding).is_empty()
    }

    #[cold]
    fn joined(&mut self, from: usize) -> Part {
        let start = self.document.buffer().len();
        let mut normalised = Vec::new();
        for part in &self.scratch.parts[from..] {
            let mut bytes = &self.source[part.span.start as usize..][..part.span.length as usize];
            if self.carriage_return {
                normalised.clear();
                normalise(bytes, false, &mut normalised);
                bytes = &normalised;
            }
            decode_into(bytes, part.encoding, self.document.bytes_mut());
        }
        Part { span: Span::between(start, self.document.buffer().len()), encoding: Encoding::Plain }
    }

    #[inline]
    pub(super) fn with_line_ends(&mut self, part: Part) -> Part {
        if !self.carriage_return || memchr(b'\r', self.slice(part.span)).is_none() {
            return part;
        }
        Part { span: self.normalised(part.span, false), ..part }
    }

    /// An attribute's value with every blank as a space (XML 1.0, 3.3.3).
    pub(super) fn spaced(&mut self, value: Span) -> Span {
        self.normalised(value, true)
    }

    fn normalised(&mut self, span: Span, spaced: bool) -> Span {
        let bytes = self.slice(span);
        let start = self.document.buffer().len();
        normalise(bytes, spaced, self.document.bytes_mut());
        Span::between(start, self.document.buffer().len())
    }
}

/// Decodes a text that stands on the tape, and puts it there again.
pub(super) fn decode(document: &mut Document, text: Part) -> Span {
    let mut decoded = Vec::with_capacity(text.span.length as usize);
    decode_into(document.bytes(text.span), text.encoding, &mut decoded);
    document.append(&decoded)
}

fn decode_into(bytes: &[u8], encoding: Encoding, out: &mut Vec<u8>) {
    for piece in Pieces::new(bytes, encoding) {
        match piece {
            Piece::Plain(bytes) => out.extend_from_slice(bytes),
            Piece::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Line ends become `\n` (XML 1.0, 2.11), or every blank a space. References stay: `&#13;` is how a
/// carriage return survives.
fn normalise(bytes: &[u8], spaced: bool, out: &mut Vec<u8>) {
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {}
            b'\r' | b'\n' | b'\t' if spaced => out.push(b' '),
            b'\r' => out.push(b'\n'),
            _ => out.push(*byte),
        }
    }
}

/// The part without the blanks around it; `None` when nothing is left.
#[inline]
pub(super) fn trimmed(part: Part, bytes: &[u8]) -> Option<Part> {
    let start = part.span.start as usize;
    let text = &bytes[start..][..part.span.length as usize];
    if let (Encoding::Plain, Some(b'!'..=b'~'), Some(b'!'..=b'~')) = (part.encoding, text.first(), text.last()) {
        return Some(part);
    }
    let kept = trim(text, part.encoding);
    (!kept.is_empty()).then_some(Part { span: Span::between(start + kept.start, start + kept.end), ..part })
}

/// The range without blanks around it, also when they are written as references. Blanks are XML's four (XML 1.0,
/// 2.3): a no-break space is a character of the text.
#[inline(never)]
fn trim(bytes: &[u8], encoding: Encoding) -> Range<usize> {
    let start = spaces_end(bytes, 0);
    let end = bytes.len() - bytes[start..].iter().rev().take_while(|byte| is_space(**byte)).count();
    match &bytes[start..end] {
        [b'&', ..] | [.., b';'] if encoding == Encoding::Xml => trim_references(bytes, start..end),
        _ => start..end,
    }
}

#[cold]
fn trim_references(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let Ok(text) = std::str::from_utf8(&bytes[range.clone()]) else { return range };
    let mut kept = text;
    loop {
        let before = kept.len();
        kept = kept.trim_matches(is_blank);
        kept = kept.strip_prefix('&').and_then(behind_blank_reference).unwrap_or(kept);
        kept = kept.strip_suffix(';').and_then(before_blank_reference).unwrap_or(kept);
        if kept.len() == before {
            let start = range.start + (kept.as_ptr() as usize - text.as_ptr() as usize);
            return start..start + kept.len();
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// What follows a reference to a blank, whose `&` is already off.
fn behind_blank_reference(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once(';')?;
    xml_reference(name).is_some_and(is_blank).then_some(rest)
}

/// What precedes a reference to a blank, whose `;` is already off.
fn before_blank_reference(text: &str) -> Option<&str> {
    let (rest, name) = text.rsplit_once('&')?;
    xml_reference(name).is_some_and(is_blank).then_some(rest)
}
