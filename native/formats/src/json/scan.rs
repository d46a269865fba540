//! The scanner: one pass from bytes to the tape, without recursion.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use message::{Code, Conventions, Document, Encoding, Fault, Format, Kind, Limits, NONE, Node, Piece, Span};

use super::number::number_length;
use super::string::{BadEscape, escape_length, plain_end};
use crate::names::{Name, Names};

/// Some programs write it before their texts; RFC 8259, section 8.1, lets readers pass over it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Fills `document` from one JSON text, under the default conventions. The document is empty when
/// this fails.
///
/// # Errors
/// `json/syntax`, `json/duplicate-key`, `json/invalid-utf8` (lone surrogates too),
/// `json/too-large`, `json/too-deep`, `json/too-many-nodes`; each names the byte offset.
pub fn parse(source: &[u8], limits: &Limits, document: &mut Document) -> Result<(), Fault> {
    let scanned = scan(source, limits, document);
    if scanned.is_err() {
        document.reset(&[], Format::Json, &CONVENTIONS);
    }
    scanned
}

static CONVENTIONS: LazyLock<Arc<Conventions>> = LazyLock::new(Arc::default);

fn scan(source: &[u8], limits: &Limits, document: &mut Document) -> Result<(), Fault> {
    if source.len() > limits.bytes.min(crate::MAX_BYTES) {
        return Err(crate::too_large(Code::JsonTooLarge, source, limits));
    }
    if let Err(error) = std::str::from_utf8(source) {
        return Err(fault(Code::JsonInvalidUtf8, "the bytes are not UTF-8", error.valid_up_to()));
    }
    document.reset(source, Format::Json, &CONVENTIONS);
    let Scratch { open, names } = KEPT.take();
    let mut scanner = Scanner { source, at: 0, limits, document, open, names };
    scanner.text()?;
    let Scanner { open, names, .. } = scanner;
    if open.capacity() * size_of::<Level>() + names.memory() < crate::KEPT_MEMORY {
        KEPT.set(Scratch { open, names });
    }
    Ok(())
}

/// What a scanner works with, kept by its thread from one text to the next.
#[derive(Default)]
struct Scratch {
    open: Vec<Level>,
    names: Names,
}

thread_local! {
    static KEPT: Cell<Scratch> = Cell::default();
}

/// An object or list that has not ended.
#[derive(Clone, Copy)]
struct Level {
    node: u32,
    /// Its newest child; `NONE` in front of the first.
    last: u32,
    /// The keys of an object.
    scope: usize,
    object: bool,
}

struct Scanner<'s> {
    source: &'s [u8],
    at: usize,
    limits: &'s Limits,
    document: &'s mut Document,
    open: Vec<Level>,
    names: Names,
}

impl Scanner<'_> {
    fn text(&mut self) -> Result<(), Fault> {
        if self.source.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len();
        }
        self.blanks();
        let root = self.value(Span::default())?;
        while let Some(level) = self.open.last().copied() {
            self.child(level)?;
        }
        self.blanks();
        if self.at < self.source.len() {
            return Err(self.unexpected("nothing more, since the text has one value"));
        }
        self.document.set_root(root);
        Ok(())
    }

    /// The next child of the innermost object or list, or its end.
    fn child(&mut self, level: Level) -> Result<(), Fault> {
        self.blanks();
        let end = if level.object { b'}' } else { b']' };
        match self.peek() {
            Some(byte) if byte == end => {
                self.close(level);
                return Ok(());
            }
            Some(b',') if level.last != NONE => {
                self.at += 1;
                self.blanks();
            }
            _ if level.last == NONE => {}
            _ if level.object => return Err(self.unexpected("`,` or `}`")),
            _ => return Err(self.unexpected("`,` or `]`")),
        }
        let key = if level.object { self.key(level.scope)? } else { Span::default() };
        let innermost = self.open.len() - 1;
        let child = self.value(key)?;
        self.document.link(level.node, level.last, child);
        self.open[innermost].last = child;
        Ok(())
    }

    fn close(&mut self, level: Level) {
        self.at += 1;
        let node = self.document.node_mut(level.node);
        node.value = Span::between(node.value.start as usize, self.at);
        self.names.close(level.scope);
        self.open.pop();
    }

    /// A key with its colon. Escapes are decoded here, so that equal keys are equal bytes.
    fn key(&mut self, scope: usize) -> Result<Span, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let start = self.at;
        let (mut key, encoding) = self.string()?;
        if encoding != Encoding::Plain {
            key = self.decoded(key);
        }
        let name = Name::new(self.document.buffer(), key);
        if self.names.find(self.document.buffer(), scope, name).is_some() {
            return Err(fault(Code::JsonDuplicateKey, "the key stands twice in the same object", start));
        }
        self.names.push(self.document.buffer(), scope, name, 0);
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        self.blanks();
        Ok(key)
    }

    fn decoded(&mut self, key: Span) -> Span {
        let mut decoded = Vec::with_capacity(key.length as usize);
        for piece in self.document.pieces(key, Encoding::Json) {
            match piece {
                Piece::Plain(bytes) => decoded.extend_from_slice(bytes),
                Piece::Char(c) => decoded.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.document.append(&decoded)
    }

    /// One value; of an object or list only the opening bracket.
    fn value(&mut self, key: Span) -> Result<u32, Fault> {
        if self.document.node_count() >= self.limits.nodes {
            return Err(self.over(Code::JsonTooManyNodes, "values", self.limits.nodes));
        }
        let node = match self.peek() {
            Some(b'"') => {
                let (value, encoding) = self.string()?;
                Node { value, encoding, ..Node::new(Kind::Text) }
            }
            Some(b'{') => return self.open(Kind::Object, key),
            Some(b'[') => return self.open(Kind::List, key),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true", Kind::True)?,
            Some(b'f') => self.literal(b"false", Kind::False)?,
            Some(b'n') => self.literal(b"null", Kind::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(self.document.push(Node { key, ..node }))
    }

    fn open(&mut self, kind: Kind, key: Span) -> Result<u32, Fault> {
        if self.open.len() >= self.limits.depth {
            return Err(self.over(Code::JsonTooDeep, "levels", self.limits.depth));
        }
        let value = Span::between(self.at, self.at);
        let node = self.document.push(Node { key, value, ..Node::new(kind) });
        self.open.push(Level { node, last: NONE, scope: self.names.scope(), object: kind == Kind::Object });
        self.at += 1;
        Ok(node)
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Result<Node, Fault> {
        let rest = &self.source[self.at..];
        let fits = rest.iter().zip(word).take_while(|(byte, expected)| byte == expected).count();
        self.at += fits;
        if fits < word.len() {
            return Err(self.unexpected("true, false or null"));
        }
        Ok(Node::new(kind))
    }

    fn number(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        match number_length(&self.source[start..]) {
            Ok(length) => self.at += length,
            Err(length) => {
                self.at += length;
                return Err(self.unexpected("a digit"));
            }
        }
        Ok(Node { value: Span::between(start, self.at), ..Node::new(Kind::Number) })
    }

    /// What stands between the quotes.
    #[inline]
    fn string(&mut self) -> Result<(Span, Encoding), Fault> {
        let start = self.at + 1;
        let mut encoding = Encoding::Plain;
        self.at = start;
        loop {
            self.at = plain_end(self.source, self.at, self.source.len());
            match self.peek() {
                Some(b'"') => {
                    let content = Span::between(start, self.at);
                    self.at += 1;
                    return Ok((content, encoding));
                }
                Some(b'\\') => {
                    encoding = Encoding::Json;
                    self.escape()?;
                }
                Some(_) => {
                    return Err(fault(Code::JsonSyntax, "a control character in a string has to be escaped", self.at));
                }
                None => return Err(self.unexpected("the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match escape_length(&self.source[self.at..]) {
            Ok(length) => self.at += length,
            Err(BadEscape::Syntax(behind)) => {
                self.at += behind;
                return Err(self.unexpected("an escape of JSON"));
            }
            Err(BadEscape::Surrogate) => {
                return Err(fault(Code::JsonInvalidUtf8, "the escape is half a surrogate pair", self.at));
            }
        }
        Ok(())
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    #[inline]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    fn unexpected(&self, expected: &str) -> Fault {
        let at = self.at.min(self.source.len());
        let found = match self.source.get(at) {
            None => "the text ends".to_owned(),
            Some(byte @ b' '..=b'~') => format!("there is `{}`", char::from(*byte)),
            Some(byte) => format!("there is byte 0x{byte:02X}"),
        };
        fault(Code::JsonSyntax, format!("{found}, expected {expected}"), at)
    }

    #[cold]
    fn over(&self, code: Code, what: &str, limit: usize) -> Fault {
        fault(code, format!("more than {limit} {what}"), self.at)
    }
}

#[cold]
fn fault(code: Code, reason: impl Into<String>, offset: usize) -> Fault {
    Fault::new(code, reason).at_offset(offset)
}
