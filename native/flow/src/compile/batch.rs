//! Many pipeline files at once: a node that starts with thousands of them.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, available_parallelism, scope};

use message::{Code, Fault, declare_stack};

use super::{Files, Pipeline};
use crate::catch_panic::catch_panic;

/// More than any parser of a customer's text needs; reserved, not used.
const STACK_BYTES: usize = 320 << 20;
/// More threads do not pay: what is compiled is waited for by Python, which reads the next files meanwhile.
const MAX_THREADS: usize = 8;

/// What compiling gives for one file.
pub type Compiled = Result<Arc<Pipeline>, Vec<Fault>>;

/// Compiles each file as [`Pipeline::from_json`] does, on all processors. Blocks until the last one is done. No parser
/// makes a thread of its own here, which is most of what a small file costs alone.
pub fn compile_all<F: Files + Sync>(files: &[(String, F)]) -> Vec<Compiled> {
    let work = Work { files, next: AtomicUsize::new(0), done: Mutex::default() };
    let processors = available_parallelism().map_or(1, NonZero::get);
    scope(|scope| {
        for _ in 0..processors.min(MAX_THREADS).min(files.len()) {
            let thread = Builder::new().name("compile".into()).stack_size(STACK_BYTES);
            // Without a thread the others do its part; without any, the caller does.
            let _ = thread.spawn_scoped(scope, || {
                declare_stack(STACK_BYTES);
                work.run();
            });
        }
    });
    work.run();
    let mut done = work.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, compiled)| compiled).collect()
}

struct Work<'f, F> {
    files: &'f [(String, F)],
    next: AtomicUsize,
    /// With the number of each file.
    done: Mutex<Vec<(usize, Compiled)>>,
}

impl<F: Files + Sync> Work<'_, F> {
    fn run(&self) {
        loop {
            let number = self.next.fetch_add(1, Relaxed);
            let Some((json, files)) = self.files.get(number) else { return };
            let compiled = compile(json, files);
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push((number, compiled));
        }
    }
}

fn compile(json: &str, files: &dyn Files) -> Compiled {
    let compiled = catch_panic(|| Ok(Pipeline::from_json(json, files)));
    compiled.unwrap_or_else(|fault: Fault| Err(vec![Fault::new(Code::InternalPanic, fault.reason())]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn file(name: &str, steps: &serde_json::Value) -> (String, HashMap<String, String>) {
        let file = json!({"customer": "acme", "pipeline": name, "in": {"http": {"path": "/x"}}, "out": {"stdout": {}},
            "steps": steps});
        (file.to_string(), HashMap::new())
    }

    #[test]
    fn each_file_has_its_own_result_in_its_own_place() {
        let files: Vec<_> = (0..50)
            .map(|n| match n % 3 {
                0 => file(&format!("p{n}"), &json!([{"filter": "a >"}])),
                1 => file(&format!("p{n}"), &json!([{"script": {"code": "export default (msg) => msg"}}])),
                _ => file(&format!("p{n}"), &json!([{"filter": "a > 1"}, {"set": {"b": "a + 1"}}])),
            })
            .collect();
        let compiled = compile_all(&files);
        assert_eq!(compiled.len(), files.len());
        for (number, result) in compiled.iter().enumerate() {
            match result {
                Ok(pipeline) => assert_eq!(pipeline.name(), format!("p{number}")),
                Err(faults) => {
                    assert_eq!((number % 3, faults[0].code()), (0, Code::ConfigInvalidExpression));
                }
            }
        }
        assert!(compile_all::<()>(&[]).is_empty());
    }

    #[test]
    fn what_nests_deeply_is_compiled_or_refused_as_alone() {
        let nested = |depth: usize| format!("{}a{} > 1", "(".repeat(depth), ")".repeat(depth));
        let files: Vec<_> = [1, 30, 60, 5_000].iter().map(|n| file("p", &json!([{"filter": nested(*n)}]))).collect();
        for (together, (json, scripts)) in compile_all(&files).iter().zip(&files) {
            let alone = Pipeline::from_json(json, scripts);
            assert_eq!(together.as_ref().err(), alone.as_ref().err());
        }
    }
}
