//! What comes before the first markup: the byte order mark and the XML declaration. They settle the
//! encoding, so they are read before the bytes are taken for UTF-8.

use message::{Code, Fault};

use super::characters::spaces_end;

/// What most writers write.
const USUAL: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

/// What the start of a document says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Prolog {
    /// Where the markup starts.
    pub(super) end: usize,
    /// The declared encoding is US-ASCII.
    pub(super) ascii: bool,
}

pub(super) fn read(source: &[u8]) -> Result<Prolog, Fault> {
    if source.starts_with(USUAL) {
        return Ok(Prolog { end: USUAL.len(), ascii: false });
    }
    if let Some(name) = foreign_encoding(source) {
        return Err(fault(Code::XmlEncoding, format!("the document is in {name}, not UTF-8"), 0));
    }
    let start = if source.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut declaration = Declaration { source, at: start };
    if !source[start..].starts_with(b"<?xml") || declaration.is_other_target(start + 5) {
        return Ok(Prolog { end: start, ascii: false });
    }
    declaration.at += 5;
    declaration.read()
}

/// The name of an encoding that shows in the first bytes (XML 1.0, appendix F).
fn foreign_encoding(source: &[u8]) -> Option<&'static str> {
    let starts = |bytes: &[u8]| source.starts_with(bytes);
    if starts(b"\x00\x00\xFE\xFF")
        || starts(b"\xFF\xFE\x00\x00")
        || starts(b"\x00\x00\x00<")
        || starts(b"<\x00\x00\x00")
    {
        return Some("UTF-32");
    }
    if starts(b"\xFE\xFF") || starts(b"\xFF\xFE") || starts(b"\x00<") || starts(b"<\x00") {
        return Some("UTF-16");
    }
    starts(b"\x4C\x6F\xA7\x94").then_some("EBCDIC")
}

/// `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`; ASCII only.
struct Declaration<'s> {
    source: &'s [u8],
    at: usize,
}

impl<'s> Declaration<'s> {
    /// `<?xml-stylesheet ...?>` is an instruction, not a declaration.
    fn is_other_target(&self, at: usize) -> bool {
        self.source.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(byte) || *byte >= 0x80)
    }

    fn read(mut self) -> Result<Prolog, Fault> {
        self.attribute("version")?.ok_or_else(|| self.broken())?;
        let mut ascii = false;
        if let Some((value, at)) = self.attribute("encoding")? {
            ascii = check_encoding(value, at)?;
        }
        if let Some((value, at)) = self.attribute("standalone")?
            && value != b"yes"
            && value != b"no"
        {
            return Err(fault(Code::XmlNotWellFormed, "standalone is `yes` or `no`", at));
        }
        self.at = spaces_end(self.source, self.at);
        if !self.source[self.at..].starts_with(b"?>") {
            return Err(self.broken());
        }
        Ok(Prolog { end: self.at + 2, ascii })
    }

    /// The value of the attribute `name` and its offset, when it comes next.
    fn attribute(&mut self, name: &str) -> Result<Option<(&'s [u8], usize)>, Fault> {
        let start = spaces_end(self.source, self.at);
        if start == self.at || !self.source[start..].starts_with(name.as_bytes()) {
            return Ok(None);
        }
        self.at = start + name.len();
        self.at = spaces_end(self.source, self.at);
        self.expect(|byte| byte == b'=')?;
        self.at = spaces_end(self.source, self.at);
        let quote = self.expect(|byte| byte == b'"' || byte == b'\'')?;
        let start = self.at;
        while self.expect(|byte| byte == quote || byte.is_ascii_alphanumeric() || b"._-".contains(&byte))? != quote {}
        Ok(Some((&self.source[start..self.at - 1], start)))
    }

    fn expect(&mut self, fits: impl Fn(u8) -> bool) -> Result<u8, Fault> {
        match self.source.get(self.at) {
            Some(byte) if fits(*byte) => {
                self.at += 1;
                Ok(*byte)
            }
            _ => Err(self.broken()),
        }
    }

    fn broken(&self) -> Fault {
        fault(Code::XmlNotWellFormed, "the XML declaration is broken", self.at)
    }
}

/// Gives whether it is US-ASCII.
fn check_encoding(name: &[u8], at: usize) -> Result<bool, Fault> {
    if !name.first().is_some_and(u8::is_ascii_alphabetic) {
        return Err(fault(Code::XmlNotWellFormed, "the name of an encoding starts with a letter", at));
    }
    let ascii = name.eq_ignore_ascii_case(b"US-ASCII");
    if ascii || name.eq_ignore_ascii_case(b"UTF-8") {
        return Ok(ascii);
    }
    let shown = String::from_utf8_lossy(&name[..name.len().min(40)]);
    Err(fault(Code::XmlEncoding, format!("the document declares {shown}, not UTF-8"), at))
}

fn fault(code: Code, reason: impl Into<String>, offset: usize) -> Fault {
    Fault::new(code, reason).at_offset(offset)
}
