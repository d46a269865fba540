//! What comes before the first markup: the byte order mark and the XML declaration. They settle the
//! encoding, so they are read before the bytes are taken for UTF-8. Documents that are not are left to `foreign`.

use message::{Charset, Code, Fault};

use super::characters::spaces_end;

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// What most writers write.
const USUAL: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

/// What the start of a document says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Prolog {
    /// Where the markup starts.
    pub(super) end: usize,
    /// Bytes above 0x7F are not of the document's charset.
    pub(super) ascii: bool,
    /// The document cannot be read as it came.
    pub(super) foreign: Option<Foreign>,
}

/// A document that has to become another text first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// Of UTF-16, with its byte order. UTF-8 where only the XML declaration names another charset.
    pub(super) charset: Charset,
    /// Only the first bytes say that it is UTF-16, so the declaration has to say it too.
    pub(super) needs_declaration: bool,
}

/// `stated` is the charset that came with the document, such as that of its Content-Type. By RFC 7303, section 3, a
/// byte order mark wins over it, and both over the XML declaration.
pub(super) fn read(source: &[u8], stated: Option<&str>) -> Result<Prolog, Fault> {
    if source.starts_with(USUAL) && stated.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8")) {
        return Ok(Prolog { end: USUAL.len(), ..Prolog::default() });
    }
    let foreign = |charset, needs_declaration| {
        Ok(Prolog { foreign: Some(Foreign { charset, needs_declaration }), ..Prolog::default() })
    };
    let known = match by_mark(source)? {
        None => stated.map(|charset| by_statement(source, charset)).transpose()?,
        marked => marked,
    };
    if known.is_none()
        && let Some(charset) = by_first_bytes(source)?
    {
        return foreign(charset, true);
    }
    if let Some(charset) = known.filter(|charset| !charset.is_utf8()) {
        return foreign(charset, false);
    }
    let Declared { end, encoding } = declaration(source)?;
    let declared = match encoding {
        None => Some(Charset::Utf8),
        Some((name, _)) => named(name),
    };
    let charset = match (known, encoding) {
        (Some(known), _) => known,
        (None, None) => Charset::Utf8,
        (None, Some((name, at))) => by_declaration(declared, name, at)?,
    };
    let says_another = declared != Some(Charset::Utf8) && declared != Some(charset);
    if says_another || !charset.is_utf8() {
        return foreign(charset, false);
    }
    Ok(Prolog { end, ascii: charset == Charset::Ascii, foreign: None })
}

/// The charset of a byte order mark.
fn by_mark(source: &[u8]) -> Result<Option<Charset>, Fault> {
    let starts = |bytes: &[u8]| source.starts_with(bytes);
    match () {
        () if starts(MARK) => Ok(Some(Charset::Utf8)),
        () if starts(b"\x00\x00\xFE\xFF") || starts(b"\xFF\xFE\x00\x00") => Err(unread("the document is in UTF-32", 0)),
        () if starts(b"\xFE\xFF") => Ok(Some(Charset::Utf16Be)),
        () if starts(b"\xFF\xFE") => Ok(Some(Charset::Utf16Le)),
        () => Ok(None),
    }
}

/// The charset that came with the document. UTF-16 without a byte order mark is big-endian (RFC 2781, section 4.3),
/// unless the first character shows that it is not.
fn by_statement(source: &[u8], charset: &str) -> Result<Charset, Fault> {
    match Charset::by_name(charset) {
        Some(Charset::Utf16) if source.starts_with(b"<\x00") => Ok(Charset::Utf16Le),
        Some(Charset::Utf16) => Ok(Charset::Utf16Be),
        Some(charset) => Ok(charset),
        None => Err(unread(&format!("the Content-Type says the charset {}", shown(charset.as_bytes())), 0)),
    }
}

/// UTF-16 that shows in the first bytes of a document of which nothing else is known (XML 1.0, appendix F). It has
/// to have a declaration: without that and a byte order mark a document is in UTF-8 (XML 1.0, 4.3.3).
fn by_first_bytes(source: &[u8]) -> Result<Option<Charset>, Fault> {
    let starts = |bytes: &[u8]| source.starts_with(bytes);
    match () {
        () if starts(b"\x00\x00\x00<") || starts(b"<\x00\x00\x00") => Err(unread("the document is in UTF-32", 0)),
        () if starts(b"\x4C\x6F\xA7\x94") => Err(unread("the document is in EBCDIC", 0)),
        () if starts(b"<\x00?\x00") => Ok(Some(Charset::Utf16Le)),
        () if starts(b"\x00<\x00?") => Ok(Some(Charset::Utf16Be)),
        () if starts(b"<\x00") || starts(b"\x00<") => {
            let reason = "the document is in UTF-16, but has neither a byte order mark nor an XML declaration, and its \
                          Content-Type names no charset";
            Err(fault(Code::XmlEncoding, reason, 0))
        }
        () => Ok(None),
    }
}

/// The charset that only the declaration names, at `at`.
fn by_declaration(declared: Option<Charset>, name: &[u8], at: usize) -> Result<Charset, Fault> {
    match declared {
        Some(Charset::Utf16 | Charset::Utf16Le | Charset::Utf16Be) => {
            Err(fault(Code::XmlEncoding, format!("the document declares {}, but is not in it", shown(name)), at))
        }
        Some(charset) => Ok(charset),
        None => Err(unread(&format!("the document declares {}", shown(name)), at)),
    }
}

fn named(name: &[u8]) -> Option<Charset> {
    std::str::from_utf8(name).ok().and_then(Charset::by_name)
}

/// What an XML declaration says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared<'s> {
    /// Where the markup starts: behind it, or behind the byte order mark when there is none.
    pub(super) end: usize,
    /// The name of the encoding, and where it stands.
    pub(super) encoding: Option<(&'s [u8], usize)>,
}

impl Declared<'_> {
    /// Whether it says the UTF-16 that the bytes look like.
    pub(super) fn check_utf16(&self, charset: Charset) -> Result<(), Fault> {
        let (name, at) = self.encoding.unwrap_or_default();
        let declared = named(name);
        if declared == Some(Charset::Utf16) || declared == Some(charset) {
            return Ok(());
        }
        let reason = format!("the document is in {}, but does not declare it", charset.name());
        Err(fault(Code::XmlEncoding, reason, at))
    }
}

/// Reads the XML declaration of a document in UTF-8, or in another charset that has ASCII's first 128 characters.
pub(super) fn declaration(source: &[u8]) -> Result<Declared<'_>, Fault> {
    let start = if source.starts_with(MARK) { MARK.len() } else { 0 };
    let mut declaration = Declaration { source, at: start };
    if !source[start..].starts_with(b"<?xml") || declaration.is_other_target(start + 5) {
        return Ok(Declared { end: start, encoding: None });
    }
    declaration.at += 5;
    declaration.read()
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

    fn read(mut self) -> Result<Declared<'s>, Fault> {
        self.attribute("version")?.ok_or_else(|| self.broken())?;
        let encoding = self.attribute("encoding")?;
        if let Some((name, at)) = encoding
            && !name.first().is_some_and(u8::is_ascii_alphabetic)
        {
            return Err(fault(Code::XmlNotWellFormed, "the name of an encoding starts with a letter", at));
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
        Ok(Declared { end: self.at + 2, encoding })
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

/// A fault of a document in an encoding that is not read.
fn unread(reason: &str, at: usize) -> Fault {
    fault(Code::XmlEncoding, format!("{reason}; {} are read", Charset::READ), at)
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(40)]).into_owned()
}

fn fault(code: Code, reason: impl Into<String>, offset: usize) -> Fault {
    Fault::new(code, reason).at_offset(offset)
}
