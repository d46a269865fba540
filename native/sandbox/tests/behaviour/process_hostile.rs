//! Scripts and workers that mean harm: each message gets a verdict, and nobody else waits for it.

use std::sync::Arc;

use message::{Code, Limits};
use rustix::process::{Pid, Signal, kill_process};
use sandbox::ProcessOptions;
use script::{Done, Executor, Task};

use crate::process_support::{Bench, batch, body, task, texts, tokens};

/// What the guard in the engine cannot stop.
const HANGS: &[(&str, &str)] = &[
    ("a long text in a long text", "return 'a'.repeat(2e6).indexOf('a'.repeat(1e6) + 'b')"),
    ("replaceAll", "return 'a'.repeat(1e6).replaceAll('a'.repeat(5e5) + 'b', 'x')"),
    ("split", "return 'a'.repeat(1e6).split('a'.repeat(5e5) + 'b').length"),
    ("reverse", "return Array.prototype.reverse.call({ length: 2 ** 53 - 1 })"),
    ("copyWithin", "return Array.prototype.copyWithin.call({ length: 2 ** 53 - 1 }, 1, 0)"),
    ("slice", "return Array.prototype.slice.call({ length: 2 ** 53 - 1 }, 2 ** 53 - 2 ** 31)"),
    ("sort", "return Array.prototype.sort.call({ length: 2 ** 53 - 1 })"),
    ("join", "const a = []; a.length = 2 ** 32 - 1; return a.join('').length"),
    ("a typed array that is sorted", "const a = new Float64Array(1e6).map((_, i) => -i); for (;;) a.sort()"),
    ("an error with a huge stack", "const n = 'x'.repeat(5e6); const f = { [n]() { throw new Error() } }; f[n]()"),
];

fn code(done: &Done) -> Option<Code> {
    done.outcome.as_ref().err().map(message::Fault::code)
}

/// The codes of a script that was ended, or ended by itself.
fn is_verdict(done: &Done) -> bool {
    matches!(
        code(done),
        Some(
            Code::ScriptKilled
                | Code::ScriptTimeout
                | Code::ScriptOutOfMemory
                | Code::ScriptThrew
                | Code::ScriptOutputTooLarge
        )
    )
}

#[test]
fn what_never_stops_is_ended_while_others_are_delivered() {
    for (what, source) in HANGS {
        let bench = Bench::new(ProcessOptions { threads: 1, ..ProcessOptions::default() });
        let hostile = bench.loaded(&body(source));
        let quick = bench.loaded("export default msg => msg");
        let mut given = vec![task(&hostile, "mallory", 1000, "{}")];
        given.extend(batch(&quick, "mallory", 1001..1004));
        given.extend(batch(&quick, "acme", 0..50));
        let done = bench.run(given);
        let (mine, others): (Vec<_>, Vec<_>) = done.into_iter().partition(|done| done.token >= 1000);
        assert_eq!(tokens(&others), (0..50).collect::<Vec<_>>(), "{what}");
        assert!(others.iter().all(|done| done.outcome.is_ok()), "{what}");
        assert_eq!(tokens(&mine), [1000, 1001, 1002, 1003], "{what}");
        assert!(is_verdict(&mine[0]), "{what}: {:?}", mine[0].outcome);
        assert!(mine[1..].iter().all(|done| done.outcome.is_ok()), "{what}: the others of its batch");
        assert_eq!(mine[0].document.source(), b"{}");
        println!("{what}: {:?}, {:?}", code(&mine[0]), mine[0].used);
    }
}

#[test]
fn the_message_that_hangs_is_killed_and_the_others_of_its_batch_run() {
    let bench = Bench::new(ProcessOptions::default());
    let script = "let n = 0; export default msg => \
                  (msg.a === 5 ? Array.prototype.reverse.call({ length: 2 ** 53 - 1 }) : [msg.a, ++n])";
    let program = bench.loaded(script);
    let done = bench.run(batch(&program, "mallory", 0..12));
    assert_eq!(tokens(&done), (0..12).collect::<Vec<_>>());
    for one in &done {
        match one.token {
            5 => {
                let fault = one.outcome.as_ref().unwrap_err();
                assert_eq!((fault.code(), fault.place().file.as_deref()), (Code::ScriptKilled, Some("t.js")));
                assert!(one.used >= std::time::Duration::from_millis(5), "{:?}", one.used);
            }
            // What was answered before stands; what came after ran in a new worker, where counting begins anew.
            token => {
                let count = if token < 5 { token + 1 } else { token - 5 };
                assert_eq!(texts(one).unwrap(), [token.to_string(), count.to_string()]);
            }
        }
    }
    assert_eq!(bench.fork.count(), 2);
}

#[test]
fn each_message_has_the_deadline_of_its_own_pipeline() {
    let bench = Bench::new(ProcessOptions::default());
    let slow = bench.loaded("export default msg => { let n = 0; while (n < 3e6) n++; return n }");
    let quick = bench.loaded("export default msg => msg");
    let mut given = batch(&quick, "acme", 0..3);
    given.extend(batch(&slow, "acme", 3..4));
    given.extend(batch(&quick, "acme", 4..6));
    // First once each, so that the first request is a batch.
    assert!(bench.run(batch(&quick, "acme", 10..12)).iter().all(|done| done.outcome.is_ok()));
    for one in &mut given {
        let script_cpu_ms = if one.token == 3 { 10_000 } else { 1 };
        one.limits = Arc::new(Limits { script_cpu_ms, ..Limits::default() });
    }
    let done = bench.run(given);
    assert_eq!(tokens(&done), [0, 1, 2, 3, 4, 5]);
    assert_eq!(texts(&done[3]).unwrap(), ["3000000"]);
    assert_eq!(bench.fork.count(), 1, "what takes long because it may is not killed");
}

#[test]
fn a_top_level_that_hangs_is_ended_too() {
    // To be compiled, it has to end once.
    let bench = Bench::new(ProcessOptions::default());
    let source = "const late = Date.now() > 0; if (late) Array.prototype.reverse.call({ length: 2 ** 53 - 1 }); \
                  export default msg => msg";
    let program = bench.loaded(source);
    let limits = Arc::new(Limits { script_cpu_ms: 1, ..Limits::default() });
    let done = bench.run(vec![Task { limits, ..task(&program, "mallory", 0, "{}") }]);
    assert!(matches!(code(&done[0]), None | Some(Code::ScriptKilled | Code::ScriptTimeout)), "{:?}", done[0].outcome);
}

#[test]
fn a_script_that_costs_one_worker_after_the_other_rests_and_is_tried_again() {
    let bench = Bench::new(ProcessOptions::default());
    let hostile = bench.loaded(&body("return msg.a < 8 ? Array.prototype.reverse.call({ length: 2 ** 53 - 1 }) : 1"));
    let quick = bench.loaded("export default msg => msg");
    let done = bench.run(batch(&hostile, "mallory", 0..8));
    let codes: Vec<_> = done.iter().filter_map(code).collect();
    assert_eq!(codes[..5], [Code::ScriptKilled; 5]);
    assert_eq!(codes[5..], [Code::ScriptQuarantined; 3]);
    assert!(Code::ScriptQuarantined.retryable(), "these messages are tried again");
    assert!(bench.run(batch(&quick, "mallory", 0..3)).iter().all(|done| done.outcome.is_ok()), "its other scripts run");
    loop {
        let done = bench.run(batch(&hostile, "mallory", 8..9)).remove(0);
        match code(&done) {
            Some(Code::ScriptQuarantined) => std::thread::yield_now(),
            code => break assert_eq!(code, None),
        }
    }
}

/// Waits until the worker of a script that never returns is running it.
fn running(bench: &Bench) -> Pid {
    let endless = bench.loaded("export default msg => { while (true); }");
    let limits = Arc::new(Limits { script_cpu_ms: 10_000, ..Limits::default() });
    let mut given = batch(&endless, "mallory", 0..1);
    given[0].limits = limits;
    let quick = bench.loaded("export default msg => msg");
    given.extend(batch(&quick, "mallory", 1..4));
    bench.submit(given);
    while bench.fork.count() == 0 {
        std::thread::yield_now();
    }
    let pid = bench.fork.last();
    // The script has begun once the process has used more than its start takes.
    let used = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    while used() < 50_000_000 {
        std::thread::yield_now();
    }
    Pid::from_raw(pid.cast_signed()).unwrap()
}

#[test]
fn a_worker_that_is_killed_from_outside_costs_the_message_it_ran() {
    for signal in [Signal::KILL, Signal::ABORT] {
        let bench = Bench::new(ProcessOptions::default());
        kill_process(running(&bench), signal).unwrap();
        let done = bench.collect(4);
        assert_eq!(code(&done[0]), Some(Code::ScriptKilled), "{signal:?}");
        assert_eq!(tokens(&done), [0, 1, 2, 3]);
        assert!(done[1..].iter().all(|done| done.outcome.is_ok()));
        assert_eq!(bench.fork.count(), 2);
    }
}

#[test]
fn a_worker_that_is_killed_while_idle_costs_nothing() {
    let bench = Bench::new(ProcessOptions::default());
    let program = bench.loaded("export default msg => msg");
    bench.run(batch(&program, "acme", 0..1));
    kill_process(Pid::from_raw(bench.fork.last().cast_signed()).unwrap(), Signal::KILL).unwrap();
    assert!(bench.run(batch(&program, "acme", 0..3)).iter().all(|done| done.outcome.is_ok()));
    assert_eq!(bench.fork.count(), 2);
}

#[test]
fn a_worker_that_is_stopped_is_ended() {
    let bench = Bench::new(ProcessOptions::default());
    let program = bench.loaded("export default msg => msg");
    bench.run(batch(&program, "mallory", 0..1));
    kill_process(Pid::from_raw(bench.fork.last().cast_signed()).unwrap(), Signal::STOP).unwrap();
    let done = bench.run(batch(&program, "mallory", 0..3));
    assert_eq!(tokens(&done), [0, 1, 2]);
    // It had not begun: nobody is to blame the first time.
    assert!(done.iter().all(|done| done.outcome.is_ok()), "{:?}", done[0].outcome);
    assert_eq!(bench.fork.count(), 2);
}

#[test]
fn a_hanging_customer_does_not_hold_up_another_on_the_second_thread() {
    let bench = Bench::new(ProcessOptions { threads: 2, ..ProcessOptions::default() });
    running(&bench);
    let quick = bench.loaded("export default msg => msg");
    let done = bench.run(batch(&quick, "acme", 100..150));
    assert_eq!(tokens(&done), (100..150).collect::<Vec<_>>(), "delivered while the other one runs");
    let (customer, _) = bench.executor.turn().unwrap();
    assert_eq!(&*customer, "mallory");
}
