//! The header block of a message, read by range: `NATS/1.0\r\nName: value\r\n\r\n` (NATS ADR-4).

use memchr::memchr;

/// A view of a header block. Empty when the message has no headers. Never allocates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    block: &'a [u8],
    lines: &'a [u8],
}

impl<'a> Headers<'a> {
    /// `block` is what stands on the wire, from `NATS/1.0` to the empty line; anything after the
    /// status line that is no `name: value` is passed over.
    #[must_use]
    pub fn new(block: &'a [u8]) -> Self {
        let lines = memchr(b'\n', block).map_or(&block[..0], |end| &block[end + 1..]);
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

    #[must_use]
    pub fn iter(&self) -> HeadersIter<'a> {
        HeadersIter { rest: self.lines }
    }
}

impl<'a> IntoIterator for &Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

/// Names and values, in order, without surrounding blanks.
#[derive(Clone, Debug)]
pub struct HeadersIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if let Some(colon) = memchr(b':', line) {
                return Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()));
            }
        }
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
    }
}
