//! What a script sees of the world: `ctx`, the time, and random numbers, all of them derived from
//! the message, so that a redelivered message gives the same result.
#![allow(unsafe_code)] // Functions called by the engine, and the pointer through which they find the message.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int};
use std::rc::Rc;

use message::{Headers, Value};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use rquickjs::qjs;

use super::builtins::{self, Arguments, Builtins};
use super::failure;
use super::guard::Guard;
use super::promises::Rejections;
use super::raw::{Js, Owned, Tag, Thrown};
use super::read;
use crate::{Said, TaskContext};

/// The state behind a realm's native functions; the context points to it. Boxed: it must not move.
pub struct Host {
    js: Js,
    now: Owned,
    random: Owned,
    current: Cell<*const TaskContext>,
    random_state: Cell<Option<u64>>,
    headers: RefCell<Option<Owned>>,
    /// Random blocks that were given out for the message.
    blocks: Cell<u64>,
    guard: Rc<Guard>,
    pub builtins: Builtins,
    /// What the script has said since it was last taken.
    pub said: RefCell<Said>,
    file: RefCell<Box<str>>,
    pub rejections: Rejections,
}

/// While it lives, scripts see this message.
pub struct Current<'h> {
    host: &'h Host,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.host.current.set(std::ptr::null());
        self.host.headers.replace(None);
    }
}

/// Getters of `ctx`, by the number the engine passes back.
const FIELDS: [(&str, c_int); 6] =
    [("id", 0), ("customer", 1), ("pipeline", 2), ("revision", 3), ("now", 4), ("headers", 5)];

impl Host {
    /// Makes the native functions, and puts the random one in the place of `Math.random`.
    pub fn install(js: Js, guard: &Rc<Guard>) -> Result<Box<Host>, Thrown> {
        let now = function(js, c"now", now)?;
        let random = function(js, c"random", random)?;
        builtins::install(js)?;
        js.globals().get_named(c"Math")?.define(&js.key("random")?, random.clone())?;
        let host = Box::new(Host {
            js,
            now,
            random,
            current: Cell::new(std::ptr::null()),
            random_state: Cell::new(None),
            headers: RefCell::new(None),
            blocks: Cell::new(0),
            guard: Rc::clone(guard),
            builtins: Builtins::default(),
            said: RefCell::default(),
            file: RefCell::default(),
            rejections: Rejections::default(),
        });
        // SAFETY: the host outlives the context's last call: the realm holds both.
        unsafe { qjs::JS_SetContextOpaque(js.context(), (&raw const *host).cast_mut().cast()) };
        Ok(host)
    }

    pub fn js(&self) -> Js {
        self.js
    }

    /// Whether the script has to end, whatever it is doing.
    pub fn must_stop(&self) -> bool {
        self.guard.must_stop()
    }

    /// Gives the script's file its name, by which its lines are found.
    pub fn set_file(&self, file: &str) {
        self.file.replace(file.into());
    }

    /// The line of the script in a stack.
    pub fn line_of(&self, stack: &str) -> Option<u32> {
        failure::position(stack, &self.file.borrow()).map(|(line, _)| line)
    }

    pub fn now_function(&self) -> &Owned {
        &self.now
    }

    /// Makes `context` the one that scripts see.
    pub fn enter<'h>(&'h self, context: &'h TaskContext) -> Current<'h> {
        self.current.set(context);
        self.random_state.set(None);
        self.blocks.set(0);
        Current { host: self }
    }

    /// The `ctx` object, one for all messages: reading a field asks for the current one, so that a
    /// message whose script ignores `ctx` does not pay for it.
    pub fn context_object(&self) -> Result<Owned, Thrown> {
        let object = self.js.object()?;
        for (name, number) in FIELDS {
            let key = self.js.key(name)?;
            // SAFETY: the getter has the signature that `generic_magic` promises.
            let getter = unsafe {
                let getter = std::mem::transmute::<qjs::JSCFunctionMagic, qjs::JSCFunction>(Some(field));
                let kind = qjs::JSCFunctionEnum_JS_CFUNC_generic_magic;
                let name = c"get".as_ptr();
                self.js.own(qjs::JS_NewCFunction2(self.js.context(), getter, name, 0, kind, number))?
            };
            getter.freeze()?;
            let flags = qjs::JS_PROP_ENUMERABLE as c_int;
            // SAFETY: all live; the engine takes the getter's reference.
            let status = unsafe {
                qjs::JS_DefinePropertyGetSet(
                    self.js.context(),
                    object.raw(),
                    key.atom(),
                    getter.into_raw(),
                    qjs::JS_UNDEFINED,
                    flags,
                )
            };
            if status < 0 {
                return Err(Thrown);
            }
        }
        object.define(&self.js.key("random")?, self.random.clone())?;
        let lookup = function(self.js, c"lookup", lookup)?;
        lookup.freeze()?;
        object.define(&self.js.key("lookup")?, lookup)?;
        for (name, native) in [(c"uuid", uuid as Native), (c"table", table)] {
            let made = function(self.js, name, native)?;
            made.freeze()?;
            object.define(&self.js.key(&name.to_string_lossy())?, made)?;
        }
        object.freeze()?;
        Ok(object)
    }

    fn context(&self) -> Option<&TaskContext> {
        // SAFETY: `enter` set it to a context that lives until `Current` is dropped, which resets it.
        unsafe { self.current.get().as_ref() }
    }

    fn now_ms(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // exact for the next 285,000 years
        self.context().map_or(0.0, |context| context.time_ms as f64)
    }

    /// SplitMix64, begun with the message's id and what tells its scripts and parts apart. Not with its time: a client that
    /// repeats a request under its key later has the same id then.
    fn next_random(&self) -> f64 {
        let state = self.random_state.get().unwrap_or_else(|| self.context().map_or(0, seed));
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random_state.set(Some(state));
        #[allow(clippy::cast_precision_loss)]
        let top = (mix(state) >> 11) as f64;
        top / (1u64 << 53) as f64
    }

    /// 32 bytes that no other message has, and no other call for this one: of UUIDs there are many more than 64 bits of
    /// state could tell apart.
    ///
    /// # Errors
    /// Throws outside of the script's function: they would be the same for every message.
    pub fn unique(&self) -> Result<[u8; SHA256_OUTPUT_LEN], Thrown> {
        let Some(context) = self.context() else {
            return Err(type_error(
                self.js,
                "random values follow from a message; there is none outside of the function",
            ));
        };
        let block = self.blocks.replace(self.blocks.get() + 1);
        let (mut hash, owner) = (Context::new(&SHA256), &context.owner);
        for text in [&*owner.customer, &*owner.pipeline, &*context.id] {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.update(&context.seed.to_le_bytes());
        hash.update(&block.to_le_bytes());
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(hash.finish().as_ref());
        Ok(bytes)
    }

    /// A UUID of version 4 in its form.
    pub fn uuid(&self) -> Result<Owned, Thrown> {
        let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.unique()?;
        let number = u128::from_be_bytes(bytes);
        let number = number & !(0xf << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62;
        let digits = format!("{number:032x}");
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        self.js.text(&parts.join("-"))
    }

    fn field(&self, number: c_int) -> Result<Owned, Thrown> {
        let Some(context) = self.context() else { return Ok(self.js.undefined()) };
        match number {
            0 => self.js.text(&context.id),
            1 => self.js.text(&context.owner.customer),
            2 => self.js.text(&context.owner.pipeline),
            3 => self.js.text(&context.owner.revision),
            4 => Ok(self.js.number(self.now_ms())),
            _ => self.headers(context),
        }
    }

    /// Built when asked for, kept for the message. Names are in lower case, as their comparison is
    /// without regard to case; of a repeated header the first counts; bytes that are no UTF-8 are
    /// replaced.
    fn headers(&self, context: &TaskContext) -> Result<Owned, Thrown> {
        if let Some(headers) = &*self.headers.borrow() {
            return Ok(headers.clone());
        }
        let object = self.js.object()?;
        let mut seen = std::collections::HashSet::new();
        for (name, value) in Headers::new(&context.headers).iter() {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let key = self.js.key(&name)?;
            if seen.insert(name) {
                object.define(&key, self.js.text(&String::from_utf8_lossy(value))?)?;
            }
        }
        object.freeze()?;
        self.headers.replace(Some(object.clone()));
        Ok(object)
    }
}

impl Host {
    /// `ctx.lookup(table, key)`: the row of a key, null when there is none. Each call gives a value of its own, so that
    /// a script that changes one changes no table.
    pub fn lookup(&self, name: &Owned, key: &Owned) -> Result<Owned, Thrown> {
        let js = self.js;
        if self.context().is_some() && matches!(key.tag(), Tag::Null | Tag::Undefined) {
            return Ok(js.null());
        }
        let row = self.with_row(name, key, |row| row.map_or_else(|| Ok(js.null()), |row| read::copied(js, row)))?;
        row.unwrap_or_else(|| Ok(js.undefined()))
    }

    /// Whether a table has a row of this key.
    pub fn has_row(&self, name: &Owned, key: &Owned) -> Result<Owned, Thrown> {
        let found = self.with_row(name, key, |row| row.is_some())?;
        Ok(self.js.boolean(found.unwrap_or(false)))
    }

    /// None where there is no message.
    fn with_row<T>(
        &self,
        name: &Owned,
        key: &Owned,
        read: impl FnOnce(Option<Value<'_>>) -> T,
    ) -> Result<Option<T>, Thrown> {
        let Some(context) = self.context() else { return Ok(None) };
        let name = text_of(name)?;
        let Some(table) = context.owner.tables.get(&name) else {
            let shown: String = name.chars().take(40).collect();
            let reason = format!("`{shown}` is not in the pipeline's `tables`");
            return Err(type_error(self.js, &reason));
        };
        if matches!(key.tag(), Tag::Null | Tag::Undefined) {
            return Ok(Some(read(None)));
        }
        if !matches!(key.tag(), Tag::Text | Tag::Int(_) | Tag::Float(_) | Tag::BigInt | Tag::Bool(_)) {
            return Err(type_error(self.js, "the key of a table is a text, a number or a boolean"));
        }
        Ok(Some(read(table.row(&text_of(key)?))))
    }
}

/// A value as a text, as `String()` makes it.
fn text_of(value: &Owned) -> Result<String, Thrown> {
    value.to_text()?.with_text(|text| String::from_utf8_lossy(text).into_owned())
}

pub fn type_error(js: Js, reason: &str) -> Thrown {
    let reason: Vec<u8> = reason.bytes().filter(|byte| *byte != 0).chain([0]).collect();
    // SAFETY: both texts end with NUL, and the first one takes the second.
    unsafe { qjs::JS_ThrowTypeError(js.context(), c"%s".as_ptr(), reason.as_ptr()) };
    Thrown
}

fn seed(context: &TaskContext) -> u64 {
    let bytes =
        context.id.as_bytes().chunks(8).map(|chunk| chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte)));
    bytes.fold(mix(context.seed), |state, word| mix(state ^ word).wrapping_add(word))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

type Native = unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue) -> qjs::JSValue;

fn function(js: Js, name: &CStr, native: Native) -> Result<Owned, Thrown> {
    let kind = qjs::JSCFunctionEnum_JS_CFUNC_generic;
    // SAFETY: the name ends with NUL and is copied.
    js.own(unsafe { qjs::JS_NewCFunction2(js.context(), Some(native), name.as_ptr(), 0, kind, 0) })
}

/// The host of a context.
///
/// # Safety
/// The context has to be a realm's, which keeps its host alive.
pub unsafe fn host<'h>(context: *mut qjs::JSContext) -> Option<&'h Host> {
    // SAFETY: set by `install`; null before.
    unsafe { qjs::JS_GetContextOpaque(context).cast::<Host>().as_ref() }
}

unsafe extern "C" fn now(
    context: *mut qjs::JSContext,
    _: qjs::JSValue,
    _: c_int,
    _: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: called by the engine, with a realm's context.
    let now = unsafe { host(context) }.map_or(0.0, Host::now_ms);
    qjs::JS_NewFloat64(now)
}

unsafe extern "C" fn random(
    context: *mut qjs::JSContext,
    _: qjs::JSValue,
    _: c_int,
    _: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: called by the engine, with a realm's context.
    let random = unsafe { host(context) }.map_or(0.0, Host::next_random);
    qjs::JS_NewFloat64(random)
}

unsafe extern "C" fn uuid(
    context: *mut qjs::JSContext,
    _: qjs::JSValue,
    _: c_int,
    _: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: called by the engine, with a realm's context.
    let uuid = unsafe { host(context) }.map_or(Err(Thrown), Host::uuid);
    uuid.map_or(qjs::JS_EXCEPTION, Owned::into_raw)
}

/// `ctx.table(name)`: an object of `get(key)` and `has(key)`.
unsafe extern "C" fn table(
    context: *mut qjs::JSContext,
    _: qjs::JSValue,
    count: c_int,
    arguments: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: called by the engine, with a realm's context.
    let Some(host) = (unsafe { host(context) }) else { return qjs::JS_UNDEFINED };
    // SAFETY: so many arguments follow the pointer, and live for the call.
    let name = unsafe { Arguments::new(host.js, count, arguments) }.get(0);
    let made = host.builtins.get(host, "tableOf").and_then(|table| table.call(&[&name]));
    made.map_or(qjs::JS_EXCEPTION, Owned::into_raw)
}

unsafe extern "C" fn lookup(
    context: *mut qjs::JSContext,
    _: qjs::JSValue,
    count: c_int,
    arguments: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: called by the engine, with a realm's context.
    let Some(host) = (unsafe { host(context) }) else { return qjs::JS_UNDEFINED };
    // SAFETY: so many arguments follow the pointer, and live for the call.
    let arguments = unsafe { Arguments::new(host.js, count, arguments) };
    host.lookup(&arguments.get(0), &arguments.get(1)).map_or(qjs::JS_EXCEPTION, Owned::into_raw)
}

unsafe extern "C" fn field(
    context: *mut qjs::JSContext,
    _: qjs::JSValue,
    _: c_int,
    _: *mut qjs::JSValue,
    number: c_int,
) -> qjs::JSValue {
    // SAFETY: called by the engine, with a realm's context.
    let value = unsafe { host(context) }.map_or(Err(Thrown), |host| host.field(number));
    value.map_or(qjs::JS_EXCEPTION, Owned::into_raw)
}
