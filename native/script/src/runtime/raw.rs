//! The few engine calls that everything here is built on, with the reference counts kept by `Drop`.
//!
//! The safe wrapper of rquickjs clones the context for every value, which is more than the values
//! of a message cost themselves; so the hot path speaks to the engine directly.
#![allow(unsafe_code)] // Foreign functions of the engine; each use says what it relies on.

use std::ffi::{CStr, c_int};
use std::ptr;

use rquickjs::qjs;

/// An exception is pending in the context; whoever sees it takes it out and reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thrown;

/// The context in which a script runs. Valid while its realm lives; values never outlive a realm.
#[derive(Clone, Copy)]
pub struct Js {
    context: *mut qjs::JSContext,
}

/// A value that holds one reference.
pub struct Owned {
    js: Js,
    value: qjs::JSValue,
}

/// An own property's name; holds one reference.
pub struct Key {
    js: Js,
    atom: qjs::JSAtom,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the context lives.
        unsafe { qjs::JS_FreeValue(self.js.context, self.value) }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the context lives.
        unsafe { qjs::JS_FreeAtom(self.js.context, self.atom) }
    }
}

/// What a value is, with its payload where it needs no further call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tag {
    Undefined,
    Null,
    Bool(bool),
    Int(i32),
    Float(f64),
    Text,
    Symbol,
    BigInt,
    Object,
    Other,
}

impl Owned {
    /// The raw value, still owned by `self`.
    #[inline]
    pub fn raw(&self) -> qjs::JSValue {
        self.value
    }

    /// Gives the reference away, to the engine.
    #[inline]
    pub fn into_raw(self) -> qjs::JSValue {
        let value = self.value;
        std::mem::forget(self);
        value
    }

    #[inline]
    pub fn tag(&self) -> Tag {
        let value = self.value;
        // SAFETY: reads the value's own words.
        unsafe {
            match qjs::JS_VALUE_GET_NORM_TAG(value) {
                qjs::JS_TAG_INT => Tag::Int(qjs::JS_VALUE_GET_INT(value)),
                qjs::JS_TAG_BOOL => Tag::Bool(qjs::JS_VALUE_GET_BOOL(value)),
                qjs::JS_TAG_FLOAT64 => Tag::Float(qjs::JS_VALUE_GET_FLOAT64(value)),
                qjs::JS_TAG_STRING | qjs::JS_TAG_STRING_ROPE => Tag::Text,
                qjs::JS_TAG_OBJECT => Tag::Object,
                qjs::JS_TAG_NULL => Tag::Null,
                qjs::JS_TAG_UNDEFINED => Tag::Undefined,
                qjs::JS_TAG_SYMBOL => Tag::Symbol,
                qjs::JS_TAG_BIG_INT | qjs::JS_TAG_SHORT_BIG_INT => Tag::BigInt,
                _ => Tag::Other,
            }
        }
    }

    #[inline]
    pub fn is_array(&self) -> bool {
        // SAFETY: looks at the object's class.
        unsafe { qjs::JS_IsArray(self.value) }
    }

    pub fn is_function(&self) -> bool {
        // SAFETY: looks at the object's class.
        unsafe { qjs::JS_IsFunction(self.js.context, self.value) }
    }

    pub fn is_error(&self) -> bool {
        // SAFETY: looks at the object's class.
        unsafe { qjs::JS_IsError(self.value) }
    }

    pub fn is_promise(&self) -> bool {
        // SAFETY: looks at the object's class.
        unsafe { qjs::JS_IsPromise(self.value) }
    }

    /// The number of the object's class, in the order of the engine's table.
    #[inline]
    pub fn class(&self) -> u32 {
        // SAFETY: looks at the object's class.
        unsafe { qjs::JS_GetClassID(self.value) }
    }

    /// Where the object lies: the same for the same object.
    pub fn identity(&self) -> usize {
        // SAFETY: reads the value's own words.
        unsafe { qjs::JS_VALUE_GET_PTR(self.value) as usize }
    }

    /// The class's name, such as `Map`.
    pub fn class_name(&self) -> String {
        let js = self.js;
        // SAFETY: the class is registered since an object of it exists.
        let key = unsafe {
            let runtime = qjs::JS_GetRuntime(js.context);
            Key { js, atom: qjs::JS_GetClassName(runtime, qjs::JS_GetClassID(self.value)) }
        };
        key.with_text(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    }

    /// The property `key`, which may run a getter.
    #[inline]
    pub fn get(&self, key: &Key) -> Result<Owned, Thrown> {
        // SAFETY: context, value and atom live.
        self.js.own(unsafe { qjs::JS_GetProperty(self.js.context, self.value, key.atom) })
    }

    pub fn get_named(&self, name: &CStr) -> Result<Owned, Thrown> {
        // SAFETY: context and value live; the name ends with NUL.
        self.js.own(unsafe { qjs::JS_GetPropertyStr(self.js.context, self.value, name.as_ptr()) })
    }

    #[inline]
    pub fn get_index(&self, index: i64) -> Result<Owned, Thrown> {
        // SAFETY: context and value live.
        self.js.own(unsafe { qjs::JS_GetPropertyInt64(self.js.context, self.value, index) })
    }

    pub fn length(&self) -> Result<i64, Thrown> {
        let mut length = 0;
        // SAFETY: context and value live; `length` is ours.
        let status = unsafe { qjs::JS_GetLength(self.js.context, self.value, &raw mut length) };
        if status < 0 { Err(Thrown) } else { Ok(length) }
    }

    /// The names of the own enumerable properties, in the engine's order; symbols are left out.
    pub fn keys(&self) -> Result<Keys, Thrown> {
        let mut table = ptr::null_mut();
        let mut length = 0;
        let flags = (qjs::JS_GPN_STRING_MASK | qjs::JS_GPN_ENUM_ONLY) as c_int;
        // SAFETY: context and value live; table and length are ours, freed by `Keys`.
        let status =
            unsafe { qjs::JS_GetOwnPropertyNames(self.js.context, &raw mut table, &raw mut length, self.value, flags) };
        if status < 0 { Err(Thrown) } else { Ok(Keys { js: self.js, table, length, next: 0 }) }
    }

    /// Calls the value with `this` undefined.
    pub fn call(&self, arguments: &[&Owned]) -> Result<Owned, Thrown> {
        let mut raw: [qjs::JSValue; 4] = [qjs::JS_UNDEFINED; 4];
        let count = arguments.len().min(raw.len());
        for (slot, argument) in raw.iter_mut().zip(arguments) {
            *slot = argument.value;
        }
        // SAFETY: the arguments live through the call; the engine does not keep the array.
        self.js.own(unsafe {
            qjs::JS_Call(self.js.context, self.value, qjs::JS_UNDEFINED, count as c_int, raw.as_mut_ptr())
        })
    }

    /// Calls `self.method()` when `method` is a function.
    pub fn call_method(&self, method: &Owned) -> Result<Owned, Thrown> {
        // SAFETY: both values live through the call.
        self.js.own(unsafe { qjs::JS_Call(self.js.context, method.value, self.value, 0, ptr::null_mut()) })
    }

    /// The characters of a string as the engine writes them in UTF-8; half a surrogate pair is not
    /// valid UTF-8 and has to be looked for.
    #[inline]
    pub fn with_text<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Result<T, Thrown> {
        let mut length: qjs::size_t = 0;
        // SAFETY: the characters live until they are freed, below.
        unsafe {
            let text = qjs::JS_ToCStringLen2(self.js.context, &raw mut length, self.value, false);
            if text.is_null() {
                return Err(Thrown);
            }
            let value = read(std::slice::from_raw_parts(text.cast(), length as usize));
            qjs::JS_FreeCString(self.js.context, text);
            Ok(value)
        }
    }

    /// Defines `key` as an own, ordinary property.
    #[inline]
    pub fn define(&self, key: &Key, value: Owned) -> Result<(), Thrown> {
        let flags = qjs::JS_PROP_C_W_E as c_int;
        // SAFETY: all live; the engine takes the reference of `value` in any case.
        let status =
            unsafe { qjs::JS_DefinePropertyValue(self.js.context, self.value, key.atom, value.into_raw(), flags) };
        if status < 0 { Err(Thrown) } else { Ok(()) }
    }

    /// Where the prototype lies; 0 when there is none.
    pub fn prototype(&self) -> usize {
        // SAFETY: context and value live.
        let prototype = unsafe { qjs::JS_GetPrototype(self.js.context, self.value) };
        match self.js.own(prototype) {
            Ok(prototype) if prototype.tag() == Tag::Object => prototype.identity(),
            _ => 0,
        }
    }

    pub fn freeze(&self) -> Result<(), Thrown> {
        // SAFETY: context and value live.
        let status = unsafe { qjs::JS_FreezeObject(self.js.context, self.value) };
        if status < 0 { Err(Thrown) } else { Ok(()) }
    }
}

impl Clone for Owned {
    fn clone(&self) -> Owned {
        // SAFETY: context and value live.
        Owned { js: self.js, value: unsafe { qjs::JS_DupValue(self.js.context, self.value) } }
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
    js: Js,
    table: *mut qjs::JSPropertyEnum,
    length: u32,
    next: u32,
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
        // SAFETY: the engine copies the bytes.
        let atom = unsafe { qjs::JS_NewAtomLen(self.context, name.as_ptr().cast(), name.len() as _) };
        if atom == 0 { Err(Thrown) } else { Ok(Key { js: self, atom }) }
    }

    pub fn globals(self) -> Owned {
        // SAFETY: the context lives.
        Owned { js: self, value: unsafe { qjs::JS_GetGlobalObject(self.context) } }
    }
}
