//! Names of properties, as the engine's atoms.
#![allow(unsafe_code)] // Foreign functions of the engine; each use says what it relies on.

use rquickjs::qjs;

use super::{Js, Owned, Thrown};

/// An own property's name; holds one reference.
pub struct Key {
    pub(super) js: Js,
    pub(super) atom: qjs::JSAtom,
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the context lives.
        unsafe { qjs::JS_FreeAtom(self.js.context, self.atom) }
    }
}

impl Key {
    #[inline]
    pub fn with_text<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Result<T, Thrown> {
        atom_text(self.js, self.atom, read)
    }

    #[inline]
    pub fn atom(&self) -> qjs::JSAtom {
        self.atom
    }

    /// The name as a string.
    pub fn to_value(&self) -> Result<Owned, Thrown> {
        // SAFETY: context and atom live.
        self.js.own(unsafe { qjs::JS_AtomToString(self.js.context, self.atom) })
    }

    /// Gives the reference away.
    pub fn into_raw(self) -> qjs::JSAtom {
        let atom = self.atom;
        std::mem::forget(self);
        atom
    }
}

pub fn atom_text<T>(js: Js, atom: qjs::JSAtom, read: impl FnOnce(&[u8]) -> T) -> Result<T, Thrown> {
    let mut length: qjs::size_t = 0;
    // SAFETY: the characters live until they are freed, below.
    unsafe {
        let text = qjs::JS_AtomToCStringLen(js.context, &raw mut length, atom);
        if text.is_null() {
            return Err(Thrown);
        }
        let value = read(std::slice::from_raw_parts(text.cast(), length as usize));
        qjs::JS_FreeCString(js.context, text);
        Ok(value)
    }
}

/// The names of an object's properties, handed out one by one.
pub struct Keys {
    pub(super) js: Js,
    pub(super) table: *mut qjs::JSPropertyEnum,
    pub(super) length: u32,
    pub(super) next: u32,
}

impl Iterator for Keys {
    type Item = Key;

    #[inline]
    fn next(&mut self) -> Option<Key> {
        if self.next == self.length {
            return None;
        }
        // SAFETY: the table has `length` entries.
        let atom = unsafe { qjs::JS_DupAtom(self.js.context, (*self.table.add(self.next as usize)).atom) };
        self.next += 1;
        Some(Key { js: self.js, atom })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // SAFETY: the engine allocated the table for us.
        unsafe { qjs::JS_FreePropertyEnum(self.js.context, self.table, self.length) }
    }
}
