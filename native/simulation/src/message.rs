//! What clients send: each input has a mark that all of its outputs keep.

use bytes::Bytes;

use crate::story::Story;
use crate::timeline::DEDUPLICATED_MS;

/// One input of a simulation.
#[derive(Clone, Debug)]
pub struct Input {
    pub number: u32,
    /// Position in the catalogue.
    pub pipeline: usize,
    pub payload: Bytes,
    /// Whether somebody was told that it is accepted.
    pub accepted: bool,
    /// When it was sent for the first time, milliseconds since the simulation began.
    pub sent_ms: u64,
    /// Until when a repetition of it may have come in.
    pub repeated_ms: Option<u64>,
}

impl Input {
    /// Whether the stream may have forgotten the first when a repetition came.
    #[must_use]
    pub fn is_repeated_late(&self) -> bool {
        self.repeated_ms.is_some_and(|at| at > self.sent_ms + DEDUPLICATED_MS)
    }
}

/// `N12N`
#[must_use]
pub fn mark(number: u32) -> String {
    format!("N{number}N")
}

/// The number of the input that a payload comes from.
#[must_use]
pub fn number(payload: &[u8]) -> Option<u32> {
    let digits = |start: usize| {
        let rest = &payload[start + 1..];
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let text = std::str::from_utf8(&rest[..end]).ok()?;
        if rest[end] == b'N' { text.parse().ok() } else { None }
    };
    (0..payload.len()).filter(|at| payload[*at] == b'N').find_map(digits)
}

/// A header that says the same, for what is kept without its payload.
pub const MARK: &str = "X-Mark";

/// `X-Mark: N12N`
#[must_use]
pub fn mark_line(number: u32) -> String {
    format!("{MARK}: {}\r\n", mark(number))
}

/// A payload; now and then one that its steps or its receiver will not have.
#[must_use]
pub fn payload(story: &Story, number: u32, size: Option<usize>) -> Bytes {
    let items: Vec<String> = (0..story.random(1..7)).map(|_| story.random(0..60).to_string()).collect();
    let more = match story.random(0..60) {
        0 => ",\"bad\":true".to_owned(),
        1 => ",\"x\":\"poison\"".to_owned(),
        2 => ",\"x\":\"refused\"".to_owned(),
        3 => format!(",\"long\":\"{}\"", "x".repeat(20_000)),
        _ => String::new(),
    };
    let text = format!("{{\"n\":\"{}\",\"items\":[{}]{more}}}", mark(number), items.join(","));
    if let Some(size) = size {
        const PAD: &str = ",'pad':''";
        let pad = "y".repeat(size.saturating_sub(text.len() + PAD.len()));
        return Bytes::from(format!("{},\"pad\":\"{pad}\"}}", &text[..text.len() - 1]));
    }
    // Cut short, it is no JSON any more; its mark is still there.
    let length = if story.one_in(80) { text.len() - 1 } else { text.len() };
    Bytes::copy_from_slice(&text.as_bytes()[..length])
}

/// Headers of a message that a user's own program publishes: some of them are ours, and none of them counts.
#[must_use]
pub fn headers(story: &Story, number: u32, is_marked: bool) -> Vec<u8> {
    const ALL: [&str; 4] = [
        "",
        "X-Trace: 1\r\n",
        "Nats-Msg-Id: \r\n",
        "Vrsky-Id: zeta.00000000000000000000000000000000\r\nVrsky-Part: 0\r\nVrsky-Redrive: 3\r\n",
    ];
    let mut lines = (*story.pick(&ALL)).to_owned();
    if is_marked {
        lines = mark_line(number);
    }
    if lines.is_empty() { Vec::new() } else { format!("NATS/1.0\r\n{lines}\r\n").into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_tells_its_input() {
        assert_eq!(number(format!("{{\"Name\":\"{}\"}}", mark(12)).as_bytes()), Some(12));
        assert_eq!(number(b"NN N1 N"), None);
        assert_eq!(number(b"N"), None);
    }
}
