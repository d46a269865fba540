//! Header blocks: `NATS/1.0`, lines, an empty line.

/// The value of a header, as text. Names are compared exactly, as the server does with its own.
#[must_use]
pub fn value<'a>(block: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(block).ok()?;
    text.split("\r\n").skip(1).find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// The block with more headers at its end; a new block when there is none.
#[must_use]
pub fn with(block: &[u8], more: &[(&str, &str)]) -> Vec<u8> {
    let mut out = match block.strip_suffix(b"\r\n") {
        Some(lines) => lines.to_vec(),
        None => b"NATS/1.0\r\n".to_vec(),
    };
    for (name, value) in more {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// A block with a status in its first line.
#[must_use]
pub fn status(code: u16, description: &str, more: &[(&str, String)]) -> Vec<u8> {
    let mut out = format!("NATS/1.0 {code} {description}\r\n");
    for (name, value) in more {
        out += &format!("{name}: {value}\r\n");
    }
    out += "\r\n";
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_added() {
        let block = b"NATS/1.0\r\nNats-Msg-Id: a \r\nB:c\r\n\r\n";
        assert_eq!(value(block, "Nats-Msg-Id"), Some("a"));
        assert_eq!(value(block, "B"), Some("c"));
        assert_eq!(value(block, "Nats-Msg"), None);
        assert_eq!(value(b"", "B"), None);
        assert_eq!(with(b"NATS/1.0\r\nA: 1\r\n\r\n", &[("B", "2")]), b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n");
        assert_eq!(with(b"", &[("B", "2")]), b"NATS/1.0\r\nB: 2\r\n\r\n");
    }
}
