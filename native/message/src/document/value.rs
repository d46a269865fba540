//! Reading the tape as JSON values.

use std::borrow::Cow;

use super::{Document, Kind, NONE, Node};

/// A value on the tape. `item` means one element of a chain of equal names, not the whole chain.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    document: &'d Document,
    node: u32,
    item: bool,
}

impl<'d> Value<'d> {
    pub(super) fn new(document: &'d Document, node: u32) -> Self {
        Value { document, node, item: false }
    }

    pub(super) fn at(document: &'d Document, node: u32, item: bool) -> Self {
        Value { document, node, item }
    }

    #[inline]
    fn raw(&self) -> Option<&'d Node> {
        self.document.nodes.get(self.node as usize)
    }

    /// The node this value starts at, and whether only that one element is meant.
    #[must_use]
    pub fn position(&self) -> (u32, bool) {
        (self.node, self.item)
    }

    #[must_use]
    pub fn document(&self) -> &'d Document {
        self.document
    }

    /// Repeated elements, and paths declared in `arrays`, are lists.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.raw() {
            None => Kind::Null,
            Some(node) if self.is_chain(node) => Kind::List,
            Some(node) => node.kind,
        }
    }

    #[inline]
    fn is_chain(&self, node: &Node) -> bool {
        !self.item && node.is_chain()
    }

    /// The member `name` of an object.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'d>> {
        self.find(name).0
    }

    /// The member `name` of an object, and how many members were looked at: what a caller with a
    /// budget has to charge, since an object of a million members is walked to its end.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &str) -> (Option<Value<'d>>, usize) {
        let Some(node) = self.raw() else { return (None, 0) };
        if node.kind != Kind::Object || self.is_chain(node) {
            return (None, 0);
        }
        let mut child = node.first;
        let mut walked = 0;
        while child != NONE {
            let member = self.document.node(child);
            walked += 1;
            if self.document.key_is(member, name) {
                return (Some(Value::new(self.document, child)), walked);
            }
            child = member.next;
        }
        (None, walked)
    }

    /// Element `index` of a list, counted from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Option<Value<'d>> {
        const WALK: usize = 16;
        if self.kind() != Kind::List {
            return None;
        }
        if index < WALK {
            return self.items().nth(index);
        }
        let chain = self.is_chain(self.raw()?);
        let read = || self.items().map(|item| item.node).collect();
        let node = self.document.lists.element((self.node, chain), index, read)?;
        Some(Value { document: self.document, node, item: chain })
    }

    /// The text of a string; the digits of a number; nothing else has one.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'d, str>> {
        let node = self.raw()?;
        match self.kind() {
            Kind::Text | Kind::Number => Some(self.document.text(node.value, node.encoding)),
            _ => None,
        }
    }

    /// Key and value of every member of an object, in order; empty for anything else.
    #[must_use]
    pub fn members(&self) -> Members<'d> {
        let first = match self.raw() {
            Some(node) if node.kind == Kind::Object && !self.is_chain(node) => node.first,
            _ => NONE,
        };
        Members { document: self.document, next: first }
    }

    /// The elements of a list, in order; empty for anything else.
    #[must_use]
    pub fn items(&self) -> Items<'d> {
        let (next, chain) = match self.raw() {
            Some(node) if self.is_chain(node) => (self.node, true),
            Some(node) if node.kind == Kind::List => (node.first, false),
            _ => (NONE, false),
        };
        Items { document: self.document, next, chain }
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind() {
            Kind::Null => f.write_str("null"),
            Kind::False => f.write_str("false"),
            Kind::True => f.write_str("true"),
            Kind::Number => f.write_str(&self.text().unwrap_or_default()),
            Kind::Text => write!(f, "{:?}", self.text().unwrap_or_default()),
            Kind::Object => f.debug_map().entries(self.members()).finish(),
            Kind::List => f.debug_list().entries(self.items()).finish(),
        }
    }
}

/// See [`Value::members`].
#[derive(Clone)]
pub struct Members<'d> {
    document: &'d Document,
    next: u32,
}

impl<'d> Iterator for Members<'d> {
    type Item = (Cow<'d, str>, Value<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == NONE {
            return None;
        }
        let node = self.document.node(self.next);
        let value = Value::new(self.document, self.next);
        self.next = node.next;
        Some((self.document.key(node), value))
    }
}

/// See [`Value::items`].
#[derive(Clone)]
pub struct Items<'d> {
    document: &'d Document,
    next: u32,
    chain: bool,
}

impl<'d> Iterator for Items<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == NONE {
            return None;
        }
        let node = self.document.node(self.next);
        let value = Value { document: self.document, node: self.next, item: self.chain };
        self.next = if self.chain { node.same } else { node.next };
        Some(value)
    }
}
