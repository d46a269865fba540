//! Markup inside and around the elements: references, comments, instructions, CDATA.

use memchr::memchr;
use message::{Code, Encoding, Fault, Span, xml_reference};

use super::characters::{is_character, is_space, name_end};
use super::scan::Scanner;

impl Scanner<'_> {
    /// `&amp;`, `&#10;`, `&#xA;`: checked here, decoded when somebody reads the text.
    pub(super) fn reference(&mut self) -> Result<(), Fault> {
        let rest = &self.source[self.at + 1..];
        let length = match rest {
            [b'#', b'x', digits @ ..] => 2 + digits.iter().take_while(|byte| byte.is_ascii_hexdigit()).count(),
            [b'#', digits @ ..] => 1 + digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
            _ => name_end(rest, 0),
        };
        let name = &rest[..length];
        if name.last().is_none_or(|last| *last == b'#' || *last == b'x' && name.starts_with(b"#"))
            || rest.get(length) != Some(&b';')
        {
            return Err(self.broken("`&` starts no reference; as a character it is written `&amp;`"));
        }
        let decoded = std::str::from_utf8(name).ok().and_then(xml_reference);
        if name[0] == b'#' && !decoded.is_some_and(is_character) {
            return Err(self.fault(Code::XmlInvalidCharacter, "the reference is to a character that XML cannot carry"));
        }
        if decoded.is_none() {
            let shown = String::from_utf8_lossy(&name[..name.len().min(40)]).into_owned();
            return Err(self.fault(Code::XmlUnknownEntity, format!("the entity &{shown}; is not one of XML's five")));
        }
        self.at += length + 2;
        Ok(())
    }

    /// After `<!` inside the root.
    pub(super) fn comment_or_cdata(&mut self) -> Result<(), Fault> {
        const OPEN: &[u8] = b"<![CDATA[";
        if !self.source[self.at..].starts_with(OPEN) {
            return self.comment();
        }
        let start = self.at + OPEN.len();
        match find(self.source, start, b"]]>") {
            Some(end) => {
                self.tree.text(Span::between(start, end), Encoding::Plain);
                self.at = end + 3;
                Ok(())
            }
            None => Err(self.cut_off()),
        }
    }

    pub(super) fn comment(&mut self) -> Result<(), Fault> {
        if !self.source[self.at..].starts_with(b"<!--") {
            return Err(self.broken("`<!` starts neither a comment nor CDATA"));
        }
        let end = find(self.source, self.at + 4, b"--").ok_or_else(|| self.cut_off())?;
        self.at = end + 2;
        match self.peek() {
            Some(b'>') => {
                self.at += 1;
                Ok(())
            }
            Some(_) => {
                self.at = end;
                Err(self.broken("`--` stands in a comment"))
            }
            None => Err(self.cut_off()),
        }
    }

    /// `<!DOCTYPE name SYSTEM "system">`, also with `PUBLIC "public" "system"` or neither (XML 1.0, 2.8): passed over.
    /// What the identifiers name is not loaded. An internal subset could define entities, so it is refused.
    pub(super) fn doctype(&mut self) -> Result<(), Fault> {
        self.at += b"<!DOCTYPE".len();
        self.blanks()?;
        self.name()?;
        if self.spaces() > 0 {
            self.external_id()?;
        }
        match self.peek() {
            Some(b'[') => Err(self.fault(
                Code::XmlDoctype,
                "a DOCTYPE with an internal subset, which could define entities, is refused, also by `doctype: ignore`",
            )),
            _ => self.expect(b'>'),
        }
    }

    fn external_id(&mut self) -> Result<(), Fault> {
        let public = |byte: u8| {
            byte.is_ascii_alphanumeric() || b" \r\n-'()+,./:=?;!*#@$_%".contains(&byte) // XML 1.0, PubidChar
        };
        let rest = &self.source[self.at..];
        if rest.starts_with(b"PUBLIC") {
            self.at += 6;
            self.blanks()?;
            self.literal(public)?;
        } else if rest.starts_with(b"SYSTEM") {
            self.at += 6;
        } else {
            return Ok(());
        }
        self.blanks()?;
        self.literal(|_| true)?;
        self.spaces();
        Ok(())
    }

    fn literal(&mut self, fits: impl Fn(u8) -> bool) -> Result<(), Fault> {
        let quote = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => quote,
            _ => return Err(self.unexpected("a quote")),
        };
        self.at += 1;
        loop {
            match self.peek() {
                Some(byte) if byte == quote => break,
                Some(byte) if fits(byte) => self.at += 1,
                _ => return Err(self.unexpected("a quote")),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn blanks(&mut self) -> Result<(), Fault> {
        if self.spaces() == 0 { Err(self.unexpected("a blank")) } else { Ok(()) }
    }

    /// `<?target anything?>`. The XML declaration itself has been read before.
    pub(super) fn instruction(&mut self) -> Result<(), Fault> {
        self.at += 2;
        let start = self.at;
        let name = self.name()?;
        let target = &self.source[name.start as usize..self.at];
        if target.eq_ignore_ascii_case(b"xml") {
            self.at = start;
            return Err(self.broken("an XML declaration stands only at the very start"));
        }
        if self.tree.strips_prefixes() && target.contains(&b':') {
            self.at = start;
            return Err(self.broken("with namespaces, an instruction's target has no colon"));
        }
        if !self.source[self.at..].starts_with(b"?>") && !self.peek().is_some_and(is_space) {
            return Err(self.unexpected("a blank or `?>`"));
        }
        self.at = find(self.source, self.at, b"?>").ok_or_else(|| self.cut_off())? + 2;
        Ok(())
    }
}

/// Where `end` stands first, at or behind `from`.
fn find(source: &[u8], from: usize, end: &[u8]) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr(end[0], source.get(at..)?)?;
        if source[at..].starts_with(end) {
            return Some(at);
        }
        at += 1;
    }
}
