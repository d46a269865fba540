//! Texts: from their bytes on the tape to characters.

use std::borrow::Cow;

use memchr::memchr;

use super::{Document, Encoding, Flags, Node, Span};

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'d> {
    /// UTF-8 that stands for itself.
    Plain(&'d [u8]),
    /// What was written as a reference or an escape.
    Char(char),
}

/// The parts of a text, in order. An emitter translates from one encoding to another piece by
/// piece, without a `String` in between.
#[derive(Clone, Debug)]
pub struct Pieces<'d> {
    rest: &'d [u8],
    encoding: Encoding,
}

impl<'d> Pieces<'d> {
    /// `bytes` have been checked by the scanner that put them on the tape. In bytes that are not
    /// what `encoding` says, a broken reference or escape reads as nothing.
    #[must_use]
    pub fn new(bytes: &'d [u8], encoding: Encoding) -> Self {
        Pieces { rest: bytes, encoding }
    }

    fn plain(&mut self, length: usize) -> Piece<'d> {
        let (plain, rest) = self.rest.split_at(length);
        self.rest = rest;
        Piece::Plain(plain)
    }

    /// `rest` starts with `&`.
    fn reference(&mut self) -> Option<char> {
        let end = memchr(b';', self.rest).unwrap_or(self.rest.len());
        let name = &self.rest[1..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        std::str::from_utf8(name).ok().and_then(xml_reference)
    }

    /// `rest` starts with a backslash.
    fn escape(&mut self) -> Option<char> {
        let kind = self.rest.get(1).copied();
        self.rest = self.rest.get(2..).unwrap_or_default();
        match kind? {
            b'n' => Some('\n'),
            b'r' => Some('\r'),
            b't' => Some('\t'),
            b'b' => Some('\u{8}'),
            b'f' => Some('\u{c}'),
            b'u' => self.unicode(),
            other => Some(char::from(other)),
        }
    }

    /// `rest` starts after `\u`.
    fn unicode(&mut self) -> Option<char> {
        let high = self.hex4()?;
        if !(0xD800..0xDC00).contains(&high) || !self.rest.starts_with(b"\\u") {
            return char::from_u32(high);
        }
        self.rest = &self.rest[2..];
        let low = self.hex4()?.checked_sub(0xDC00)?;
        char::from_u32(0x10000 + ((high - 0xD800) << 10) + low)
    }

    fn hex4(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
    }
}

impl<'d> Iterator for Pieces<'d> {
    type Item = Piece<'d>;

    #[inline]
    fn next(&mut self) -> Option<Piece<'d>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let marker = match self.encoding {
                Encoding::Plain => return Some(self.plain(self.rest.len())),
                Encoding::Xml => b'&',
                Encoding::Json => b'\\',
            };
            let decoded = match memchr(marker, self.rest) {
                Some(0) if marker == b'&' => self.reference(),
                Some(0) => self.escape(),
                Some(length) => return Some(self.plain(length)),
                None => return Some(self.plain(self.rest.len())),
            };
            if let Some(decoded) = decoded {
                return Some(Piece::Char(decoded));
            }
        }
    }
}

/// The character for what stands between `&` and `;` (XML 1.0, 4.1 and 4.6).
#[must_use]
pub fn xml_reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

impl Document {
    /// The parts of a text or of a number's digits, decoded.
    #[inline]
    #[must_use]
    pub fn pieces(&self, span: Span, encoding: Encoding) -> Pieces<'_> {
        Pieces::new(self.bytes(span), encoding)
    }

    /// The characters of a text or of a number's digits.
    #[must_use]
    pub fn text(&self, span: Span, encoding: Encoding) -> Cow<'_, str> {
        let mut pieces = self.pieces(span, encoding);
        match (pieces.next(), pieces.clone().next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(Piece::Plain(bytes)), None) => as_str(bytes),
            (Some(first), _) => {
                let mut text = String::with_capacity(span.length as usize);
                for piece in std::iter::once(first).chain(pieces) {
                    match piece {
                        Piece::Plain(bytes) => text.push_str(&as_str(bytes)),
                        Piece::Char(c) => text.push(c),
                    }
                }
                Cow::Owned(text)
            }
        }
    }

    /// A member's key as the JSON model has it, prefix included.
    #[must_use]
    pub fn key(&self, node: &Node) -> Cow<'_, str> {
        if node.flags.has(Flags::TEXT) {
            return Cow::Borrowed(&self.conventions.text_key);
        }
        let name = as_str(self.bytes(node.key));
        if node.flags.has(Flags::ATTRIBUTE) {
            return Cow::Owned(format!("{}{name}", self.conventions.attribute_prefix));
        }
        name
    }

    /// Whether the member's key is `name`, without building the key.
    #[inline]
    pub(super) fn key_is(&self, node: &Node, name: &str) -> bool {
        if node.flags.has(Flags::TEXT) {
            return *self.conventions.text_key == *name;
        }
        if node.flags.has(Flags::ATTRIBUTE) {
            let bare = name.strip_prefix(&*self.conventions.attribute_prefix);
            return bare.is_some_and(|bare| self.bytes(node.key) == bare.as_bytes());
        }
        self.bytes(node.key) == name.as_bytes()
    }
}

/// The tape holds only checked UTF-8; anything else would be a defect, shown instead of hidden.
fn as_str(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str, encoding: Encoding) -> String {
        let mut document = Document::default();
        let span = document.append(bytes.as_bytes());
        document.text(span, encoding).into_owned()
    }

    #[test]
    fn every_encoding_stands_for_its_characters() {
        for (bytes, encoding, characters) in [
            ("a&amp;\\n", Encoding::Plain, "a&amp;\\n"),
            ("", Encoding::Xml, ""),
            ("a", Encoding::Xml, "a"),
            ("&lt;&gt;&amp;&quot;&apos;", Encoding::Xml, "<>&\"'"),
            ("x&#65;y&#x1F600;", Encoding::Xml, "xAy😀"),
            ("a; b &#0065;", Encoding::Xml, "a; b A"),
            (r#"\"\\\/\b\f\n\r\t"#, Encoding::Json, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"ü\u00e9\ud83d\ude00!", Encoding::Json, "üé😀!"),
        ] {
            assert_eq!(read(bytes, encoding), characters, "{bytes}");
        }
    }

    #[test]
    fn broken_bytes_read_as_something_and_never_panic() {
        for bytes in [
            "&",
            "&;",
            "&#;",
            "&#xD800;",
            "&nope;",
            "a&b",
            "\\",
            "\\u",
            "\\u12",
            "\\ud800",
            "\\ud800\\u0041",
            "\\ud800\\udc",
            "\\",
        ] {
            for encoding in [Encoding::Plain, Encoding::Xml, Encoding::Json] {
                let _ = read(bytes, encoding);
            }
        }
    }
}
