//! From the tape to XML, as xmltodict's `unparse` does it; nothing recurses.

use message::{Code, Document, Fault, Flags, Kind, NONE, Node, Piece};

use super::characters::{is_name, written_end};

const HEADER: &[u8] = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";

/// Appends the document's root to `out` as XML: an object with one member, the root element.
///
/// Members whose key starts with the attribute prefix become attributes; the text key becomes text
/// behind the children; lists become repeated elements, an empty list none at all; null becomes an
/// empty element. A carriage return becomes a reference, or it would come back as a line feed.
/// A prefix is a part of the name, as for a reader that keeps namespaces: nobody looks whether it is declared.
///
/// # Errors
/// `convert/no-single-root`, `convert/invalid-xml-name`, `convert/invalid-xml-character`,
/// `convert/not-representable`, each with the field; `out` is then as it was.
pub fn emit(document: &Document, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    let mut emitter = Emitter { document, out, open: Vec::new() };
    let emitted = emitter.document();
    if emitted.is_err() {
        out.truncate(start);
    }
    emitted
}

/// An element or a list of which a part is written.
#[derive(Clone, Copy)]
struct Level {
    /// The node whose key is the element's name.
    named: u32,
    next: u32,
    of: Of,
}

/// What a level goes through.
#[derive(Clone, Copy)]
enum Of {
    /// The members of an element; its text, if it has one, comes behind them.
    Members { text: u32 },
    /// The elements of a list, all under one name.
    List,
    /// The same for a chain of equal names.
    Chain,
}

/// What a member of an object is in XML, with its name.
enum Role<'d> {
    Attribute(&'d [u8]),
    Text,
    Child(&'d [u8]),
}

struct Emitter<'e> {
    document: &'e Document,
    out: &'e mut Vec<u8>,
    open: Vec<Level>,
}

impl<'e> Emitter<'e> {
    fn document(&mut self) -> Result<(), Fault> {
        self.out.extend_from_slice(HEADER);
        let root = self.root()?;
        self.member(root)?;
        while let Some(level) = self.open.last_mut() {
            let at = level.next;
            if at == NONE {
                self.close()?;
                continue;
            }
            let node = self.document.node(at);
            let Level { named, of, .. } = *level;
            level.next = if let Of::Chain = of { node.same } else { node.next };
            match of {
                Of::Members { .. } => {
                    if let Role::Child(_) = self.role(node) {
                        self.member(at)?;
                    }
                }
                Of::List if self.is_list(at) => {
                    return Err(self.fault(
                        Code::ConvertNotRepresentable,
                        "a list in a list has no element name",
                        named,
                    ));
                }
                Of::List | Of::Chain => self.element(named, at)?,
            }
        }
        Ok(())
    }

    /// The only member of the root; a list there may have only one element.
    fn root(&self) -> Result<u32, Fault> {
        let refused = |reason: &str| Err(Fault::new(Code::ConvertNoSingleRoot, reason));
        let root = self.document.root();
        if root.kind() != Kind::Object {
            return refused("the document is no object");
        }
        let mut members = root.members();
        let (Some((_, only)), None) = (members.next(), members.next()) else {
            return refused("the document has more or less than one member");
        };
        if only.kind() == Kind::List && only.items().take(2).count() != 1 {
            return refused("the root element is a list with more or less than one element");
        }
        Ok(only.position().0)
    }

    /// A child element, or all of them when the member is a list.
    fn member(&mut self, at: u32) -> Result<(), Fault> {
        let node = self.document.node(at);
        if !matches!(self.role(node), Role::Child(name) if is_name(name)) {
            return Err(self.fault(Code::ConvertInvalidXmlName, "the key is no name of an element", at));
        }
        if node.is_chain() {
            self.open.push(Level { named: at, next: at, of: Of::Chain });
        } else if node.kind == Kind::List {
            self.open.push(Level { named: at, next: node.first, of: Of::List });
        } else {
            self.element(at, at)?;
        }
        Ok(())
    }

    /// Writes an element without children; of any other only its start tag.
    fn element(&mut self, named: u32, at: u32) -> Result<(), Fault> {
        let node = self.document.node(at);
        self.out.push(b'<');
        self.name(named);
        if node.kind != Kind::Object {
            self.out.push(b'>');
            self.scalar(named, node, false)?;
            self.end_tag(named);
            return Ok(());
        }
        let level = self.open.len();
        self.open.push(Level { named, next: node.first, of: Of::Members { text: NONE } });
        let mut child = node.first;
        while child != NONE {
            let member = self.document.node(child);
            match self.role(member) {
                Role::Attribute(name) => self.attribute(child, name)?,
                Role::Text => self.open[level].of = Of::Members { text: child },
                Role::Child(_) => {}
            }
            child = member.next;
        }
        self.out.push(b'>');
        Ok(())
    }

    fn attribute(&mut self, at: u32, name: &[u8]) -> Result<(), Fault> {
        if !is_name(name) {
            return Err(self.fault(Code::ConvertInvalidXmlName, "the key is no name of an attribute", at));
        }
        self.out.push(b' ');
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b"=\"");
        self.single(at, true)?;
        self.out.push(b'"');
        Ok(())
    }

    /// The innermost level is complete.
    fn close(&mut self) -> Result<(), Fault> {
        if let Some(Level { named, of: Of::Members { text }, .. }) = self.open.last().copied() {
            if text != NONE {
                self.single(text, false)?;
            }
            self.end_tag(named);
        }
        self.open.pop();
        Ok(())
    }

    fn end_tag(&mut self, named: u32) {
        self.out.extend_from_slice(b"</");
        self.name(named);
        self.out.push(b'>');
    }

    fn name(&mut self, named: u32) {
        self.out.extend_from_slice(self.document.bytes(self.document.node(named).key));
    }

    /// The value of an attribute or of the text key: anything but an object or a list.
    fn single(&mut self, at: u32, attribute: bool) -> Result<(), Fault> {
        let node = self.document.node(at);
        if self.is_list(at) || node.kind == Kind::Object {
            return Err(self.fault(Code::ConvertNotRepresentable, "an attribute or a text is no object or list", at));
        }
        self.scalar(at, node, attribute)
    }

    fn scalar(&mut self, named: u32, node: &Node, attribute: bool) -> Result<(), Fault> {
        match node.kind {
            Kind::Null => {}
            Kind::False => self.out.extend_from_slice(b"false"),
            Kind::True => self.out.extend_from_slice(b"true"),
            Kind::Number => self.out.extend_from_slice(self.document.bytes(node.value)),
            Kind::Text => return self.text(named, node, attribute),
            Kind::Object | Kind::List => {
                return Err(self.fault(Code::ConvertNotRepresentable, "a list in a list has no element name", named));
            }
        }
        Ok(())
    }

    fn text(&mut self, named: u32, node: &Node, attribute: bool) -> Result<(), Fault> {
        for piece in self.document.pieces(node.value, node.encoding) {
            let written = match piece {
                Piece::Plain(bytes) => escape(bytes, attribute, self.out),
                Piece::Char(c) => escape(c.encode_utf8(&mut [0; 4]).as_bytes(), attribute, self.out),
            };
            if let Err(c) = written {
                let reason = format!("XML cannot carry the character U+{:04X}", u32::from(c));
                return Err(self.fault(Code::ConvertInvalidXmlCharacter, &reason, named));
            }
        }
        Ok(())
    }

    fn role(&self, node: &Node) -> Role<'e> {
        let key = self.document.bytes(node.key);
        if node.flags.has(Flags::TEXT) {
            return Role::Text;
        }
        if node.flags.has(Flags::ATTRIBUTE) {
            return Role::Attribute(key);
        }
        let conventions = self.document.conventions();
        if key == conventions.text_key.as_bytes() {
            return Role::Text;
        }
        match key.strip_prefix(conventions.attribute_prefix.as_bytes()) {
            Some(name) => Role::Attribute(name),
            None => Role::Child(key),
        }
    }

    fn is_list(&self, at: u32) -> bool {
        let node = self.document.node(at);
        node.kind == Kind::List || node.is_chain()
    }

    /// Names the field by the elements that are open around it.
    #[cold]
    fn fault(&self, code: Code, reason: &str, at: u32) -> Fault {
        let mut field = String::new();
        let around = self.open.iter().filter(|level| matches!(level.of, Of::Members { .. })).map(|level| level.named);
        for named in around.chain([at]) {
            let key = self.document.key(self.document.node(named));
            match &*key {
                key if !is_name(key.as_bytes()) || key.contains(['-', '.', ':']) => {
                    field.push_str(&format!("[{key:?}]"))
                }
                key if field.is_empty() => field.push_str(key),
                key => field.extend([".", key]),
            }
        }
        Fault::new(code, reason).in_field(field)
    }
}

/// Appends text for an element or an attribute; gives the character that XML cannot carry.
fn escape(mut bytes: &[u8], attribute: bool, out: &mut Vec<u8>) -> Result<(), char> {
    loop {
        let (plain, rest) = bytes.split_at(written_end(bytes, 0));
        out.extend_from_slice(plain);
        bytes = rest;
        let Some(special) = bytes.first() else { return Ok(()) };
        let written: &[u8] = match special {
            b'"' | b'\t' | b'\n' if !attribute => &bytes[..1],
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'"' => b"&quot;",
            b'\t' => b"&#9;",
            b'\n' => b"&#10;",
            b'\r' => b"&#13;",
            0xEF => match bytes {
                [0xEF, 0xBF, last @ (0xBE | 0xBF), ..] => {
                    return Err(if *last == 0xBE { '\u{fffe}' } else { '\u{ffff}' });
                }
                _ => &bytes[..1],
            },
            control => return Err(char::from(*control)),
        };
        out.extend_from_slice(written);
        bytes = &bytes[1..];
    }
}
