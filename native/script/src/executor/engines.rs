//! Customers' runtimes: one for each, made when it is needed.
#![allow(unsafe_code)] // One `Send`, for a reason that stands beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use message::{Code, Document, Fault, Limits};

use super::{Done, Task, TaskContext};
use crate::program::{Program, ProgramId};
use crate::runtime::Engine;
use crate::said::Said;

/// How many runtimes are kept, and how much memory in all of them.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub runtimes: usize,
    pub bytes: usize,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep { runtimes: 256, bytes: 512 << 20 }
    }
}

/// Customers' runtimes: what executors run scripts with.
#[derive(Default)]
pub struct Engines {
    /// The one used last comes last.
    kept: Vec<(Box<str>, Engine)>,
    /// For the next customer, if it was made before.
    spare: Option<Engine>,
    keep: Keep,
    said: Said,
}

// SAFETY: everything in an engine (reference counts that are not atomic, raw pointers of the engine)
// is reached only through `Engines`, which is used by one thread at a time (`&mut self`; it is not `Sync`)
// and hands nothing of it out. The engine has no thread-local state, and is told its stack on every entry.
unsafe impl Send for Engines {}

impl Engines {
    #[must_use]
    pub fn new(keep: Keep) -> Engines {
        Engines { kept: Vec::new(), spare: None, keep, said: Said::default() }
    }

    /// Makes the runtime of the next customer before it is known, up to the place where its script begins: some
    /// milliseconds, for a process of which each customer gets a copy.
    ///
    /// # Errors
    /// `script/out-of-memory`.
    pub fn prepare(&mut self) -> Result<(), Fault> {
        let mut engine = Engine::new(&Limits::default())?;
        engine.prepare()?;
        self.spare = Some(engine);
        Ok(())
    }

    /// Runs a task to its end. Without its program it fails. Never panics.
    pub fn run_task(&mut self, program: Option<&Program>, task: Task) -> Done {
        let Task { token, program: id, mut document, context, limits } = task;
        let began = Instant::now();
        let outcome = match program {
            Some(program) => self.run(program, &mut document, &context, &limits),
            None => Err(Fault::new(Code::ScriptUnavailable, format!("the program {id} is not loaded"))),
        };
        Done { token, document, outcome, used: began.elapsed(), said: self.take_said() }
    }

    /// Runs a program's top level, unless it is loaded. [`Engines::run`] does so by itself; whoever watches the time
    /// wants to tell the two apart. Never panics.
    ///
    /// # Errors
    /// What `run` would give.
    pub fn load(&mut self, program: &Program, customer: &str, limits: &Limits) -> Result<(), Fault> {
        self.guarded(|engines| engines.engine(customer, limits)?.load(program, limits))
    }

    /// Runs a program on a document to its end; gives the roots, in the document, of what it returned. To the document
    /// texts and nodes are added, and nothing that was there is changed. Never panics.
    ///
    /// # Errors
    /// The script's fault; the document then reads as before.
    pub fn run(
        &mut self,
        program: &Program,
        document: &mut Document,
        context: &TaskContext,
        limits: &Limits,
    ) -> Result<Vec<u32>, Fault> {
        self.guarded(|engines| {
            let engine = engines.engine(&context.owner.customer, limits)?;
            let outcome = engine.run(program, document, context, limits);
            let said = engine.take_said();
            engines.said = said;
            outcome
        })
    }

    /// What the script of the last run has said.
    pub fn take_said(&mut self) -> Said {
        std::mem::take(&mut self.said)
    }

    fn guarded<T>(&mut self, run: impl FnOnce(&mut Engines) -> Result<T, Fault>) -> Result<T, Fault> {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(self)));
        let outcome = outcome.unwrap_or_else(|_| {
            // What the engine was doing is unknown: let it go with the message.
            self.kept.pop();
            Err(Fault::new(Code::InternalPanic, "the script executor failed on this message"))
        });
        self.retire();
        outcome
    }

    /// Frees what is held of a program, and runtimes that hold no other one.
    pub fn forget(&mut self, program: ProgramId) {
        self.kept.retain_mut(|(_, engine)| !engine.forget(program));
    }

    /// Bytes of all heaps.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.kept.iter().map(|(_, engine)| engine.memory()).sum()
    }

    /// The customer's runtime, brought to the end of the list.
    fn engine(&mut self, customer: &str, limits: &Limits) -> Result<&mut Engine, Fault> {
        match self.kept.iter().rposition(|(name, _)| **name == *customer) {
            Some(index) => self.kept[index..].rotate_left(1),
            None => {
                let engine = match self.spare.take() {
                    Some(engine) => engine,
                    None => Engine::new(limits)?,
                };
                self.kept.push((customer.into(), engine));
            }
        }
        match self.kept.last_mut() {
            Some((_, engine)) => Ok(engine),
            None => Err(Fault::new(Code::InternalPanic, "no runtime after one was made")),
        }
    }

    /// Throws away the runtime just used if it met a limit, then those used longest ago while there
    /// are too many or they hold too much.
    fn retire(&mut self) {
        if self.kept.last().is_some_and(|(_, engine)| engine.is_spent()) {
            self.kept.pop();
        }
        let mut bytes = self.memory();
        while self.kept.len() > 1 && (self.kept.len() > self.keep.runtimes || bytes > self.keep.bytes) {
            bytes -= self.kept.remove(0).1.memory();
        }
    }
}
