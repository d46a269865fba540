//! What a script returned, written onto the document's tape. The rules are those of
//! `JSON.stringify`, except that nothing is lost silently: where it would write `null` or `{}` for
//! something that is no JSON value, the message fails.
//!
//! ```text
//! returned ─► messages()     none, one or many
//!   value ─► plain           leaves: leaf.rs, counted against the caps
//!         ─► object_or_list  toJSON is asked first; then plain objects and lists
//!         ─► toJSON, special   form.rs: dates, wrapped primitives, what is refused
//!         ─► view, known list  original.rs: what was not touched keeps its place on the tape
//! ```
//!
//! Nodes of the document are never changed, only new ones added: if the script fails, the document
//! reads as before.

mod form;
pub(super) use form::class;
mod leaf;
mod original;

use std::rc::Rc;

use message::{Code, Fault, Flags, Kind, Limits, NONE, Node, Path, Segment, Span};

use super::lent::Message;
use super::raw::{Js, Key, Owned, Tag, Thrown};
use original::Position;

/// Deepest nesting that is written whatever the limits say: writing recurses.
const DEEPEST: usize = 1000;

/// Names that are remembered while writing.
const NAMES: usize = 24;

/// Why a value cannot be written.
pub enum Refusal {
    /// A getter or `toJSON` threw, or a limit was met; the exception is pending.
    Thrown,
    /// The value, or something in it, at `path` (innermost last part first).
    Bad { code: Code, reason: String, path: Vec<Segment> },
}

impl From<Thrown> for Refusal {
    fn from(_: Thrown) -> Refusal {
        Refusal::Thrown
    }
}

fn bad<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Bad { code: Code::ScriptBadReturn, reason: reason.into(), path: Vec::new() })
}

fn too_large<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Bad { code: Code::ScriptOutputTooLarge, reason: reason.into(), path: Vec::new() })
}

/// Adds where it happened while the error passes up.
fn within<T>(result: Result<T, Refusal>, part: impl FnOnce() -> Segment) -> Result<T, Refusal> {
    result.map_err(|refusal| match refusal {
        Refusal::Bad { code, reason, mut path } => {
            path.push(part());
            Refusal::Bad { code, reason, path }
        }
        Refusal::Thrown => Refusal::Thrown,
    })
}

impl Refusal {
    /// The fault for a refused value; `None` when an exception has to be described instead.
    pub fn into_fault(self, file: &str) -> Option<Fault> {
        let Refusal::Bad { code, reason, mut path } = self else { return None };
        let fault = Fault::new(code, reason).in_file(file);
        path.reverse();
        Some(if path.is_empty() { fault } else { fault.in_field(Path::from(path).to_string()) })
    }
}

/// What was written.
pub struct Written {
    pub roots: Vec<u32>,
    /// The script returned the message as it came.
    pub unchanged: bool,
}

/// Writes values onto a tape, counting what they cost.
pub struct Writer<'m> {
    js: Js,
    message: &'m Rc<Message>,
    argument: &'m Owned,
    limits: &'m Limits,
    to_json: Key,
    bytes_left: usize,
    nodes_left: usize,
    ancestors: Vec<usize>,
    /// Whether code of the script has run, which may have changed what is still to be written.
    has_run: bool,
    /// Names that were written: the objects of a list mostly have the same.
    names: Vec<(Key, Span)>,
}

impl<'m> Writer<'m> {
    /// `argument` is what the script was called with.
    pub fn new(js: Js, message: &'m Rc<Message>, argument: &'m Owned, limits: &'m Limits) -> Result<Self, Thrown> {
        message.begin_writing();
        Ok(Writer {
            js,
            message,
            argument,
            limits,
            to_json: js.key("toJSON")?,
            bytes_left: limits.output_bytes,
            nodes_left: limits.nodes,
            ancestors: Vec::new(),
            has_run: false,
            names: Vec::new(),
        })
    }

    /// The messages that `returned` stands for: none for null, one for a value, each for a list.
    pub fn messages(&mut self, returned: &Owned) -> Result<Written, Refusal> {
        match returned.tag() {
            Tag::Null => return Ok(Written { roots: Vec::new(), unchanged: false }),
            Tag::Undefined => {
                let reason = "the script returned undefined; return null to drop the message";
                return Err(Refusal::Bad { code: Code::ScriptNoReturn, reason: reason.into(), path: Vec::new() });
            }
            _ => {}
        }
        if returned.is_array() {
            return self.each_message(returned);
        }
        if self.is_whole_message(returned)? {
            let root = self.message.document.borrow().root_index();
            return Ok(Written { roots: vec![root], unchanged: true });
        }
        match self.plain(returned, At::Top)? {
            Some(root) => Ok(Written { roots: vec![root], unchanged: false }),
            None => bad("the script returned undefined from `toJSON`"),
        }
    }

    fn each_message(&mut self, returned: &Owned) -> Result<Written, Refusal> {
        let count = returned.length()?;
        let allowed = self.limits.outputs;
        if usize::try_from(count).unwrap_or(usize::MAX) > allowed {
            let reason = format!("{count} messages for one, {allowed} are allowed");
            return Err(Refusal::Bad { code: Code::ScriptTooManyOutputs, reason, path: Vec::new() });
        }
        let origin = self.whole_message(returned);
        let is_clean = match origin {
            Some(root) => self.is_clean_list(returned, root, &mut Vec::new())?,
            None => false,
        };
        let mut origins = origin.map(|root| self.items(root)).unwrap_or_default().into_iter();
        let mut roots = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        for index in 0..count {
            let value = returned.get_index(index)?;
            let place = || item(index);
            let written = match origins.next() {
                Some(origin) if is_clean => self.clean(&value, origin),
                origin => self.element(&value, origin, At::Top),
            };
            match within(written, place)? {
                Some(root) => roots.push(root),
                None => return within(bad("undefined is no message"), place),
            }
        }
        Ok(Written { roots, unchanged: false })
    }

    /// The node of a value; `None` for undefined, which its holder leaves out or writes as null.
    fn plain(&mut self, value: &Owned, at: At<'_>) -> Result<Option<u32>, Refusal> {
        match value.tag() {
            Tag::Object => self.object_or_list(value, None, at),
            _ => self.leaf_of(value),
        }
    }

    /// The node of a value that is neither object nor list.
    fn leaf_of(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        let node = match value.tag() {
            Tag::Undefined => return Ok(None),
            Tag::Null => self.leaf(Kind::Null, b"")?,
            Tag::Bool(value) => self.leaf(if value { Kind::True } else { Kind::False }, b"")?,
            Tag::Int(value) => self.int(value)?,
            Tag::Float(value) => self.float(value)?,
            Tag::Text => self.text(value)?,
            Tag::Symbol => return bad("a symbol is no JSON value"),
            Tag::BigInt => return bad("a bigint is no JSON value; use Number(x) or String(x)"),
            Tag::Object | Tag::Other => return bad("this is no JSON value"),
        };
        Ok(Some(node))
    }

    /// The node of an object or a list, or of what its `toJSON` gives. A list that was read from `origin` keeps
    /// the digits of what it has from there.
    fn object_or_list(&mut self, value: &Owned, origin: Option<Position>, at: At<'_>) -> Result<Option<u32>, Refusal> {
        if let Some(node) = self.clean_view(value)? {
            return Ok(Some(node));
        }
        if let Some(replaced) = self.own_form(value, at)? {
            return self.replacement(&replaced);
        }
        if self.has_members(value) { self.container(value, origin).map(Some) } else { self.special(value) }
    }

    /// An object or list, one level down.
    fn container(&mut self, value: &Owned, origin: Option<Position>) -> Result<u32, Refusal> {
        if self.is_open(value) {
            return bad("the value contains itself");
        }
        let deepest = self.limits.depth.min(DEEPEST);
        if self.ancestors.len() >= deepest {
            return too_large(format!("nested deeper than {deepest} levels"));
        }
        self.ancestors.push(value.identity());
        let node = match self.own_view(value) {
            Some(view) => self.view(view, value),
            None if value.is_array() => self.list(value, origin.or_else(|| self.whole_message(value))),
            None => self.object(value),
        };
        self.ancestors.pop();
        node
    }

    /// Whether a value is being written: inside of it, it would be a cycle.
    fn is_open(&self, value: &Owned) -> bool {
        self.ancestors.contains(&value.identity())
    }

    fn object(&mut self, value: &Owned) -> Result<u32, Refusal> {
        let object = self.begin(Kind::Object)?;
        let mut previous = NONE;
        for key in value.keys()? {
            let member = self.get(value, &key)?;
            let Some(child) = within(self.plain(&member, At::Member(&key)), || field(&key))? else { continue };
            self.name(child, key)?;
            self.link(object, &mut previous, child);
        }
        Ok(object)
    }

    /// A property of an object, which may run a getter.
    fn get(&mut self, object: &Owned, key: &Key) -> Result<Owned, Thrown> {
        self.has_run = true;
        object.get(key)
    }

    /// Gives a member the name of a property.
    fn name(&mut self, child: u32, key: Key) -> Result<(), Refusal> {
        let known = self.names.iter().find(|(known, _)| known.atom() == key.atom());
        let span = match known {
            Some((_, span)) => *span,
            None => self.new_name(key)?,
        };
        self.message.document.borrow_mut().node_mut(child).key = span;
        self.pay(span.length as usize + 4)
    }

    fn new_name(&mut self, key: Key) -> Result<Span, Refusal> {
        let mut document = self.message.document.borrow_mut();
        let span = key.with_text(|text| std::str::from_utf8(text).is_ok().then(|| document.append(text)))?;
        drop(document);
        let Some(span) = span else {
            return within(bad("the key holds half a surrogate pair"), || field(&key));
        };
        if self.names.len() < NAMES {
            self.names.push((key, span));
        }
        Ok(span)
    }

    fn begin(&mut self, kind: Kind) -> Result<u32, Refusal> {
        self.spend(2)?;
        let node = Node::new(kind);
        Ok(self.message.document.borrow_mut().push(Node { flags: node.flags.with(Flags::DIRTY), ..node }))
    }

    fn link(&mut self, parent: u32, previous: &mut u32, child: u32) {
        self.message.document.borrow_mut().link(parent, *previous, child);
        *previous = child;
    }
}

/// Where a value stands in what holds it.
#[derive(Clone, Copy)]
enum At<'k> {
    Top,
    Member(&'k Key),
    Item(i64),
}

impl At<'_> {
    /// What `toJSON` is called with.
    fn key(self, js: Js) -> Result<Owned, Thrown> {
        match self {
            At::Top => js.text(""),
            At::Member(key) => key.to_value(),
            At::Item(index) => js.text(&index.to_string()),
        }
    }
}

fn field(key: &Key) -> Segment {
    let name = key.with_text(|text| String::from_utf8_lossy(text).into_owned());
    Segment::Key(name.unwrap_or_default().into())
}

fn item(index: i64) -> Segment {
    Segment::Index(u32::try_from(index).unwrap_or(u32::MAX))
}
