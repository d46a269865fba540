//! Source to bytecode, in a context that is made for it and thrown away. The contexts in which
//! scripts run have no compiler at all, which is why nothing in there can make code out of text.
#![allow(unsafe_code)] // Foreign functions of the engine.

use std::ffi::{CString, c_int};

use message::{Code, Fault};
use rquickjs::{Runtime, qjs};

use super::failure;
use super::raw::{Js, Owned, Thrown};
use crate::strip::Origin;

/// Enough for the largest script that is allowed; reached only by hostile ones.
const MEMORY: usize = 256 << 20;
const STACK: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An ES module; its bytecode reads as a module.
    Module,
    /// An expression; its bytecode reads as a function that gives the value.
    Expression,
}

/// Compiles `source`. A syntax error names line and column in `origin`.
pub fn compile(source: &str, origin: Origin<'_>, form: Form) -> Result<Box<[u8]>, Fault> {
    let runtime = Runtime::new().map_err(|_| no_memory())?;
    runtime.set_memory_limit(MEMORY);
    runtime.set_max_stack_size(STACK);
    let context = Compiler::new(&runtime)?;
    let js = context.js;
    match compiled(js, source, origin.file, form) {
        Ok(bytes) => Ok(bytes),
        Err(Thrown) => Err(failure::describe_syntax(js, origin)),
    }
}

/// A context with nothing in it but the compiler.
struct Compiler {
    js: Js,
}

impl Compiler {
    fn new(runtime: &Runtime) -> Result<Compiler, Fault> {
        use rquickjs::context::intrinsic::{Eval, RegExpCompiler};
        let context = rquickjs::Context::custom::<(Eval, RegExpCompiler)>(runtime).map_err(|_| no_memory())?;
        // SAFETY: the extra reference keeps the context past rquickjs's handle, until `drop`.
        let raw = unsafe { qjs::JS_DupContext(context.as_raw().as_ptr()) };
        Ok(Compiler { js: Js::new(raw) })
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: gives back the reference taken in `new`.
        unsafe { qjs::JS_FreeContext(self.js.context()) }
    }
}

fn compiled(js: Js, source: &str, file: &str, form: Form) -> Result<Box<[u8]>, Thrown> {
    let (Ok(text), Ok(name)) = (CString::new(source), CString::new(file)) else { return Err(Thrown) };
    let kind = match form {
        Form::Module => qjs::JS_EVAL_TYPE_MODULE,
        Form::Expression => qjs::JS_EVAL_TYPE_GLOBAL,
    };
    let flags = (kind | qjs::JS_EVAL_FLAG_STRICT | qjs::JS_EVAL_FLAG_COMPILE_ONLY) as c_int;
    // SAFETY: text and name end with NUL and live through the calls; the bytes are copied before
    // they are freed.
    unsafe {
        let code = js.own(qjs::JS_Eval(js.context(), text.as_ptr(), source.len() as _, name.as_ptr(), flags))?;
        let mut size: qjs::size_t = 0;
        let bytes = qjs::JS_WriteObject(js.context(), &raw mut size, code.raw(), qjs::JS_WRITE_OBJ_BYTECODE as c_int);
        if bytes.is_null() {
            return Err(Thrown);
        }
        let copy = std::slice::from_raw_parts(bytes, size as usize).into();
        qjs::js_free(js.context(), bytes.cast());
        Ok(copy)
    }
}

/// Reads bytecode into a context.
///
/// # Safety
/// `bytes` has to come from [`compile`], in this process: the engine trusts bytecode.
pub unsafe fn load(js: Js, bytes: &[u8]) -> Result<Owned, Thrown> {
    let flags = qjs::JS_READ_OBJ_BYTECODE as c_int;
    // SAFETY: the engine copies the bytes; that they are bytecode is the caller's promise.
    js.own(unsafe { qjs::JS_ReadObject(js.context(), bytes.as_ptr(), bytes.len() as _, flags) })
}

pub fn no_memory() -> Fault {
    Fault::new(Code::ScriptOutOfMemory, "there is no memory for a script runtime")
}
