//! Values with one reference of their own.
#![allow(unsafe_code)] // Foreign functions of the engine; each use says what it relies on.

use std::ffi::{CStr, c_int};
use std::ptr;

use rquickjs::qjs;

use super::{Js, Key, Keys, Thrown};

/// A value that holds one reference.
pub struct Owned {
    pub(super) js: Js,
    pub(super) value: qjs::JSValue,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the context lives.
        unsafe { qjs::JS_FreeValue(self.js.context, self.value) }
    }
}

impl Clone for Owned {
    fn clone(&self) -> Owned {
        // SAFETY: context and value live.
        Owned { js: self.js, value: unsafe { qjs::JS_DupValue(self.js.context, self.value) } }
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
    #[inline]
    pub fn js(&self) -> Js {
        self.js
    }

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

    pub fn is_proxy(&self) -> bool {
        // SAFETY: looks at the object's class.
        unsafe { qjs::JS_IsProxy(self.value) }
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

    /// The own element `index`, when that is plain data: never runs a getter or a trap.
    #[inline]
    pub fn own_item(&self, index: u32) -> Result<Option<Owned>, Thrown> {
        // SAFETY: the context lives; small numbers are atoms by themselves, others are counted.
        let key = unsafe { Key { js: self.js, atom: qjs::JS_NewAtomUInt32(self.js.context, index) } };
        if key.atom == 0 { Err(Thrown) } else { self.own_data(&key) }
    }

    /// The own property `key` of an object that is no proxy, when it is plain data: never runs a getter.
    #[inline]
    pub fn own_data(&self, key: &Key) -> Result<Option<Owned>, Thrown> {
        let mut found = std::mem::MaybeUninit::<qjs::JSPropertyDescriptor>::uninit();
        // SAFETY: context, value and atom live; the descriptor is filled, with references, when there is a property.
        let (value, getter, setter, flags) = unsafe {
            match qjs::JS_GetOwnProperty(self.js.context, found.as_mut_ptr(), self.value, key.atom) {
                0 => return Ok(None),
                status if status < 0 => return Err(Thrown),
                _ => {
                    let found = found.assume_init();
                    let own = |value| Owned { js: self.js, value };
                    (own(found.value), own(found.getter), own(found.setter), found.flags)
                }
            }
        };
        drop((getter, setter));
        Ok((flags & qjs::JS_PROP_GETSET as c_int == 0).then_some(value))
    }

    /// Whether an object that is no proxy has the own property `key`.
    #[inline]
    pub fn has_own(&self, key: &Key) -> Result<bool, Thrown> {
        // SAFETY: context, value and atom live; only existence is asked for.
        match unsafe { qjs::JS_GetOwnProperty(self.js.context, ptr::null_mut(), self.value, key.atom) } {
            status if status < 0 => Err(Thrown),
            status => Ok(status > 0),
        }
    }

    /// What `Number(value)` gives, by `valueOf` and so on of an object.
    pub fn to_number(&self) -> Result<Owned, Thrown> {
        // SAFETY: context and value live.
        self.js.own(unsafe { qjs::JS_ToNumber(self.js.context, self.value) })
    }

    /// What `String(value)` gives, by `toString` and so on of an object.
    pub fn to_text(&self) -> Result<Owned, Thrown> {
        // SAFETY: context and value live.
        self.js.own(unsafe { qjs::JS_ToString(self.js.context, self.value) })
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

    /// Calls `self.method(argument)` when `method` is a function.
    pub fn call_method(&self, method: &Owned, argument: &Owned) -> Result<Owned, Thrown> {
        let mut raw = argument.value;
        // SAFETY: all values live through the call; the engine does not keep the pointer.
        self.js.own(unsafe { qjs::JS_Call(self.js.context, method.value, self.value, 1, &raw mut raw) })
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

    /// The bytes of a `Uint8Array`; throws for anything else. `read` must not call the engine.
    pub fn with_bytes<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> Result<T, Thrown> {
        let [mut offset, mut length, mut width, mut size, mut whole]: [qjs::size_t; 5] = [0; 5];
        // SAFETY: context and value live; the engine writes the sizes. The bytes stay where they are while the engine is not
        // called, and the array lies inside of its buffer, which is looked at once more.
        unsafe {
            let bytes = qjs::JS_GetUint8Array(self.js.context, &raw mut size, self.value);
            let buffer = qjs::JS_GetTypedArrayBuffer(
                self.js.context,
                self.value,
                &raw mut offset,
                &raw mut length,
                &raw mut width,
            );
            let buffer = self.js.own(buffer)?;
            if size == 0 {
                return Ok(read(&mut []));
            }
            let start = qjs::JS_GetArrayBuffer(self.js.context, &raw mut whole, buffer.value);
            let is_inside = offset.checked_add(size).is_some_and(|end| end <= whole);
            if bytes.is_null() || start.is_null() || bytes != start.add(offset as usize) || !is_inside {
                return Err(Thrown);
            }
            Ok(read(std::slice::from_raw_parts_mut(bytes, size as usize)))
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
