//! Views and the lists read from the document: what the script did not change keeps its bytes.
//!
//! A node of the document may be led to from the output once: steps that follow edit one message
//! without another being meant. So the first use of a view shares its members, and each further use
//! is a copy. Every view that a script has seen is looked at wherever it stands, so that this holds
//! for views inside of unchanged ones, too.

use std::rc::Rc;

use message::{Document, Flags, Kind, NONE, Node};

use super::{At, Refusal, Writer, within};
use crate::runtime::digits::Digits;
use crate::runtime::fields::{Field, Order, Slot};
use crate::runtime::raw::{Key, Owned, Tag};
use crate::runtime::read;
use crate::runtime::view::{self, View};

/// A position in the document: a node, and whether only that one element of a chain.
pub(super) type Position = (u32, bool);

/// A property of a view, with references, so that no getter can take it away while it is written.
struct Property {
    key: Key,
    field: Field,
    value: Option<Owned>,
}

impl Writer<'_> {
    /// Whether the script returned the message itself, and changed nothing in it.
    pub(super) fn is_whole_message(&mut self, value: &Owned) -> Result<bool, Refusal> {
        let root = self.message.document.borrow().root_index();
        match self.own_view(value) {
            Some(view) if view.node == root => self.is_clean(value, (root, false), &mut Vec::new()),
            Some(_) => Ok(false),
            None => Ok(value.tag() != Tag::Object && self.is_same_leaf(value, (root, false))),
        }
    }

    /// Where a list stands in the document, if it is the one that the script was called with.
    pub(super) fn whole_message(&self, list: &Owned) -> Option<Position> {
        let is_argument = self.argument.tag() == Tag::Object && self.argument.identity() == list.identity();
        is_argument.then(|| (self.message.document.borrow().root_index(), false))
    }

    pub(super) fn own_view<'v>(&self, value: &'v Owned) -> Option<&'v View> {
        view::of(value, self.message.realm.class).filter(|view| Rc::ptr_eq(&view.message, self.message))
    }

    /// Whether a value is as the document has it at `position`. Collects the nodes of the views seen. Runs no
    /// code of the script.
    fn is_clean(&self, value: &Owned, position: Position, seen: &mut Vec<u32>) -> Result<bool, Refusal> {
        if value.tag() != Tag::Object {
            return Ok(self.is_same_leaf(value, position));
        }
        if value.is_array() {
            return self.is_clean_list(value, position, seen);
        }
        let Some(view) = self.own_view(value) else { return Ok(false) };
        if (view.node, view.item) != position || value.prototype() != self.message.realm.prototype {
            return Ok(false);
        }
        seen.push(view.node);
        let mut read = Vec::new();
        if let Some(fields) = &*view.touched() {
            if fields.changed {
                return Ok(false);
            }
            for field in fields.iter() {
                if let Slot::Read(value) = field.slot {
                    let value = self.js.adopt(self.js.duplicate(value));
                    if value.tag() == Tag::Object {
                        read.push((value, field.member));
                    }
                }
            }
        }
        for (value, member) in read {
            if !self.is_clean(&value, (member, false), seen)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn is_clean_list(&self, list: &Owned, position: Position, seen: &mut Vec<u32>) -> Result<bool, Refusal> {
        seen.push(position.0);
        let Some(items) = self.listed(position) else { return Ok(false) };
        if list.length()? != i64::try_from(items.len()).unwrap_or(i64::MAX) || !self.is_plain_list(list)? {
            return Ok(false);
        }
        for (index, item) in (0..).zip(items) {
            let Some(value) = list.own_item(index)? else { return Ok(false) };
            if !self.is_clean(&value, item, seen)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a list has no JSON form of its own.
    fn is_plain_list(&self, list: &Owned) -> Result<bool, Refusal> {
        Ok(list.prototype() == self.message.realm.list_prototype && !list.has_own(&self.to_json)?)
    }

    fn is_same_leaf(&self, value: &Owned, (node, item): Position) -> bool {
        let document = self.message.document.borrow();
        let original = document.value_at(node, item);
        let same_number = |value: f64| original.text().is_some_and(|text| read::number(&text) == value);
        match (value.tag(), original.kind()) {
            (Tag::Null, Kind::Null) | (Tag::Bool(true), Kind::True) | (Tag::Bool(false), Kind::False) => true,
            (Tag::Int(value), Kind::Number) => same_number(f64::from(value)),
            (Tag::Float(value), Kind::Number) => same_number(value),
            (Tag::Text, Kind::Text) => {
                let text = original.text().unwrap_or_default();
                value.with_text(|bytes| bytes == text.as_bytes()).unwrap_or(false)
            }
            _ => false,
        }
    }

    fn is_ambiguous(&self, value: &Owned) -> bool {
        matches!(value.tag(), Tag::Float(value) if self.message.long.find(value) == Some(Digits::Ambiguous))
    }

    /// The elements of what reads as a list at a position; `None` when something else stands there.
    fn listed(&self, (node, item): Position) -> Option<Vec<Position>> {
        let document = self.message.document.borrow();
        let value = document.value_at(node, item);
        (value.kind() == Kind::List).then(|| value.items().map(|item| item.position()).collect())
    }

    pub(super) fn items(&self, position: Position) -> Vec<Position> {
        self.listed(position).unwrap_or_default()
    }

    // -- what is used once is shared ---------------------------------------------------------------

    /// A node for an unchanged value: sharing its members the first time, a copy after that.
    fn unchanged(&mut self, position: Position, seen: &[u32]) -> Result<u32, Refusal> {
        if seen.iter().any(|node| self.message.is_taken(*node)) {
            return self.copied(position);
        }
        for node in seen {
            self.message.take(*node);
        }
        self.spend(0)?;
        let mut document = self.message.document.borrow_mut();
        let twin = twin(&document, position);
        Ok(document.push(twin))
    }

    fn copied(&mut self, (node, item): Position) -> Result<u32, Refusal> {
        let message = Rc::clone(self.message);
        let mut waiting = vec![(node, true)];
        while let Some((at, is_top)) = waiting.pop() {
            let document = message.document.borrow();
            let Node { first, next, same, value, key, .. } = *document.node(at);
            drop(document);
            self.spend(value.length.max(4) as usize + key.length as usize)?;
            let relatives = [first, if is_top { NONE } else { next }, if is_top && item { NONE } else { same }];
            waiting.extend(relatives.into_iter().filter(|at| *at != NONE).map(|at| (at, false)));
        }
        Ok(message.document.borrow_mut().push_copy(node, item))
    }

    // -- views -------------------------------------------------------------------------------------

    /// The node of a view in which nothing was changed.
    pub(super) fn clean_view(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        let Some(view) = self.own_view(value) else { return Ok(None) };
        self.clean(value, (view.node, view.item))
    }

    /// The node of a value that is as the document has it at `position`.
    pub(super) fn clean(&mut self, value: &Owned, position: Position) -> Result<Option<u32>, Refusal> {
        let mut seen = Vec::new();
        let is_clean = !self.is_open(value) && self.is_clean(value, position, &mut seen)?;
        if is_clean { self.unchanged(position, &seen).map(Some) } else { Ok(None) }
    }

    /// A view in which something was changed: its own members, as they are now.
    pub(super) fn view(&mut self, view: &View, value: &Owned) -> Result<u32, Refusal> {
        let is_first = !self.message.is_taken(view.node);
        self.message.take(view.node);
        let object = self.begin(Kind::Object)?;
        let mut previous = NONE;
        let has_run = std::mem::take(&mut self.has_run);
        for mut property in self.properties(view) {
            if self.has_run {
                property = self.current(view, property);
            }
            let Some(child) = self.property(value, &property, is_first)? else { continue };
            self.link(object, &mut previous, child);
        }
        self.has_run |= has_run;
        Ok(object)
    }

    /// A property as it is now that the script's code has run.
    fn current(&self, view: &View, property: Property) -> Property {
        let touched = view.touched();
        let Some(fields) = &*touched else { return property };
        match fields.find(property.key.atom()).and_then(|index| fields.get(index)) {
            Some(field) => self.property_of(field),
            None => Property { field: Field::removed(property.field), value: None, key: property.key },
        }
    }

    /// The properties that are written. An untouched view is written so when its prototype changed.
    fn properties(&self, view: &View) -> Vec<Property> {
        let touched = view.touched();
        let Some(fields) = &*touched else { return self.untouched(view) };
        let written = fields.in_order().into_iter();
        let written = written.filter(|field| field.is_enumerable() && field.order != Order::Symbol);
        written.map(|field| self.property_of(&field)).collect()
    }

    fn property_of(&self, field: &Field) -> Property {
        let value = match field.slot {
            Slot::Read(value) | Slot::Set(value) => Some(self.js.adopt(self.js.duplicate(value))),
            Slot::Document | Slot::Accessor { .. } => None,
        };
        Property { key: self.js.key_of(field.atom), value, field: *field }
    }

    fn untouched(&self, view: &View) -> Vec<Property> {
        let document = self.message.document.borrow();
        let members = document.value_at(view.node, view.item).members();
        let property = |name: &str, member: u32| {
            let key = self.js.key(name).ok()?;
            Some(Property { field: Field::of_member(key.atom(), member, name), key, value: None })
        };
        members.filter_map(|(name, member)| property(&name, member.position().0)).collect()
    }

    /// The named node of a property; `None` when it is undefined.
    fn property(&mut self, holder: &Owned, property: &Property, is_first: bool) -> Result<Option<u32>, Refusal> {
        let Property { key, field, value } = property;
        let child = match (field.slot, value) {
            (Slot::Document, _) => Some(self.member(field.member, is_first)?),
            (Slot::Read(_), Some(value)) => {
                within(self.read_before(value, key, field.member, is_first), || super::field(key))?
            }
            (_, Some(value)) => within(self.plain(value, At::Member(key)), || super::field(key))?,
            (_, None) => {
                let value = self.get(holder, key)?;
                within(self.plain(&value, At::Member(key)), || super::field(key))?
            }
        };
        let Some(child) = child else { return Ok(None) };
        if field.member == NONE {
            self.name(child, self.js.key_of(key.atom()))?;
        } else {
            let mut document = self.message.document.borrow_mut();
            let Node { key, flags, .. } = *document.node(field.member);
            let child = document.node_mut(child);
            child.key = key;
            child.flags = child.flags.without(Flags::NAMING).with(flags.only(Flags::NAMING));
        }
        Ok(Some(child))
    }

    /// A member that no script has a value of.
    fn member(&mut self, member: u32, is_first: bool) -> Result<u32, Refusal> {
        if is_first { self.unchanged((member, false), &[member]) } else { self.copied((member, false)) }
    }

    /// A member that the script has read.
    fn read_before(&mut self, value: &Owned, key: &Key, member: u32, is_first: bool) -> Result<Option<u32>, Refusal> {
        if value.tag() != Tag::Object {
            return self.member(member, is_first).map(Some);
        }
        if !value.is_array() {
            return self.plain(value, At::Member(key));
        }
        match self.clean(value, (member, false))? {
            Some(node) => Ok(Some(node)),
            None => self.object_or_list(value, Some((member, false)), At::Member(key)),
        }
    }

    // -- lists -------------------------------------------------------------------------------------

    /// Any list; elements that are as they were at `origin` keep their digits.
    pub(super) fn list(&mut self, value: &Owned, origin: Option<Position>) -> Result<u32, Refusal> {
        let origins = origin.map(|origin| self.items(origin)).unwrap_or_default();
        let mut origins = origins.into_iter();
        let list = self.begin(Kind::List)?;
        let mut previous = NONE;
        for index in 0..value.length()? {
            self.has_run = true;
            let item = value.get_index(index)?;
            let origin = origins.next();
            let child = within(self.element(&item, origin, At::Item(index)), || super::item(index))?;
            let child = match child {
                Some(child) => child,
                None => self.leaf(Kind::Null, b"")?,
            };
            self.pay(1)?;
            self.link(list, &mut previous, child);
        }
        Ok(list)
    }

    /// An element of a list which had `origin` in this place.
    pub(super) fn element(
        &mut self,
        value: &Owned,
        origin: Option<Position>,
        at: At<'_>,
    ) -> Result<Option<u32>, Refusal> {
        match origin {
            Some(origin) if value.tag() == Tag::Object && value.is_array() => {
                self.object_or_list(value, Some(origin), at)
            }
            // In a list that was changed, one of several that read the same may be another than it was.
            Some(origin) if !self.is_ambiguous(value) && self.is_same_leaf(value, origin) => {
                let mut document = self.message.document.borrow_mut();
                let twin = twin(&document, origin);
                let node = document.push(twin);
                drop(document);
                self.spend(twin.value.length as usize)?;
                Ok(Some(node))
            }
            _ => self.plain(value, at),
        }
    }
}

/// A node that leads to the same members, to stand elsewhere.
fn twin(document: &Document, (node, item): Position) -> Node {
    let mut twin = Node { key: message::Span::default(), next: NONE, ..*document.node(node) };
    twin.flags = twin.flags.without(Flags::NAMING);
    if item {
        twin.same = NONE;
        twin.flags = twin.flags.without(Flags::LIST);
    }
    twin
}
