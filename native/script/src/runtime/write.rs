//! What a script returned, written onto the document's tape. The rules are those of
//! `JSON.stringify`, except that nothing is lost silently: where it would write `null` or `{}` for
//! something that is no JSON value, the message fails.

use std::io::Write;

use message::{Code, Document, Fault, Flags, Kind, Limits, NONE, Node};

use super::raw::{Js, Key, Owned, Tag, Thrown};

/// The engine's numbers of the classes that read as JSON; see its table of classes.
mod class {
    pub const OBJECT: u32 = 1;
    pub const NUMBER: u32 = 4;
    pub const STRING: u32 = 5;
    pub const BOOLEAN: u32 = 6;
    pub const DATE: u32 = 10;
}

/// Why a value cannot be written.
pub enum Refusal {
    /// A getter or `toJSON` threw, or a limit was met; the exception is pending.
    Thrown,
    /// The value, or something in it, at `path` (innermost last part first).
    Bad { code: Code, reason: String, path: Vec<String> },
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
fn within<T>(result: Result<T, Refusal>, part: impl FnOnce() -> String) -> Result<T, Refusal> {
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
        let Refusal::Bad { code, reason, path } = self else { return None };
        let fault = Fault::new(code, reason).in_file(file);
        let field: String = path.into_iter().rev().collect();
        Some(if field.is_empty() { fault } else { fault.in_field(field.trim_start_matches('.')) })
    }
}

/// Writes values onto a tape, counting what they cost.
pub struct Writer<'d> {
    document: &'d mut Document,
    to_json: Key,
    bytes_left: usize,
    nodes_left: usize,
    depth: usize,
    limits: &'d Limits,
    ancestors: Vec<usize>,
}

impl<'d> Writer<'d> {
    pub fn new(js: Js, document: &'d mut Document, limits: &'d Limits) -> Result<Self, Thrown> {
        let to_json = js.key("toJSON")?;
        let (bytes_left, nodes_left) = (limits.output_bytes, limits.nodes);
        Ok(Writer { document, to_json, bytes_left, nodes_left, depth: limits.depth, limits, ancestors: Vec::new() })
    }

    /// The messages that `returned` stands for: none for null, one for a value, each for a list.
    pub fn messages(&mut self, returned: &Owned) -> Result<Vec<u32>, Refusal> {
        match returned.tag() {
            Tag::Null => return Ok(Vec::new()),
            Tag::Undefined => {
                let reason = "the script returned undefined; return null to drop the message";
                return Err(Refusal::Bad { code: Code::ScriptNoReturn, reason: reason.into(), path: Vec::new() });
            }
            Tag::Object if returned.is_promise() => {
                return bad("the script returned a promise; write it without `async` and `await`");
            }
            _ => {}
        }
        if !returned.is_array() {
            return match self.value(returned, String::new)? {
                Some(root) => Ok(vec![root]),
                None => bad("the script returned undefined from `toJSON`"),
            };
        }
        let count = returned.length()?;
        let allowed = self.limits.outputs;
        if usize::try_from(count).unwrap_or(usize::MAX) > allowed {
            let reason = format!("{count} messages for one, {allowed} are allowed");
            return Err(Refusal::Bad { code: Code::ScriptTooManyOutputs, reason, path: Vec::new() });
        }
        let mut roots = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        for index in 0..count {
            let item = returned.get_index(index)?;
            let place = || format!("[{index}]");
            match self.value(&item, place)? {
                Some(root) => roots.push(root),
                None => return within(bad("undefined is no message"), place),
            }
        }
        Ok(roots)
    }

    /// The node of a value; `None` for undefined, which its holder leaves out or writes as null.
    fn value(&mut self, value: &Owned, part: impl Fn() -> String) -> Result<Option<u32>, Refusal> {
        within(self.plain(value, &part()), part)
    }

    fn plain(&mut self, value: &Owned, name: &str) -> Result<Option<u32>, Refusal> {
        let node = match value.tag() {
            Tag::Undefined => return Ok(None),
            Tag::Null => self.leaf(Kind::Null, b"")?,
            Tag::Bool(value) => self.leaf(if value { Kind::True } else { Kind::False }, b"")?,
            Tag::Int(value) => self.int(i64::from(value))?,
            Tag::Float(value) => self.float(value)?,
            Tag::Text => self.text(value)?,
            Tag::Symbol => return bad("a symbol is no JSON value"),
            Tag::BigInt => return bad("a bigint is no JSON value; use Number(x) or String(x)"),
            Tag::Other => return bad("this is no JSON value"),
            Tag::Object => return self.object_or_list(value, name),
        };
        Ok(Some(node))
    }

    fn object_or_list(&mut self, value: &Owned, name: &str) -> Result<Option<u32>, Refusal> {
        if value.is_function() {
            return bad("a function is no JSON value");
        }
        if value.class() != class::OBJECT && !value.is_array() {
            return self.special(value, name);
        }
        if let Some(replaced) = self.to_json(value)? {
            return self.replacement(&replaced, name);
        }
        self.enter(value)?;
        let node = if value.is_array() { self.list(value) } else { self.object(value) };
        self.ancestors.pop();
        node.map(Some)
    }

    /// Calls `toJSON` as `JSON.stringify` does.
    fn to_json(&mut self, value: &Owned) -> Result<Option<Owned>, Refusal> {
        let method = value.get(&self.to_json)?;
        if method.tag() == Tag::Object && method.is_function() {
            Ok(Some(value.call_method(&method)?))
        } else {
            Ok(None)
        }
    }

    /// What `toJSON` gave is not asked for its own `toJSON`.
    fn replacement(&mut self, value: &Owned, name: &str) -> Result<Option<u32>, Refusal> {
        if value.tag() != Tag::Object {
            return self.plain(value, name);
        }
        if value.is_function() || (value.class() != class::OBJECT && !value.is_array()) {
            return bad(format!("toJSON gave a {}", value.class_name()));
        }
        self.enter(value)?;
        let node = if value.is_array() { self.list(value) } else { self.object(value) };
        self.ancestors.pop();
        node.map(Some)
    }

    /// Objects of the engine's other classes: wrapped primitives and dates have a JSON form.
    fn special(&mut self, value: &Owned, name: &str) -> Result<Option<u32>, Refusal> {
        let method = match value.class() {
            class::DATE => value.get(&self.to_json)?,
            class::NUMBER | class::STRING | class::BOOLEAN => value.get_named(c"valueOf")?,
            _ if value.is_promise() => return bad("a promise is no JSON value; write the script without `async`"),
            _ => {
                let class = value.class_name();
                return bad(format!("a {class} is no JSON value; make it a plain object or a list"));
            }
        };
        if !method.is_function() {
            return bad("an object without a usable toJSON or valueOf");
        }
        let primitive = value.call_method(&method)?;
        if primitive.tag() == Tag::Object {
            return bad("a wrapped value that is no JSON value");
        }
        self.plain(&primitive, name)
    }

    /// One level down. Far down, a cycle is told from mere depth.
    fn enter(&mut self, value: &Owned) -> Result<(), Refusal> {
        let identity = value.identity();
        if self.ancestors.len() >= self.depth {
            if self.ancestors.contains(&identity) {
                return bad("the value contains itself");
            }
            return too_large(format!("nested deeper than {} levels", self.depth));
        }
        self.ancestors.push(identity);
        Ok(())
    }

    fn object(&mut self, value: &Owned) -> Result<u32, Refusal> {
        self.pay(2)?;
        let object = self.push(Node::new(Kind::Object))?;
        let mut previous = NONE;
        for key in value.keys()? {
            let member = value.get(&key)?;
            let part =
                || format!(".{}", key.with_text(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default());
            let Some(child) = within(self.plain(&member, ""), part)? else { continue };
            within(self.name(child, &key), part)?;
            self.document.link(object, previous, child);
            previous = child;
        }
        Ok(object)
    }

    fn name(&mut self, child: u32, key: &Key) -> Result<(), Refusal> {
        let document = &mut *self.document;
        let span = key.with_text(|text| {
            std::str::from_utf8(text).ok().map(|text| (document.append(text.as_bytes()), text.len()))
        })?;
        let Some((span, length)) = span else { return bad("the key holds half a surrogate pair") };
        self.document.node_mut(child).key = span;
        self.pay(length + 4)
    }

    fn list(&mut self, value: &Owned) -> Result<u32, Refusal> {
        self.pay(2)?;
        let list = self.push(Node::new(Kind::List))?;
        let mut previous = NONE;
        for index in 0..value.length()? {
            let item = value.get_index(index)?;
            let child = match self.value(&item, || format!("[{index}]"))? {
                Some(child) => child,
                None => self.leaf(Kind::Null, b"")?,
            };
            self.pay(1)?;
            self.document.link(list, previous, child);
            previous = child;
        }
        Ok(list)
    }

    fn int(&mut self, value: i64) -> Result<u32, Refusal> {
        let mut digits = [0u8; 24];
        let mut rest = &mut digits[..];
        // An i64 has at most 20 characters.
        let _ = write!(rest, "{value}");
        let length = 24 - rest.len();
        self.leaf(Kind::Number, &digits[..length])
    }

    #[allow(clippy::cast_possible_truncation)]
    fn float(&mut self, value: f64) -> Result<u32, Refusal> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if !value.is_finite() {
            return bad(format!("{} is no JSON value", if value.is_nan() { "NaN" } else { "Infinity" }));
        }
        if value.fract() == 0.0 && value.abs() <= EXACT {
            return self.int(value as i64); // -0 becomes 0, as in JSON.stringify
        }
        self.spend(24)?;
        Ok(self.document.push_f64(value))
    }

    fn text(&mut self, value: &Owned) -> Result<u32, Refusal> {
        let room = self.bytes_left;
        let document = &mut *self.document;
        let written = value.with_text(|text| match std::str::from_utf8(text) {
            Ok(text) if text.len() <= room => Some((Some(document.push_text(text)), text.len())),
            Ok(text) => Some((None, text.len())),
            Err(_) => None,
        })?;
        let Some((node, length)) = written else { return bad("the string holds half a surrogate pair") };
        self.spend(length + 2)?;
        match node {
            Some(node) => Ok(node),
            None => self.too_many_bytes(),
        }
    }

    fn leaf(&mut self, kind: Kind, text: &[u8]) -> Result<u32, Refusal> {
        self.spend(text.len().max(4))?;
        Ok(self.document.push_leaf(kind, text))
    }

    fn push(&mut self, mut node: Node) -> Result<u32, Refusal> {
        self.spend(0)?;
        node.flags = node.flags.with(Flags::DIRTY);
        Ok(self.document.push(node))
    }

    /// For a node of `bytes` bytes.
    fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(nodes_left) = self.nodes_left.checked_sub(1) else {
            return too_large(format!("more than {} values", self.limits.nodes));
        };
        self.nodes_left = nodes_left;
        self.pay(bytes)
    }

    fn pay(&mut self, bytes: usize) -> Result<(), Refusal> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => self.too_many_bytes(),
        }
    }

    fn too_many_bytes<T>(&self) -> Result<T, Refusal> {
        too_large(format!("more than {} bytes in all", self.limits.output_bytes))
    }
}
