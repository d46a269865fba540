//! Editing the tape: set, remove, rename by path. What is touched is marked dirty up to the root,
//! so that everything else can still be copied byte for byte.

use super::{Document, Flags, Kind, NONE, Node, Span};
use crate::{Path, Segment};

/// Why an edit is refused; `at` is the position of the path's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    NotAnObject { at: usize },
    NoSuchIndex { at: usize },
    NameTaken { at: usize },
}

/// A place in the tree: a node, seen from its parent.
#[derive(Clone, Copy)]
struct Slot {
    node: u32,
    /// The sibling whose `next` (or, in a chain, whose `same`) leads here; `NONE` when first.
    previous: u32,
    /// One element of a chain of equal names.
    item: bool,
}

impl Document {
    /// Puts the unlinked node `value` at `path`, creating the objects in between. A value that is
    /// there is replaced in its place; a new member comes last.
    pub fn set(&mut self, path: &Path, value: u32) -> Result<(), EditError> {
        self.check_way(path)?;
        self.edited = true;
        self.forget_lists();
        if self.root == NONE || self.node(self.root).kind == Kind::Null {
            self.root = self.push(Node::new(Kind::Object));
        }
        let mut parent = Slot { node: self.root, previous: NONE, item: false };
        let last = path.segments().len() - 1;
        for (at, segment) in path.segments().iter().enumerate() {
            self.mark_dirty(parent.node);
            let here = match self.child(parent, segment) {
                Some(slot) => slot,
                None => self.add_member(parent.node, segment),
            };
            if at == last {
                self.replace(parent, here, value);
            } else if self.kind_of(here) == Kind::Null {
                let object = self.push(Node::new(Kind::Object));
                parent = self.replace(parent, here, object);
            } else {
                parent = here;
            }
        }
        Ok(())
    }

    /// Takes the value at `path` away; gives whether there was one.
    pub fn remove(&mut self, path: &Path) -> bool {
        let Some((parent, here)) = self.find(path) else { return false };
        self.dirty_way(path);
        if here.item && here.previous != NONE {
            self.node_mut(here.previous).same = self.node(here.node).same;
        } else if here.item && self.node(here.node).same != NONE {
            self.drop_chain_head(parent, here.node);
        } else {
            // A chain that loses its only element goes with it: an empty list has no XML form.
            let slot = if here.item { self.member_slot(parent.node, here.node) } else { here };
            let next = self.node(slot.node).next;
            self.relink(parent.node, slot.previous, next);
        }
        true
    }

    /// Gives the member at `path` another key, in its place; gives whether there was one.
    pub fn rename(&mut self, path: &Path, name: &str) -> Result<bool, EditError> {
        let Some((parent, here)) = self.find(path) else { return Ok(false) };
        let at = path.segments().len() - 1;
        if here.item || self.kind_of(parent) != Kind::Object {
            return Err(EditError::NotAnObject { at });
        }
        if self.key_is(self.node(here.node), name) {
            return Ok(true);
        }
        if self.member(parent.node, name).is_some() {
            return Err(EditError::NameTaken { at });
        }
        self.dirty_way(path);
        let key = self.append(name.as_bytes());
        self.set_key(here.node, key);
        Ok(true)
    }

    fn set_key(&mut self, node: u32, key: Span) {
        let node = self.node_mut(node);
        node.key = key;
        node.flags = Flags(node.flags.0 & !(Flags::ATTRIBUTE.0 | Flags::TEXT.0 | Flags::KEY_JSON.0));
    }

    /// Refuses before anything is touched, so that a failed `set` leaves the document as it was.
    fn check_way(&self, path: &Path) -> Result<(), EditError> {
        if self.root == NONE {
            return Ok(());
        }
        let mut here = Slot { node: self.root, previous: NONE, item: false };
        for (at, segment) in path.segments().iter().enumerate() {
            let fits = match (self.kind_of(here), segment) {
                (Kind::Object, Segment::Key(_)) | (Kind::List, Segment::Index(_)) => true,
                (Kind::Null, Segment::Key(_)) => return Ok(()),
                (Kind::List, Segment::Key(_)) | (_, _) => false,
            };
            if !fits {
                return Err(EditError::NotAnObject { at });
            }
            match (self.child(here, segment), segment) {
                (Some(slot), _) => here = slot,
                (None, Segment::Index(_)) => return Err(EditError::NoSuchIndex { at }),
                (None, Segment::Key(_)) => {
                    let index = path.segments()[at + 1..].iter().position(|s| matches!(s, Segment::Index(_)));
                    return index.map_or(Ok(()), |more| Err(EditError::NoSuchIndex { at: at + 1 + more }));
                }
            }
        }
        Ok(())
    }

    fn kind_of(&self, slot: Slot) -> Kind {
        let node = self.node(slot.node);
        if !slot.item && (node.same != NONE || node.flags.has(Flags::LIST)) { Kind::List } else { node.kind }
    }

    fn child(&self, parent: Slot, segment: &Segment) -> Option<Slot> {
        match (self.kind_of(parent), segment) {
            (Kind::Object, Segment::Key(name)) => self.member(parent.node, name),
            (Kind::List, Segment::Index(index)) => self.element(parent, *index),
            _ => None,
        }
    }

    fn member(&self, object: u32, name: &str) -> Option<Slot> {
        let mut slot = Slot { node: self.node(object).first, previous: NONE, item: false };
        while slot.node != NONE && !self.key_is(self.node(slot.node), name) {
            slot = Slot { node: self.node(slot.node).next, previous: slot.node, item: false };
        }
        (slot.node != NONE).then_some(slot)
    }

    fn element(&self, list: Slot, index: u32) -> Option<Slot> {
        let chain = self.node(list.node).kind != Kind::List || self.node(list.node).same != NONE;
        let chain = chain || (!list.item && self.node(list.node).flags.has(Flags::LIST));
        let first = if chain { list.node } else { self.node(list.node).first };
        let mut slot = Slot { node: first, previous: NONE, item: chain };
        for _ in 0..index {
            if slot.node == NONE {
                return None;
            }
            let node = self.node(slot.node);
            slot = Slot { node: if chain { node.same } else { node.next }, previous: slot.node, item: chain };
        }
        (slot.node != NONE).then_some(slot)
    }

    fn find(&self, path: &Path) -> Option<(Slot, Slot)> {
        if self.root == NONE {
            return None;
        }
        let mut parent = Slot { node: self.root, previous: NONE, item: false };
        let (last, way) = path.segments().split_last()?;
        // A chain has no node of its own: the object that holds it is what gets relinked.
        let mut holder = parent;
        for segment in way {
            let here = self.child(parent, segment)?;
            if !(self.kind_of(here) == Kind::List && self.node(here.node).kind != Kind::List || self.is_chain_head(here)) {
                holder = here;
            } else {
                holder = parent;
            }
            parent = here;
        }
        let here = self.child(parent, last)?;
        Some((if here.item { holder } else { parent }, here))
    }

    fn is_chain_head(&self, slot: Slot) -> bool {
        let node = self.node(slot.node);
        !slot.item && (node.same != NONE || node.flags.has(Flags::LIST))
    }

    fn dirty_way(&mut self, path: &Path) {
        self.edited = true;
        self.forget_lists();
        let mut here = Slot { node: self.root, previous: NONE, item: false };
        for segment in path.segments() {
            self.mark_dirty(here.node);
            match self.child(here, segment) {
                Some(slot) => here = slot,
                None => return,
            }
        }
    }

    fn mark_dirty(&mut self, node: u32) {
        let node = self.node_mut(node);
        node.flags = node.flags.with(Flags::DIRTY);
    }

    /// A new last member, null until it is replaced. `check_way` has made sure it is an object.
    fn add_member(&mut self, object: u32, segment: &Segment) -> Slot {
        let Segment::Key(name) = segment else { return Slot { node: object, previous: NONE, item: false } };
        let key = self.append(name.as_bytes());
        let child = self.push(Node { key, ..Node::new(Kind::Null) });
        let mut previous = NONE;
        let mut at = self.node(object).first;
        while at != NONE {
            previous = at;
            at = self.node(at).next;
        }
        self.link(object, previous, child);
        Slot { node: child, previous, item: false }
    }

    /// Puts `value` where `here` stands, under its key.
    fn replace(&mut self, parent: Slot, here: Slot, value: u32) -> Slot {
        let old = *self.node(here.node);
        let naming = Flags::ATTRIBUTE.0 | Flags::TEXT.0 | Flags::KEY_JSON.0;
        let new = self.node_mut(value);
        new.key = old.key;
        new.flags = Flags(new.flags.0 & !naming | old.flags.0 & naming | Flags::DIRTY.0);
        if here.item {
            // Elements of a chain keep their node, so that the object that holds it stays as it is.
            let body = *new;
            let node = self.node_mut(here.node);
            (node.kind, node.encoding, node.value, node.first) = (body.kind, body.encoding, body.value, body.first);
            node.flags = node.flags.with(Flags::DIRTY);
            return here;
        }
        new.next = old.next;
        self.relink(parent.node, here.previous, value);
        Slot { node: value, previous: here.previous, item: false }
    }

    fn relink(&mut self, parent: u32, previous: u32, next: u32) {
        if previous == NONE {
            self.node_mut(parent).first = next;
        } else {
            self.node_mut(previous).next = next;
        }
    }

    fn member_slot(&self, object: u32, node: u32) -> Slot {
        let mut slot = Slot { node: self.node(object).first, previous: NONE, item: false };
        while slot.node != NONE && slot.node != node {
            slot = Slot { node: self.node(slot.node).next, previous: slot.node, item: false };
        }
        slot
    }

    /// The chain's second element takes the place of its first among the members.
    fn drop_chain_head(&mut self, holder: Slot, head: u32) {
        let slot = self.member_slot(holder.node, head);
        let old = *self.node(head);
        let second = self.node_mut(old.same);
        second.next = old.next;
        second.key = old.key;
        second.flags = second.flags.with(Flags::LIST).with(Flags::DIRTY);
        self.relink(holder.node, slot.previous, old.same);
    }
}
