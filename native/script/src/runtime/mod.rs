//! QuickJS: one runtime for each customer, in it one context for each of the customer's scripts.
//!
//! ```text
//! program (bytecode) ──► Engine (a customer's heap, guard)        here
//!                          └─ Realm (a script's context)          realm.rs, prelude.js
//! message: tape ─► values  read.rs ─► the script ─► values ─► tape  write/
//!            lazily: view.rs, define.rs, fields.rs, keys.rs; the document meanwhile: lent.rs
//!            numbers beyond a double: digits.rs
//! ctx, Date, Math.random   host.rs       │
//! URL, crypto and so on    builtins/       │
//! promises, awaited        promises.rs   │
//! deadline, memory         guard.rs, allocator.rs: asked by the engine while it runs
//! exception ─► fault       failure.rs
//! ```
//!
//! State: what a script keeps at its top level lasts for as long as its runtime does, and no longer
//! than the next time-out, out-of-memory, eviction or restart. It is never seen by another script,
//! let alone by another customer. The built-in objects and `globalThis` are frozen.

mod allocator;
mod builtins;
mod bytecode;
mod define;
mod digits;
mod failure;
mod fields;
mod guard;
mod host;
mod keys;
mod lent;
mod promises;
mod raw;
mod read;
mod realm;
mod view;
mod write;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use message::{Document, Fault, Limits};
use rquickjs::Runtime;

pub use bytecode::{Form, compile};

use self::allocator::Metered;
use self::guard::Guard;
pub use self::guard::thread_cpu;
use self::realm::{Blank, Realm};
use crate::program::{Program, ProgramId};
use crate::strip::Origin;
use crate::{Said, TaskContext};

/// Scripts of one customer that stay loaded; a further one takes the place of the one used longest ago.
const REALMS: usize = 16;

/// How much more CPU time a script's top level, which runs once, may use than one message.
pub const LOADING: u32 = 20;

/// One customer's runtime. Not `Send` by itself: see the executor for who may move it, and when.
pub struct Engine {
    realms: Vec<(ProgramId, Realm)>,
    /// For the next program, if it was made before.
    blank: Option<Blank>,
    guard: Rc<Guard>,
    runtime: Runtime,
    stack: usize,
    /// The class of views, registered with the first realm.
    class: Cell<u32>,
}

impl Engine {
    pub fn new(limits: &Limits) -> Result<Engine, Fault> {
        let guard = Guard::new(memory(limits));
        let runtime = Runtime::new_with_alloc(Metered(Rc::clone(&guard))).map_err(|_| bytecode::no_memory())?;
        let asked = Rc::clone(&guard);
        runtime.set_interrupt_handler(Some(Box::new(move || asked.interrupts())));
        Ok(Engine { realms: Vec::new(), blank: None, guard, runtime, stack: 0, class: Cell::new(0) })
    }

    /// Runs `program` on `document`; gives the roots of what it returned, none if it dropped the
    /// message. On an error the document reads as before.
    pub fn run(
        &mut self,
        program: &Program,
        document: &mut Document,
        context: &TaskContext,
        limits: &Limits,
    ) -> Result<Vec<u32>, Fault> {
        self.load(program, limits)?;
        let Some((_, realm)) = self.realms.first() else { return Err(bytecode::no_memory()) };
        let result = realm.call(&self.guard, program, document, context, limits);
        self.guard.pause();
        self.tidy();
        result
    }

    /// Does most of the work of loading a program before there is one.
    pub fn prepare(&mut self) -> Result<(), Fault> {
        let origin = Origin { file: "prelude", text: "" };
        self.blank = Some(Blank::new(&self.runtime, &self.guard, origin, &self.class)?);
        Ok(())
    }

    /// Makes `program` the one that runs next; runs its top level, if it is not loaded.
    pub fn load(&mut self, program: &Program, limits: &Limits) -> Result<(), Fault> {
        self.guard.set_memory(memory(limits));
        self.enter(limits);
        if self.realms.first().is_none_or(|(id, _)| *id != program.id()) {
            self.guard.start(Duration::from_millis(limits.script_cpu_ms.into()) * LOADING);
            let loaded = self.bring_to_front(program);
            self.guard.pause();
            loaded?;
        }
        Ok(())
    }

    /// What the script that ran last has said.
    pub fn take_said(&self) -> Said {
        self.realms.first().map(|(_, realm)| realm.take_said()).unwrap_or_default()
    }

    /// Whether a limit was met that a runtime does not survive.
    pub fn is_spent(&self) -> bool {
        self.guard.stopped().is_some()
    }

    /// Drops what was loaded of a program. Gives whether nothing is loaded any more.
    pub fn forget(&mut self, program: ProgramId) -> bool {
        let before = self.realms.len();
        self.realms.retain(|(id, _)| *id != program);
        if self.realms.len() < before && !self.realms.is_empty() {
            // A context lies in cycles with its functions.
            self.runtime.run_gc();
        }
        self.realms.is_empty()
    }

    /// Bytes of the heap.
    pub fn memory(&self) -> usize {
        self.guard.used()
    }

    fn bring_to_front(&mut self, program: &Program) -> Result<(), Fault> {
        match self.realms.iter().position(|(id, _)| *id == program.id()) {
            Some(index) => self.realms[..=index].rotate_right(1),
            None => {
                let blank = match self.blank.take() {
                    Some(blank) => blank,
                    None => Blank::new(&self.runtime, &self.guard, program.origin(), &self.class)?,
                };
                let realm = Realm::new(blank, &self.guard, program)?;
                self.realms.insert(0, (program.id(), realm));
                self.realms.truncate(REALMS);
            }
        }
        Ok(())
    }

    /// Gives the stack its size; the realm, if there is one, where it begins.
    fn enter(&mut self, limits: &Limits) {
        let stack = usize::try_from(limits.script_stack_kb).unwrap_or(usize::MAX).saturating_mul(1024);
        if stack != self.stack {
            self.stack = stack;
            self.runtime.set_max_stack_size(stack);
        }
        if let Some((_, realm)) = self.realms.first() {
            realm.js().enter();
        }
    }

    /// Cycles are collected by the engine as the heap grows by half; when that could be too late for
    /// the limit, here.
    fn tidy(&self) {
        if self.guard.used() > self.guard.memory() / 2 && !self.is_spent() {
            self.runtime.run_gc();
        }
    }
}

/// Loads `program` in a runtime of its own, to see whether it can be.
pub fn try_load(program: &Program, limits: &Limits) -> Result<(), Fault> {
    let mut engine = Engine::new(limits)?;
    engine.enter(limits);
    engine.guard.start(Duration::from_millis(limits.script_cpu_ms.into()) * LOADING);
    engine.bring_to_front(program)
}

fn memory(limits: &Limits) -> usize {
    usize::try_from(limits.script_memory_mb).unwrap_or(usize::MAX).saturating_mul(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Language, compile};

    /// What is counted in is counted out, whatever the script kept or broke.
    #[test]
    fn an_engine_gives_all_its_memory_back() {
        let scripts = [
            "const kept = []; export default msg => { kept.push(msg); return [msg, { ...msg, x: [msg.a.b, msg] }] }",
            "export default msg => { msg.self = msg; delete msg.a; Object.freeze(msg); return {} }",
            "let last; export default msg => { msg.a[Symbol('s')] = last; last = msg.a; throw msg }",
            "export default msg => { Object.defineProperty(msg, 'g', { get() { return msg } }); return msg.g === msg }",
            "const kept = []; export default msg => { for (;;) kept.push({ ...msg }) }",
            "export default msg => (async () => { for (const x of msg.list) await x })()",
        ];
        let limits = Limits { script_cpu_ms: 10_000, script_memory_mb: 8, ..Limits::default() };
        for script in scripts {
            let program = compile(script, Language::JavaScript, "t.js").unwrap();
            let mut engine = Engine::new(&limits).unwrap();
            for _ in 0..3 {
                let mut document = Document::default();
                let json = br#"{"a":{"b":[1,2,{"c":"d"}]},"list":[[1],[{"e":1}]],"text":"0123456789"}"#;
                formats::json::parse(json, &limits, &mut document).unwrap();
                let _ = engine.run(&program, &mut document, &TaskContext::default(), &limits);
                assert_eq!(document.source(), json, "{script}");
                if engine.is_spent() {
                    break;
                }
            }
            let guard = Rc::clone(&engine.guard);
            assert!(guard.used() > 0);
            drop(engine);
            assert_eq!(guard.used(), 0, "{script}");
        }
    }

    #[test]
    fn a_loaded_script_is_small() {
        let program = compile("export default msg => msg", Language::JavaScript, "t.js").unwrap();
        let mut engine = Engine::new(&Limits::default()).unwrap();
        engine.guard.start(Duration::from_secs(10));
        engine.bring_to_front(&program).unwrap();
        assert!(engine.memory() < 1 << 20, "{} bytes", engine.memory());
        println!("{} bytes", engine.memory());
    }
}
