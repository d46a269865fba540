//! What stands in a string (RFC 8259, section 7).

/// How many bytes at the start of `bytes` stand for themselves in a JSON string: everything up to
/// a quote, a backslash or a control character. Eight bytes at a time.
#[inline]
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes[at..].iter();
    at + rest.take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}

const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of every byte that needs an escape; bits above the lowest one may be wrong.
#[inline]
fn special(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(each(1)) & !word;
    let control = word.wrapping_sub(each(0x20)) & !word;
    (zero(word ^ each(b'"')) | zero(word ^ each(b'\\')) | control) & each(0x80)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eight_bytes_at_a_time_find_what_one_at_a_time_finds(
            bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), 0..0x22_u8, 0x20..=255_u8, 0x20..=255_u8], 0..40),
        ) {
            let slow = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), slow);
        }
    }
}
