//! One message as one line.
//!
//! | Content-Type | the line |
//! |---|---|
//! | `application/json`, `*/*+json` | the JSON without blanks between its tokens; what is no JSON is refused |
//! | `text/*`, `application/xml`, `*/*+xml` | the text as a JSON string |
//! | none, or any other | as JSON if it is JSON, else as a JSON string |
//!
//! Bytes that are not UTF-8 have no line: `convert/not-representable`.

use message::{Code, Fault};

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Appends the payload's line, with its line end; appends nothing when it is refused.
pub(crate) fn put_line(payload: &[u8], content_type: &str, into: &mut Vec<u8>) -> Result<(), Fault> {
    let start = into.len();
    let kind = kind(content_type);
    if kind != Kind::Text {
        if compact(payload, into) == Shape::Complete {
            into.push(b'\n');
            return Ok(());
        }
        into.truncate(start);
        if kind == Kind::Json {
            return Err(Fault::new(Code::JsonSyntax, "the payload is not the JSON that its Content-Type says"));
        }
    }
    let text = std::str::from_utf8(payload).map_err(|error| {
        Fault::new(Code::ConvertNotRepresentable, "the payload is not UTF-8, so it has no line")
            .at_offset(error.valid_up_to())
    })?;
    // Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(&mut *into, text);
    into.push(b'\n');
    Ok(())
}

/// Appends the payload without the blanks between its tokens when it is JSON; a text is none, whatever it holds.
/// Otherwise appends nothing, and gives `false`.
pub(crate) fn put_json(payload: &[u8], content_type: &str, into: &mut Vec<u8>) -> bool {
    let start = into.len();
    let is_json = kind(content_type) != Kind::Text && compact(payload, into) == Shape::Complete;
    if !is_json {
        into.truncate(start);
    }
    is_json
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Text,
    Unknown,
}

fn kind(content_type: &str) -> Kind {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media == "application/json" || media.ends_with("+json") {
        Kind::Json
    } else if media.starts_with("text/") || media == "application/xml" || media.ends_with("+xml") {
        Kind::Text
    } else {
        Kind::Unknown
    }
}

/// What a text is, as far as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One JSON value (RFC 8259).
    Complete,
    /// Not yet, but some continuation would make it one.
    Prefix,
    /// No continuation would.
    Foreign,
}

/// Appends the text without the blanks between its tokens. What is appended is of use only when
/// the text is `Complete`; a byte order mark is no part of it. Does not recurse.
pub(crate) fn compact(text: &[u8], into: &mut Vec<u8>) -> Shape {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let (valid, cut) = match std::str::from_utf8(text) {
        Ok(_) => (text, false),
        // A character cut off at the end may still become one.
        Err(error) if error.error_len().is_none() => (&text[..error.valid_up_to()], true),
        Err(_) => return Shape::Foreign,
    };
    let mut scanner = Scanner { text: valid, at: 0, expects: Expects::Value, open: Vec::new() };
    loop {
        match scanner.token(into) {
            Step::Token => {}
            // Characters beyond ASCII stand in strings only.
            Step::End if scanner.expects == Expects::End => return if cut { Shape::Foreign } else { Shape::Complete },
            Step::End => return if cut { Shape::Foreign } else { Shape::Prefix },
            Step::Cut => return Shape::Prefix,
            Step::Wrong => return Shape::Foreign,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Value,
    ValueOrClose,
    KeyOrClose,
    Key,
    Colon,
    CommaOrClose,
    End,
}

enum Step {
    Token,
    /// No more tokens.
    End,
    /// The text ends within a token.
    Cut,
    Wrong,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    expects: Expects,
    /// The brackets that are open.
    open: Vec<u8>,
}

impl Scanner<'_> {
    fn token(&mut self, into: &mut Vec<u8>) -> Step {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let Some(&byte) = self.text.get(self.at) else { return Step::End };
        let length = match (self.expects, byte) {
            (Expects::Value | Expects::ValueOrClose, b'{' | b'[') => self.enter(byte),
            (Expects::ValueOrClose | Expects::CommaOrClose, b']')
            | (Expects::KeyOrClose | Expects::CommaOrClose, b'}') => self.leave(byte),
            (Expects::Key | Expects::KeyOrClose, b'"') => self.then(Expects::Colon, string(self.rest())),
            (Expects::Colon, b':') => self.then(Expects::Value, Length::Bytes(1)),
            (Expects::CommaOrClose, b',') => {
                let next = if self.open.last() == Some(&b'{') { Expects::Key } else { Expects::Value };
                self.then(next, Length::Bytes(1))
            }
            (Expects::Value | Expects::ValueOrClose, _) => {
                let scalar = scalar(self.rest(), byte);
                self.then(self.after_value(), scalar)
            }
            _ => Length::Wrong,
        };
        match length {
            Length::Bytes(length) => {
                into.extend_from_slice(&self.text[self.at..self.at + length]);
                self.at += length;
                Step::Token
            }
            Length::Cut => Step::Cut,
            Length::Wrong => Step::Wrong,
        }
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    fn then(&mut self, next: Expects, length: Length) -> Length {
        self.expects = next;
        length
    }

    fn enter(&mut self, bracket: u8) -> Length {
        self.open.push(bracket);
        self.then(if bracket == b'{' { Expects::KeyOrClose } else { Expects::ValueOrClose }, Length::Bytes(1))
    }

    fn leave(&mut self, bracket: u8) -> Length {
        // `{` and `}`, `[` and `]` are two apart.
        if self.open.pop().is_none_or(|open| open + 2 != bracket) {
            return Length::Wrong;
        }
        self.then(self.after_value(), Length::Bytes(1))
    }

    fn after_value(&self) -> Expects {
        if self.open.is_empty() { Expects::End } else { Expects::CommaOrClose }
    }
}

enum Length {
    Bytes(usize),
    Cut,
    Wrong,
}

fn scalar(rest: &[u8], first: u8) -> Length {
    match first {
        b'"' => string(rest),
        b't' => literal(rest, b"true"),
        b'f' => literal(rest, b"false"),
        b'n' => literal(rest, b"null"),
        b'-' | b'0'..=b'9' => number(rest),
        _ => Length::Wrong,
    }
}

fn literal(rest: &[u8], word: &[u8]) -> Length {
    match rest.get(..word.len()) {
        Some(start) if start == word => Length::Bytes(word.len()),
        None if word.starts_with(rest) => Length::Cut,
        _ => Length::Wrong,
    }
}

fn string(rest: &[u8]) -> Length {
    let mut at = 1;
    loop {
        match rest.get(at) {
            None => return Length::Cut,
            Some(b'"') => return Length::Bytes(at + 1),
            Some(0..=0x1f) => return Length::Wrong,
            Some(b'\\') => match escape(&rest[at + 1..]) {
                Length::Bytes(length) => at += 1 + length,
                other => return other,
            },
            Some(_) => at += 1,
        }
    }
}

/// What follows the backslash.
fn escape(rest: &[u8]) -> Length {
    match rest.first() {
        None => Length::Cut,
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Length::Bytes(1),
        Some(b'u') => {
            let digits = rest[1..].iter().take(4).take_while(|b| b.is_ascii_hexdigit()).count();
            match (digits, rest.len()) {
                (4, _) => Length::Bytes(5),
                (_, length) if length == digits + 1 => Length::Cut,
                _ => Length::Wrong,
            }
        }
        Some(_) => Length::Wrong,
    }
}

/// `-`, whole part without leading zero, fraction, exponent: each wants its digits.
fn number(rest: &[u8]) -> Length {
    let mut at = usize::from(rest[0] == b'-');
    let digits = |at: usize| rest[at.min(rest.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let missing = |at: usize| if at >= rest.len() { Length::Cut } else { Length::Wrong };
    match digits(at) {
        0 => return missing(at),
        _ if rest[at] == b'0' => at += 1,
        whole => at += whole,
    }
    if rest.get(at) == Some(&b'.') {
        at += 1;
        match digits(at) {
            0 => return missing(at),
            fraction => at += fraction,
        }
    }
    if matches!(rest.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(rest.get(at), Some(b'+' | b'-')));
        match digits(at) {
            0 => return missing(at),
            exponent => at += exponent,
        }
    }
    Length::Bytes(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(payload: &[u8], content_type: &str) -> Result<String, Fault> {
        let mut into = b"before\n".to_vec();
        let result = put_line(payload, content_type, &mut into);
        let text = String::from_utf8(into).unwrap().strip_prefix("before\n").unwrap().to_owned();
        assert_eq!(result.is_err(), text.is_empty());
        result.map(|()| text)
    }

    #[test]
    fn the_content_type_decides_what_a_line_is() {
        for (payload, content_type, expected) in [
            ("{\n  \"a\": [1,\r\n 2.50]\n}\n", "application/json", "{\"a\":[1,2.50]}\n"),
            ("{\"a\":\" x \\n\"}", "application/vnd.acme+json; charset=utf-8", "{\"a\":\" x \\n\"}\n"),
            ("\u{feff}{\"a\": 1}", "application/json", "{\"a\":1}\n"),
            ("\u{feff}[1]", "", "[1]\n"),
            ("<a>\n</a>", "application/xml", "\"<a>\\n</a>\"\n"),
            ("123", "text/plain", "\"123\"\n"),
            ("123", "", "123\n"),
            ("12 3", "", "\"12 3\"\n"),
            ("{\"a\":", "application/octet-stream", "\"{\\\"a\\\":\"\n"),
            ("", "", "\"\"\n"),
        ] {
            assert_eq!(line(payload.as_bytes(), content_type).unwrap(), expected);
        }
        assert_eq!(line(b"{", "application/json").unwrap_err().code(), Code::JsonSyntax);
        assert_eq!(line(b"a\xff", "").unwrap_err().code(), Code::ConvertNotRepresentable);
        assert_eq!(line(b"\"\xff\"", "application/json").unwrap_err().code(), Code::JsonSyntax);
    }

    #[test]
    fn deep_nesting_is_no_recursion() {
        let deep = [vec![b'['; 500_000], vec![b']'; 500_000]].concat();
        assert_eq!(compact(&deep, &mut Vec::new()), Shape::Complete);
    }

    #[test]
    fn shapes_are_told_apart() {
        for foreign in [
            "<a", "[}", "{1", "{\"a\",", "01", "1.x", "tru ", "[1 2", "1 2", "{} x", "\"\n", "\"\\x", "\"\\u12g",
            "nul\"", "]", ",", "--",
        ] {
            assert_eq!(compact(foreign.as_bytes(), &mut Vec::new()), Shape::Foreign, "{foreign}");
        }
        for prefix in ["", " ", "{", "[1,", "{\"a\"", "\"\\", "\"\\u12", "-", "1.", "1e", "1e+", "fal", "[tr"] {
            assert_eq!(compact(prefix.as_bytes(), &mut Vec::new()), Shape::Prefix, "{prefix}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::hash_map(".{0,4}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn pretty_json_becomes_the_same_json_in_one_line(value in json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let mut into = Vec::new();
            prop_assert_eq!(compact(pretty.as_bytes(), &mut into), Shape::Complete);
            prop_assert_eq!(&into, &serde_json::to_vec(&value).unwrap());
        }

        #[test]
        fn every_start_of_a_json_text_is_a_prefix_or_a_scalar(value in json(), part in 0.0f64..1.0) {
            let text = serde_json::to_vec(&value).unwrap();
            let cut = (text.len() as f64 * part) as usize;
            let shape = compact(&text[..cut], &mut Vec::new());
            prop_assert!(shape != Shape::Foreign, "{:?}", String::from_utf8_lossy(&text[..cut]));
        }

        #[test]
        fn any_text_is_complete_exactly_when_it_is_json(text in "[\\[\\]{}:,\" \\\\0-9eE.+tfnrualse-]{0,12}") {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(compact(text.as_bytes(), &mut Vec::new()) == Shape::Complete, is_json, "{}", text);
        }

        #[test]
        fn no_bytes_panic_and_a_line_is_one_line(payload in proptest::collection::vec(any::<u8>(), 0..64), content_type in prop_oneof![Just(""), Just("application/json"), Just("text/xml")]) {
            let mut into = Vec::new();
            if put_line(&payload, content_type, &mut into).is_ok() {
                prop_assert_eq!(into.iter().filter(|b| **b == b'\n').count(), 1);
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&into).is_ok());
            }
        }
    }
}
