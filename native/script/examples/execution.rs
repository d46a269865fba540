//! What a script costs per message, inline and on the executor's thread.
//!
//! ```text
//! cargo run --release -p script --example execution [MILLISECONDS PER CASE [PART OF A CASE'S NAME]]
//! ```

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use message::{Document, Limits};
use rustix::time::{ClockId, clock_gettime};
use script::{
    Done, Executor, Language, Program, Runner, Task, TaskContext, TaskOwner, ThreadExecutor, ThreadOptions, compile,
};

/// Messages in one batch, and batches in flight.
const BATCH: usize = 64;
const IN_FLIGHT: usize = 4;

const SCRIPTS: [(&str, &str); 6] = [
    ("nothing touched", "export default msg => msg"),
    ("one field set", "export default (msg, ctx) => { msg.order.net = msg.order.total / 1.077; return msg }"),
    ("spread", "export default msg => ({ ...msg.order, net: msg.order.total / 1.077 })"),
    ("new object", "export default (msg, ctx) => ({ id: ctx.id, total: msg.order.total })"),
    (
        "sum over a list",
        "export default msg => { let sum = 0; for (const item of msg.order.items) sum += item.qty * item.price; msg.order.sum = sum; return msg }",
    ),
    ("split", "export default msg => msg.order.items.map(item => ({ order: msg.order.id, ...item }))"),
];

fn order(items: usize) -> String {
    let items: Vec<String> = (0..items)
        .map(|i| format!(r#"{{"sku":"SKU-{i:05}","qty":{},"price":{}.25,"text":"Part no {i}"}}"#, i % 9 + 1, i % 97))
        .collect();
    format!(
        r#"{{"order":{{"id":"A-1029384","currency":"CHF","customer":{{"id":778812,"name":"Müller & Söhne AG","email":"einkauf@mueller.example"}},"country":"CH","total":1234.50,"items":[{}]}}}}"#,
        items.join(",")
    )
}

/// One script on one message, over and over; documents are used again, as on a node.
struct Case {
    json: String,
    program: Arc<Program>,
    owner: Arc<TaskOwner>,
    limits: Arc<Limits>,
    time: Duration,
}

impl Case {
    fn task(&self, mut document: Document) -> Task {
        let parsed = formats::json::parse(self.json.as_bytes(), &self.limits, &mut document);
        assert!(parsed.is_ok());
        let id = "0123456789abcdef0123456789abcdef".into();
        let context = TaskContext { id, owner: Arc::clone(&self.owner), ..TaskContext::default() };
        Task { token: 0, program: self.program.id(), document, context, limits: Arc::clone(&self.limits) }
    }

    /// Parsing and making tasks, without running them.
    fn preparation(&self) -> f64 {
        let mut documents = vec![Document::default(); BATCH];
        measure(self.time, || {
            let tasks: Vec<Task> = documents.drain(..).map(|document| self.task(document)).collect();
            documents.extend(tasks.into_iter().map(|task| task.document));
            BATCH
        })
    }

    fn inline(&self) -> f64 {
        let runner = Runner::new();
        runner.load(&self.program);
        let mut documents = vec![Document::default(); BATCH];
        let mut done = Vec::new();
        let mut batch = || {
            assert!(runner.submit(documents.drain(..).map(|document| self.task(document)).collect()).is_ok());
            runner.completed(&mut done);
            documents.extend(done.drain(..).map(finished));
            BATCH
        };
        batch();
        measure(self.time, batch)
    }

    fn threaded(&self) -> f64 {
        let (wake, woken) = channel();
        let wake = move || {
            let _ = wake.send(());
        };
        let Ok(executor) = ThreadExecutor::new(ThreadOptions::default()) else { return f64::NAN };
        executor.on_completed(Box::new(wake));
        executor.load(&self.program);
        let submit = |documents: &mut dyn Iterator<Item = Document>| {
            executor.submit(documents.map(|document| self.task(document)).collect()).is_ok()
        };
        let mut done = Vec::new();
        let mut round = || {
            assert!(woken.recv().is_ok());
            executor.completed(&mut done);
            let count = done.len();
            assert!(submit(&mut done.drain(..).map(finished)));
            count
        };
        for _ in 0..IN_FLIGHT {
            submit(&mut std::iter::repeat_n(Document::default(), BATCH));
        }
        round();
        measure(self.time, round)
    }
}

fn finished(done: Done) -> Document {
    assert!(done.outcome.is_ok(), "{:?}", done.outcome);
    done.document
}

/// Microseconds of CPU time, of all threads, per message.
fn measure(time: Duration, mut batch: impl FnMut() -> usize) -> f64 {
    let (begun, cpu, mut messages) = (Instant::now(), cpu_seconds(), 0);
    while begun.elapsed() < time {
        messages += batch();
    }
    (cpu_seconds() - cpu) * 1e6 / messages as f64
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() {
    let milliseconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(500);
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let time = Duration::from_millis(milliseconds);
    let limits = Arc::new(Limits::default());
    println!("CPU microseconds per message; parsing is taken off");
    for items in [5, 155] {
        let json = order(items);
        println!("\n{} bytes{:>24} {:>8} {:>8}", json.len(), "parse", "inline", "thread");
        for (name, source) in SCRIPTS.iter().filter(|(name, _)| name.contains(&wanted)) {
            let Ok(program) = compile(source, Language::JavaScript, "script.js").map(Arc::new) else { return };
            let owner = Arc::new(TaskOwner { customer: "acme".into(), ..TaskOwner::default() });
            let case = Case { json: json.clone(), program, owner, limits: Arc::clone(&limits), time };
            let parse = case.preparation();
            println!("  {name:<24} {parse:>8.2} {:>8.2} {:>8.2}", case.inline() - parse, case.threaded() - parse);
        }
    }
}
