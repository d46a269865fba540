//! One script in its context: frozen built-ins, the script's module, its default export.
#![allow(unsafe_code)] // Foreign functions of the engine.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use message::{Code, Document, Fault, Limits};
use rquickjs::{Context, Runtime, qjs};

use super::bytecode::{self, Form};
use super::guard::Guard;
use super::host::Host;
use super::lent::{Lent, Message, Views};
use super::promises::{self, Rejections, Unsettled};
use super::raw::{Js, Owned, Tag, Thrown};
use super::write::{Refusal, Writer, Written};
use super::{builtins, failure};
use super::{read, view};
use crate::program::Program;
use crate::strip::Origin;
use crate::{Said, TaskContext};

const PRELUDE: &str = include_str!("prelude.js");

/// A loaded script. Its fields are dropped in order: values before the context they live in.
pub struct Realm {
    function: Owned,
    context_object: Owned,
    host: Box<Host>,
    views: Views,
    /// For the next document.
    message: RefCell<Rc<Message>>,
    js: Js,
    _context: Context,
}

/// Everything of a realm but its script. Its fields are dropped in order, as those of a realm.
pub struct Blank {
    kind: Owned,
    context_object: Owned,
    host: Box<Host>,
    views: Views,
    js: Js,
    context: Context,
}

impl Blank {
    /// Makes the context, and freezes what the language has in it, which takes some milliseconds. Faults are said to be of
    /// `origin`.
    pub fn new(runtime: &Runtime, guard: &Rc<Guard>, origin: Origin<'_>, class: &Cell<u32>) -> Result<Blank, Fault> {
        let context = context(runtime)?;
        let js = Js::new(context.as_raw().as_ptr());
        js.enter();
        promises::track(js);
        let fail = |_: Thrown| failure::describe(js, guard, origin);
        if class.get() == qjs::JS_INVALID_CLASS_ID {
            class.set(view::register(js).map_err(fail)?);
        }
        let views = view::prepare(js, class.get()).map_err(fail)?;
        let host = Host::install(js, guard).map_err(fail)?;
        let prelude = prelude()?;
        // Compiled here, and not in the time of the first script that names one of them.
        builtins::prepare()?;
        // SAFETY: the bytes were compiled by this process.
        let prelude = unsafe { bytecode::load(js, prelude) }.map_err(fail)?;
        let prelude = evaluate(js, prelude).map_err(fail)?;
        let kind = prelude.call(&[host.now_function()]).map_err(fail)?;
        let context_object = host.context_object().map_err(fail)?;
        Ok(Blank { kind, context_object, host, views, js, context })
    }
}

impl Realm {
    /// Runs the script's top level, under the guard's running deadline.
    pub fn new(blank: Blank, guard: &Rc<Guard>, program: &Program) -> Result<Realm, Fault> {
        // Dropped from the last one to the first, should the script fail: values before the context they live in.
        let Blank { context, js, views, host, context_object, kind } = blank;
        js.enter();
        host.set_file(program.file());
        let function = default_export(js, guard, &host.rejections, program)?;
        let fail = |_: Thrown| failure::describe(js, guard, program.origin());
        check_kind(&kind.call(&[&function]).map_err(fail)?, program)?;
        let message = RefCell::new(Message::new(&views, guard));
        Ok(Realm { function, context_object, host, views, message, js, _context: context })
    }

    /// What the script has said since this was last asked.
    pub fn take_said(&self) -> Said {
        self.host.said.take()
    }

    pub fn js(&self) -> Js {
        self.js
    }

    /// Runs the script on one document; gives the roots of what it returned. The clock runs for the
    /// script, and while its result is written, which may call it back.
    pub fn call(
        &self,
        guard: &Rc<Guard>,
        program: &Program,
        document: &mut Document,
        context: &TaskContext,
        limits: &Limits,
    ) -> Result<Vec<u32>, Fault> {
        let _current = self.host.enter(context);
        let lent = Lent::new(document, Rc::clone(&self.message.borrow()));
        guard.start(Duration::from_millis(limits.script_cpu_ms.into()));
        let result = self.run(lent.message(), guard, limits).map_err(|refusal| {
            refusal.into_fault(program.file()).unwrap_or_else(|| failure::describe(self.js, guard, program.origin()))
        });
        // What a script that threw, or a getter of what it returned, has left to be run.
        promises::run_jobs(self.js, guard);
        self.host.rejections.clear();
        // A script may catch what should have ended it, and then return in time.
        let stopped = guard.stopped();
        guard.pause();
        if !lent.end() {
            self.message.replace(Message::new(&self.views, guard));
        }
        if let Some(stop) = stopped {
            return Err(failure::stopped(stop, guard, program.origin()));
        }
        let written = result?;
        if !written.unchanged {
            document.mark_edited();
        }
        Ok(written.roots)
    }

    fn run(&self, message: &Rc<Message>, guard: &Guard, limits: &Limits) -> Result<Written, Refusal> {
        let (root, js) = (message.document.borrow().root_index(), self.js);
        let argument = read::value(js, message, root, false)?;
        let returned = self.function.call(&[&argument, &self.context_object])?;
        let returned = promises::settle(returned, guard, &self.host.rejections)?;
        Writer::new(js, message, &argument, limits)?.messages(&returned)
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        self.views.keys.clear(self.js);
    }
}

/// Everything of the language but what compiles text, and what waits for the collector.
fn context(runtime: &Runtime) -> Result<Context, Fault> {
    use rquickjs::context::intrinsic::{Date, Json, MapSet, Promise, Proxy, RegExp, RegExpCompiler, TypedArrays};
    type Language = (Date, RegExpCompiler, RegExp, Json, Proxy, MapSet, TypedArrays, Promise);
    Context::custom::<Language>(runtime).map_err(|_| bytecode::no_memory())
}

fn prelude() -> Result<&'static [u8], Fault> {
    static BYTES: OnceLock<Result<Box<[u8]>, Fault>> = OnceLock::new();
    let bytes =
        BYTES.get_or_init(|| bytecode::compile(PRELUDE, Origin { file: "prelude", text: PRELUDE }, Form::Expression));
    bytes.as_deref().map_err(Clone::clone)
}

fn evaluate(js: Js, code: Owned) -> Result<Owned, Thrown> {
    // SAFETY: the code was read into this context; the engine takes its reference.
    js.own(unsafe { qjs::JS_EvalFunction(js.context(), code.into_raw()) })
}

/// Refuses a function of which the prelude says that it gives no message.
fn check_kind(kind: &Owned, program: &Program) -> Result<(), Fault> {
    if kind.tag() != Tag::Text {
        return Ok(());
    }
    let what = kind.with_text(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    Err(Fault::new(Code::ScriptAsync, format!("the default export is {what}")).in_file(program.file()))
}

/// Evaluates the module and finds the function it exports.
fn default_export(js: Js, guard: &Guard, rejections: &Rejections, program: &Program) -> Result<Owned, Fault> {
    let fault = |code, reason: &str| Err(Fault::new(code, reason).in_file(program.file()));
    match evaluate_module(js, guard, rejections, program) {
        Ok(exported) if exported.tag() == Tag::Object && exported.is_function() => Ok(exported),
        Ok(_) => fault(Code::ScriptNoDefaultExport, "the default export is no function"),
        Err(Unsettled::Pending) => {
            fault(Code::ScriptNeverSettles, "the script's top level awaits a promise that nothing settles")
        }
        Err(Unsettled::Thrown) => Err(failure::describe(js, guard, program.origin())),
    }
}

/// The module's default export.
fn evaluate_module(js: Js, guard: &Guard, rejections: &Rejections, program: &Program) -> Result<Owned, Unsettled> {
    // SAFETY: the program was compiled by this process. The namespace is asked for while the module
    // is alive: its context holds it.
    unsafe {
        let code = bytecode::load(js, program.bytecode())?;
        let module: *mut qjs::JSModuleDef = qjs::JS_VALUE_GET_PTR(code.raw()).cast();
        if qjs::JS_ResolveModule(js.context(), code.raw()) < 0 {
            return Err(Unsettled::Thrown);
        }
        let promise = evaluate(js, code)?;
        promises::settle(promise, guard, rejections)?;
        Ok(js.own(qjs::JS_GetModuleNamespace(js.context(), module))?.get_named(c"default")?)
    }
}
