//! Documents that are not read as they came: those of another charset than UTF-8, and those in UTF-8 whose XML
//! declaration names another. Both become a text in UTF-8 that says so, or says nothing; the rest is as for any text.
//!
//! Everything here is off the way of a usual document, and may allocate.

use encoding_rs::{Encoding, mem};
use message::{Charset, Code, Document, Fault, Limits};

use super::prolog::{self, Foreign};
use super::{Reader, scan};

/// What a declaration names instead of another encoding.
const UTF_8: &[u8] = b"UTF-8";

#[cold]
pub(super) fn scan(
    reader: &Reader,
    source: &[u8],
    foreign: Foreign,
    limits: &Limits,
    document: &mut Document,
) -> Result<(), Fault> {
    let mut text = Text::decode(source, foreign.charset)?;
    let scanned = text.declare_utf8(foreign).and_then(|end| {
        if text.utf8.len() > limits.bytes.min(crate::MAX_BYTES) {
            return Err(crate::too_large(Code::XmlTooLarge, &text.utf8, limits));
        }
        scan::text(reader, &text.utf8, (end, foreign.charset == Charset::Ascii), limits, document)
    });
    scanned.map_err(|fault| text.at_source(fault))?;
    document.set_payload(source);
    Ok(())
}

/// A document in UTF-8, and how its bytes lie in the payload.
struct Text {
    utf8: Vec<u8>,
    charset: Charset,
    /// The length of a byte order mark in the payload that the text does not have.
    mark: usize,
    /// Where the declaration's encoding stands, and how long it was before it became [`UTF_8`].
    renamed: Option<(usize, usize)>,
}

impl Text {
    fn decode(source: &[u8], charset: Charset) -> Result<Text, Fault> {
        let mark = match charset {
            Charset::Utf16Le | Charset::Utf16Be
                if source.starts_with(b"\xFF\xFE") || source.starts_with(b"\xFE\xFF") =>
            {
                2
            }
            _ => 0,
        };
        let bytes = &source[mark..];
        let utf8 = match charset {
            Charset::Utf8 | Charset::Ascii => bytes.to_vec(),
            Charset::Latin1 => latin1(bytes),
            Charset::Windows1252 => windows_1252(bytes)?,
            Charset::Utf16 | Charset::Utf16Be => utf16(bytes, mark, u16::from_be_bytes)?,
            Charset::Utf16Le => utf16(bytes, mark, u16::from_le_bytes)?,
        };
        Ok(Text { utf8, charset, mark, renamed: None })
    }

    /// Makes the XML declaration say UTF-8, if it names an encoding. Gives where the markup starts.
    fn declare_utf8(&mut self, foreign: Foreign) -> Result<usize, Fault> {
        let declaration = prolog::declaration(&self.utf8)?;
        if foreign.needs_declaration {
            declaration.check_utf16(foreign.charset)?;
        }
        let mut end = declaration.end;
        if let Some((name, at)) = declaration.encoding {
            let length = name.len();
            self.utf8.splice(at..at + length, UTF_8.iter().copied());
            self.renamed = Some((at, length));
            end = end + UTF_8.len() - length;
        }
        Ok(end)
    }

    /// The same fault at its byte in the payload.
    fn at_source(&self, fault: Fault) -> Fault {
        let Some(offset) = fault.place().offset else { return fault };
        let mut moved = 0;
        let mut end = offset;
        match self.renamed {
            Some((at, length)) if offset >= at + UTF_8.len() => moved = length as isize - UTF_8.len() as isize,
            Some((at, _)) => end = offset.min(at),
            None => {}
        }
        let before = self.utf8.get(..end).unwrap_or(&self.utf8);
        // The name of an encoding is ASCII, so it has as many characters as bytes.
        let characters = |text: &str| text.chars().count().saturating_add_signed(moved);
        let before = String::from_utf8_lossy(before);
        let at = match self.charset {
            Charset::Utf8 | Charset::Ascii => before.len().saturating_add_signed(moved),
            Charset::Latin1 | Charset::Windows1252 => characters(&before),
            Charset::Utf16 | Charset::Utf16Le | Charset::Utf16Be => {
                2 * before.encode_utf16().count().saturating_add_signed(moved)
            }
        };
        fault.at_offset(self.mark + at)
    }
}

/// As RFC 7303 and IANA have it: every byte is the character of its number, so that 0x80 to 0x9F are control
/// characters, which XML 1.0 permits. Browsers read such bytes as windows-1252; a sender that means that has to say so.
fn latin1(bytes: &[u8]) -> Vec<u8> {
    mem::decode_latin1(bytes).into_owned().into_bytes()
}

/// The bytes 0x80 to 0x9F in windows-1252; NUL where no character is assigned. All others are as in ISO-8859-1.
#[rustfmt::skip]
const WINDOWS_1252: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0',
    '\0', '\u{2018}', '\u{2019}', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

fn windows_1252(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    let mut rest = bytes;
    loop {
        let (plain, others) = rest.split_at(Encoding::ascii_valid_up_to(rest));
        text.extend_from_slice(plain);
        let Some((byte, behind)) = others.split_first() else { return Ok(text) };
        let c = WINDOWS_1252.get(usize::from(*byte - 0x80)).copied().unwrap_or(char::from(*byte));
        if c == '\0' {
            let reason = format!("windows-1252 has no character for the byte 0x{byte:02X}");
            return Err(Fault::new(Code::XmlEncoding, reason).at_offset(bytes.len() - others.len()));
        }
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        rest = behind;
    }
}

/// `mark` bytes stand before `bytes`.
fn utf16(bytes: &[u8], mark: usize, unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>, Fault> {
    let refused = |reason: &str, at: usize| Err(Fault::new(Code::XmlEncoding, reason).at_offset(mark + at));
    let (pairs, half) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    let valid = mem::utf16_valid_up_to(&units);
    if valid < units.len() {
        return refused("UTF-16 has half a surrogate pair", 2 * valid);
    }
    if !half.is_empty() {
        return refused("UTF-16 has an even number of bytes; half a unit is left at the end", 2 * valid);
    }
    // A unit takes at most three bytes, and two of a pair four.
    let mut text = vec![0; 3 * units.len()];
    let length = mem::convert_utf16_to_utf8(&units, &mut text);
    text.truncate(length);
    Ok(text)
}
