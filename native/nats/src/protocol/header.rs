//! What may stand in a header block, and the status its first line may carry.

use message::{Code, Fault};

/// Whether `name: value` can be a line of a header block.
///
/// # Errors
/// `nats/header` with what is wrong; the value is not repeated.
pub fn check_header(name: &str, value: &str) -> Result<(), Fault> {
    let refuse = |reason: &str| Err(Fault::new(Code::NatsHeader, reason));
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return refuse("a header's name is printable ASCII without blanks and colons");
    }
    if value.bytes().any(|b| b == b'\r' || b == b'\n' || b == 0) {
        return refuse("a header's value has no CR, LF or NUL");
    }
    Ok(())
}

/// Code and description of `NATS/1.0 <code> <description>`; `None` for a block without a status.
#[must_use]
pub fn status(headers: &[u8]) -> Option<(u16, &[u8])> {
    let rest = headers.strip_prefix(b"NATS/1.0 ")?;
    let line = rest.split(|byte| *byte == b'\r' || *byte == b'\n').next()?.trim_ascii();
    let (digits, description) = line.split_at_checked(3)?;
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (digits.iter().all(u8::is_ascii_digit) && description.first().is_none_or(|b| *b == b' '))
        .then(|| (code, description.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_and_nothing_else() {
        assert_eq!(status(b"NATS/1.0 503\r\n\r\n"), Some((503, &b""[..])));
        assert_eq!(status(b"NATS/1.0 408 Request Timeout\r\nA: 1\r\n\r\n"), Some((408, &b"Request Timeout"[..])));
        for none in
            [&b""[..], b"NATS/1.0\r\nA: 1\r\n\r\n", b"NATS/1.0 x", b"NATS/1.0 4", b"NATS/1.0 4040", b"NATS/1.0 +40"]
        {
            assert_eq!(status(none), None);
        }
    }

    #[test]
    fn a_header_cannot_smuggle_a_second_line() {
        assert!(check_header("X-Id", "any value: é").is_ok());
        for (name, value) in
            [("", "x"), ("a b", "x"), ("a:", "x"), ("é", "x"), ("a", "x\r\nNats-Rollup: all"), ("a", "\0")]
        {
            assert_eq!(check_header(name, value).unwrap_err().code(), Code::NatsHeader);
        }
    }
}
