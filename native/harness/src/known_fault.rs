//! Tests of faults that are known and not repaired yet.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The body of a test whose fault is known and not repaired yet. The test passes while the body panics with a
/// message that contains `failure`, and fails once the body passes: the wrapper goes together with the fault.
///
/// ```text
/// #[test]
/// fn an_empty_id_merges_no_messages() {
///     known_fault!("messages with an empty Nats-Msg-Id count as one", "never: 50 are delivered", {
///         ...
///         eventually("50 are delivered", || (client.count("OUT") == 50).then_some(()));
///     });
/// }
/// ```
///
/// `failure` keeps another failure, such as a server that does not start, from counting as the fault.
/// `eventually` waits less inside; with `alone`, `alone` is outside.
#[macro_export]
macro_rules! known_fault {
    ($fault:expr, $failure:expr, $body:block) => {
        $crate::known_fault($fault, $failure, || $body)
    };
}

/// Behind [`known_fault!`](crate::known_fault!).
pub fn known_fault(fault: &str, failure: &str, body: impl FnOnce()) {
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    INSIDE.set(outer);
    let Err(panic) = result else {
        panic!("no longer a fault: {fault}. Remove `known_fault!` and keep its body as the test");
    };
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without a text");
    assert!(
        text.contains(failure),
        "fails in another way than the known fault ({fault}), whose failure says {failure:?}: {text}"
    );
}

pub(crate) fn is_inside() -> bool {
    INSIDE.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(test: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(test)).unwrap_err();
        *panic.downcast::<String>().unwrap()
    }

    #[test]
    fn a_body_that_fails_as_it_is_known_to_passes() {
        known_fault!("one is not two", "left: 1", {
            assert_eq!(1, 2);
        });
        known_fault!("a text without arguments", "as it", { panic!("as it is") });
    }

    #[test]
    fn a_body_that_passes_fails_and_says_what_to_do() {
        let text = failure(|| known_fault!("one is one", "left: 1", { assert_eq!(1, 1) }));
        assert!(text.contains("one is one. Remove `known_fault!`"), "{text}");
    }

    #[test]
    fn a_body_that_fails_in_another_way_fails() {
        let text = failure(|| known_fault!("one is not two", "left: 1", { panic!("no server") }));
        assert!(text.contains("in another way") && text.contains("no server"), "{text}");
    }

    #[test]
    fn a_panic_without_a_text_is_another_way() {
        let text = failure(|| known_fault!("a fault", "left: 1", { std::panic::panic_any(7) }));
        assert!(text.contains("without a text"), "{text}");
    }

    #[test]
    fn waits_are_short_inside_and_usual_again_after_it() {
        known_fault!("never comes", "never: it comes", {
            assert!(is_inside());
            crate::eventually("it comes", || None::<()>);
        });
        assert!(!is_inside());
    }
}
