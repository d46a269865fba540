//! The one path grammar of the pipeline file: CEL's select syntax, other names by index.
//!
//! `order.items[0].price`, `order["@id"]`, `["odd root"].x`

use std::fmt;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    Key(Box<str>),
    Index(u32),
}

/// A parsed path. Starts at the document's root, whose fields are the first segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Box<[Segment]>,
}

/// Where and why a path does not parse. `offset` counts bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    pub offset: usize,
    pub reason: &'static str,
}

const MAX_SEGMENTS: usize = 64;

impl Path {
    pub fn parse(text: &str) -> Result<Path, PathError> {
        let mut parser = Parser { text, at: 0 };
        let mut segments = Vec::new();
        loop {
            segments.push(parser.segment(segments.is_empty())?);
            if segments.len() > MAX_SEGMENTS {
                return Err(parser.error("has more than 64 parts"));
            }
            if parser.at == text.len() {
                return Ok(Path { segments: segments.into() });
            }
        }
    }

    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl From<Vec<Segment>> for Path {
    fn from(segments: Vec<Segment>) -> Path {
        Path { segments: segments.into() }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn error(&self, reason: &'static str) -> PathError {
        PathError { offset: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn segment(&mut self, first: bool) -> Result<Segment, PathError> {
        match self.peek() {
            Some(b'[') => self.bracket(),
            Some(b'.') if !first => {
                self.at += 1;
                self.identifier()
            }
            _ if first => self.identifier(),
            _ => Err(self.error("expects `.` or `[` here")),
        }
    }

    fn identifier(&mut self) -> Result<Segment, PathError> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        if length == 0 || rest[0].is_ascii_digit() {
            return Err(self.error("expects a name here; write other names as [\"name\"]"));
        }
        let name = &self.text[self.at..self.at + length];
        self.at += length;
        Ok(Segment::Key(name.into()))
    }

    fn bracket(&mut self) -> Result<Segment, PathError> {
        self.at += 1;
        let segment = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote)?,
            Some(b'0'..=b'9') => self.index()?,
            _ => return Err(self.error("expects a quoted name or a number after `[`")),
        };
        if self.peek() != Some(b']') {
            return Err(self.error("expects `]` here"));
        }
        self.at += 1;
        Ok(segment)
    }

    fn index(&mut self) -> Result<Segment, PathError> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let index = rest[..length].parse().map_err(|_| self.error("has an index that is too large"))?;
        self.at += length;
        Ok(Segment::Index(index))
    }

    fn quoted(&mut self, quote: u8) -> Result<Segment, PathError> {
        self.at += 1;
        let mut name = String::new();
        loop {
            let rest = &self.text[self.at..];
            let mut chars = rest.chars();
            match chars.next() {
                None => return Err(self.error("has a quoted name without its end")),
                Some(c) if c == char::from(quote) => {
                    self.at += 1;
                    return Ok(Segment::Key(name.into()));
                }
                Some('\\') => match chars.next() {
                    Some(c @ ('\\' | '"' | '\'')) => {
                        name.push(c);
                        self.at += 2;
                    }
                    _ => return Err(self.error("may escape only quotes and backslashes")),
                },
                Some(c) => {
                    name.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Key(name) if is_identifier(name) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(name)?;
                }
                Segment::Key(name) => {
                    write!(f, "[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\""))?;
                }
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.reason, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_follow_cel_select_syntax() {
        for good in
            ["order", "order.total", "order.items[0].price", "order[\"@id\"]", "[\"odd root\"].x", "a[\"q\\\"\"]"]
        {
            let path = Path::parse(good).unwrap();
            assert_eq!(Path::parse(&path.to_string()).unwrap(), path, "{good}");
        }
    }

    #[test]
    fn a_bad_path_names_the_byte() {
        for (bad, offset) in [
            ("", 0),
            ("a..b", 2),
            ("a.", 2),
            ("a[", 2),
            ("a[x]", 2),
            ("a[\"b", 4),
            ("a b", 1),
            ("1a", 0),
            ("a[99999999999]", 2),
        ] {
            assert_eq!(Path::parse(bad).unwrap_err().offset, offset, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_names_survive_display_and_parse(names in proptest::collection::vec(".{0,8}", 1..6)) {
            let path = Path { segments: names.iter().map(|n| Segment::Key(n.as_str().into())).collect() };
            prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = Path::parse(&text);
        }
    }
}
