//! What a client sends, one operation at a time, as views into the connection's input.
//!
//! ```text
//! bytes ─► line ─► CONNECT · PING · PONG · SUB · UNSUB
//!              └─► PUB, HPUB ─► payload, CR LF
//! ```

/// One operation. Subjects are text; bytes that are none become replacement characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// The JSON text.
    Connect(&'a [u8]),
    Ping,
    Pong,
    Subscribe {
        subject: String,
        queue: Option<String>,
        sid: String,
    },
    /// `max`: messages in all, or none for at once.
    Unsubscribe {
        sid: String,
        max: Option<u64>,
    },
    Publish(Publish<'a>),
    /// What a client has no reason to send.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    pub subject: String,
    /// Empty when no answer is wanted.
    pub reply: String,
    /// The whole block, from `NATS/1.0` to the empty line.
    pub headers: &'a [u8],
    pub payload: &'a [u8],
}

/// Why the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    UnknownOperation,
    ControlLine,
    MaxPayload,
    /// Arguments that cannot be read. The server closes without a word.
    Arguments,
}

impl ParseError {
    /// The text of `-ERR`, if there is one.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        match self {
            ParseError::UnknownOperation => Some("Unknown Protocol Operation"),
            ParseError::ControlLine => Some("maximum control line exceeded"),
            ParseError::MaxPayload => Some("Maximum Payload Violation"),
            ParseError::Arguments => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub line: usize,
    pub payload: usize,
}

/// The first operation of `bytes` and its length; `None` while it is not complete.
///
/// # Errors
/// When it cannot become an operation, or is larger than `limits`.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Option<(Operation<'_>, usize)>, ParseError> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() > limits.line { Err(ParseError::ControlLine) } else { unfinished(bytes) };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let (name, arguments) = split_name(line);
    if line.len() > limits.line && !name.eq_ignore_ascii_case(b"CONNECT") {
        return Err(ParseError::ControlLine);
    }
    let words: Vec<&[u8]> =
        arguments.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
    let operation = match name.to_ascii_uppercase().as_slice() {
        b"PUB" => return publish(bytes, &words, false, end + 1, limits),
        b"HPUB" => return publish(bytes, &words, true, end + 1, limits),
        b"SUB" => subscribe(&words)?,
        b"UNSUB" => unsubscribe(&words)?,
        b"CONNECT" => Operation::Connect(arguments),
        b"PING" => Operation::Ping,
        b"PONG" => Operation::Pong,
        b"+OK" | b"-ERR" => Operation::Nothing,
        _ => return Err(ParseError::UnknownOperation),
    };
    Ok(Some((operation, end + 1)))
}

/// A line without its end: refused as soon as it cannot become an operation.
fn unfinished(bytes: &[u8]) -> Result<Option<(Operation<'_>, usize)>, ParseError> {
    const NAMES: [&[u8]; 9] = [b"PUB", b"HPUB", b"SUB", b"UNSUB", b"CONNECT", b"PING", b"PONG", b"+OK", b"-ERR"];
    let (name, _) = split_name(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    let name = name.to_ascii_uppercase();
    if NAMES.iter().any(|known| known.starts_with(&name)) { Ok(None) } else { Err(ParseError::UnknownOperation) }
}

fn split_name(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    (&line[..end], line[end..].trim_ascii())
}

fn publish<'a>(
    bytes: &'a [u8],
    words: &[&[u8]],
    with_headers: bool,
    start: usize,
    limits: Limits,
) -> Result<Option<(Operation<'a>, usize)>, ParseError> {
    let (words, total) = number(words)?;
    let (words, headers) = if with_headers { number(words)? } else { (words, 0) };
    let (subject, reply) = match words {
        [subject] => (text(subject), String::new()),
        [subject, reply] => (text(subject), text(reply)),
        _ => return Err(ParseError::Arguments),
    };
    if headers > total {
        return Err(ParseError::Arguments);
    }
    if total > limits.payload {
        return Err(ParseError::MaxPayload);
    }
    let end = start + total;
    let Some(tail) = bytes.get(end..end + 2) else { return Ok(None) };
    if tail != b"\r\n" {
        return Err(ParseError::UnknownOperation);
    }
    let (headers, payload) = bytes[start..end].split_at(headers);
    Ok(Some((Operation::Publish(Publish { subject, reply, headers, payload }), end + 2)))
}

/// Takes the last word, which is a number.
fn number<'a, 'b>(words: &'b [&'a [u8]]) -> Result<(&'b [&'a [u8]], usize), ParseError> {
    let (last, words) = words.split_last().ok_or(ParseError::Arguments)?;
    let digits = std::str::from_utf8(last).map_err(|_| ParseError::Arguments)?;
    Ok((words, digits.parse().map_err(|_| ParseError::Arguments)?))
}

fn subscribe(words: &[&[u8]]) -> Result<Operation<'static>, ParseError> {
    match words {
        [subject, sid] => Ok(Operation::Subscribe { subject: text(subject), queue: None, sid: text(sid) }),
        [subject, queue, sid] => {
            Ok(Operation::Subscribe { subject: text(subject), queue: Some(text(queue)), sid: text(sid) })
        }
        _ => Err(ParseError::Arguments),
    }
}

fn unsubscribe(words: &[&[u8]]) -> Result<Operation<'static>, ParseError> {
    match words {
        [sid] => Ok(Operation::Unsubscribe { sid: text(sid), max: None }),
        [sid, max] => Ok(Operation::Unsubscribe { sid: text(sid), max: text(max).parse().ok() }),
        _ => Err(ParseError::Arguments),
    }
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { line: 100, payload: 10 };

    fn parsed(bytes: &[u8]) -> Result<Option<(Operation<'_>, usize)>, ParseError> {
        parse(bytes, LIMITS)
    }

    #[test]
    fn an_operation_is_read_when_it_is_complete() {
        let whole = b"HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n";
        let limits = Limits { line: 100, payload: 14 };
        for cut in 0..32 {
            assert_eq!(parse(&whole[..cut], limits).unwrap(), None, "{cut}");
        }
        let (operation, used) = parse(whole, limits).unwrap().unwrap();
        let (subject, reply) = ("a".to_owned(), "r".to_owned());
        let headers = b"NATS/1.0\r\n\r\n";
        assert_eq!(operation, Operation::Publish(Publish { subject, reply, headers, payload: b"hi" }));
        assert_eq!(parsed(&whole[used..]), Ok(Some((Operation::Ping, 6))));
    }

    #[test]
    fn subscriptions_are_read() {
        let subscribe = Operation::Subscribe { subject: "a".into(), queue: Some("q".into()), sid: "7".into() };
        assert_eq!(parsed(b"sub a  q\t7\n"), Ok(Some((subscribe, 11))));
        assert_eq!(parsed(b"UNSUB 7 2\r\n"), Ok(Some((Operation::Unsubscribe { sid: "7".into(), max: Some(2) }, 11))));
    }

    #[test]
    fn what_cannot_be_read_closes() {
        assert_eq!(parsed(b"PUB a 11\r\n"), Err(ParseError::MaxPayload));
        assert_eq!(parsed(b"FOO"), Err(ParseError::UnknownOperation));
        assert_eq!(parsed(b"\r\n"), Err(ParseError::UnknownOperation));
        assert_eq!(parsed(b"PUB a 1\r\nxyz"), Err(ParseError::UnknownOperation));
        assert_eq!(parsed(b"PUB a\r\n"), Err(ParseError::Arguments));
        assert_eq!(parsed(&[b"PUB "[..].to_vec(), vec![b'a'; 120]].concat()), Err(ParseError::ControlLine));
    }
}
