//! Changes to a view: [[DefineOwnProperty]] and [[Delete]] of an ordinary object (ECMA-262, 10.1.6 and
//! 10.1.10). Plain assignment comes here, too, once the engine has found that nothing forbids it.
#![allow(unsafe_code)] // Values counted by hand, and calls into the engine.

use std::ffi::c_int;

use message::NONE;
use rquickjs::qjs;

use super::fields::{ALL, CONFIGURABLE, ENUMERABLE, Field, Order, Slot, WRITABLE, order_of};
use super::raw::{Js, Owned, Tag, Thrown, atom_text};
use super::view::{FIELD, View, throw_out_of_memory};

impl View {
    /// [[DefineOwnProperty]] of an ordinary object; gives whether it is allowed.
    pub fn define(&self, js: Js, atom: qjs::JSAtom, new: &Definition) -> Result<bool, Thrown> {
        let found = self.fields(js)?.find(atom);
        let Some(index) = found else { return self.add(js, atom, new) };
        let current = self.own_property(js, atom)?.map(|current| Current::new(js, &current));
        let Some(current) = current else { return Ok(false) };
        if current.flags & CONFIGURABLE == 0 && !current.allows(js, new) {
            return Ok(false);
        }
        let mut fields = self.fields(js)?;
        fields.changed = true;
        let Some(field) = fields.get_mut(index) else { return Ok(false) };
        let old = field.slot;
        field.slot = new.slot(js, Some(&current));
        field.flags = new.flags(current.flags, current.is_accessor);
        drop(fields);
        release(js, old);
        Ok(true)
    }

    fn add(&self, js: Js, atom: qjs::JSAtom, new: &Definition) -> Result<bool, Thrown> {
        if !new.is_extensible {
            return Ok(false);
        }
        if !self.message.guard.take(FIELD) {
            return Err(throw_out_of_memory(js));
        }
        let order = order_of_atom(js, atom)?;
        let field = Field {
            atom: js.duplicate_atom(atom),
            flags: new.flags(0, false),
            order,
            member: NONE,
            slot: new.slot(js, None),
        };
        let mut fields = self.fields(js)?;
        fields.changed = true;
        fields.push(field);
        Ok(true)
    }

    /// [[Delete]]; gives whether the property is gone.
    pub fn delete(&self, js: Js, atom: qjs::JSAtom) -> Result<bool, Thrown> {
        let mut fields = self.fields(js)?;
        let Some(index) = fields.find(atom) else { return Ok(true) };
        if fields.get(index).is_some_and(|field| field.flags & CONFIGURABLE == 0) {
            return Ok(false);
        }
        let Some(field) = fields.remove(index) else { return Ok(true) };
        drop(fields);
        self.message.guard.give_back(FIELD);
        release(js, field.slot);
        // SAFETY: the reference was the field's.
        unsafe { qjs::JS_FreeAtom(js.context(), field.atom) };
        Ok(true)
    }
}

/// What a script asks for in a definition; the values are borrowed from the engine's call.
pub struct Definition {
    pub value: qjs::JSValue,
    pub getter: qjs::JSValue,
    pub setter: qjs::JSValue,
    /// The engine's flags: which attributes are given, and what they are.
    pub asked: c_int,
    pub is_extensible: bool,
}

impl Definition {
    fn has(&self, flag: u32) -> bool {
        self.asked & flag as c_int != 0
    }

    fn makes_accessor(&self) -> bool {
        self.has(qjs::JS_PROP_HAS_GET) || self.has(qjs::JS_PROP_HAS_SET)
    }

    fn makes_data(&self) -> bool {
        self.has(qjs::JS_PROP_HAS_VALUE) || self.has(qjs::JS_PROP_HAS_WRITABLE)
    }

    /// The flags afterwards: those that are asked for, the others as they were.
    fn flags(&self, before: c_int, was_accessor: bool) -> c_int {
        let kind_changes = (was_accessor && self.makes_data()) || self.makes_accessor();
        let before = if kind_changes { before & !WRITABLE } else { before };
        let mask = (self.asked >> qjs::JS_PROP_HAS_SHIFT) & ALL;
        (self.asked & mask) | (before & !mask)
    }

    /// The value afterwards, with references of its own.
    fn slot(&self, js: Js, current: Option<&Current>) -> Slot {
        if self.makes_accessor() {
            let (getter, setter) = match current {
                Some(current) if current.is_accessor => (current.getter.raw(), current.setter.raw()),
                _ => (qjs::JS_UNDEFINED, qjs::JS_UNDEFINED),
            };
            let getter = if self.has(qjs::JS_PROP_HAS_GET) { self.getter } else { getter };
            let setter = if self.has(qjs::JS_PROP_HAS_SET) { self.setter } else { setter };
            return Slot::Accessor { getter: js.duplicate(getter), setter: js.duplicate(setter) };
        }
        match current {
            _ if self.has(qjs::JS_PROP_HAS_VALUE) => Slot::Set(js.duplicate(self.value)),
            Some(current) if current.is_accessor && !self.makes_data() => Slot::Accessor {
                getter: js.duplicate(current.getter.raw()),
                setter: js.duplicate(current.setter.raw()),
            },
            Some(current) if !current.is_accessor => Slot::Set(js.duplicate(current.value.raw())),
            _ => Slot::Set(qjs::JS_UNDEFINED),
        }
    }
}

/// A property as it is, with references.
struct Current {
    flags: c_int,
    is_accessor: bool,
    value: Owned,
    getter: Owned,
    setter: Owned,
}

impl Current {
    fn new(js: Js, descriptor: &qjs::JSPropertyDescriptor) -> Current {
        Current {
            flags: descriptor.flags & ALL,
            is_accessor: descriptor.flags & qjs::JS_PROP_GETSET as c_int != 0,
            value: js.adopt(descriptor.value),
            getter: js.adopt(descriptor.getter),
            setter: js.adopt(descriptor.setter),
        }
    }

    /// What may still be asked of a property that is not configurable.
    fn allows(&self, js: Js, new: &Definition) -> bool {
        // SAFETY: both values live.
        let same = |a, b| unsafe { qjs::JS_IsSameValue(js.context(), a, b) };
        let differs = |has: u32, flag: c_int| new.has(has) && (new.asked & flag) != (self.flags & flag);
        if (new.has(qjs::JS_PROP_HAS_CONFIGURABLE) && new.asked & CONFIGURABLE != 0)
            || differs(qjs::JS_PROP_HAS_ENUMERABLE, ENUMERABLE)
        {
            return false;
        }
        if self.is_accessor {
            return !(new.makes_data()
                || (new.has(qjs::JS_PROP_HAS_GET) && !same(new.getter, self.getter.raw()))
                || (new.has(qjs::JS_PROP_HAS_SET) && !same(new.setter, self.setter.raw())));
        }
        if new.makes_accessor() {
            return false;
        }
        self.flags & WRITABLE != 0
            || !((new.has(qjs::JS_PROP_HAS_WRITABLE) && new.asked & WRITABLE != 0)
                || (new.has(qjs::JS_PROP_HAS_VALUE) && !same(new.value, self.value.raw())))
    }
}

fn order_of_atom(js: Js, atom: qjs::JSAtom) -> Result<Order, Thrown> {
    // SAFETY: the atom lives.
    let name = js.own(unsafe { qjs::JS_AtomToValue(js.context(), atom) })?;
    if name.tag() == Tag::Symbol {
        return Ok(Order::Symbol);
    }
    atom_text(js, atom, |text| std::str::from_utf8(text).map_or(Order::Text, order_of))
}

fn release(js: Js, slot: Slot) {
    match slot {
        Slot::Document => {}
        Slot::Read(value) | Slot::Set(value) => drop(js.adopt(value)),
        Slot::Accessor { getter, setter } => {
            drop(js.adopt(getter));
            drop(js.adopt(setter));
        }
    }
}
