//! From the tape to JSON. What is unedited is copied byte for byte; nothing recurses.

use message::{Document, Encoding, Flags, Kind, NONE, Node, Piece};

use super::string::plain_length;

/// Appends the document's root to `out` as JSON. Cannot fail: every tape has a JSON form.
pub fn emit(document: &Document, out: &mut Vec<u8>) {
    let mut emitter = Emitter { document, out, open: Vec::new() };
    if document.root_index() == NONE {
        return emitter.raw(b"null");
    }
    emitter.value(document.root_index(), false);
    while let Some(level) = emitter.open.last_mut() {
        let at = level.next;
        if at == NONE {
            let end = if level.of == Of::Object { b'}' } else { b']' };
            emitter.out.push(end);
            emitter.open.pop();
            continue;
        }
        let (of, first) = (level.of, std::mem::replace(&mut level.first, false));
        let node = document.node(at);
        level.next = if of == Of::Chain { node.same } else { node.next };
        if !first {
            emitter.out.push(b',');
        }
        if of == Of::Object {
            emitter.key(node);
        }
        emitter.value(at, of == Of::Chain);
    }
}

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
    out: &'e mut Vec<u8>,
    open: Vec<Level>,
}

impl Emitter<'_> {
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
            Kind::Number => self.out.extend_from_slice(self.document.bytes(node.value)),
            Kind::Text => self.text(node),
            Kind::Object | Kind::List if is_clean(node) => {
                self.out.extend_from_slice(self.document.bytes(node.value));
            }
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
        let conventions = self.document.conventions();
        self.out.push(b'"');
        if node.flags.has(Flags::TEXT) {
            escape(conventions.text_key.as_bytes(), self.out);
        } else {
            if node.flags.has(Flags::ATTRIBUTE) {
                escape(conventions.attribute_prefix.as_bytes(), self.out);
            }
            let key = self.document.bytes(node.key);
            if node.flags.has(Flags::KEY_JSON) { self.raw(key) } else { escape(key, self.out) }
        }
        self.raw(b"\":");
    }

    #[inline]
    fn text(&mut self, node: &Node) {
        let bytes = self.document.bytes(node.value);
        self.out.push(b'"');
        match node.encoding {
            Encoding::Plain => escape(bytes, self.out),
            // Checked by the scanner, so it is as good behind as it was in front.
            Encoding::Json => self.raw(bytes),
            Encoding::Xml => {
                for piece in self.document.pieces(node.value, Encoding::Xml) {
                    match piece {
                        Piece::Plain(bytes) => escape(bytes, self.out),
                        Piece::Char(c) => escape(c.encode_utf8(&mut [0; 4]).as_bytes(), self.out),
                    }
                }
            }
        }
        self.out.push(b'"');
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// Whether the node's range in the source still says what the tape says.
fn is_clean(node: &Node) -> bool {
    node.value.length > 0 && !node.flags.has(Flags::DIRTY)
}

/// Appends what stands between the quotes of a JSON string.
#[inline]
fn escape(mut bytes: &[u8], out: &mut Vec<u8>) {
    loop {
        let plain = plain_length(bytes);
        out.extend_from_slice(&bytes[..plain]);
        let Some(special) = bytes.get(plain) else { return };
        escape_byte(*special, out);
        bytes = &bytes[plain + 1..];
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
