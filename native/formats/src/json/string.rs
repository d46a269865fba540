//! What stands in a string (RFC 8259, section 7).

use crate::swar::{below, equal, find};

/// The end of what stands for itself in a JSON string, from `start` on: `end`, or in front of it
/// the first quote, backslash or control character.
#[inline]
pub(super) fn plain_end(bytes: &[u8], start: usize, end: usize) -> usize {
    find(bytes, start, end, |word| equal(word, b'"') | equal(word, b'\\') | below(word, 0x20))
}

/// Why an escape is refused, and how many bytes behind its backslash.
pub(super) enum BadEscape {
    Syntax(usize),
    Surrogate,
}

/// How many bytes the escape at the start of `bytes` has; both halves of a surrogate pair are one.
pub(super) fn escape_length(bytes: &[u8]) -> Result<usize, BadEscape> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(2),
        Some(b'u') => {}
        _ => return Err(BadEscape::Syntax(1)),
    }
    match hex4(bytes, 2)? {
        0xD800..0xDC00 => {
            if bytes.get(6..8) != Some(b"\\u") {
                return Err(BadEscape::Surrogate);
            }
            match hex4(bytes, 8)? {
                0xDC00..0xE000 => Ok(12),
                _ => Err(BadEscape::Surrogate),
            }
        }
        0xDC00..0xE000 => Err(BadEscape::Surrogate),
        _ => Ok(6),
    }
}

fn hex4(bytes: &[u8], at: usize) -> Result<u32, BadEscape> {
    (at..at + 4).try_fold(0, |code, at| {
        let digit = bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        Ok(code * 16 + digit.ok_or(BadEscape::Syntax(at))?)
    })
}
