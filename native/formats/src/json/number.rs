//! Numbers (RFC 8259, section 6). Their digits are kept, never computed with.

/// Whether `text` is one JSON number and nothing else.
pub(crate) fn is_number(text: &[u8]) -> bool {
    number_length(text) == Ok(text.len())
}

/// The JSON number with the digits of a decimal number of XML Schema (`xs:decimal`, and `xs:double` but for `INF` and
/// `NaN`). JSON has no `+`, no zeros in front and no bare point: `+5` becomes `5`, `.5` `0.5`, `5.` `5`, `007.50` `7.50`.
/// Zeros behind the point stay, as they say how exact a number is.
pub(crate) fn from_xml_schema(text: &[u8]) -> Option<Vec<u8>> {
    let (sign, rest): (&[u8], &[u8]) = match text {
        [b'-', rest @ ..] => (b"-", rest),
        [b'+', rest @ ..] => (b"", rest),
        rest => (b"", rest),
    };
    let (mantissa, exponent) = split_before(rest, |byte| matches!(byte, b'e' | b'E'));
    let (whole, fraction) = split_before(mantissa, |byte| byte == b'.');
    let fraction = if fraction == b"." { b"" } else { fraction };
    if whole.is_empty() && fraction.is_empty() || !whole.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = whole.iter().take_while(|digit| **digit == b'0').count();
    let whole = match &whole[zeros..] {
        [] => b"0",
        digits => digits,
    };
    let number = [sign, whole, fraction, exponent].concat();
    is_number(&number).then_some(number)
}

fn split_before(bytes: &[u8], splits: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| splits(*byte)).unwrap_or(bytes.len()))
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
    fn decimals_of_xml_schema_keep_their_digits() {
        for (text, number) in [
            ("+5", "5"),
            (".5", "0.5"),
            ("-.50", "-0.50"),
            ("5.", "5"),
            ("000010.000", "10.000"),
            ("+0", "0"),
            ("-0", "-0"),
            ("00", "0"),
            ("+123456789012345678901234567890.10", "123456789012345678901234567890.10"),
            ("01.e+05", "1e+05"),
            ("+.5E3", "0.5E3"),
            ("12.50", "12.50"),
        ] {
            assert_eq!(from_xml_schema(text.as_bytes()).as_deref(), Some(number.as_bytes()), "{text}");
        }
        for text in
            ["", "+", ".", "-.", "+-5", "--5", "1.-5", "1.2.3", "e5", ".e5", "5e", "1,5", "INF", "NaN", "0x1", "5 "]
        {
            assert_eq!(from_xml_schema(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_broken_number_names_the_byte() {
        for (bad, at) in [("-", 1), ("-x", 1), ("1.", 2), ("1.x", 2), ("1e", 2), ("1e-", 3)] {
            assert_eq!(number_length(bad.as_bytes()), Err(at), "{bad}");
        }
    }
}
