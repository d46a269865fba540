//! A process of its own for a test that reads or spoils what the tests of a binary share.

use std::process::Command;

const MARK: &str = "VRSKY_TEST_ALONE";

/// Runs `test` in a new process of the same test binary. Call it as the whole body of a test, with a closure
/// written there: the closure's type names the test that the new process runs.
///
/// For tests that measure the memory of the process, or leave threads behind that no one can stop.
pub fn alone<F: FnOnce()>(test: F) {
    if std::env::var_os(MARK).is_some() {
        return test();
    }
    let name = test_name::<F>();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--include-ignored", "--nocapture"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let text = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "no test is named {name}: {text}");
}

/// `splits::a_test` of `behaviour::splits::a_test::{{closure}}`.
fn test_name<F>() -> String {
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, resume_unwind};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn is_new_process() -> bool {
        std::env::var_os(MARK).is_some()
    }

    #[test]
    fn the_body_runs_in_another_process() {
        static RAN: AtomicBool = AtomicBool::new(false);
        alone(|| RAN.store(true, Ordering::SeqCst));
        assert_eq!(RAN.load(Ordering::SeqCst), is_new_process());
    }

    #[test]
    fn a_failure_there_fails_the_test_with_its_output() {
        let failure = catch_unwind(|| alone(|| panic!("the reason"))).unwrap_err();
        if is_new_process() {
            resume_unwind(failure);
        }
        let text = failure.downcast::<String>().unwrap();
        assert!(text.contains("the reason"), "{text}");
    }
}
