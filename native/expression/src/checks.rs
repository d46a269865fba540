//! What is refused before the parser sees it. The parser recurses with its input and aborts the
//! process on a long or deep one, so length, nesting and operators are counted here, in one pass
//! that knows strings and comments. Brackets and quotes without their partner are found on the
//! way, with a better column than the parser would give.

use message::{Code, Fault};

use crate::failure::place;

/// Bytes of one expression.
pub(crate) const MAX_BYTES: usize = 4096;
/// Brackets open at once.
pub(crate) const MAX_NESTING: usize = 32;
/// Operators of one expression: arithmetic, comparisons, logic, `in`, `?:`.
pub(crate) const MAX_OPERATORS: usize = 200;
/// `.name`, `[...]` and `(...)` in a row behind one value.
pub(crate) const MAX_CHAIN: usize = 64;

/// Refuses what is too large for the parser, or has unbalanced brackets or quotes.
pub(crate) fn check(source: &str) -> Result<(), Fault> {
    if source.len() > MAX_BYTES {
        return Err(too_large(source, 0, format!("is {} bytes long; at most {MAX_BYTES} are allowed", source.len())));
    }
    if source.trim().is_empty() {
        return Err(invalid(source, 0, "is empty"));
    }
    Scan { source, at: 0, open: Vec::new(), operators: 0, chain: 0 }.run()
}

/// A compile error at byte `at`; `reason` continues the words "the expression".
#[cold]
pub(crate) fn invalid(source: &str, at: usize, reason: impl std::fmt::Display) -> Fault {
    place(Fault::new(Code::ConfigInvalidExpression, format!("the expression {reason}")), source, at)
}

#[cold]
pub(crate) fn too_large(source: &str, at: usize, reason: impl std::fmt::Display) -> Fault {
    place(Fault::new(Code::ConfigExpressionTooLarge, format!("the expression {reason}")), source, at)
}

struct Scan<'s> {
    source: &'s str,
    at: usize,
    /// Open brackets and where they stand.
    open: Vec<(u8, usize)>,
    operators: usize,
    chain: usize,
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), Fault> {
        while let Some(byte) = self.byte(0) {
            match byte {
                b'"' | b'\'' => self.string(false)?,
                b'/' if self.byte(1) == Some(b'/') => self.comment(),
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' => self.word()?,
                b'(' | b'[' | b'{' => self.opening(byte)?,
                b')' | b']' | b'}' => self.closing(byte)?,
                b'.' => self.link(1)?,
                b'+' | b'-' | b'*' | b'/' | b'%' | b'?' => self.operator(1)?,
                b'<' | b'>' | b'=' | b'!' => self.operator(if self.byte(1) == Some(b'=') { 2 } else { 1 })?,
                b'&' | b'|' => self.operator(if self.byte(1) == Some(byte) { 2 } else { 1 })?,
                b',' | b':' => {
                    self.chain = 0;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        match self.open.pop() {
            Some((byte, at)) => {
                Err(invalid(self.source, at, format!("opens a `{}` that is never closed", char::from(byte))))
            }
            None => Ok(()),
        }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    fn operator(&mut self, bytes: usize) -> Result<(), Fault> {
        self.operators += 1;
        self.chain = 0;
        if self.operators > MAX_OPERATORS {
            return Err(too_large(self.source, self.at, format!("has more than {MAX_OPERATORS} operators")));
        }
        self.at += bytes;
        Ok(())
    }

    fn link(&mut self, bytes: usize) -> Result<(), Fault> {
        self.chain += 1;
        if self.chain > MAX_CHAIN {
            return Err(too_large(
                self.source,
                self.at,
                format!("has more than {MAX_CHAIN} fields, indices or calls in a row"),
            ));
        }
        self.at += bytes;
        Ok(())
    }

    fn opening(&mut self, byte: u8) -> Result<(), Fault> {
        if self.open.len() == MAX_NESTING {
            return Err(too_large(self.source, self.at, format!("is nested deeper than {MAX_NESTING} brackets")));
        }
        self.open.push((byte, self.at));
        self.link(1)
    }

    fn closing(&mut self, byte: u8) -> Result<(), Fault> {
        let partner = match byte {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        match self.open.pop() {
            Some((open, _)) if open == partner => {
                self.at += 1;
                Ok(())
            }
            Some((open, at)) => {
                let reason =
                    format!("closes with `{}` what a `{}` opened at byte {at}", char::from(byte), char::from(open));
                Err(invalid(self.source, self.at, reason))
            }
            None => {
                Err(invalid(self.source, self.at, format!("has a `{}` without its opening bracket", char::from(byte))))
            }
        }
    }

    fn comment(&mut self) {
        let rest = &self.source[self.at..];
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    /// A name, a number, or the prefix of a string such as `r"` or `b'`.
    fn word(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte(0).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        let word = &self.source[start..self.at];
        if word == "in" {
            self.at = start;
            return self.operator(2);
        }
        let quoted = matches!(self.byte(0), Some(b'"' | b'\''));
        if quoted && matches!(word, "r" | "R" | "b" | "B" | "br" | "bR" | "Br" | "BR") {
            return self.string(word.contains(['r', 'R']));
        }
        Ok(())
    }

    fn string(&mut self, raw: bool) -> Result<(), Fault> {
        let start = self.at;
        let quote = &self.source[start..=start];
        let triple = quote.repeat(3);
        let long = self.source[start..].starts_with(&triple);
        let end = if long { triple.as_str() } else { quote };
        self.at += end.len();
        loop {
            let rest = &self.source[self.at..];
            if rest.starts_with(end) {
                self.at += end.len();
                return Ok(());
            }
            let Some(character) = rest.chars().next() else { break };
            if character == '\n' && !long {
                break;
            }
            self.at += character.len_utf8();
            if character == '\\' && !raw {
                self.at += self.source[self.at..].chars().next().map_or(0, char::len_utf8);
            }
        }
        Err(invalid(self.source, start, "has a string without its end"))
    }
}
