//! A panic as a fault.

use std::panic::{AssertUnwindSafe, catch_unwind};

use message::{Code, Fault};

/// Turns a panic of `work` into a fault, so that a defect of ours ends one call and not its caller.
///
/// # Errors
/// Those of `work`; `internal/panic`.
pub fn catch_panic<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(Fault::new(Code::InternalPanic, text.unwrap_or("a panic without a message").to_owned()))
    })
}
