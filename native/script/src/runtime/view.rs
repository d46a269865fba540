//! A lazy view of an object of the document: to a script an ordinary object, as `JSON.parse` would
//! have made it; to us a position on the tape, and what of it was touched.
//!
//! ```text
//! msg ──► View { message, node }      nothing is read yet
//!   .order      names of the members become atoms, the value of `order` another view
//!   .total      a leaf is made into a value when it is first read, and kept
//!   .net = 1    noted beside the document; write.rs puts it onto the tape
//! ```
//!
//! Changes are in define.rs. The engine looks for a property in the object's own table first, which stays empty, and then asks
//! the functions below. Prototypes, getters, strictness and so on are the engine's business.
//!
//! While the collector may run (any allocation by the engine) no field may be borrowed mutably, as
//! the collector reads them; so values are made first and stored afterwards.
#![allow(unsafe_code)] // Functions called by the engine with raw pointers, and values counted by hand.

use std::cell::{Ref, RefCell, RefMut};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use rquickjs::qjs;

use super::define::Definition;
use super::fields::{Field, Fields, Slot, WRITABLE};
use super::lent::{Message, Views};
use super::raw::{Js, Owned, Thrown};
use super::read;

pub struct View {
    pub message: Rc<Message>,
    pub node: u32,
    /// One element of a chain, not the chain.
    pub item: bool,
    fields: RefCell<Option<Fields>>,
}

/// What a property costs beside the engine's heap, bytes; counted as the script's memory.
pub const FIELD: usize = size_of::<Field>();

/// Registers the class in a runtime; gives its number.
pub fn register(js: Js) -> Result<qjs::JSClassID, Thrown> {
    struct Methods(qjs::JSClassExoticMethods);
    // SAFETY: function pointers only.
    unsafe impl Sync for Methods {}
    static METHODS: Methods = Methods(qjs::JSClassExoticMethods {
        get_own_property: Some(get_own_property),
        get_own_property_names: Some(get_own_property_names),
        delete_property: Some(delete_property),
        define_own_property: Some(define_own_property),
        has_property: None,
        get_property: None,
        set_property: None,
    });
    let definition = qjs::JSClassDef {
        class_name: c"Object".as_ptr(),
        finalizer: Some(finalize),
        gc_mark: Some(mark),
        call: None,
        exotic: (&raw const METHODS.0).cast_mut(),
    };
    let mut class = qjs::JS_INVALID_CLASS_ID;
    // SAFETY: the engine copies the definition and only reads the methods.
    unsafe {
        qjs::JS_NewClassID(js.runtime(), &raw mut class);
        if qjs::JS_NewClass(js.runtime(), class, &raw const definition) < 0 { Err(Thrown) } else { Ok(class) }
    }
}

/// Lets views of a context inherit from its `Object.prototype`.
pub fn prepare(js: Js, class: qjs::JSClassID) -> Result<Views, Thrown> {
    let object = js.globals().get_named(c"Object")?.get_named(c"prototype")?;
    let prototype = object.identity();
    let list_prototype = js.globals().get_named(c"Array")?.get_named(c"prototype")?.identity();
    // SAFETY: the class is registered; the engine takes the reference.
    unsafe { qjs::JS_SetClassProto(js.context(), class, object.into_raw()) };
    Ok(Views { class, prototype, list_prototype, keys: Rc::default() })
}

/// A view of the object at a position of the message's document.
pub fn create(js: Js, message: &Rc<Message>, node: u32, item: bool) -> Result<Owned, Thrown> {
    // SAFETY: the class was registered before any message; the object owns the box from here on.
    unsafe {
        let object = js.own(qjs::JS_NewObjectClass(js.context(), message.realm.class))?;
        let node = message.reading(node);
        let view = Box::new(View { message: Rc::clone(message), node, item, fields: RefCell::new(None) });
        qjs::JS_SetOpaque(object.raw(), Box::into_raw(view).cast());
        Ok(object)
    }
}

/// The view behind an object, if it is one.
pub fn of(value: &Owned, class: qjs::JSClassID) -> Option<&View> {
    // SAFETY: an object of the class has a view, which lives as long as the object.
    unsafe { qjs::JS_GetOpaque(value.raw(), class).cast::<View>().as_ref() }
}

impl View {
    /// The properties; `None` when none was touched.
    pub fn touched(&self) -> Ref<'_, Option<Fields>> {
        self.fields.borrow()
    }

    /// The properties, named on first use.
    pub fn fields(&self, js: Js) -> Result<RefMut<'_, Fields>, Thrown> {
        if self.fields.borrow().is_none() {
            let fields = self.named(js)?;
            if !self.message.guard.take(fields.len() * FIELD) {
                return Err(throw_out_of_memory(js));
            }
            self.fields.replace(Some(fields));
        }
        RefMut::filter_map(self.fields.borrow_mut(), Option::as_mut).map_err(|_| Thrown)
    }

    fn named(&self, js: Js) -> Result<Fields, Thrown> {
        let document = self.message.document.borrow();
        let mut fields = Fields::default();
        for (name, member) in document.value_at(self.node, self.item).members() {
            let atom = self.message.realm.keys.atom(js, &name)?;
            fields.push(Field::of_member(atom, member.position().0, &name));
        }
        Ok(fields)
    }

    /// The value of a property that is still in the document; made on first use.
    fn value(&self, js: Js, index: usize, member: u32) -> Result<qjs::JSValue, Thrown> {
        let value = read::value(js, &self.message, self.message.reading(member), false)?;
        let mut fields = self.fields(js)?;
        let Some(field) = fields.get_mut(index) else { return Err(Thrown) };
        field.slot = Slot::Read(value.raw());
        drop(fields);
        Ok(value.into_raw())
    }

    /// The property as the engine asks for it: `None` when there is none.
    pub fn own_property(&self, js: Js, atom: qjs::JSAtom) -> Result<Option<qjs::JSPropertyDescriptor>, Thrown> {
        let fields = self.fields(js)?;
        let Some(index) = fields.find(atom) else { return Ok(None) };
        let Some(field) = fields.get(index).copied() else { return Ok(None) };
        drop(fields);
        let undefined = qjs::JS_UNDEFINED;
        let data = |value| qjs::JSPropertyDescriptor {
            flags: field.flags,
            value: js.duplicate(value),
            getter: undefined,
            setter: undefined,
        };
        Ok(Some(match field.slot {
            Slot::Document => data(self.value(js, index, field.member)?),
            Slot::Read(value) | Slot::Set(value) => data(value),
            Slot::Accessor { getter, setter } => qjs::JSPropertyDescriptor {
                flags: field.flags & !WRITABLE | qjs::JS_PROP_GETSET as c_int,
                value: undefined,
                getter: js.duplicate(getter),
                setter: js.duplicate(setter),
            },
        }))
    }
}

pub fn throw_out_of_memory(js: Js) -> Thrown {
    // SAFETY: throws in a living context.
    unsafe { qjs::JS_ThrowOutOfMemory(js.context()) };
    Thrown
}

// -- what the engine calls ------------------------------------------------------------------------

/// The view of an object that the engine calls us for. A panic is turned into an exception: it may
/// not pass through the engine.
///
/// # Safety
/// `object` has to be of the view's class.
unsafe fn with_view(
    context: *mut qjs::JSContext,
    object: qjs::JSValue,
    ask: impl FnOnce(Js, &View) -> Result<c_int, Thrown>,
) -> c_int {
    let mut class = 0;
    // SAFETY: the opaque of an object of the class is its view; null only while it is being made.
    let view = unsafe { qjs::JS_GetAnyOpaque(object, &raw mut class).cast::<View>().as_ref() };
    let Some(view) = view else { return 0 };
    let answer = catch_unwind(AssertUnwindSafe(|| ask(Js::new(context), view)));
    answer.unwrap_or(Err(Thrown)).unwrap_or(-1)
}

unsafe extern "C" fn get_own_property(
    context: *mut qjs::JSContext,
    into: *mut qjs::JSPropertyDescriptor,
    object: qjs::JSValue,
    atom: qjs::JSAtom,
) -> c_int {
    // SAFETY: called for objects of the class. `into` is null when only existence is asked for.
    unsafe {
        with_view(context, object, |js, view| {
            if into.is_null() {
                return Ok(c_int::from(view.fields(js)?.find(atom).is_some()));
            }
            let Some(descriptor) = view.own_property(js, atom)? else { return Ok(0) };
            into.write(descriptor);
            Ok(1)
        })
    }
}

unsafe extern "C" fn get_own_property_names(
    context: *mut qjs::JSContext,
    table: *mut *mut qjs::JSPropertyEnum,
    length: *mut u32,
    object: qjs::JSValue,
) -> c_int {
    // SAFETY: called for objects of the class; the engine frees the table and the atoms in it.
    unsafe {
        with_view(context, object, |js, view| {
            let fields = view.fields(js)?.in_order();
            let bytes = fields.len().max(1) * size_of::<qjs::JSPropertyEnum>();
            let entries = qjs::js_malloc(context, bytes as qjs::size_t).cast::<qjs::JSPropertyEnum>();
            if entries.is_null() {
                return Err(Thrown);
            }
            for (index, field) in fields.iter().enumerate() {
                let atom = js.duplicate_atom(field.atom);
                entries.add(index).write(qjs::JSPropertyEnum { is_enumerable: field.is_enumerable(), atom });
            }
            table.write(entries);
            length.write(u32::try_from(fields.len()).unwrap_or(u32::MAX));
            Ok(0)
        })
    }
}

unsafe extern "C" fn delete_property(context: *mut qjs::JSContext, object: qjs::JSValue, atom: qjs::JSAtom) -> c_int {
    // SAFETY: called for objects of the class.
    unsafe { with_view(context, object, |js, view| view.delete(js, atom).map(c_int::from)) }
}

unsafe extern "C" fn define_own_property(
    context: *mut qjs::JSContext,
    object: qjs::JSValue,
    atom: qjs::JSAtom,
    value: qjs::JSValue,
    getter: qjs::JSValue,
    setter: qjs::JSValue,
    asked: c_int,
) -> c_int {
    // SAFETY: called for objects of the class; the values are borrowed for the call.
    unsafe {
        with_view(context, object, |js, view| {
            let is_extensible = qjs::JS_IsExtensible(context, object) > 0;
            let definition = Definition { value, getter, setter, asked, is_extensible };
            if view.define(js, atom, &definition)? {
                return Ok(1);
            }
            // Scripts are modules, and so always strict.
            if asked & (qjs::JS_PROP_THROW | qjs::JS_PROP_THROW_STRICT) as c_int != 0 {
                qjs::JS_ThrowTypeError(context, c"property cannot be defined or object is not extensible".as_ptr());
                return Err(Thrown);
            }
            Ok(0)
        })
    }
}

unsafe extern "C" fn finalize(runtime: *mut qjs::JSRuntime, object: qjs::JSValue) {
    let mut class = 0;
    // SAFETY: the object is being freed: its view, and the references that the view holds, are ours.
    unsafe {
        let view = qjs::JS_GetAnyOpaque(object, &raw mut class).cast::<View>();
        if view.is_null() {
            return;
        }
        let view = Box::from_raw(view);
        if let Some(fields) = view.fields.take() {
            view.message.guard.give_back(fields.len() * FIELD);
            for value in fields.values() {
                qjs::JS_FreeValueRT(runtime, value);
            }
            for field in fields.iter() {
                qjs::JS_FreeAtomRT(runtime, field.atom);
            }
        }
    }
}

unsafe extern "C" fn mark(runtime: *mut qjs::JSRuntime, object: qjs::JSValue, mark: qjs::JS_MarkFunc) {
    let mut class = 0;
    // SAFETY: the object lives while it is marked.
    unsafe {
        let Some(view) = qjs::JS_GetAnyOpaque(object, &raw mut class).cast::<View>().as_ref() else { return };
        if let Ok(fields) = view.fields.try_borrow()
            && let Some(fields) = &*fields
        {
            for value in fields.values() {
                qjs::JS_MarkValue(runtime, value, mark);
            }
        }
    }
}
