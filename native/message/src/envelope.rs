//! The header block of a message, read by range: `NATS/1.0\r\nName: value\r\n\r\n` (NATS ADR-4).

use memchr::memchr;

/// A view of a header block. Empty when the message has no headers. Never allocates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    block: &'a [u8],
    /// Where the first header begins.
    lines: usize,
}

impl<'a> Headers<'a> {
    /// `block` is what stands on the wire, from `NATS/1.0` to the empty line; anything after the
    /// status line that is no `name: value` is passed over.
    #[must_use]
    pub fn new(block: &'a [u8]) -> Self {
        const USUAL: &[u8] = b"NATS/1.0\r\n";
        let lines = match block.starts_with(USUAL) {
            true => USUAL.len(),
            false => memchr(b'\n', block).map_or(block.len(), |end| end + 1),
        };
        Headers { block, lines }
    }

    /// The block as it stands on the wire.
    #[must_use]
    pub fn block(&self) -> &'a [u8] {
        self.block
    }

    /// The first value of `name`. Names compare without regard to ASCII case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The first value of `name` when it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Names and values, in order, without surrounding blanks.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.lines().map(|line| (line.name, line.value))
    }

    /// What `iter` gives, and where it stands.
    #[must_use]
    #[inline]
    pub fn lines(&self) -> Lines<'a> {
        Lines { block: self.block, at: self.lines }
    }
}

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Name and value, without surrounding blanks.
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// Where its line begins and ends in the block, the end of the line included.
    pub start: usize,
    pub end: usize,
}

/// The headers of a block, in order. A line without a colon is passed over.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    block: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline]
    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let start = self.at;
            let rest = self.block.get(start..)?;
            if rest.is_empty() || rest == b"\r\n" {
                return None;
            }
            let length = memchr(b'\n', rest).unwrap_or(rest.len());
            self.at = (start + length + 1).min(self.block.len());
            let line = &rest[..length];
            // Names are short.
            if let Some(colon) = line.iter().position(|byte| *byte == b':') {
                let value = &line[colon + 1..];
                let value = value.strip_prefix(b" ").unwrap_or(value);
                let value = value.strip_suffix(b"\r").unwrap_or(value);
                return Some(Line { name: trim(&line[..colon]), value: trim(value), start, end: self.at });
            }
        }
    }
}

/// `trim_ascii`; at once where there is nothing to trim.
#[inline]
fn trim(bytes: &[u8]) -> &[u8] {
    match bytes {
        [first, .., last] if *first > b' ' && *last > b' ' => bytes,
        _ => bytes.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_by_name() {
        let headers = Headers::new(b"NATS/1.0\r\nCustomer-ID: acme\r\nX:1\r\nEmpty:\r\n\r\n");
        assert_eq!(headers.get("customer-id"), Some(&b"acme"[..]));
        assert_eq!(headers.get_str("X"), Some("1"));
        assert_eq!(headers.get("Empty"), Some(&b""[..]));
        assert_eq!(headers.get("Nope"), None);
        assert_eq!(headers.iter().count(), 3);
        assert_eq!(Headers::new(b"").iter().count(), 0);
        assert_eq!(Headers::new(b"NATS/1.0 503\r\nA: 1\r\n\r\n").get("A"), Some(&b"1"[..]));
    }

    #[test]
    fn a_line_says_where_it_stands() {
        let block = b"NATS/1.0\r\n A :  b c \r\nno header\r\n\r\nB:2\nC: \x01";
        let lines: Vec<_> = Headers::new(block).lines().collect();
        let texts: Vec<_> = lines.iter().map(|line| (line.name, line.value, &block[line.start..line.end])).collect();
        let expected: [(&[u8], &[u8], &[u8]); 3] =
            [(b"A", b"b c", b" A :  b c \r\n"), (b"B", b"2", b"B:2\n"), (b"C", b"\x01", b"C: \x01")];
        assert_eq!(texts, expected);
    }
}
