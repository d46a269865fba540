//! The contract of executors, kept by worker processes: the same results as in this process, bounds, wake-ups, order.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use harness::eventually;
use message::{Code, Limits, Table, Tables};
use sandbox::{Launch, ProcessOptions, Reason, Worker, WorkerLimits};
use script::{Executor, Runner, Task};

use crate::process_support::{Bench, batch, body, context, document, owner, program, task, texts, tokens};

#[test]
fn all_tasks_come_back_in_order() {
    let bench = Bench::new(ProcessOptions::default());
    let program = bench.loaded("export default msg => msg.a % 3 ? { ...msg, b: 2 } : null");
    for start in (0..1000).step_by(100) {
        bench.submit(batch(&program, "acme", start..start + 100));
    }
    let done = bench.collect(1000);
    assert_eq!(tokens(&done), (0..1000).collect::<Vec<_>>());
    for one in &done {
        let expected = if one.token % 3 == 0 { vec![] } else { vec![format!(r#"{{"a":{},"b":2}}"#, one.token)] };
        assert_eq!(texts(one).unwrap(), expected);
    }
    assert_eq!((bench.executor.queued(), bench.fork.count(), bench.executor.workers()), (0, 1, 1));
    assert!(bench.executor.submit(Vec::new()).is_ok(), "an empty batch is nothing to do");
}

/// Everything that crosses: what the script sees, what it returns, and its errors with their places.
#[test]
fn a_worker_gives_what_the_runner_gives() {
    let bench = Bench::new(ProcessOptions::default());
    let mut rates = Table::default();
    let row = rates.document_mut().push_text("1.07");
    rates.insert("CHF", row);
    let tables: Tables = [("rates".into(), Arc::new(rates))].into_iter().collect();
    let mut context = context("acme");
    context.owner = owner("acme", tables);
    let json = r#"{ "id":"ä\n1", "n": 12345678901234567890, "list":[1, {"x":[true,null]}], "o":{"p":{"q":"r"}} }"#;
    for source in [
        "return msg",
        "return null",
        "return []",
        "return [msg, msg.o, msg.o.p, 'text', 1.5, msg]",
        "return msg.list.map(item => ({ id: msg.id, item }))",
        "msg.o.p.q = [msg.list, msg.n]; return msg",
        "delete msg.list; return { ...msg, ctx: { ...ctx }, now: Date.now(), random: [ctx.random(), Math.random()] }",
        "return ctx.lookup('rates', 'CHF')",
        "return ctx.lookup('nothing', 'CHF')",
        "return [...'x'.repeat(300)].map((c, i) => ({ i, c, again: msg.o }))",
        "return msg.nothing.at.all",
        "return (async () => { await 1; return { ...msg, b: await 2 } })()",
        "return Promise.reject(new TypeError('no'))",
        "return new Promise(() => {})",
        "return [ctx.uuid(), crypto.randomUUID(), crypto.hmac('SHA-256', 'key', msg.id, 'hex'), structuredClone(msg)]",
        "const u = new URL('https://x/?a=1'); u.searchParams.set('b', msg.id); return [u, atob(btoa('x'))]",
        "return new TextDecoder('latin1').decode(new TextEncoder().encode(msg.id))",
        "return { a: { b: () => 1 } }",
        "return undefined",
        "function f() { f() } f()",
        "while (true) {}",
        "const a = []; while (true) a.push('x'.repeat(1 << 20) + a.length)",
    ] {
        let program = bench.loaded(&body(source));
        let given = Task { context: context.clone(), ..task(&program, "acme", 1, json) };
        let reference = Runner::new().run(&program, document(json), &given.context, &given.limits);
        let done = bench.run(vec![given]).remove(0);
        assert_eq!(texts(&done), texts(&reference), "{source}");
        if let (Err(one), Err(other)) = (&done.outcome, &reference.outcome) {
            assert_eq!(one.place(), other.place(), "{source}");
        }
        assert_eq!(done.document.is_unchanged(), reference.document.is_unchanged(), "{source}");
        assert_eq!(done.document.source(), json.as_bytes());
    }
    assert_eq!(bench.fork.count(), 1, "soft limits cost no worker");
}

#[test]
fn a_message_larger_than_the_shared_memory_goes_in_parts() {
    let bench = Bench::new(ProcessOptions::default());
    let all = bench.loaded(&body("return { all: msg.map(item => item + item), msg }"));
    let items: Vec<String> = (0..30_000).map(|index| format!("\"item {index}\"")).collect();
    let json = format!("[{}]", items.join(","));
    assert!(json.len() > 300_000);
    let limits = Arc::new(Limits { script_cpu_ms: 10_000, script_memory_mb: 256, ..Limits::default() });
    let given = |token| Task { limits: Arc::clone(&limits), ..task(&all, "acme", token, &json) };
    let done = bench.run(vec![given(0), given(1)]);
    let reference = Runner::new().run(&all, document(&json), &context("acme"), &limits);
    for one in &done {
        assert_eq!(texts(one).unwrap(), texts(&reference).unwrap());
    }
    let heap = bench.fork.limits.lock().unwrap()[0].memory_bytes;
    assert!(heap > 256 << 20, "the kernel allows more than the script may use");
}

#[test]
fn a_full_queue_gives_the_batch_back() {
    let bench = Bench::new(ProcessOptions { tasks: 10, ..ProcessOptions::default() });
    let slow = bench.loaded("export default msg => { for (let i = 0; i < 1e5; i++); return msg }");
    // Larger than the queue, but the executor is idle.
    bench.submit(batch(&slow, "acme", 0..20));
    let refused = bench.executor.submit(batch(&slow, "acme", 20..22)).unwrap_err();
    assert_eq!(refused.iter().map(|task| task.token).collect::<Vec<_>>(), [20, 21]);
    assert_eq!(tokens(&bench.collect(20)), (0..20).collect::<Vec<_>>());
    assert_eq!(tokens(&bench.run(refused)), [20, 21]);
}

#[test]
fn each_customer_has_a_worker_and_what_a_script_keeps_stays_there() {
    let bench = Bench::new(ProcessOptions::default());
    let counts = bench.loaded("let n = 0; export default msg => ++n");
    for round in 1..=3 {
        for customer in ["acme", "globex"] {
            let done = bench.run(batch(&counts, customer, 0..1));
            assert_eq!(texts(&done[0]).unwrap(), [round.to_string()]);
        }
    }
    assert_eq!((bench.fork.count(), bench.executor.workers()), (2, 2));
}

#[test]
fn a_task_without_its_program_is_unavailable_and_keeps_its_place() {
    let bench = Bench::new(ProcessOptions::default());
    let (loaded, unloaded) = (bench.loaded("export default msg => msg"), program("export default msg => msg"));
    let mut given = batch(&loaded, "acme", 0..5);
    given[2].program = unloaded.id();
    let done = bench.run(given);
    assert_eq!(tokens(&done), [0, 1, 2, 3, 4]);
    for one in &done {
        let code = one.outcome.as_ref().err().map(message::Fault::code);
        assert_eq!(code, (one.token == 2).then_some(Code::ScriptUnavailable));
    }
}

#[test]
fn loads_are_counted_and_a_worker_ends_with_its_last_program() {
    let bench = Bench::new(ProcessOptions::default());
    let program = bench.loaded("let n = 0; export default msg => ++n");
    bench.executor.load(&program);
    bench.executor.unload(program.id());
    assert_eq!(texts(&bench.run(batch(&program, "acme", 0..1))[0]).unwrap(), ["1"]);
    assert_eq!(bench.executor.programs(), 1);
    bench.executor.unload(program.id());
    let done = bench.run(batch(&program, "acme", 0..1));
    assert_eq!(done[0].outcome.as_ref().unwrap_err().code(), Code::ScriptUnavailable);
    while bench.executor.workers() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(bench.executor.programs(), 0);
    bench.executor.load(&program);
    assert_eq!(texts(&bench.run(batch(&program, "acme", 0..1))[0]).unwrap(), ["1"], "a new worker has forgotten");
}

#[test]
fn one_worker_runs_several_programs_and_forgets_one_of_them() {
    let bench = Bench::new(ProcessOptions::default());
    let one = bench.loaded("let n = 0; export default msg => ++n");
    let other = bench.loaded("let n = 100; export default msg => ++n");
    let both = || vec![task(&one, "acme", 0, "{}"), task(&other, "acme", 1, "{}")];
    let shown = |bench: &Bench| bench.run(both()).iter().map(|done| texts(done).unwrap().remove(0)).collect::<Vec<_>>();
    assert_eq!(shown(&bench), ["1", "101"]);
    bench.executor.unload(one.id());
    bench.executor.load(&one);
    assert_eq!(shown(&bench), ["1", "102"], "only the one that was unloaded begins anew");
    assert_eq!(bench.fork.count(), 1);
}

#[test]
fn the_worker_used_longest_ago_makes_room() {
    let bench = Bench::new(ProcessOptions { workers: 2, threads: 1, ..ProcessOptions::default() });
    let counts = bench.loaded("let n = 0; export default msg => ++n");
    let count = |customer| texts(&bench.run(batch(&counts, customer, 0..1))[0]).unwrap().remove(0);
    for customer in ["a", "b", "a", "c"] {
        count(customer);
        assert!(bench.executor.workers() <= 2);
    }
    assert_eq!((count("a"), bench.fork.count()), ("3".into(), 3), "a was used after b");
    assert_eq!((count("b"), bench.fork.count()), ("1".into(), 4));
}

#[test]
fn workers_that_hold_too_much_memory_make_room() {
    let bench = Bench::new(ProcessOptions { workers_bytes: 30 << 20, threads: 1, ..ProcessOptions::default() });
    let source = "const kept = 'x'.repeat(20 << 20); let n = 0; export default msg => [kept.length, ++n]";
    let hoards = bench.loaded(source);
    let limits = Arc::new(Limits { script_cpu_ms: 1_000, ..Limits::default() });
    let run = |customer| bench.run(vec![Task { limits: Arc::clone(&limits), ..task(&hoards, customer, 0, "{}") }]);
    for customer in ["a", "b", "c", "d"] {
        assert!(run(customer)[0].outcome.is_ok());
    }
    assert_eq!((bench.fork.count(), bench.executor.workers()), (4, 1), "two of them have more than 30 MB");
    assert_eq!(texts(&run("d")[0]).unwrap()[1], "2", "the last one stays");
}

#[test]
fn an_idle_worker_ends_and_its_customer_gets_another() {
    let bench = Bench::new(ProcessOptions { idle: Duration::from_millis(20), ..ProcessOptions::default() });
    let program = bench.loaded("let n = 0; export default msg => ++n");
    assert_eq!(texts(&bench.run(batch(&program, "acme", 0..1))[0]).unwrap(), ["1"]);
    while bench.executor.workers() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(texts(&bench.run(batch(&program, "acme", 0..1))[0]).unwrap(), ["1"]);
    assert_eq!(bench.fork.count(), 2);
}

#[test]
fn a_customer_that_may_use_more_memory_gets_a_worker_that_may() {
    let bench = Bench::new(ProcessOptions::default());
    let program = bench.loaded("export default msg => 'x'.repeat(50 << 20).length");
    let with = |script_memory_mb| {
        let limits = Arc::new(Limits { script_memory_mb, script_cpu_ms: 10_000, ..Limits::default() });
        bench.run(vec![Task { limits, ..task(&program, "acme", 0, "{}") }]).remove(0)
    };
    assert_eq!(with(32).outcome.unwrap_err().code(), Code::ScriptOutOfMemory);
    assert_eq!(texts(&with(128)).unwrap(), ["52428800"]);
    assert_eq!(texts(&with(64)).unwrap(), ["52428800"]);
    assert_eq!(bench.fork.count(), 2);
}

#[test]
fn without_a_process_tasks_are_unavailable_until_there_is_one() {
    let bench = Bench::new(ProcessOptions::default());
    let program = bench.loaded("export default msg => msg");
    bench.fork.refuses.store(true, Ordering::Relaxed);
    let done = bench.run(batch(&program, "acme", 0..3));
    assert!(done.iter().all(|done| done.outcome.as_ref().unwrap_err().code() == Code::ScriptUnavailable));
    assert!(Code::ScriptUnavailable.retryable());
    bench.fork.refuses.store(false, Ordering::Relaxed);
    assert!(bench.run(batch(&program, "acme", 0..3)).iter().all(|done| done.outcome.is_ok()));
}

#[test]
fn a_panic_costs_the_tasks_of_a_turn_and_nothing_else() {
    struct Panics;
    impl Launch for Panics {
        fn launch(&self, _: BorrowedFd<'_>, _: &WorkerLimits) -> std::io::Result<Worker> {
            panic!("a launcher that panics")
        }
    }
    let bench = Bench::with(Panics, ProcessOptions::default());
    let program = bench.loaded("export default msg => msg");
    for _ in 0..3 {
        let done = bench.run(batch(&program, "acme", 0..3));
        assert_eq!(tokens(&done), [0, 1, 2]);
        assert!(done.iter().all(|done| done.outcome.as_ref().unwrap_err().code() == Code::InternalPanic));
    }
    assert_eq!((bench.executor.queued(), bench.executor.workers()), (0, 0));
}

#[test]
fn dropping_the_executor_ends_its_workers() {
    let bench = Bench::new(ProcessOptions::default());
    let program = bench.loaded("export default msg => msg");
    bench.run(batch(&program, "acme", 0..1));
    let pid = rustix::process::Pid::from_raw(bench.fork.last().cast_signed());
    drop((bench.executor, bench.workers));
    // The threads go on their own; then the worker is waited for.
    let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.terminating_signal(), Some(9));
}

#[test]
fn the_time_of_a_turn_is_divided_among_its_tasks() {
    let bench = Bench::new(ProcessOptions::default());
    let program = bench.loaded("export default msg => { let n = 0; while (n < msg.a) n++; return n }");
    let limits = Arc::new(Limits { script_cpu_ms: 10_000, ..Limits::default() });
    let given = |token, count: u64| Task {
        limits: Arc::clone(&limits),
        ..task(&program, "acme", token, &format!(r#"{{"a":{count}}}"#))
    };
    bench.run(vec![given(0, 1)]);
    let done = bench.run(vec![given(1, 2_000_000), given(2, 1)]);
    assert!(done[0].used > Duration::from_millis(1) && done[0].used > 10 * done[1].used, "{:?}", done[0].used);
}

#[test]
fn a_customer_has_one_worker_for_all_shards_and_each_shard_gets_its_own_results() {
    let bench = Bench::new(ProcessOptions::default());
    let other = bench.beside();
    let counts = bench.loaded("let n = 0; export default msg => ++n");
    other.executor.load(&counts);
    let mut seen = Vec::new();
    for round in 0..10 {
        bench.submit(batch(&counts, "acme", 2 * round..2 * round + 1));
        other.submit(batch(&counts, "acme", 2 * round + 1..2 * round + 2));
        for done in [bench.collect(1), other.collect(1)] {
            assert_eq!(done[0].token, seen.len() as u64);
            seen.push(texts(&done[0]).unwrap()[0].parse::<u64>().unwrap());
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "of the same counter");
    assert_eq!(bench.fork.count(), 1);
    bench.executor.unload(counts.id());
    assert!(other.run(batch(&counts, "acme", 0..1))[0].outcome.is_ok(), "the other shard has it still");
    bench.submit(batch(&counts, "acme", 0..1));
    drop(bench);
    assert!(other.run(batch(&counts, "acme", 0..1))[0].outcome.is_ok(), "a shard that ends takes nothing along");
}

#[test]
fn the_first_message_of_a_customer_gets_the_spare_worker() {
    let bench = Bench::new(ProcessOptions { spare: true, ..ProcessOptions::default() });
    let program = bench.loaded("export default msg => msg");
    for customer in 0..3 {
        eventually("there is a spare one", || (bench.executor.workers() == customer + 1).then_some(()));
        let spare = bench.fork.last();
        let done = bench.run(batch(&program, &customer.to_string(), 0..1));
        assert!(done[0].outcome.is_ok());
        assert!(std::fs::metadata(format!("/proc/{spare}")).is_ok());
    }
    eventually("the last spare one is there", || (bench.fork.count() == 4).then_some(()));
    let limits = Arc::new(Limits { script_memory_mb: 64, ..Limits::default() });
    let done = bench.run(vec![Task { limits, ..task(&program, "more", 0, "{}") }]);
    assert!(done[0].outcome.is_ok() && bench.fork.count() == 5, "it may use less than this customer needs");
}

#[test]
fn a_turn_waits_when_others_may_use_all_of_the_memory() {
    // Two workers may use more than that together; a turn alone runs.
    let options = ProcessOptions { workers_bytes: 400 << 20, threads: 3, ..ProcessOptions::default() };
    let bench = Bench::new(options);
    let spins = bench.loaded("export default msg => { while (true); }");
    let quick = bench.loaded("export default msg => msg");
    let limits = Arc::new(Limits { script_cpu_ms: 300, ..Limits::default() });
    bench.submit(vec![Task { limits, ..task(&spins, "slow", 0, "{}") }]);
    eventually("it runs", || bench.executor.turn().map(drop));
    bench.submit(batch(&quick, "quick", 1..2));
    assert_eq!(tokens(&bench.collect(2)), [0, 1], "in this order");
    let state = bench.workers.state();
    assert_eq!(state.counts.waits, 1);
    assert!(state.bytes < state.budget, "{state:?}");
    let warning = bench.executor.warning().unwrap();
    assert_eq!(warning.code(), Code::ScriptNoRoom);
    assert!(bench.executor.warning().is_none(), "it is said once");
}

#[test]
fn ends_of_workers_are_counted_by_their_reason() {
    let bench = Bench::new(ProcessOptions { workers: 1, threads: 1, ..ProcessOptions::default() });
    let program = bench.loaded("export default msg => msg.a ? msg : [].reverse.call({length: 2 ** 53 - 1})");
    bench.run(vec![task(&program, "a", 0, r#"{"a":1}"#), task(&program, "b", 1, r#"{"a":1}"#)]);
    assert_eq!(
        bench.run(vec![task(&program, "b", 2, "{}")])[0].outcome.as_ref().unwrap_err().code(),
        Code::ScriptKilled
    );
    bench.run(vec![task(&program, "b", 3, r#"{"a":1}"#)]);
    bench.executor.unload(program.id());
    eventually("it has ended", || (bench.executor.workers() == 0).then_some(()));
    let counts = bench.workers.state().counts;
    assert_eq!(counts.starts, 3);
    for (reason, count) in [(Reason::Evicted, 1), (Reason::Late, 1), (Reason::Unused, 1), (Reason::Idle, 0)] {
        assert_eq!(counts.ends(reason), count, "{reason:?}");
    }
}
