//! Runs tasks on the calling thread, with one runtime for each customer.
#![allow(unsafe_code)] // One `Send`, for a reason that stands beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use message::{Code, Fault};

use super::{Done, Task};
use crate::runtime::Engine;

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

/// Runs tasks one by one, here and now.
#[derive(Default)]
pub struct Runner {
    /// The one used last comes last.
    engines: Vec<(Box<str>, Engine)>,
    keep: Keep,
}

// SAFETY: everything in an engine (reference counts that are not atomic, raw pointers of the engine)
// is reached only through the runner, which is used by one thread at a time (`&mut self`) and hands
// nothing of it out. The engine has no thread-local state, and is told its stack on every entry.
unsafe impl Send for Runner {}

impl Runner {
    #[must_use]
    pub fn new() -> Runner {
        Runner::default()
    }

    #[must_use]
    pub fn with_keep(keep: Keep) -> Runner {
        Runner { engines: Vec::new(), keep }
    }

    /// Runs one task to its end, at most for its CPU limit (see the crate's notes for built-ins that
    /// do not stop in time). Never panics.
    pub fn run(&mut self, task: Task) -> Done {
        let Task { token, program, mut document, context, limits } = task;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.engine(&context.customer, &limits)?.run(&program, &mut document, &context, &limits)
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            // What the engine was doing is unknown: let it go with the message.
            self.engines.pop();
            Err(Fault::new(Code::InternalPanic, "the script executor failed on this message"))
        });
        self.retire();
        Done { token, document, outcome }
    }

    /// The customer's runtime, brought to the end of the list.
    fn engine(&mut self, customer: &str, limits: &message::Limits) -> Result<&mut Engine, Fault> {
        match self.engines.iter().rposition(|(name, _)| **name == *customer) {
            Some(index) => self.engines[index..].rotate_left(1),
            None => self.engines.push((customer.into(), Engine::new(limits)?)),
        }
        match self.engines.last_mut() {
            Some((_, engine)) => Ok(engine),
            None => Err(Fault::new(Code::InternalPanic, "no runtime after one was made")),
        }
    }

    /// Throws away the runtime just used if it met a limit, then those used longest ago while there
    /// are too many or they hold too much.
    fn retire(&mut self) {
        if self.engines.last().is_some_and(|(_, engine)| engine.is_spent()) {
            self.engines.pop();
        }
        let mut bytes: usize = self.engines.iter().map(|(_, engine)| engine.memory()).sum();
        while self.engines.len() > 1 && (self.engines.len() > self.keep.runtimes || bytes > self.keep.bytes) {
            bytes -= self.engines.remove(0).1.memory();
        }
    }
}
