//! Texts: from their bytes on the tape to characters.

use std::borrow::Cow;

use super::{Document, Encoding, Flags, Node, Span};

impl Document {
    /// The characters of a text or of a number's digits.
    #[must_use]
    pub fn text(&self, span: Span, encoding: Encoding) -> Cow<'_, str> {
        let bytes = self.bytes(span);
        match encoding {
            Encoding::Plain => as_str(bytes),
            Encoding::Xml => decode_xml(bytes),
            Encoding::Json => decode_json(bytes),
        }
    }

    /// A member's key as the JSON model has it, prefix included.
    #[must_use]
    pub fn key(&self, node: &Node) -> Cow<'_, str> {
        if node.flags.has(Flags::TEXT) {
            return Cow::Borrowed(&self.conventions.text_key);
        }
        let name = self.text(node.key, if node.flags.has(Flags::KEY_JSON) { Encoding::Json } else { Encoding::Plain });
        if node.flags.has(Flags::ATTRIBUTE) {
            return Cow::Owned(format!("{}{name}", self.conventions.attribute_prefix));
        }
        name
    }

    /// Whether the member's key is `name`, without building the key.
    #[inline]
    pub(super) fn key_is(&self, node: &Node, name: &str) -> bool {
        if node.flags.0 & (Flags::ATTRIBUTE.0 | Flags::TEXT.0 | Flags::KEY_JSON.0) == 0 {
            return self.bytes(node.key) == name.as_bytes();
        }
        if node.flags.has(Flags::TEXT) {
            return *self.conventions.text_key == *name;
        }
        if node.flags.has(Flags::ATTRIBUTE) {
            let bare = name.strip_prefix(&*self.conventions.attribute_prefix);
            return bare.is_some_and(|bare| self.bytes(node.key) == bare.as_bytes());
        }
        self.key(node) == name
    }
}

/// The tape holds only checked UTF-8; anything else would be a defect, shown instead of hidden.
fn as_str(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

fn decode_xml(bytes: &[u8]) -> Cow<'_, str> {
    let text = as_str(bytes);
    if !text.contains('&') {
        return text;
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        let Some(length) = rest[start..].find(';') else { break };
        decoded.extend(xml_reference(&rest[start + 1..start + length]));
        rest = &rest[start + length + 1..];
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// The character for what stands between `&` and `;` (XML 1.0, 4.1 and 4.6).
#[must_use]
pub(super) fn xml_reference(name: &str) -> Option<char> {
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

fn decode_json(bytes: &[u8]) -> Cow<'_, str> {
    let text = as_str(bytes);
    if !text.contains('\\') {
        return text;
    }
    let mut decoded = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            decoded.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => decoded.push('\n'),
            Some('r') => decoded.push('\r'),
            Some('t') => decoded.push('\t'),
            Some('b') => decoded.push('\u{8}'),
            Some('f') => decoded.push('\u{c}'),
            Some('u') => decoded.extend(json_unicode(&mut chars)),
            Some(other) => decoded.push(other),
            None => {}
        }
    }
    Cow::Owned(decoded)
}

fn json_unicode(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let high = hex4(chars)?;
    if !(0xD800..0xDC00).contains(&high) {
        return char::from_u32(high);
    }
    let mut ahead = chars.clone();
    if ahead.next() != Some('\\') || ahead.next() != Some('u') {
        return None;
    }
    let low = hex4(&mut ahead).filter(|low| (0xDC00..0xE000).contains(low))?;
    *chars = ahead;
    char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
}

fn hex4(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |code, _| Some(code * 16 + chars.next()?.to_digit(16)?))
}
