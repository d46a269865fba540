//! What scripts expect of a platform beyond the language: `URL`, `TextDecoder`, `structuredClone`, `crypto` and so on.
//!
//! ```text
//! globalThis.URL ─► getter, frozen with the rest ─► builtins.js, run at the first of them, its objects frozen
//!                                                       └─ native.*: functions here, over texts and bytes
//! ```
//!
//! A context that names none of them pays for the getters alone. Inputs are bounded, and what takes long asks the guard.
#![allow(unsafe_code)] // Functions called by the engine.

mod base64;
mod console;
mod crypto;
mod encoding;
mod url;

use std::cell::RefCell;
use std::ffi::{CString, c_int};
use std::sync::OnceLock;

use message::Fault;
use rquickjs::qjs;

use super::bytecode::{self, Form};
use super::host::{Host, host, type_error};
use super::raw::{Js, Owned, Tag, Thrown};
use crate::strip::Origin;

const SOURCE: &str = include_str!("builtins.js");

/// The globals, by the number that the engine passes back to their getter.
const GLOBALS: [&str; 9] =
    ["URL", "URLSearchParams", "TextEncoder", "TextDecoder", "structuredClone", "atob", "btoa", "crypto", "console"];

/// Bytes of one input at most: as much as a message may have.
const LARGEST: usize = 16 << 20;

/// What `builtins.js` gets as `native`, by the number that the engine passes back.
const NATIVE: [(&str, Native); 19] = [
    ("classOf", class_of),
    ("atob", base64::atob),
    ("btoa", base64::btoa),
    ("shown", base64::shown),
    ("encode", encoding::encode),
    ("encodingOf", encoding::encoding_of),
    ("decode", encoding::decode),
    ("algorithmOf", crypto::algorithm_of),
    ("digest", crypto::digest),
    ("hmac", crypto::hmac),
    ("fill", crypto::fill),
    ("uuid", crypto::uuid),
    ("parseUrl", url::parse),
    ("setUrl", url::set),
    ("parseQuery", url::parse_query),
    ("writeQuery", url::write_query),
    ("say", console::say),
    ("rowOf", |host, arguments| host.lookup(&arguments.get(0), &arguments.get(1))),
    ("hasRow", |host, arguments| host.has_row(&arguments.get(0), &arguments.get(1))),
];

/// A function of `native`. Where the input is wrong in a way that a standard names, it gives null.
type Native = fn(&Host, &Arguments<'_>) -> Result<Owned, Thrown>;

/// The library of a context, once it was asked for.
#[derive(Default)]
pub struct Builtins {
    library: RefCell<Option<Owned>>,
}

impl Builtins {
    /// A member of the library.
    pub fn get(&self, host: &Host, name: &str) -> Result<Owned, Thrown> {
        let js = host.js();
        let known = self.library.borrow().clone();
        let library = match known {
            Some(library) => library,
            None => {
                let library = evaluate(js)?;
                self.library.replace(Some(library.clone()));
                library
            }
        };
        library.get(&js.key(name)?)
    }
}

/// Compiles the library, once in a process.
pub fn prepare() -> Result<&'static [u8], Fault> {
    static BYTES: OnceLock<Result<Box<[u8]>, Fault>> = OnceLock::new();
    let bytes =
        BYTES.get_or_init(|| bytecode::compile(SOURCE, Origin { file: "builtins", text: SOURCE }, Form::Expression));
    bytes.as_deref().map_err(Clone::clone)
}

fn evaluate(js: Js) -> Result<Owned, Thrown> {
    let Ok(bytes) = prepare() else { return Err(type_error(js, "the built-in objects are not there")) };
    // SAFETY: the bytes were compiled by this process; the engine takes the reference of the code.
    let library = unsafe {
        let code = bytecode::load(js, bytes)?;
        js.own(qjs::JS_EvalFunction(js.context(), code.into_raw()))?
    };
    let natives = js.object()?;
    for (number, (name, _)) in (0..).zip(NATIVE) {
        natives.define(&js.key(name)?, function(js, name, call, number)?)?;
    }
    natives.freeze()?;
    library.call(&[&natives])
}

/// Puts the getters into the global object.
pub fn install(js: Js) -> Result<(), Thrown> {
    let globals = js.globals();
    for (number, name) in (0..).zip(GLOBALS) {
        let (key, getter) = (js.key(name)?, function(js, name, global, number)?);
        // SAFETY: all live; the engine takes the getter's reference.
        let status = unsafe {
            qjs::JS_DefinePropertyGetSet(
                js.context(),
                globals.raw(),
                key.atom(),
                getter.into_raw(),
                qjs::JS_UNDEFINED,
                qjs::JS_PROP_CONFIGURABLE as c_int,
            )
        };
        if status < 0 {
            return Err(Thrown);
        }
    }
    Ok(())
}

/// What a native function was called with.
pub struct Arguments<'a> {
    js: Js,
    values: &'a [qjs::JSValue],
}

impl<'a> Arguments<'a> {
    /// # Safety
    /// So many values follow the pointer, and live as long.
    pub unsafe fn new(js: Js, count: c_int, values: *const qjs::JSValue) -> Arguments<'a> {
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: as the caller promises.
        let values = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(values, count) } };
        Arguments { js, values }
    }

    /// `undefined` where there are not so many.
    pub fn get(&self, index: usize) -> Owned {
        match self.values.get(index) {
            Some(value) => self.js.adopt(self.js.duplicate(*value)),
            None => self.js.undefined(),
        }
    }

    /// A text as the engine has it, maybe with half surrogate pairs, which are no UTF-8.
    fn with_text<T>(&self, index: usize, read: impl FnOnce(&[u8]) -> T) -> Result<T, Thrown> {
        let value = self.get(index);
        if value.tag() != Tag::Text {
            return Err(type_error(self.js, "a text is expected"));
        }
        if usize::try_from(value.length()?).unwrap_or(usize::MAX) > LARGEST {
            return Err(too_large(self.js));
        }
        value.with_text(read)
    }

    /// A text; what is no UTF-8 in it is replaced.
    fn text(&self, index: usize) -> Result<String, Thrown> {
        self.with_text(index, |text| String::from_utf8_lossy(text).into_owned())
    }

    fn with_bytes<T>(&self, index: usize, read: impl FnOnce(&mut [u8]) -> T) -> Result<T, Thrown> {
        let (value, js) = (self.get(index), self.js);
        let read = value.with_bytes(|bytes| if bytes.len() > LARGEST { None } else { Some(read(bytes)) })?;
        read.ok_or_else(|| too_large(js))
    }

    fn is_true(&self, index: usize) -> bool {
        self.get(index).tag() == Tag::Bool(true)
    }

    fn is_null(&self, index: usize) -> bool {
        self.get(index).tag() == Tag::Null
    }
}

fn too_large(js: Js) -> Thrown {
    type_error(js, "the input is larger than 16 MiB")
}

/// The class of an object, `Proxy` for a proxy; the empty text for what is no object.
fn class_of(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let value = arguments.get(0);
    let name = match value.tag() {
        Tag::Object if value.is_proxy() => "Proxy".into(),
        Tag::Object if value.is_array() => "Array".into(),
        Tag::Object => value.class_name(),
        _ => String::new(),
    };
    host.js().text(&name)
}

fn function(js: Js, name: &str, native: Magic, number: c_int) -> Result<Owned, Thrown> {
    let name = CString::new(name).map_err(|_| Thrown)?;
    // SAFETY: the function has the signature that `generic_magic` promises; the name is copied.
    unsafe {
        let native = std::mem::transmute::<qjs::JSCFunctionMagic, qjs::JSCFunction>(Some(native));
        let kind = qjs::JSCFunctionEnum_JS_CFUNC_generic_magic;
        js.own(qjs::JS_NewCFunction2(js.context(), native, name.as_ptr(), 0, kind, number))
    }
}

type Magic = unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue, c_int) -> qjs::JSValue;

unsafe extern "C" fn global(
    context: *mut qjs::JSContext,
    _: qjs::JSValue,
    _: c_int,
    _: *mut qjs::JSValue,
    number: c_int,
) -> qjs::JSValue {
    // SAFETY: called by the engine, with a realm's context.
    let Some(host) = (unsafe { host(context) }) else { return qjs::JS_UNDEFINED };
    let Some(name) = usize::try_from(number).ok().and_then(|number| GLOBALS.get(number)) else {
        return qjs::JS_UNDEFINED;
    };
    host.builtins.get(host, name).map_or(qjs::JS_EXCEPTION, Owned::into_raw)
}

unsafe extern "C" fn call(
    context: *mut qjs::JSContext,
    _: qjs::JSValue,
    count: c_int,
    values: *mut qjs::JSValue,
    number: c_int,
) -> qjs::JSValue {
    // SAFETY: called by the engine, with a realm's context.
    let Some(host) = (unsafe { host(context) }) else { return qjs::JS_UNDEFINED };
    let Some((_, native)) = usize::try_from(number).ok().and_then(|number| NATIVE.get(number)) else {
        return qjs::JS_UNDEFINED;
    };
    // SAFETY: so many arguments follow the pointer, and live for the call.
    let arguments = unsafe { Arguments::new(host.js(), count, values) };
    native(host, &arguments).map_or(qjs::JS_EXCEPTION, Owned::into_raw)
}
