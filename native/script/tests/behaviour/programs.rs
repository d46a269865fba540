//! Programs in executors: loaded, named by tasks, unloaded, and gone without a trace.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::{context, program, task, texts};
use message::{Code, Limits};
use script::{Done, Executor, Loaded, Program, Runner, Task, ThreadExecutor, ThreadOptions};

/// An executor as a shard holds it.
fn threaded() -> (Rc<ThreadExecutor>, Rc<dyn Executor>, Receiver<()>) {
    let (wake, woken) = channel();
    let executor = Rc::new(ThreadExecutor::new(ThreadOptions::default()).unwrap());
    executor.on_completed(Box::new(move || wake.send(()).unwrap_or_default()));
    (Rc::clone(&executor), executor, woken)
}

fn run_all(executor: &dyn Executor, woken: &Receiver<()>, batch: Vec<Task>) -> Vec<Done> {
    let count = batch.len();
    assert!(executor.submit(batch).is_ok());
    collect(executor, woken, count)
}

fn collect(executor: &dyn Executor, woken: &Receiver<()>, count: usize) -> Vec<Done> {
    let mut done = Vec::new();
    while done.len() < count {
        woken.recv_timeout(Duration::from_secs(60)).unwrap();
        executor.completed(&mut done);
    }
    done
}

fn assert_not_loaded(done: &Done) {
    let fault = done.outcome.as_ref().unwrap_err();
    assert_eq!(fault.code(), Code::ScriptUnavailable, "{fault}");
    assert_eq!(done.document.source(), br#"{"a":1}"#, "the document comes back");
}

fn tasks(program: &Program, count: u64) -> Vec<Task> {
    (0..count).map(|token| Task { token, ..task(program, r#"{"a":1}"#) }).collect()
}

#[test]
fn a_task_without_its_program_fails_and_the_next_one_runs() {
    let program = program("export default msg => msg.a");
    let (_, executor, woken) = threaded();
    assert_not_loaded(&run_all(&*executor, &woken, tasks(&program, 1))[0]);
    executor.unload(program.id());
    executor.load(&program);
    assert_eq!(texts(&run_all(&*executor, &woken, tasks(&program, 1))[0]).unwrap(), ["1"]);
    executor.unload(program.id());
    assert_not_loaded(&run_all(&*executor, &woken, tasks(&program, 1))[0]);

    let runner = Runner::new();
    let run = || {
        let mut done = Vec::new();
        assert!(runner.submit(tasks(&program, 1)).is_ok());
        runner.completed(&mut done);
        done.remove(0)
    };
    assert_not_loaded(&run());
    runner.load(&program);
    assert_eq!(texts(&run()).unwrap(), ["1"]);
    runner.unload(program.id());
    assert_not_loaded(&run());
    assert_eq!(runner.memory(), 0);
}

#[test]
fn tasks_that_wait_outlive_the_unload() {
    let (threads, executor, woken) = threaded();
    let slow = program("export default msg => { for (let i = 0; i < 1e6; i++); return msg }");
    let waiting = program("let count = 0; export default () => ++count");
    executor.load(&slow);
    executor.load(&waiting);
    let limits = Arc::new(Limits { script_cpu_ms: 60_000, ..Limits::default() });
    let mut batch = vec![Task { limits, context: context("slow"), ..task(&slow, "{}") }];
    batch.extend(tasks(&waiting, 20));
    assert!(executor.submit(batch).is_ok());
    executor.unload(slow.id());
    executor.unload(waiting.id());
    assert!(executor.submit(tasks(&waiting, 1)).is_ok());
    let all = collect(&*executor, &woken, 22);
    assert!(all[..21].iter().all(|done| done.outcome.is_ok()), "what was taken before it");
    assert_not_loaded(&all[21]);
    assert_eq!(texts(&all[20]).unwrap(), ["20"], "in one and the same context");
    assert_eq!((threads.programs(), threads.queued()), (0, 0));
    assert_eq!(Arc::strong_count(&waiting), 1);
}

#[test]
fn a_load_ends_with_what_holds_it() {
    let (threads, executor, woken) = threaded();
    let program = program("let count = 0; export default () => ++count");
    let run = || texts(&run_all(&*executor, &woken, tasks(&program, 1))[0]);
    let first = Loaded::new(&executor, &program);
    assert_eq!(run().unwrap(), ["1"]);
    let second = Loaded::new(&executor, &program);
    drop(first);
    assert_eq!(run().unwrap(), ["2"], "the second load keeps it");
    drop(second);
    assert_eq!(threads.programs(), 0);
    assert_eq!(run().unwrap_err().code(), Code::ScriptUnavailable);
    let _third = Loaded::new(&executor, &program);
    assert_eq!(run().unwrap(), ["1"], "loaded anew");
}

#[test]
fn whose_turn_it_is_can_be_asked_of_any_executor() {
    let (_, executor, woken) = threaded();
    let program = program("export default msg => { while (true); }");
    executor.load(&program);
    assert_eq!(executor.turn(), None);
    let limits = Arc::new(Limits { script_cpu_ms: 200, ..Limits::default() });
    assert!(executor.submit(vec![Task { limits, ..task(&program, "{}") }]).is_ok());
    let customer = loop {
        if let Some((customer, _)) = executor.turn() {
            break customer;
        }
        std::thread::yield_now();
    };
    assert_eq!(&*customer, "acme");
    woken.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(executor.turn(), None);
}

/// Every tenth runs a task, since making a context takes milliseconds.
const ROUNDS: usize = 10_000;
/// Less than 40 bytes for each context that was made and freed.
const SLACK: usize = 32 << 10;

/// Sources of some size, so that what is left behind of one would show.
fn sources() -> Vec<Arc<Program>> {
    (0..21)
        .map(|n| {
            let names: String = (0..50).map(|m| format!("name{n}x{m}: 'value {n} {m}',")).collect();
            program(&format!("const table = {{ {names} }};\nexport default msg => ({{ ...msg, ...table, n: {n} }})"))
        })
        .collect()
}

/// Loads, runs every tenth time, unloads; gives the bytes of the heaps early and at the end.
fn over_rounds(executor: &dyn Executor, run: impl Fn(Vec<Task>), memory: impl Fn() -> usize) -> (usize, usize) {
    let programs = sources();
    // A program that stays, so that the customer's runtime does.
    let stays = program("export default msg => msg");
    executor.load(&stays);
    let mut early = 0;
    for round in 0..ROUNDS {
        let program = &programs[round % programs.len()];
        executor.load(program);
        if round % 10 == 0 {
            run(tasks(program, 1));
        }
        executor.unload(program.id());
        if round == ROUNDS / 10 {
            run(tasks(&stays, 1));
            early = memory();
        }
    }
    run(tasks(&stays, 1));
    assert!(programs.iter().all(|program| Arc::strong_count(program) == 1));
    (early, memory())
}

#[test]
fn memory_is_flat_over_ten_thousand_loads() {
    let runner = Runner::new();
    let run = |batch| {
        let mut done = Vec::new();
        assert!(runner.submit(batch).is_ok());
        runner.completed(&mut done);
        assert!(done.iter().all(|done| done.outcome.is_ok()));
    };
    let (early, late) = over_rounds(&runner, run, || runner.memory());
    assert!(late < early + SLACK, "{early} bytes, then {late}");
}

#[test]
fn memory_is_flat_over_ten_thousand_loads_on_a_thread() {
    let (threads, executor, woken) = threaded();
    let run = |batch| assert!(run_all(&*executor, &woken, batch).iter().all(|done| done.outcome.is_ok()));
    let (early, late) = over_rounds(&*executor, run, || threads.memory());
    assert!(late < early + SLACK, "{early} bytes, then {late}");
    assert_eq!(threads.programs(), 1);
}
