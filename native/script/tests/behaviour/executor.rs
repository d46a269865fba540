//! The contract of executors: bounds, wake-ups, order, eviction.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::support::{context, program, run_in, run_task, task, texts};
use message::Limits;
use script::{Done, Executor, Keep, Program, Runner, Task, ThreadExecutor, ThreadOptions};

fn executor(options: ThreadOptions) -> (ThreadExecutor, Receiver<()>) {
    let (wake, woken) = channel();
    let executor = ThreadExecutor::new(options).unwrap();
    executor.on_completed(Box::new(move || {
        // The receiver is gone when a test ends before its last batch.
        let _ = wake.send(());
    }));
    (executor, woken)
}

fn loaded(executor: &dyn Executor, source: &str) -> Arc<Program> {
    let program = program(source);
    executor.load(&program);
    program
}

fn batch(program: &Program, tokens: std::ops::Range<u64>) -> Vec<Task> {
    tokens.map(|token| Task { token, ..task(program, r#"{"a":1}"#) }).collect()
}

fn wait(woken: &Receiver<()>) {
    woken.recv_timeout(Duration::from_secs(60)).unwrap();
}

/// The results of `count` tasks, in the order in which they came.
fn collect(executor: &ThreadExecutor, woken: &Receiver<()>, count: usize) -> Vec<Done> {
    let mut done = Vec::new();
    while done.len() < count {
        wait(woken);
        executor.completed(&mut done);
    }
    done
}

fn tokens(done: &[Done]) -> Vec<u64> {
    done.iter().map(|done| done.token).collect()
}

#[test]
fn all_tasks_come_back_in_order() {
    let (executor, woken) = executor(ThreadOptions::default());
    let program = loaded(&executor, "export default msg => msg.a === 1 ? { ...msg, b: 2 } : null");
    for start in (0..1000).step_by(100) {
        assert!(executor.submit(batch(&program, start..start + 100)).is_ok());
    }
    let done = collect(&executor, &woken, 1000);
    assert_eq!(tokens(&done), (0..1000).collect::<Vec<_>>());
    assert!(done.iter().all(|done| texts(done).unwrap() == [r#"{"a":1,"b":2}"#]));
    assert_eq!(executor.queued(), 0);
    assert!(executor.submit(Vec::new()).is_ok(), "an empty batch is nothing to do");
}

#[test]
fn a_full_queue_gives_the_batch_back() {
    let (executor, woken) = executor(ThreadOptions { tasks: 10, ..ThreadOptions::default() });
    let slow = loaded(&executor, "export default msg => { for (let i = 0; i < 1e5; i++); return msg }");
    // Larger than the queue, but the executor is idle.
    assert!(executor.submit(batch(&slow, 0..20)).is_ok());
    let refused = executor.submit(batch(&slow, 20..22)).unwrap_err();
    assert_eq!(refused.iter().map(|task| task.token).collect::<Vec<_>>(), [20, 21]);
    assert_eq!(tokens(&collect(&executor, &woken, 20)), (0..20).collect::<Vec<_>>());
    assert!(executor.submit(refused).is_ok());
    assert_eq!(tokens(&collect(&executor, &woken, 2)), [20, 21]);
}

#[test]
fn bytes_are_bounded_too() {
    let (executor, woken) = executor(ThreadOptions { bytes: 10_000, ..ThreadOptions::default() });
    let slow = loaded(&executor, "export default msg => { for (let i = 0; i < 1e5; i++); return 1 }");
    let large = format!("\"{}\"", "x".repeat(8_000));
    assert!(executor.submit(vec![task(&slow, &large)]).is_ok());
    assert!(executor.submit(vec![task(&slow, &large)]).is_err());
    collect(&executor, &woken, 1);
    assert!(executor.submit(vec![task(&slow, &large)]).is_ok());
    collect(&executor, &woken, 1);
}

/// A task for each customer named.
fn tasks_of(customers: &[&str], program: impl Fn(&str) -> Arc<Program>) -> Vec<Task> {
    let task = |(token, customer): (u64, &&str)| {
        // Only what is to meet its limit has a short one: a first call can take longer.
        let script_cpu_ms = if *customer == "quick" { 10_000 } else { 1 };
        let limits = Arc::new(Limits { script_cpu_ms, ..Limits::default() });
        Task { token, context: context(customer), limits, ..task(&program(customer), "{}") }
    };
    (0..).zip(customers).map(task).collect()
}

#[test]
fn customers_take_turns_and_an_overrun_ends_one() {
    let (executor, woken) = executor(ThreadOptions::default());
    let (loops, hoards, quick) = (
        loaded(&executor, "export default msg => { while (true); }"),
        loaded(
            &executor,
            "export default msg => { const a = []; while (true) a.push('x'.repeat(1 << 20) + a.length); }",
        ),
        loaded(&executor, "export default msg => msg"),
    );
    let customers = ["loops", "loops", "loops", "hoards", "hoards", "quick", "loops"];
    let batch = tasks_of(&customers, |customer| match customer {
        "loops" => Arc::clone(&loops),
        "hoards" => Arc::clone(&hoards),
        _ => Arc::clone(&quick),
    });
    assert!(executor.submit(batch).is_ok());
    let done = collect(&executor, &woken, customers.len());
    assert_eq!(tokens(&done), [0, 3, 5, 1, 4, 2, 6]);
    assert_eq!(executor.queued(), 0);
}

#[test]
fn a_customer_whose_scripts_are_only_slow_shares_the_thread_too() {
    let (executor, woken) = executor(ThreadOptions::default());
    let slow = loaded(&executor, "export default msg => { let n = 0; while (n < 2e6) n++; return n }");
    let mut batch = batch(&slow, 0..6);
    for task in &mut batch {
        task.limits = Arc::new(Limits { script_cpu_ms: 10_000, ..Limits::default() });
    }
    let quick = loaded(&executor, "export default msg => msg");
    batch.push(Task { token: 6, context: context("quick"), ..task(&quick, "{}") });
    assert!(executor.submit(batch).is_ok());
    // One slow task is a turn.
    assert_eq!(tokens(&collect(&executor, &woken, 7)), [0, 6, 1, 2, 3, 4, 5]);
}

#[test]
fn what_comes_during_a_customers_turn_waits_behind_what_is_left_of_it() {
    let (executor, woken) = executor(ThreadOptions::default());
    let loops = loaded(&executor, "export default msg => { while (true); }");
    for start in (0..30).step_by(3) {
        assert!(executor.submit(batch(&loops, start..start + 3)).is_ok());
    }
    assert_eq!(tokens(&collect(&executor, &woken, 30)), (0..30).collect::<Vec<_>>());
}

#[test]
fn dropping_the_executor_does_not_wait_for_its_queue() {
    let (executor, woken) = executor(ThreadOptions::default());
    let slow = loaded(&executor, "export default msg => { while (true); }");
    assert!(executor.submit(batch(&slow, 0..1000)).is_ok());
    drop(executor);
    // The thread lets go of the wake-up when it ends: without having run 5 s of scripts.
    let mut turns = 0;
    let ended = loop {
        match woken.recv_timeout(Duration::from_secs(60)) {
            Ok(()) => turns += 1,
            Err(ended) => break ended,
        }
    };
    assert_eq!(ended, RecvTimeoutError::Disconnected);
    assert!(turns < 1000, "{turns} turns");
}

#[test]
fn runtimes_are_evicted_by_number() {
    let runner = Runner::with_keep(Keep { runtimes: 2, ..Keep::default() });
    let program = program("let count = 0; export default () => ++count");
    let run = |customer: &str| {
        let task = Task { context: context(customer), ..task(&program, "{}") };
        texts(&run_task(&runner, &program, task)).unwrap().remove(0)
    };
    assert_eq!([run("a"), run("b"), run("a"), run("b")], ["1", "1", "2", "2"]);
    assert_eq!([run("c"), run("b"), run("a")], ["1", "3", "1"]);
}

#[test]
fn runtimes_are_evicted_by_memory() {
    let runner = Runner::with_keep(Keep { bytes: 8 << 20, ..Keep::default() });
    let hoarder =
        program("const kept = []; export default () => { kept.push('x'.repeat(5 << 20)); return kept.length }");
    let run = |customer: &str| {
        let task = Task { context: context(customer), ..task(&hoarder, "{}") };
        texts(&run_task(&runner, &hoarder, task)).unwrap().remove(0)
    };
    assert_eq!([run("a"), run("a"), run("b"), run("a")], ["1", "2", "1", "1"]);
}

#[test]
fn many_scripts_of_one_customer_take_turns() {
    let runner = Runner::new();
    let programs: Vec<_> = (0..40).map(|index| program(&format!("export default () => {index}"))).collect();
    for round in 0..2 {
        for (index, program) in programs.iter().enumerate() {
            assert_eq!(texts(&run_in(&runner, program, "{}")).unwrap(), [index.to_string()], "round {round}");
        }
    }
}

#[test]
fn a_runner_may_be_used_from_any_thread() {
    let runner = Runner::new();
    let program = program(
        "let depth = 0; const down = () => { depth++; down() }; export default () => { depth = 0; try { down() } catch {} return depth > 100 }",
    );
    let counted = AtomicUsize::new(0);
    for _ in 0..3 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(texts(&run_in(&runner, &program, "{}")).unwrap(), ["true"]);
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
    }
    assert_eq!(counted.into_inner(), 30);
}

#[test]
fn the_runner_is_an_executor() {
    let runner = Runner::new();
    let (wake, woken) = channel();
    runner.on_completed(Box::new(move || wake.send(()).unwrap()));
    let program = loaded(&runner, "export default msg => msg");
    assert!(runner.submit(batch(&program, 0..3)).is_ok());
    let mut done = Vec::new();
    runner.completed(&mut done);
    assert_eq!(tokens(&done), [0, 1, 2]);
    assert_eq!((woken.try_iter().count(), runner.turn()), (1, None));
}
