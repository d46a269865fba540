//! What a script costs per message, inline and on the executor's thread.
//!
//! ```text
//! cargo run --release -p script --example throughput [MILLISECONDS PER CASE]
//! ```

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use message::{Document, Limits};
use rustix::time::{ClockId, clock_gettime};
use script::{Done, Executor, Language, Program, Runner, Task, TaskContext, ThreadExecutor, ThreadOptions, compile};

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

fn document(json: &str) -> Option<Document> {
    let mut document = Document::default();
    formats::json::parse(json.as_bytes(), &Limits::default(), &mut document).ok()?;
    Some(document)
}

fn task(program: &Arc<Program>, document: &Document, limits: &Arc<Limits>) -> Task {
    let context = TaskContext {
        id: "0123456789abcdef0123456789abcdef".into(),
        customer: "acme".into(),
        ..TaskContext::default()
    };
    Task { token: 0, program: Arc::clone(program), document: document.clone(), context, limits: Arc::clone(limits) }
}

fn check(done: &[Done]) {
    for done in done {
        assert!(done.outcome.is_ok(), "{:?}", done.outcome);
    }
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

fn preparation(program: &Arc<Program>, document: &Document, limits: &Arc<Limits>, time: Duration) -> f64 {
    measure(time, || (0..BATCH).map(|_| task(program, document, limits)).filter(|task| task.token == 0).count())
}

fn inline(program: &Arc<Program>, document: &Document, limits: &Arc<Limits>, time: Duration) -> f64 {
    let runner = Runner::new();
    let run = || {
        let done: Vec<Done> = (0..BATCH).map(|_| runner.run(task(program, document, limits))).collect();
        check(&done);
        done.len()
    };
    run();
    measure(time, run)
}

fn threaded(program: &Arc<Program>, document: &Document, limits: &Arc<Limits>, time: Duration) -> f64 {
    let (wake, woken) = channel();
    let wake = move || {
        let _ = wake.send(());
    };
    let Ok(executor) = ThreadExecutor::new(Box::new(wake), ThreadOptions::default()) else {
        return f64::NAN;
    };
    let submit = || {
        let batch = (0..BATCH).map(|_| task(program, document, limits)).collect();
        executor.submit(batch).is_ok()
    };
    let mut done = Vec::new();
    let mut round = || {
        let taken = woken.recv().is_ok() && submit();
        executor.completed(&mut done);
        check(&done);
        done.drain(..).count() * usize::from(taken)
    };
    for _ in 0..IN_FLIGHT {
        submit();
    }
    round();
    measure(time, round)
}

fn main() {
    let milliseconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(500);
    let time = Duration::from_millis(milliseconds);
    let limits = Arc::new(Limits::default());
    println!("CPU microseconds per message; the copy of the document that makes each task is taken off");
    for items in [5, 155] {
        let json = order(items);
        let Some(document) = document(&json) else { return };
        println!("\n{} bytes{:>24} {:>8} {:>8}", json.len(), "copy", "inline", "thread");
        for (name, source) in SCRIPTS {
            let Ok(program) = compile(source, Language::JavaScript, "script.js").map(Arc::new) else { return };
            let copy = preparation(&program, &document, &limits, time);
            let inline = inline(&program, &document, &limits, time) - copy;
            let threaded = threaded(&program, &document, &limits, time) - copy;
            println!("  {name:<24} {copy:>8.2} {inline:>8.2} {threaded:>8.2}");
        }
    }
}
