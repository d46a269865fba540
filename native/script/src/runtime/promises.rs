//! Promises: the callbacks that are waiting are run after every call, as a host does, and a promise that is returned is
//! awaited. Nothing comes from outside of a script while it runs, so when no callback is left, a promise that is
//! still pending stays so.
#![allow(unsafe_code)] // Calls into the engine, and a function called by it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};

use message::Code;
use rquickjs::qjs;

use super::guard::Guard;
use super::host;
use super::raw::{Js, Owned, Thrown};
use super::write::Refusal;

/// Why there is no value in the end.
pub enum Unsettled {
    /// An exception is pending: of a rejected promise, or that of a limit.
    Thrown,
    /// No callback is left that could settle the promise.
    Pending,
}

impl From<Thrown> for Unsettled {
    fn from(_: Thrown) -> Unsettled {
        Unsettled::Thrown
    }
}

impl From<Unsettled> for Refusal {
    fn from(unsettled: Unsettled) -> Refusal {
        match unsettled {
            Unsettled::Thrown => Refusal::Thrown,
            Unsettled::Pending => Refusal::Bad {
                code: Code::ScriptNeverSettles,
                reason: "the promise that the script returned is settled by nothing: no callback is left to run".into(),
                path: Vec::new(),
            },
        }
    }
}

/// Runs what is waiting, and gives the value of a promise, or the value itself if it is none. A rejected promise that
/// nobody has handled is thrown, also one that was not returned: a forgotten `await` would hide its error.
pub fn settle(value: Owned, guard: &Guard, rejections: &Rejections) -> Result<Owned, Unsettled> {
    let js = value.js();
    run_jobs(js, guard);
    if value.is_promise() {
        // SAFETY: the value is a promise, and lives.
        let (state, result) = unsafe {
            let state = qjs::JS_PromiseState(js.context(), value.raw());
            (state, js.own(qjs::JS_PromiseResult(js.context(), value.raw()))?)
        };
        match state {
            qjs::JSPromiseStateEnum_JS_PROMISE_REJECTED => return Err(throw(result)),
            // Its result is undefined; another rejection is the likelier reason that it waits.
            qjs::JSPromiseStateEnum_JS_PROMISE_PENDING => {
                rejections.throw_first(js)?;
                return Err(Unsettled::Pending);
            }
            _ => {
                rejections.throw_first(js)?;
                return Ok(result);
            }
        }
    }
    rejections.throw_first(js)?;
    Ok(value)
}

/// Runs the callbacks of promises: what they do to the message happens before it leaves, and none is left over for the
/// next message. A chain without end is ended by the guard.
pub fn run_jobs(js: Js, guard: &Guard) {
    let runtime = js.runtime();
    let mut context = std::ptr::null_mut();
    // SAFETY: the runtime lives; jobs run under the same guard as the script.
    while unsafe { qjs::JS_IsJobPending(runtime) } && !guard.must_stop() {
        let status: c_int = unsafe { qjs::JS_ExecutePendingJob(runtime, &raw mut context) };
        if status < 0 {
            // An exception of a callback rejects its promise; what comes here is that of a limit.
            drop(js.exception());
        }
    }
}

fn throw<E: From<Thrown>>(reason: Owned) -> E {
    let js = reason.js();
    // SAFETY: the context lives; the engine takes the reference.
    unsafe { qjs::JS_Throw(js.context(), reason.into_raw()) };
    Thrown.into()
}

/// Promises of one call that are rejected and that nobody has looked at. Each is an object of the script's heap several
/// times as large as its entry here, so the script's memory bounds them.
#[derive(Default)]
pub struct Rejections {
    /// By where the promise lies; with its turn.
    open: RefCell<HashMap<usize, (u64, Owned)>>,
    next: Cell<u64>,
}

impl Rejections {
    pub fn clear(&self) {
        if !self.open.borrow().is_empty() {
            // Dropping a promise may free the last of what it holds, but runs nothing.
            drop(self.open.take());
        }
    }

    /// Throws the reason of the first one.
    fn throw_first(&self, js: Js) -> Result<(), Thrown> {
        if self.open.borrow().is_empty() {
            return Ok(());
        }
        let Some((_, promise)) = self.open.take().into_values().min_by_key(|(turn, _)| *turn) else { return Ok(()) };
        // SAFETY: the value is a promise, and lives.
        let reason = unsafe { qjs::JS_PromiseResult(js.context(), promise.raw()) };
        Err(throw(js.own(reason)?))
    }

    fn note(&self, promise: Owned, is_handled: bool) {
        let identity = promise.identity();
        if is_handled {
            let handled = self.open.borrow_mut().remove(&identity);
            drop(handled);
        } else {
            let turn = self.next.replace(self.next.get() + 1);
            self.open.borrow_mut().insert(identity, (turn, promise));
        }
    }
}

/// From now on the rejections of the context's runtime are noted, in the host of the context in which they happen.
pub fn track(js: Js) {
    // SAFETY: the runtime lives; the function needs nothing of its own.
    unsafe { qjs::JS_SetHostPromiseRejectionTracker(js.runtime(), Some(rejected), std::ptr::null_mut()) };
}

unsafe extern "C" fn rejected(
    context: *mut qjs::JSContext,
    promise: qjs::JSValue,
    _: qjs::JSValue,
    is_handled: bool,
    _: *mut c_void,
) {
    // SAFETY: called by the engine, with a context that is a realm's or has no host yet.
    let Some(host) = (unsafe { host::host(context) }) else { return };
    let js = Js::new(context);
    host.rejections.note(js.adopt(js.duplicate(promise)), is_handled);
}
