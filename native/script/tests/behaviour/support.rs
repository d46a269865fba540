//! Scripts run inline, their outputs as JSON text.
use std::sync::Arc;

use message::packed::Unpack;
use message::{Document, Fault, Limits, NONE, PartsBudget, PartsCheck, Tables};
use script::{Done, Language, Program, Runner, Task, TaskContext, TaskOwner, compile};

pub fn document(json: &str) -> Document {
    let mut document = Document::default();
    formats::json::parse(json.as_bytes(), &Limits::default(), &mut document).unwrap();
    document
}

pub fn context(customer: &str) -> TaskContext {
    TaskContext {
        id: "0123456789abcdef".into(),
        owner: Arc::new(TaskOwner {
            customer: customer.into(),
            pipeline: "orders".into(),
            revision: "7".into(),
            tables: Tables::default(),
        }),
        time_ms: 1_700_000_000_123,
        headers: (*b"NATS/1.0\r\nCustomer-ID: acme\r\nX-Trace: a\r\nx-trace: b\r\n\r\n").into(),
        seed: 0,
    }
}

pub fn task(program: &Program, json: &str) -> Task {
    Task {
        token: 1,
        program: program.id(),
        document: document(json),
        context: context("acme"),
        limits: Arc::new(Limits::default()),
    }
}

pub fn program(source: &str) -> Arc<Program> {
    Arc::new(compile(source, Language::JavaScript, "t.js").unwrap_or_else(|fault| panic!("{source}: {fault}")))
}

pub fn run(source: &str, json: &str) -> Done {
    run_in(&Runner::new(), &program(source), json)
}

pub fn run_in(runner: &Runner, program: &Program, json: &str) -> Done {
    run_task(runner, program, task(program, json))
}

pub fn run_task(runner: &Runner, program: &Program, task: Task) -> Done {
    let before = task.document.clone();
    let done = runner.run(program, task.document, &task.context, &task.limits);
    reads_back(before, &done, &task.limits);
    Done { token: task.token, ..done }
}

/// What a script adds to a document crosses from a worker process to its host, which refuses what is not as it should be.
pub fn reads_back(mut before: Document, done: &Done, limits: &Limits) {
    let Ok(roots) = &done.outcome else { return };
    let (extent, mut parts) = (before.extent(), Vec::new());
    if done.document.is_unchanged() {
        return assert_eq!(done.document.extent(), extent);
    }
    done.document.write_parts(extent, &mut parts);
    let budget = PartsBudget { bytes: limits.output_bytes, nodes: limits.nodes, depth: 2048 };
    let read = before.read_parts(&mut Unpack(&parts), roots, &budget, &mut PartsCheck::default());
    assert_eq!(read, Ok(()));
    for root in roots {
        let [one, other] = [&before, &done.document].map(|document| format!("{:?}", document.value_at(*root, false)));
        assert_eq!(one, other);
    }
}

pub fn run_ts(source: &str, json: &str) -> Done {
    let program = compile(source, Language::TypeScript, "t.ts").unwrap_or_else(|fault| panic!("{source}: {fault}"));
    run_in(&Runner::new(), &program, json)
}

/// What was returned, each as JSON.
pub fn texts(done: &Done) -> Result<Vec<String>, Fault> {
    let mut document = done.document.clone();
    let roots = done.outcome.clone()?;
    Ok(roots
        .into_iter()
        .map(|root| {
            document.set_root(root);
            let mut text = Vec::new();
            formats::json::emit(&document, &mut text);
            String::from_utf8(text).unwrap()
        })
        .collect())
}

pub fn outputs(source: &str, json: &str) -> Vec<String> {
    texts(&run(source, json)).unwrap_or_else(|fault| panic!("{source}: {fault}"))
}

/// A node that is a part of two of these messages, or twice of one. There may be none: a step edits a message
/// in its place.
pub fn used_twice(document: &Document, roots: &[u32]) -> Option<u32> {
    let mut is_used = vec![false; document.node_count()];
    let mut waiting: Vec<(u32, bool)> = roots.iter().map(|root| (*root, true)).collect();
    while let Some((at, is_root)) = waiting.pop() {
        if std::mem::replace(&mut is_used[at as usize], true) {
            return Some(at);
        }
        let node = document.node(at);
        let relatives = [node.first, if is_root { NONE } else { node.next }, node.same];
        waiting.extend(relatives.into_iter().filter(|at| *at != NONE).map(|at| (at, false)));
    }
    None
}
