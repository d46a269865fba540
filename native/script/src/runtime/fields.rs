//! The properties of a view: those of the document's object until they are touched, then what the
//! script made of them. Orders and rules are those of an ordinary object (ECMA-262, 10.1). Values are
//! counted by hand, since their owner is freed by the collector.

use std::collections::HashMap;
use std::ffi::c_int;

use message::NONE;
use rquickjs::qjs;

pub const CONFIGURABLE: c_int = qjs::JS_PROP_CONFIGURABLE as c_int;
pub const WRITABLE: c_int = qjs::JS_PROP_WRITABLE as c_int;
pub const ENUMERABLE: c_int = qjs::JS_PROP_ENUMERABLE as c_int;
pub const ALL: c_int = CONFIGURABLE | WRITABLE | ENUMERABLE;

/// Where a property's value is.
#[derive(Clone, Copy)]
pub enum Slot {
    /// In the document.
    Document,
    /// In the document, and made into this value when it was first read.
    Read(qjs::JSValue),
    /// Set by the script.
    Set(qjs::JSValue),
    Accessor {
        getter: qjs::JSValue,
        setter: qjs::JSValue,
    },
}

/// How the names of properties are ordered among each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    Index(u32),
    Text,
    Symbol,
}

#[derive(Clone, Copy)]
pub struct Field {
    /// With a reference.
    pub atom: qjs::JSAtom,
    pub flags: c_int,
    pub order: Order,
    /// The member of the document's object; `NONE` for what the script added.
    pub member: u32,
    /// With references.
    pub slot: Slot,
}

/// Objects with more properties get a table.
const SEARCHED: usize = 24;

/// No name: of a property that was removed and still has its place.
const REMOVED: qjs::JSAtom = 0;

#[derive(Default)]
pub struct Fields {
    fields: Vec<Field>,
    by_atom: Option<HashMap<qjs::JSAtom, usize>>,
    removed: usize,
    /// Whether anything is not as it was in the document, not looking into the values.
    pub changed: bool,
    /// Whether `Order::Index` or `Order::Symbol` occur, so that the order is not that of the vector.
    ordered: bool,
}

impl Fields {
    pub fn push(&mut self, field: Field) {
        self.ordered |= field.order != Order::Text;
        if let Some(by_atom) = &mut self.by_atom {
            by_atom.insert(field.atom, self.fields.len());
        }
        self.fields.push(field);
        if self.by_atom.is_none() && self.fields.len() > SEARCHED {
            self.index();
        }
    }

    fn index(&mut self) {
        self.by_atom = Some(self.fields.iter().enumerate().map(|(index, field)| (field.atom, index)).collect());
    }

    #[inline]
    pub fn find(&self, atom: qjs::JSAtom) -> Option<usize> {
        match &self.by_atom {
            Some(by_atom) => by_atom.get(&atom).copied(),
            None => self.fields.iter().position(|field| field.atom == atom),
        }
    }

    /// Gives a property out, and forgets it. Places move only once half of them are empty.
    pub fn remove(&mut self, index: usize) -> Option<Field> {
        let place = self.fields.get_mut(index)?;
        let field = std::mem::replace(place, Field { atom: REMOVED, slot: Slot::Document, ..*place });
        self.changed = true;
        self.removed += 1;
        if let Some(by_atom) = &mut self.by_atom {
            by_atom.remove(&field.atom);
        }
        if self.removed > self.fields.len() / 2 {
            self.fields.retain(|field| field.atom != REMOVED);
            self.removed = 0;
            if self.by_atom.is_some() {
                self.index();
            }
        }
        Some(field)
    }

    #[inline]
    pub fn get(&self, index: usize) -> Option<&Field> {
        self.fields.get(index)
    }

    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Field> {
        self.fields.get_mut(index)
    }

    pub fn len(&self) -> usize {
        self.fields.len() - self.removed
    }

    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.atom != REMOVED)
    }

    /// The properties in the order in which an ordinary object names them.
    pub fn in_order(&self) -> Vec<Field> {
        let mut fields: Vec<Field> = self.iter().copied().collect();
        if self.ordered {
            fields.sort_by_key(|field| field.order);
        }
        fields
    }

    /// The values that the collector has to know of.
    pub fn values(&self) -> impl Iterator<Item = qjs::JSValue> + '_ {
        self.iter()
            .flat_map(|field| match field.slot {
                Slot::Document => [None, None],
                Slot::Read(value) | Slot::Set(value) => [Some(value), None],
                Slot::Accessor { getter, setter } => [Some(getter), Some(setter)],
            })
            .flatten()
    }
}

impl Field {
    pub fn of_member(atom: qjs::JSAtom, member: u32, name: &str) -> Field {
        Field { atom, flags: ALL, order: order_of(name), member, slot: Slot::Document }
    }

    /// As a property that is gone: what it reads as now is the engine's answer.
    pub fn removed(self) -> Field {
        Field { member: NONE, slot: Slot::Accessor { getter: qjs::JS_UNDEFINED, setter: qjs::JS_UNDEFINED }, ..self }
    }

    pub fn is_enumerable(&self) -> bool {
        self.flags & ENUMERABLE != 0
    }
}

/// An array index (ECMA-262, 6.1.7) in its canonical form orders before all other names.
pub fn order_of(name: &str) -> Order {
    let is_canonical =
        name.len() <= 10 && name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    match name.parse() {
        Ok(index) if is_canonical && index != u32::MAX => Order::Index(index),
        _ => Order::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_indices_order_first() {
        assert_eq!(order_of("0"), Order::Index(0));
        assert_eq!(order_of("4294967294"), Order::Index(4_294_967_294));
        for name in ["", "00", "01", "-1", "1.0", "4294967295", "99999999999", "a", "+1"] {
            assert_eq!(order_of(name), Order::Text, "{name}");
        }
    }

    #[test]
    fn what_stays_is_found_in_its_order_whatever_is_removed() {
        for count in [4, SEARCHED as u32, 100] {
            let mut fields = Fields::default();
            (1..=count).for_each(|atom| fields.push(Field::of_member(atom, atom, "name")));
            let mut left: Vec<u32> = (1..=count).collect();
            while !left.is_empty() {
                let atom = left.remove(left.len() / 3);
                let index = fields.find(atom).unwrap();
                assert_eq!(fields.remove(index).unwrap().atom, atom);
                assert_eq!((fields.find(atom), fields.len()), (None, left.len()));
                assert!(left.iter().all(|atom| fields.get(fields.find(*atom).unwrap()).unwrap().atom == *atom));
                assert_eq!(fields.in_order().iter().map(|field| field.atom).collect::<Vec<_>>(), left);
            }
            fields.push(Field::of_member(7, 0, "name"));
            assert_eq!(fields.iter().count(), 1);
        }
    }
}
