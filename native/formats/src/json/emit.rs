//! From the tape to JSON. What is unedited is copied byte for byte; nothing recurses.

use message::{Document, Encoding, Flags, Kind, NONE, Node, Piece, Span};

use super::string::plain_end;

/// Appends the document's root to `out` as JSON. Cannot fail: every tape has a JSON form.
pub fn emit(document: &Document, out: &mut Vec<u8>) {
    out.reserve(document.buffer().len() + ROOM);
    let mut emitter = Emitter {
        document,
        buffer: document.buffer(),
        prefix: document.conventions().attribute_prefix.as_bytes(),
        out: std::mem::take(out),
        open: Vec::with_capacity(32),
    };
    emitter.document();
    *out = emitter.out;
}

/// The longest key and text that are written at once, and the room they need with punctuation.
const SHORT_KEY: usize = 16;
const SHORT_TEXT: usize = 32;
const ROOM: usize = 64;

/// What a level's children are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Object,
    List,
    /// Elements of one name, which together are a list.
    Chain,
}

/// An object or list of which a part is written.
struct Level {
    next: u32,
    of: Of,
    first: bool,
}

struct Emitter<'e> {
    document: &'e Document,
    buffer: &'e [u8],
    prefix: &'e [u8],
    out: Vec<u8>,
    open: Vec<Level>,
}

impl Emitter<'_> {
    fn document(&mut self) {
        if self.document.root_index() == NONE {
            return self.raw(b"null");
        }
        self.value(self.document.root_index(), false);
        while let Some(level) = self.open.last_mut() {
            let at = level.next;
            if at == NONE {
                let end = if level.of == Of::Object { b'}' } else { b']' };
                self.out.push(end);
                self.open.pop();
                continue;
            }
            let (of, first) = (level.of, std::mem::replace(&mut level.first, false));
            let node = self.document.node(at);
            level.next = if of == Of::Chain { node.same } else { node.next };
            if of == Of::Object && self.short_member(node, first).is_some() {
                continue;
            }
            if !first {
                self.out.push(b',');
            }
            if of == Of::Object {
                self.key(node);
            }
            self.value(at, of == Of::Chain);
        }
    }

    /// Writes a member whose key and text are short and need no escape, which most are: into an
    /// array first, since every append to a vector waits for the one before. `None` when the
    /// member is another kind, and nothing is written.
    #[inline]
    fn short_member(&mut self, node: &Node, first: bool) -> Option<()> {
        if node.kind != Kind::Text || node.encoding != Encoding::Plain || node.is_chain() {
            return None;
        }
        let prefix = match (node.flags.only(Flags::NAMING), self.prefix) {
            (Flags(0), _) => None,
            (Flags::ATTRIBUTE, [prefix @ (b'@' | b'-')]) => Some(*prefix),
            _ => return None,
        };
        let (start, length, key_length) =
            (node.value.start as usize, node.value.length as usize, node.key.length as usize);
        if key_length > SHORT_KEY || length > SHORT_TEXT || !self.is_scanned(node.key) {
            return None;
        }
        let key = self.buffer[node.key.start as usize..].first_chunk::<SHORT_KEY>()?;
        let text = self.buffer[start..].first_chunk::<SHORT_TEXT>()?;
        if plain_end(self.buffer, start, start + length) < start + length {
            return None;
        }
        let written = self.out.len();
        self.out.extend_from_slice(&[b','; ROOM]);
        let room = self.out[written..].first_chunk_mut::<ROOM>()?;
        let mut at = usize::from(!first);
        room[at] = b'"';
        room[at + 1] = prefix.unwrap_or_default();
        at += 1 + usize::from(prefix.is_some());
        room[at..][..SHORT_KEY].copy_from_slice(key);
        at += key_length;
        room[at..][..3].copy_from_slice(b"\":\"");
        at += 3;
        room[at..][..SHORT_TEXT].copy_from_slice(text);
        at += length;
        room[at] = b'"';
        self.out.truncate(written + at + 1);
        Some(())
    }

    /// Writes a leaf or a clean subtree; of anything else only the opening bracket.
    #[inline]
    fn value(&mut self, at: u32, item: bool) {
        let node = self.document.node(at);
        if !item && node.is_chain() {
            return self.open(b'[', at, Of::Chain);
        }
        match node.kind {
            Kind::Null => self.raw(b"null"),
            Kind::False => self.raw(b"false"),
            Kind::True => self.raw(b"true"),
            Kind::Number => self.range(node.value),
            Kind::Text => self.text(node),
            Kind::Object | Kind::List if is_clean(node) => self.range(node.value),
            Kind::Object => self.open(b'{', node.first, Of::Object),
            Kind::List => self.open(b'[', node.first, Of::List),
        }
    }

    fn open(&mut self, bracket: u8, next: u32, of: Of) {
        self.out.push(bracket);
        self.open.push(Level { next, of, first: true });
    }

    #[inline]
    fn key(&mut self, node: &Node) {
        if node.flags.only(Flags::NAMING) == Flags(0) {
            self.out.push(b'"');
            self.name(node.key);
        } else {
            self.marked_key(node);
        }
        self.raw(b"\":");
    }

    #[inline(never)]
    fn marked_key(&mut self, node: &Node) {
        self.out.push(b'"');
        if node.flags.has(Flags::TEXT) {
            return escape_all(self.document.conventions().text_key.as_bytes(), &mut self.out);
        }
        if node.flags.has(Flags::ATTRIBUTE) {
            escape_all(self.prefix, &mut self.out);
        }
        self.name(node.key);
    }

    #[inline]
    fn name(&mut self, key: Span) {
        if self.is_scanned(key) { self.range(key) } else { self.escape(key) }
    }

    /// What a scanner took for a key needs no escape: XML's names have no such characters, and
    /// JSON's keys with escapes were decoded, and so appended behind the source.
    #[inline]
    fn is_scanned(&self, key: Span) -> bool {
        (key.start + key.length) as usize <= self.document.decoded_length()
    }

    #[inline]
    fn text(&mut self, node: &Node) {
        self.out.push(b'"');
        match node.encoding {
            Encoding::Plain => self.escape(node.value),
            // Checked by the scanner, so it is as good behind as it was in front.
            Encoding::Json => self.range(node.value),
            Encoding::Xml => self.translate(node.value),
        }
        self.out.push(b'"');
    }

    fn translate(&mut self, value: Span) {
        for piece in self.document.pieces(value, Encoding::Xml) {
            match piece {
                Piece::Plain(bytes) => escape_all(bytes, &mut self.out),
                Piece::Char(c) => escape_all(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut self.out),
            }
        }
    }

    #[inline]
    fn escape(&mut self, value: Span) {
        let start = value.start as usize;
        escape(self.buffer, start, start + value.length as usize, &mut self.out);
    }

    #[inline]
    fn range(&mut self, range: Span) {
        let start = range.start as usize;
        append(self.buffer, start, start + range.length as usize, &mut self.out);
    }

    #[inline]
    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// Whether the node's range in the source still says what the tape says.
fn is_clean(node: &Node) -> bool {
    node.value.length > 0 && !node.flags.has(Flags::DIRTY)
}

fn escape_all(bytes: &[u8], out: &mut Vec<u8>) {
    escape(bytes, 0, bytes.len(), out);
}

/// Appends what stands between the quotes of a JSON string for a range of `bytes`.
#[inline]
fn escape(bytes: &[u8], mut start: usize, end: usize, out: &mut Vec<u8>) {
    loop {
        let plain = plain_end(bytes, start, end);
        append(bytes, start, plain, out);
        if plain == end {
            return;
        }
        escape_byte(bytes[plain], out);
        start = plain + 1;
    }
}

/// Appends a range of `bytes`. Most ranges are short, and to copy a fixed number of bytes takes a
/// few instructions where any other number takes a call: so sixteen are copied, and cut off again.
#[inline]
fn append(bytes: &[u8], start: usize, end: usize, out: &mut Vec<u8>) {
    match bytes[start..].first_chunk::<16>() {
        Some(chunk) if end - start <= 16 => {
            let length = out.len() + end - start;
            out.extend_from_slice(chunk);
            out.truncate(length);
        }
        _ => out.extend_from_slice(&bytes[start..end]),
    }
}

#[cold]
fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
