//! What every call into Rust passes.

use ::message::{Code, Fault};
use flow::catch_panic::catch_panic;
use pyo3::prelude::*;

use crate::errors::raise;

/// Runs `work` with the interpreter released; a fault or a panic becomes an exception.
pub fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Fault> + Send) -> PyResult<T> {
    py.detach(|| catch_panic(work)).map_err(|fault| raise(py, &fault))
}

/// The process that made an object. Threads, locks and runtimes do not survive a fork.
pub struct Owner(u32);

impl Owner {
    pub fn this() -> Owner {
        Owner(std::process::id())
    }

    pub fn is_this(&self) -> bool {
        self.0 == std::process::id()
    }

    pub fn check(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_this() {
            return Ok(());
        }
        let reason = "the object was made before a fork; make it in the process that uses it";
        Err(raise(py, &Fault::new(Code::InternalForked, reason)))
    }
}
