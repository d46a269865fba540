//! How large the stack of the current thread is known to be. A parser that recurses as deep as a customer's text
//! makes a thread with a large stack for itself, unless it runs on one.

use std::cell::Cell;

thread_local! {
    static KNOWN_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Says that the current thread has been made with a stack of so many bytes, most of which are free.
pub fn declare_stack(bytes: usize) {
    KNOWN_BYTES.set(bytes);
}

/// Whether the current thread is known to have a stack of so many bytes.
#[must_use]
pub fn has_stack(bytes: usize) -> bool {
    KNOWN_BYTES.get() >= bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_of_a_thread_that_nobody_has_declared() {
        std::thread::spawn(|| {
            assert!(!has_stack(1));
            declare_stack(1024);
            assert!(has_stack(1024) && !has_stack(1025));
        })
        .join()
        .unwrap();
    }
}
