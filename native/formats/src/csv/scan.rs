//! Fields and records: where each begins and ends.

use std::borrow::Cow;

use memchr::memchr;
use message::{Code, Dialect, Fault};

use crate::swar::{equal, find};

/// Bytes of one field: a quote that never closes does not take a large document with it.
pub const MAX_FIELD: usize = 1 << 20;

/// What comes behind a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Field,
    Record,
    Text,
}

/// A field, without the quotes around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) start: usize,
    pub(super) stop: usize,
    pub(super) is_quoted: bool,
    /// There are quotes in it, each written twice.
    pub(super) is_escaped: bool,
    pub(super) end: End,
}

pub(super) struct Scanner<'s> {
    pub(super) source: &'s [u8],
    pub(super) at: usize,
    delimiter: u8,
    quote: Option<u8>,
}

impl<'s> Scanner<'s> {
    pub(super) fn new(source: &'s [u8], dialect: &Dialect) -> Scanner<'s> {
        Scanner { source, at: 0, delimiter: dialect.delimiter, quote: dialect.quote }
    }

    pub(super) fn skip(&mut self, prefix: &[u8]) {
        if self.source[self.at..].starts_with(prefix) {
            self.at += prefix.len();
        }
    }

    /// A line without a character is no row.
    #[inline]
    pub(super) fn skip_empty_lines(&mut self) {
        while let Some(b'\n' | b'\r') = self.source.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.source.len()
    }

    /// The next field, and what ends it, which is passed over.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Field, Fault> {
        let start = self.at;
        let field = match self.quote {
            Some(quote) if self.source.get(start) == Some(&quote) => self.quoted(start, quote)?,
            _ => {
                let stop = self.plain_end(start, self.quote);
                Field { start, stop, is_quoted: false, is_escaped: false, end: self.pass_end(stop) }
            }
        };
        if field.stop - field.start > MAX_FIELD {
            let reason = format!("a field of more than {MAX_FIELD} bytes");
            return Err(self.fault(Code::ConvertCsvTooLarge, &reason, start));
        }
        match self.source.get(field.stop) {
            Some(byte) if !field.is_quoted && Some(*byte) == self.quote => {
                Err(self.fault(Code::ConvertCsvQuote, "a quote in a field that does not begin with one", field.stop))
            }
            _ => Ok(field),
        }
    }

    /// The first delimiter, line end or `stop`, or the end of the source.
    #[inline]
    fn plain_end(&self, start: usize, stop: Option<u8>) -> usize {
        plain_end(self.source, start, self.delimiter, stop.unwrap_or(b'\n'))
    }

    /// Passes over the delimiter or line end at `at`.
    #[inline]
    fn pass_end(&mut self, at: usize) -> End {
        self.at = at + 1;
        match self.source.get(at) {
            None => {
                self.at = at;
                End::Text
            }
            Some(b'\r') => {
                self.at += usize::from(self.source.get(at + 1) == Some(&b'\n'));
                End::Record
            }
            Some(b'\n') => End::Record,
            Some(_) => End::Field,
        }
    }

    fn quoted(&mut self, open: usize, quote: u8) -> Result<Field, Fault> {
        let Some((stop, is_escaped)) = closing(self.source, open + 1, quote) else {
            return Err(self.fault(Code::ConvertCsvQuote, "the quote that opens here never closes", open));
        };
        match self.source.get(stop + 1) {
            None | Some(b'\n' | b'\r') => {}
            Some(byte) if *byte == self.delimiter => {}
            Some(_) => {
                let (line, _) = position(self.source, open);
                let reason = format!("text behind the quote that closes a field; it opened in line {line}");
                return Err(self.fault(Code::ConvertCsvQuote, &reason, stop + 1));
            }
        }
        Ok(Field { start: open + 1, stop, is_quoted: true, is_escaped, end: self.pass_end(stop + 1) })
    }

    /// A field's text, with every pair of quotes as one.
    pub(super) fn text(&self, field: Field) -> String {
        let bytes = &self.source[field.start..field.stop];
        let text = match self.quote {
            Some(quote) if field.is_escaped => unescaped(bytes, quote).into(),
            _ => Cow::Borrowed(bytes),
        };
        String::from_utf8_lossy(&text).into_owned()
    }

    #[cold]
    pub(super) fn fault(&self, code: Code, reason: &str, at: usize) -> Fault {
        fault(self.source, code, reason, at)
    }
}

#[inline]
fn plain_end(source: &[u8], start: usize, delimiter: u8, other: u8) -> usize {
    let stops = |word| equal(word, delimiter) | equal(word, b'\n') | equal(word, b'\r') | equal(word, other);
    find(source, start, source.len(), stops)
}

/// Where the quote is that closes a field, and whether there are quotes before it, each written twice.
fn closing(source: &[u8], start: usize, quote: u8) -> Option<(usize, bool)> {
    let (mut at, mut is_escaped) = (start, false);
    loop {
        at += memchr(quote, source.get(at..)?)?;
        if source.get(at + 1) != Some(&quote) {
            return Some((at, is_escaped));
        }
        is_escaped = true;
        at += 2;
    }
}

/// See [`super::Reader::record_length`]. Takes what [`Scanner`] refuses, so that one bad record does not hide the next.
pub(super) fn record_length(bytes: &[u8], dialect: &Dialect, all: bool) -> Option<usize> {
    let rest = all.then_some(bytes.len());
    let mut at = 0;
    loop {
        if let Some(quote) = dialect.quote
            && bytes.get(at) == Some(&quote)
        {
            match closing(bytes, at + 1, quote) {
                // The next byte may be another quote.
                Some((stop, _)) if stop + 1 < bytes.len() || all => at = stop + 1,
                _ => return rest,
            }
        }
        at = plain_end(bytes, at, dialect.delimiter, b'\n');
        match (bytes.get(at), bytes.get(at + 1)) {
            (None, _) => return rest,
            (Some(b'\n'), _) => return Some(at + 1),
            (Some(b'\r'), Some(b'\n')) => return Some(at + 2),
            (Some(b'\r'), None) if !all => return None,
            (Some(b'\r'), _) => return Some(at + 1),
            (Some(_), _) => at += 1,
        }
    }
}

/// A fault at its line, column and byte.
#[cold]
pub(super) fn fault(source: &[u8], code: Code, reason: &str, at: usize) -> Fault {
    let (line, column) = position(source, at);
    Fault::new(code, reason).at_line(line, column).at_offset(at)
}

/// Line and column, from 1, of a byte; CR LF, LF and CR end a line.
fn position(source: &[u8], at: usize) -> (u32, u32) {
    let before = source.get(..at).unwrap_or(source);
    let ends = |at: usize| match before[at] {
        b'\n' => true,
        b'\r' => source.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    let (mut line, mut start) = (1_u32, 0);
    for end in (0..before.len()).filter(|at| ends(*at)) {
        line = line.saturating_add(1);
        start = end + 1;
    }
    let characters = String::from_utf8_lossy(&before[start..]).trim_start_matches('\u{feff}').chars().count();
    (line, u32::try_from(characters).unwrap_or(u32::MAX).saturating_add(1))
}

/// The field's text with every pair of quotes as one.
pub(super) fn unescaped(text: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(quote, rest) {
        out.extend_from_slice(&rest[..=at]);
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}
