//! The few engine calls that everything here is built on, with the reference counts kept by `Drop`.
//!
//! The safe wrapper of rquickjs clones the context for every value, which is more than the values
//! of a message cost themselves; so the hot path speaks to the engine directly.
#![allow(unsafe_code)] // Foreign functions of the engine; each use says what it relies on.

mod key;
mod value;

use std::ffi::c_int;

use rquickjs::qjs;

pub use key::{Key, Keys, atom_text};
pub use value::{Owned, Tag};

/// An exception is pending in the context; whoever sees it takes it out and reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thrown;

/// The context in which a script runs. Valid while its realm lives; values never outlive a realm.
#[derive(Clone, Copy)]
pub struct Js {
    context: *mut qjs::JSContext,
}

impl Js {
    /// `context` has to live as long as any value made through it.
    pub fn new(context: *mut qjs::JSContext) -> Js {
        Js { context }
    }

    #[inline]
    pub fn context(self) -> *mut qjs::JSContext {
        self.context
    }

    pub fn runtime(self) -> *mut qjs::JSRuntime {
        // SAFETY: the context lives.
        unsafe { qjs::JS_GetRuntime(self.context) }
    }

    /// Takes over a reference to a value that is no exception.
    #[inline]
    pub fn adopt(self, value: qjs::JSValue) -> Owned {
        Owned { js: self, value }
    }

    /// One more reference to a value, to be given back by hand.
    #[inline]
    pub fn duplicate(self, value: qjs::JSValue) -> qjs::JSValue {
        // SAFETY: whoever names the value holds a reference to it.
        unsafe { qjs::JS_DupValue(self.context, value) }
    }

    /// One more reference to an atom, to be given back by hand.
    #[inline]
    pub fn duplicate_atom(self, atom: qjs::JSAtom) -> qjs::JSAtom {
        // SAFETY: whoever names the atom holds a reference to it.
        unsafe { qjs::JS_DupAtom(self.context, atom) }
    }

    /// A key of its own for an atom that someone else holds.
    #[inline]
    pub fn key_of(self, atom: qjs::JSAtom) -> Key {
        Key { js: self, atom: self.duplicate_atom(atom) }
    }

    /// Tells the engine that it is entered here, on this thread: from here its stack is measured.
    pub fn enter(self) {
        // SAFETY: the context lives.
        unsafe { qjs::JS_UpdateStackTop(self.runtime()) }
    }

    /// Takes over a value that the engine returned.
    #[inline]
    pub fn own(self, value: qjs::JSValue) -> Result<Owned, Thrown> {
        // SAFETY: reads the value's own words.
        if unsafe { qjs::JS_VALUE_GET_NORM_TAG(value) } == qjs::JS_TAG_EXCEPTION {
            Err(Thrown)
        } else {
            Ok(Owned { js: self, value })
        }
    }

    /// Takes the pending exception out of the context.
    pub fn exception(self) -> Owned {
        // SAFETY: the context lives.
        Owned { js: self, value: unsafe { qjs::JS_GetException(self.context) } }
    }

    #[inline]
    pub fn undefined(self) -> Owned {
        Owned { js: self, value: qjs::JS_UNDEFINED }
    }

    #[inline]
    pub fn null(self) -> Owned {
        Owned { js: self, value: qjs::JS_NULL }
    }

    #[inline]
    pub fn boolean(self, value: bool) -> Owned {
        Owned { js: self, value: if value { qjs::JS_TRUE } else { qjs::JS_FALSE } }
    }

    /// A number as the engine keeps it: 32 bit integers apart, -0 as a float.
    #[inline]
    pub fn number(self, value: f64) -> Owned {
        #[allow(clippy::cast_possible_truncation)]
        let int = value as i32;
        let is_int = f64::from(int).to_bits() == value.to_bits();
        let value = if is_int { qjs::JS_MKVAL(qjs::JS_TAG_INT, int) } else { qjs::JS_NewFloat64(value) };
        Owned { js: self, value }
    }

    #[inline]
    pub fn text(self, text: &str) -> Result<Owned, Thrown> {
        // SAFETY: the engine copies the bytes.
        self.own(unsafe { qjs::JS_NewStringLen(self.context, text.as_ptr().cast(), text.len() as _) })
    }

    #[inline]
    pub fn object(self) -> Result<Owned, Thrown> {
        // SAFETY: the context lives.
        self.own(unsafe { qjs::JS_NewObject(self.context) })
    }

    /// A list of these values, whose references it takes.
    pub fn array(self, values: Vec<Owned>) -> Result<Owned, Thrown> {
        let raw: Vec<qjs::JSValue> = values.into_iter().map(Owned::into_raw).collect();
        let count = c_int::try_from(raw.len()).map_err(|_| Thrown)?;
        // SAFETY: `count` values follow the pointer; the engine takes their references.
        self.own(unsafe { qjs::JS_NewArrayFrom(self.context, count, raw.as_ptr()) })
    }

    #[inline]
    pub fn key(self, name: &str) -> Result<Key, Thrown> {
        let atom = if name.is_ascii() {
            // SAFETY: the engine copies the bytes.
            unsafe { qjs::JS_NewAtomLen(self.context, name.as_ptr().cast(), name.len() as _) }
        } else {
            // The call above compares with the names it knows byte by byte, and takes those of Latin-1 for UTF-8:
            // `é` would be `Ã©`, if that is a name already.
            let text = self.text(name)?;
            // SAFETY: the value is a live string of this context.
            unsafe { qjs::JS_ValueToAtom(self.context, text.value) }
        };
        if atom == 0 { Err(Thrown) } else { Ok(Key { js: self, atom }) }
    }

    /// A `Uint8Array` of a copy of these bytes.
    pub fn bytes(self, bytes: &[u8]) -> Result<Owned, Thrown> {
        // SAFETY: the engine copies the bytes.
        self.own(unsafe { qjs::JS_NewUint8ArrayCopy(self.context, bytes.as_ptr(), bytes.len() as _) })
    }

    pub fn globals(self) -> Owned {
        // SAFETY: the context lives.
        Owned { js: self, value: unsafe { qjs::JS_GetGlobalObject(self.context) } }
    }
}
