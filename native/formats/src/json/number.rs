//! Numbers (RFC 8259, section 6). Their digits are kept, never computed with.

/// Whether `text` is one JSON number and nothing else.
pub(crate) fn is_number(text: &[u8]) -> bool {
    number_length(text) == Ok(text.len())
}

/// How many bytes the number at the start of `bytes` has; where it breaks off, when it is none.
pub(super) fn number_length(bytes: &[u8]) -> Result<usize, usize> {
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at = match bytes.get(at) {
        Some(b'0') => at + 1,
        _ => digits(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = digits(bytes, at + 1 + usize::from(sign))?;
    }
    Ok(at)
}

/// Behind the digits at `at`, of which there must be one.
fn digits(bytes: &[u8], at: usize) -> Result<usize, usize> {
    let count = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(at) } else { Ok(at + count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_grammar() {
        for good in ["0", "-0", "10", "-12.50", "1e5", "1E+05", "0.1e-7", "123456789012345678901234567890"] {
            assert!(is_number(good.as_bytes()), "{good}");
        }
        for bad in
            ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "1 ", " 1", "NaN", "Infinity", "1,5", "--1", "1.2.3"]
        {
            assert!(!is_number(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_broken_number_names_the_byte() {
        for (bad, at) in [("-", 1), ("-x", 1), ("1.", 2), ("1.x", 2), ("1e", 2), ("1e-", 3)] {
            assert_eq!(number_length(bad.as_bytes()), Err(at), "{bad}");
        }
    }
}
