//! What the server sends, one frame at a time, as views into the read buffer.
//!
//! A message's line has one shape in practice, `MSG subject sid [reply] bytes` with single blanks;
//! `usual_line` reads it, with its end, in one pass. What it does not take goes to `any_line`, which allows
//! runs of blanks and tabs as the protocol does. Both refuse a number that does not fit.

use memchr::{memchr, memchr2};

use super::ProtocolError;

/// Caps on one frame. Nothing is allocated for a frame, but the reader must hold it whole.
#[derive(Clone, Copy, Debug)]
pub struct ParserLimits {
    /// A line other than INFO, bytes. Servers take lines of 4 KiB from publishers, and a message's
    /// line adds a subscription id and, from JetStream, a longer reply subject.
    pub line: usize,
    /// An INFO line, bytes; it lists the servers of a cluster.
    pub info: usize,
    /// Headers and payload of one message, bytes.
    pub payload: usize,
}

impl Default for ParserLimits {
    fn default() -> Self {
        // 64 MiB is the largest max_payload a server can be given.
        ParserLimits { line: 8 << 10, info: 1 << 20, payload: 64 << 20 }
    }
}

impl ParserLimits {
    /// For a line that begins with `first`.
    #[inline]
    fn of_line(&self, first: u8) -> usize {
        if first == b'I' { self.info } else { self.line }
    }
}

/// A message as it stands in the read buffer; valid until the next read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub subject: &'a [u8],
    pub sid: u64,
    /// Empty when there is none.
    pub reply: &'a [u8],
    /// The whole block, from `NATS/1.0` to the empty line; empty when there is none.
    pub headers: &'a [u8],
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The JSON text; see [`super::ServerInfo::parse`].
    Info(&'a [u8]),
    Message(Message<'a>),
    Ping,
    Pong,
    Ok,
    /// The text between the quotes; see [`super::ServerError::parse`].
    Err(&'a [u8]),
}

/// The first frame of `bytes` and its length, or `None` while it is not complete.
///
/// # Errors
/// When `bytes` cannot become a frame, whatever follows. Nothing after it can be read either.
#[inline]
pub fn parse<'a>(bytes: &'a [u8], limits: &ParserLimits) -> Result<Option<(Frame<'a>, usize)>, ProtocolError> {
    if let Some((line, after)) = usual_line(bytes, limits.line) {
        return message(bytes, &line, after, limits);
    }
    let Some(&first) = bytes.first() else { return Ok(None) };
    let Some(end) = memchr2(b'\r', b'\n', bytes) else { return unfinished(bytes, limits) };
    let line = &bytes[..end];
    match bytes.get(end..end + 2) {
        Some(b"\r\n") => {}
        None if bytes[end] == b'\r' => return unfinished(bytes, limits),
        _ => return Err(ProtocolError::LineEnd),
    }
    if end > limits.of_line(first) {
        return Err(ProtocolError::LineTooLong { limit: limits.of_line(first) });
    }
    let after = end + 2;
    match first {
        b'M' | b'H' => message(bytes, &any_line(line)?, after, limits),
        _ => Ok(Some((control(line)?, after))),
    }
}

/// A line whose end has not come yet: refused as soon as it cannot become one.
#[cold]
fn unfinished<'a>(bytes: &[u8], limits: &ParserLimits) -> Result<Option<(Frame<'a>, usize)>, ProtocolError> {
    const OPERATIONS: [&[u8]; 7] = [b"MSG ", b"HMSG ", b"INFO ", b"PING", b"PONG", b"+OK", b"-ERR"];
    let could_be = |operation: &&[u8]| bytes.iter().zip(*operation).all(|(have, want)| have == want);
    if !OPERATIONS.iter().any(could_be) {
        return Err(ProtocolError::UnknownOperation);
    }
    let limit = limits.of_line(bytes[0]);
    if bytes.len() > limit + 1 {
        return Err(ProtocolError::LineTooLong { limit });
    }
    Ok(None)
}

fn control(line: &[u8]) -> Result<Frame<'_>, ProtocolError> {
    match line.trim_ascii_end() {
        b"PING" => Ok(Frame::Ping),
        b"PONG" => Ok(Frame::Pong),
        b"+OK" => Ok(Frame::Ok),
        line => {
            if let Some(text) = line.strip_prefix(b"-ERR") {
                let text = text.trim_ascii();
                return Ok(Frame::Err(text.strip_prefix(b"'").and_then(|t| t.strip_suffix(b"'")).unwrap_or(text)));
            }
            line.strip_prefix(b"INFO ")
                .map(|json| Frame::Info(json.trim_ascii()))
                .ok_or(ProtocolError::UnknownOperation)
        }
    }
}

/// What a message's line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line<'a> {
    subject: &'a [u8],
    sid: u64,
    reply: &'a [u8],
    headers: usize,
    total: usize,
}

#[inline]
fn message<'a>(
    bytes: &'a [u8],
    line: &Line<'a>,
    start: usize,
    limits: &ParserLimits,
) -> Result<Option<(Frame<'a>, usize)>, ProtocolError> {
    if line.headers > line.total {
        return Err(ProtocolError::HeadersTooLong);
    }
    if line.total > limits.payload {
        return Err(ProtocolError::PayloadTooLarge { bytes: line.total, limit: limits.payload });
    }
    let end = start + line.total;
    let Some(tail) = bytes.get(end..end + 2) else { return Ok(None) };
    if tail != b"\r\n" {
        return Err(ProtocolError::PayloadEnd);
    }
    let (headers, payload) = bytes[start..end].split_at(line.headers);
    let message = Message { subject: line.subject, sid: line.sid, reply: line.reply, headers, payload };
    Ok(Some((Frame::Message(message), end + 2)))
}

/// `MSG subject sid [reply] total` or `HMSG subject sid [reply] headers total` with single blanks, and where the line
/// ends. `None` for anything else, and for a reply of digits.
#[inline]
fn usual_line(bytes: &[u8], most: usize) -> Option<(Line<'_>, usize)> {
    let (start, with_headers) = match bytes {
        [b'M', b'S', b'G', b' ', ..] => (4, false),
        [b'H', b'M', b'S', b'G', b' ', ..] => (5, true),
        _ => return None,
    };
    let (subject, at) = word(bytes, start)?;
    let (sid, at) = number(bytes, at)?;
    let mut at = blank(bytes, at)?;
    let mut reply = &b""[..];
    if !bytes.get(at)?.is_ascii_digit() {
        let window = &bytes[at..bytes.len().min(at + most)];
        reply = &window[..memchr(b' ', window)?];
        if reply.is_empty() || reply.iter().fold(false, |any, byte| any | (*byte < b' ')) {
            return None;
        }
        at += reply.len() + 1;
    }
    let mut headers = 0;
    if with_headers {
        let (length, end) = number(bytes, at)?;
        (headers, at) = (usize::try_from(length).ok()?, blank(bytes, end)?);
    }
    let (total, end) = number(bytes, at)?;
    let is_usual = bytes.get(end..end + 2)? == b"\r\n" && end <= most && !subject.is_empty();
    let line = Line { subject, sid, reply, headers, total: usize::try_from(total).ok()? };
    is_usual.then_some((line, end + 2))
}

/// What stands up to the next blank, and where something stands behind it.
#[inline]
fn word(bytes: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = &bytes[start..];
    let length = rest.iter().position(|byte| *byte <= b' ')?;
    let at = blank(bytes, start + length)?;
    Some((&rest[..length], at))
}

/// Behind the blank that has to stand at `at`.
#[inline]
fn blank(bytes: &[u8], at: usize) -> Option<usize> {
    (*bytes.get(at)? == b' ').then_some(at + 1)
}

/// The digits at `at`, of which there are one to 18, so that nothing overflows; and where they end.
#[inline]
fn number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let (mut number, mut end) = (0_u64, at);
    while let Some(byte) = bytes.get(end) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    (1..=18).contains(&(end - at)).then_some((number, end))
}

/// The same, with runs of blanks and tabs between the arguments. `line`: without its end.
#[cold]
fn any_line(line: &[u8]) -> Result<Line<'_>, ProtocolError> {
    let (arguments, with_headers) = if let Some(arguments) = line.strip_prefix(b"MSG ") {
        (arguments, false)
    } else if let Some(arguments) = line.strip_prefix(b"HMSG ") {
        (arguments, true)
    } else {
        return Err(ProtocolError::UnknownOperation);
    };
    any_arguments(arguments, with_headers).ok_or(ProtocolError::Arguments)
}

fn any_arguments(arguments: &[u8], with_headers: bool) -> Option<Line<'_>> {
    let mut words = arguments.split(|byte| *byte == b' ' || *byte == b'\t').filter(|word| !word.is_empty());
    let subject = words.next()?;
    let sid = whole_number(words.next()?)?;
    let mut rest = [&b""[..]; 3];
    let mut count = 0;
    for word in words {
        *rest.get_mut(count)? = word;
        count += 1;
    }
    let numbers = if with_headers { 2 } else { 1 };
    let replies = count.checked_sub(numbers).filter(|replies| *replies <= 1)?;
    let reply = if replies == 1 { rest[0] } else { b"" };
    let headers = if with_headers { whole_number(rest[replies])? } else { 0 };
    let total = whole_number(rest[count - 1])?;
    Some(Line { subject, sid, reply, headers: usize::try_from(headers).ok()?, total: usize::try_from(total).ok()? })
}

fn whole_number(digits: &[u8]) -> Option<u64> {
    number(digits, 0).filter(|(_, end)| *end == digits.len()).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, ProtocolError> {
        parse(bytes, &ParserLimits::default())
    }

    fn message(bytes: &[u8]) -> Message<'_> {
        match one(bytes) {
            Ok(Some((Frame::Message(message), used))) if used == bytes.len() => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_with_and_without_reply_and_headers() {
        let plain = message(b"MSG a.b 7 5\r\nhello\r\n");
        assert_eq!(plain, Message { subject: b"a.b", sid: 7, reply: b"", headers: b"", payload: b"hello" });
        let reply = message(b"MSG a.b 7 in.box 0\r\n\r\n");
        assert_eq!((reply.reply, reply.payload), (&b"in.box"[..], &b""[..]));
        let headers = message(b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
        assert_eq!((headers.headers, headers.payload, headers.reply), (&b"NATS/1.0\r\n\r\n"[..], &b"hi"[..], &b""[..]));
        let both = message(b"HMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
        assert_eq!((both.reply, both.payload), (&b"r"[..], &b"hi"[..]));
    }

    #[test]
    fn a_reply_of_digits_is_no_length() {
        assert_eq!(message(b"MSG a 1 42 2\r\nhi\r\n").reply, b"42");
        assert_eq!(message(b"HMSG a 1 42 12 14\r\nNATS/1.0\r\n\r\nhi\r\n").reply, b"42");
    }

    #[test]
    fn runs_of_blanks_and_tabs_separate_too() {
        let spaced = message(b"MSG   a \t 1  r\t2 \r\nhi\r\n");
        assert_eq!(spaced, Message { subject: b"a", sid: 1, reply: b"r", headers: b"", payload: b"hi" });
    }

    #[test]
    fn control_frames() {
        assert_eq!(one(b"PING\r\n"), Ok(Some((Frame::Ping, 6))));
        assert_eq!(one(b"PONG\r\nx"), Ok(Some((Frame::Pong, 6))));
        assert_eq!(one(b"+OK\r\n"), Ok(Some((Frame::Ok, 5))));
        assert_eq!(one(b"-ERR 'Slow Consumer'\r\n"), Ok(Some((Frame::Err(b"Slow Consumer"), 22))));
        assert_eq!(one(b"INFO {\"a\":1} \r\n"), Ok(Some((Frame::Info(b"{\"a\":1}"), 15))));
    }

    #[test]
    fn what_is_not_the_protocol_is_refused_with_its_reason() {
        use ProtocolError as E;
        let cases: [(&[u8], E); 19] = [
            (b"HTTP/1.1 400 Bad Request\r\n", E::UnknownOperation),
            (b"X", E::UnknownOperation),
            (b"MSX", E::UnknownOperation),
            (b"\r\n", E::UnknownOperation),
            (b"PINGS\r\n", E::UnknownOperation),
            (b"PING\n", E::LineEnd),
            (b"MSG a 1\r2\r\n", E::LineEnd),
            (b"MSG a 1\r\n", E::Arguments),
            (b"MSG a 1 r x 2\r\nhi\r\n", E::Arguments),
            (b"MSG a 1 -2\r\nhi\r\n", E::Arguments),
            (b"MSG a 1 2x\r\nhi\r\n", E::Arguments),
            (b"MSG a x 2\r\nhi\r\n", E::Arguments),
            (b"MSG a 1 18446744073709551617\r\n", E::Arguments),
            (b"HMSG a 1 12\r\nNATS/1.0\r\n\r\n\r\n", E::Arguments),
            (b"HMSG a 1 13 12\r\nNATS/1.0\r\n\r\n\r\n", E::HeadersTooLong),
            (b"MSG a 1 2\r\nhello\r\n", E::PayloadEnd),
            (b"MSG a 1 99999999999\r\n", E::PayloadTooLarge { bytes: 99_999_999_999, limit: 64 << 20 }),
            (&[b'M'; 3], E::UnknownOperation),
            (b"MSG \r\n", E::Arguments),
        ];
        for (bytes, error) in cases {
            assert_eq!(one(bytes), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn lines_are_capped_before_and_after_their_end_is_seen() {
        let limits = ParserLimits { line: 16, info: 32, payload: 8 };
        let long = b"MSG aaaaaaaaaaaaaaaaaaaaa 1 2\r\nhi\r\n";
        for length in 18..=long.len() {
            assert_eq!(parse(&long[..length], &limits), Err(ProtocolError::LineTooLong { limit: 16 }), "{length}");
        }
        assert!(matches!(parse(b"INFO {\"aaaaaaaaaaaaaaaa\":1}\r\n", &limits), Ok(Some(_))));
        let long_info = [b"INFO ".as_slice(), &[b'x'; 40]].concat();
        assert_eq!(parse(&long_info, &limits), Err(ProtocolError::LineTooLong { limit: 32 }));
    }

    proptest! {
        #[test]
        fn both_readings_of_a_line_agree(
            operation in "H?MSG", arguments in "[a-z>]{0,3}( [0-9a-z]{0,3}){0,5}", end in "(\\r\\n)?[0-9 ]{0,3}"
        ) {
            let line = format!("{operation} {arguments}");
            let bytes = format!("{line}{end}");
            if let Some((usual, after)) = usual_line(bytes.as_bytes(), 64) {
                prop_assert_eq!(after, line.len() + 2);
                prop_assert_eq!(Ok(usual), any_line(line.as_bytes()));
            }
        }
    }
}
