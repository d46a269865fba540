//! Caps that hold before a parser runs: recursive parsers pay for nesting with stack, and oxc's has no
//! limit of its own.
//!
//! The pass knows strings, templates and comments. It cannot always tell a regular expression from a
//! division; where it is unsure it counts brackets that are none, which real scripts do not notice.

use message::{Code, Fault};

use super::position;

/// Longest script, bytes.
pub const MAX_SOURCE_BYTES: usize = 256 << 10;
/// Brackets inside brackets.
const DEPTH: usize = 256;
/// Tokens in a row without a separator: `!!!!x`, `a ? b : c ? d : e`, `x => y => z`, `A<B<C>>` nest
/// without brackets. So do chains of `else`.
const RUN: usize = 4096;

/// Words after which a value or a statement comes, so that a slash begins a regular expression, and
/// a line end ends nothing.
const OPENING: [&[u8]; 23] = [
    b"return",
    b"typeof",
    b"case",
    b"in",
    b"of",
    b"do",
    b"else",
    b"void",
    b"delete",
    b"throw",
    b"new",
    b"instanceof",
    b"yield",
    b"await",
    b"extends",
    b"class",
    b"keyof",
    b"readonly",
    b"unique",
    b"infer",
    b"asserts",
    b"abstract",
    b"as",
];
/// Words that continue what came before, also on a new line.
const CONTINUING: [&[u8]; 8] = [b"in", b"of", b"instanceof", b"as", b"is", b"satisfies", b"extends", b"else"];
/// Words whose parentheses are the head of a statement, and no value.
const HEADS: [&[u8]; 4] = [b"if", b"while", b"for", b"with"];
/// In the list of open brackets: such a parenthesis.
const HEAD: u8 = b'h';

pub fn check(source: &str) -> Result<(), Fault> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Fault::new(
            Code::ScriptTooLarge,
            format!("{} bytes, {MAX_SOURCE_BYTES} are allowed", source.len()),
        ));
    }
    let mut scan = Scan {
        bytes: source.as_bytes(),
        at: 0,
        open: Vec::new(),
        run: 0,
        elses: 0,
        value: false,
        line: false,
        head: false,
    };
    scan.all().map_err(|what| position::at(Fault::new(Code::ScriptTooLarge, what), source, scan.at))
}

struct Scan<'s> {
    bytes: &'s [u8],
    at: usize,
    /// The brackets that are open; a backtick for a template's text.
    open: Vec<u8>,
    run: usize,
    elses: usize,
    /// Whether the last token ends a value, so that a slash divides.
    value: bool,
    /// Whether a line ended since then.
    line: bool,
    /// Whether the last token is one of `HEADS`.
    head: bool,
}

impl Scan<'_> {
    fn all(&mut self) -> Result<(), String> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.open.last() == Some(&b'`') {
                self.template()?;
            } else {
                self.token(byte)?;
            }
        }
        Ok(())
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn token(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                self.line |= byte == b'\n';
                self.at += 1;
            }
            b'/' if self.peek(1) == b'/' => {
                self.skip_until(b"\n");
                self.line = true;
            }
            b'/' if self.peek(1) == b'*' => {
                self.at += 2;
                self.skip_until(b"*/");
            }
            _ => {
                self.count(byte)?;
                self.one(byte)?;
            }
        }
        Ok(())
    }

    /// Counts a token. Separators end a run, and so does a line end between two statements; inside
    /// parentheses only commas do, or `for(;;)` in `for(;;)` would not count.
    fn count(&mut self, byte: u8) -> Result<(), String> {
        let in_statements = matches!(self.open.last(), None | Some(b'{'));
        let line = std::mem::take(&mut self.line);
        self.run = match byte {
            b',' | b'{' | b'}' => 0,
            b';' if in_statements => 0,
            _ if in_statements && line && self.value && is_word(byte) && !CONTINUING.contains(&self.peek_word()) => 0,
            _ => self.run + 1,
        };
        if self.elses > RUN {
            return Err(format!("more than {RUN} times `else`"));
        }
        if self.run > RUN { Err(format!("an expression of more than {RUN} tokens")) } else { Ok(()) }
    }

    fn one(&mut self, byte: u8) -> Result<(), String> {
        let head = std::mem::take(&mut self.head);
        match byte {
            b'(' if head => return self.opening(HEAD),
            b'(' | b'[' | b'{' | b'`' => return self.opening(byte),
            b')' | b']' | b'}' => self.closing(),
            b'"' | b'\'' => self.string(byte),
            b'/' if !self.value => self.regular_expression(),
            _ if is_word(byte) => self.word(),
            b'+' | b'-' if self.peek(1) == byte => {
                // After a value `++` ends it, before one it begins it: either way nothing changes.
                self.at += 2;
            }
            _ => {
                self.at += 1;
                self.value = false;
            }
        }
        Ok(())
    }

    fn opening(&mut self, byte: u8) -> Result<(), String> {
        if self.open.len() >= DEPTH {
            return Err(format!("brackets nested deeper than {DEPTH} levels"));
        }
        self.open.push(byte);
        self.at += 1;
        self.value = false;
        Ok(())
    }

    fn closing(&mut self) {
        // A `}` may be the end of a block, before which a slash begins a regular expression, or of
        // an object, after which it divides. Taken for a value: brackets of the expression count.
        let opened = self.open.pop();
        self.at += 1;
        self.value = opened != Some(HEAD);
    }

    fn template(&mut self) -> Result<(), String> {
        match self.bytes[self.at] {
            b'\\' => self.at += 2,
            b'`' => self.closing(),
            b'$' if self.peek(1) == b'{' => {
                self.at += 1;
                return self.opening(b'{');
            }
            _ => self.at += 1,
        }
        Ok(())
    }

    fn string(&mut self, quote: u8) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'\n' => break,
                _ if byte == quote => break,
                _ => {}
            }
        }
        self.value = true;
    }

    fn regular_expression(&mut self) {
        let start = self.at;
        let mut class = false;
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.value = true;
                    return;
                }
                // No regular expression after all.
                b'\n' => break,
                _ => {}
            }
        }
        self.at = start + 1;
        self.value = false;
    }

    fn peek_word(&self) -> &[u8] {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
        &rest[..length]
    }

    fn word(&mut self) {
        let word = self.peek_word();
        let (length, value, head) = (word.len(), !OPENING.contains(&word), HEADS.contains(&word));
        self.elses += usize::from(word == b"else");
        self.at += length;
        (self.value, self.head) = (value, head);
    }

    fn skip_until(&mut self, end: &[u8]) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let found = rest.windows(end.len()).position(|window| window == end);
        self.at = found.map_or(self.bytes.len(), |position| self.at + position + end.len());
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#' | b'@' | b'\\') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_text_only() {
        let hidden = "(".repeat(1000);
        for source in [
            format!("'{hidden}'"),
            format!("// {hidden}\n/* {hidden} */"),
            format!("`{hidden}${{1}}{hidden}`"),
            format!("x = /[/{hidden}]/"),
            "(".repeat(DEPTH),
            "out.name = msg.order.name + /(/.source\n".repeat(6000),
            "if (a) /(/.test(b)\n".repeat(6000),
            "foo(a, 'b')\n".repeat(10_000),
        ] {
            assert!(check(&source).is_ok(), "{}", &source[..20]);
        }
    }

    #[test]
    fn what_nests_is_refused_with_its_place() {
        for source in [
            "(".repeat(30_000),
            format!("\n{}", "[".repeat(DEPTH + 1)),
            "`${".repeat(30_000),
            "!".repeat(30_000),
            "a?b:".repeat(30_000),
            "x=>".repeat(30_000),
            "A<".repeat(30_000),
            "for(;;)".repeat(30_000),
            "\"a\\\"(\"+(".repeat(300),
            "if (a)\n".repeat(30_000),
            "if (a)\nb\nelse ".repeat(10_000),
            "if (a) {} else ".repeat(10_000),
            "keyof\n".repeat(30_000),
            "a\nin ".repeat(30_000),
        ] {
            let fault = check(&source).unwrap_err();
            assert_eq!(fault.code(), Code::ScriptTooLarge);
            assert!(fault.place().line.is_some());
        }
        assert_eq!(check(&" ".repeat(MAX_SOURCE_BYTES + 1)).unwrap_err().code(), Code::ScriptTooLarge);
    }
}
