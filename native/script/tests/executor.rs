#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The contract of executors: bounds, wake-ups, order, eviction.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use script::{Executor, Keep, Program, Runner, Task, ThreadExecutor, ThreadOptions};
use support::{context, program, task, texts};

fn executor(options: ThreadOptions) -> (ThreadExecutor, Receiver<()>) {
    let (wake, woken) = channel();
    let executor = ThreadExecutor::new(
        Box::new(move || {
            // The receiver is gone when a test ends before its last batch.
            let _ = wake.send(());
        }),
        options,
    )
    .unwrap();
    (executor, woken)
}

fn batch(program: &Arc<Program>, tokens: std::ops::Range<u64>) -> Vec<Task> {
    tokens.map(|token| Task { token, ..task(program, r#"{"a":1}"#) }).collect()
}

fn wait(woken: &Receiver<()>) {
    woken.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[test]
fn batches_come_back_whole_and_in_order() {
    let (executor, woken) = executor(ThreadOptions::default());
    let program = program("export default msg => msg.a === 1 ? { ...msg, b: 2 } : null");
    for start in (0..1000).step_by(100) {
        assert!(executor.submit(batch(&program, start..start + 100)).is_ok());
    }
    let mut done = Vec::new();
    for _ in 0..10 {
        wait(&woken);
        executor.completed(&mut done);
    }
    assert_eq!(done.iter().map(|done| done.token).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    assert!(done.iter().all(|done| texts(done).unwrap() == [r#"{"a":1,"b":2}"#]));
    assert_eq!(executor.queued(), 0);
    assert!(woken.try_recv().is_err());
    assert!(executor.submit(Vec::new()).is_ok(), "an empty batch is nothing to do");
}

#[test]
fn a_full_queue_gives_the_batch_back() {
    let (executor, woken) = executor(ThreadOptions { tasks: 10, ..ThreadOptions::default() });
    let slow = program("export default msg => { for (let i = 0; i < 1e5; i++); return msg }");
    // Larger than the queue, but the executor is idle.
    assert!(executor.submit(batch(&slow, 0..20)).is_ok());
    let refused = executor.submit(batch(&slow, 20..22)).unwrap_err();
    assert_eq!(refused.iter().map(|task| task.token).collect::<Vec<_>>(), [20, 21]);
    wait(&woken);
    assert!(executor.submit(refused).is_ok());
    wait(&woken);
    let mut done = Vec::new();
    executor.completed(&mut done);
    assert_eq!(done.len(), 22);
}

#[test]
fn bytes_are_bounded_too() {
    let (executor, woken) = executor(ThreadOptions { bytes: 10_000, ..ThreadOptions::default() });
    let slow = program("export default msg => { for (let i = 0; i < 1e5; i++); return 1 }");
    let large = format!("\"{}\"", "x".repeat(8_000));
    assert!(executor.submit(vec![task(&slow, &large)]).is_ok());
    assert!(executor.submit(vec![task(&slow, &large)]).is_err());
    wait(&woken);
    assert!(executor.submit(vec![task(&slow, &large)]).is_ok());
    wait(&woken);
}

#[test]
fn dropping_the_executor_does_not_wait_for_its_queue() {
    let (executor, woken) = executor(ThreadOptions::default());
    let slow = program("export default msg => { while (true); }");
    assert!(executor.submit(batch(&slow, 0..1000)).is_ok());
    drop(executor);
    // The thread lets go of the wake-up when it ends: without having run 5 s of scripts.
    assert!(woken.recv_timeout(Duration::from_secs(4)).is_err());
}

#[test]
fn runtimes_are_evicted_by_number() {
    let runner = Runner::with_keep(Keep { runtimes: 2, ..Keep::default() });
    let program = program("let count = 0; export default () => ++count");
    let run = |customer: &str| {
        let task = Task { context: context(customer), ..task(&program, "{}") };
        texts(&runner.run(task)).unwrap().remove(0)
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
        texts(&runner.run(task)).unwrap().remove(0)
    };
    assert_eq!([run("a"), run("a"), run("b"), run("a")], ["1", "2", "1", "1"]);
}

#[test]
fn many_scripts_of_one_customer_take_turns() {
    let runner = Runner::new();
    let programs: Vec<_> = (0..40).map(|index| program(&format!("export default () => {index}"))).collect();
    for round in 0..2 {
        for (index, program) in programs.iter().enumerate() {
            assert_eq!(texts(&runner.run(task(program, "{}"))).unwrap(), [index.to_string()], "round {round}");
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
                    assert_eq!(texts(&runner.run(task(&program, "{}"))).unwrap(), ["true"]);
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
    let program = program("export default msg => msg");
    assert!(runner.submit(batch(&program, 0..3)).is_ok());
    let mut done = Vec::new();
    runner.completed(&mut done);
    assert_eq!(done.iter().map(|done| done.token).collect::<Vec<_>>(), [0, 1, 2]);
}
