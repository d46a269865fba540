//! A load that is taken back by dropping it.

use std::rc::Rc;
use std::sync::Arc;

use super::Executor;
use crate::program::{Program, ProgramId};

/// Keeps a program loaded while it lives: held by whatever still makes tasks of the program.
pub struct Loaded {
    executor: Rc<dyn Executor>,
    id: ProgramId,
}

impl Loaded {
    #[must_use]
    pub fn new(executor: &Rc<dyn Executor>, program: &Arc<Program>) -> Loaded {
        executor.load(program);
        Loaded { executor: Rc::clone(executor), id: program.id() }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.executor.unload(self.id);
    }
}
