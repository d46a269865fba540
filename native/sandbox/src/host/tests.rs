//! Workers that were taken over: what they write into the shared memory ends them, and gives their message a verdict.
//! They are played by threads of the test.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use message::{Code, Document, Limits};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use script::{Done, Executor, Language, Program, Task, TaskContext, TaskOwner, compile};

use super::*;
use crate::launch::{Launch, Worker, WorkerLimits};
use crate::memory::{AREA, Progress, WorkerMemory};
use crate::worker::answer_all;

type Play = fn(&mut WorkerMemory);

/// The first worker is the hostile one; the others are honest.
struct Stage {
    hostile: Play,
    launched: AtomicUsize,
    /// What is killed in the place of the thread.
    processes: Mutex<Vec<std::process::Child>>,
}

impl Launch for Stage {
    fn launch(&self, memory: BorrowedFd<'_>, _: &WorkerLimits) -> io::Result<Worker> {
        let memory: OwnedFd = memory.try_clone_to_owned()?;
        let is_first = self.launched.fetch_add(1, Ordering::Relaxed) == 0;
        let honest: Play = |memory| {
            answer_all(memory);
        };
        let play = if is_first { self.hostile } else { honest };
        let (number, of_thread) = channel();
        std::thread::spawn(move || {
            number.send(rustix::thread::gettid()).unwrap();
            let mut memory = WorkerMemory::open(&memory).unwrap();
            play(&mut memory);
            // Like a process that does nothing, until the test ends.
            std::thread::park();
        });
        let null = Stdio::null;
        let process = Command::new("sleep").arg("100").stdin(null()).stdout(null()).stderr(null()).spawn()?;
        let pid = Pid::from_raw(process.id().cast_signed()).unwrap();
        self.processes.lock().unwrap().push(process);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        // The kernel has accounts of threads, too.
        Ok(Worker { pid: of_thread.recv().unwrap().as_raw_nonzero().get().unsigned_abs(), pidfd })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for process in self.processes.get_mut().unwrap() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn program() -> Arc<Program> {
    Arc::new(compile("export default msg => ({ a: msg })", Language::JavaScript, "t.js").unwrap())
}

fn task(program: &Program, token: u64, script_cpu_ms: u32) -> Task {
    let mut document = Document::default();
    formats::json::parse(b"[1,2]", &Limits::default(), &mut document).unwrap();
    let owner = Arc::new(TaskOwner { customer: "mallory".into(), ..TaskOwner::default() });
    let context = TaskContext { owner, ..TaskContext::default() };
    let limits = Arc::new(Limits { script_cpu_ms, ..Limits::default() });
    Task { token, program: program.id(), document, context, limits }
}

/// What becomes of three tasks, of which the first worker had the first ones; and the number of workers.
fn played(hostile: Play, script_cpu_ms: u32) -> (Vec<Done>, usize) {
    played_with(hostile, script_cpu_ms, 3)
}

fn played_with(hostile: Play, script_cpu_ms: u32, count: usize) -> (Vec<Done>, usize) {
    let program = program();
    let stage = Arc::new(Stage { hostile, launched: AtomicUsize::new(0), processes: Mutex::default() });
    let executor = ProcessExecutor::new(Arc::clone(&stage) as Arc<dyn Launch>, ProcessOptions::default()).unwrap();
    let (wake, woken) = channel();
    executor.on_completed(Box::new(move || {
        let _ = wake.send(());
    }));
    executor.load(&program);
    assert!(executor.submit((0..count as u64).map(|token| task(&program, token, script_cpu_ms)).collect()).is_ok());
    let mut done = Vec::new();
    while done.len() < count {
        woken.recv_timeout(Duration::from_secs(60)).unwrap();
        executor.completed(&mut done);
    }
    (done, stage.launched.load(Ordering::Relaxed))
}

fn hear(memory: &mut WorkerMemory) {
    memory.next_request(&mut Vec::new());
    memory.set_progress(Progress::running(0));
}

/// The first message fails with a reason that has these words; the others run in an honest worker.
fn is_ended(what: &str, hostile: Play, reason: &str) {
    let (done, launched) = played(hostile, 1_000);
    let fault = done[0].outcome.as_ref().expect_err(what);
    assert_eq!(fault.code(), Code::ScriptKilled, "{what}");
    assert!(fault.reason().contains(reason), "{what}: {fault}");
    assert_eq!((done[0].document.source(), done[0].document.node_count()), (&b"[1,2]"[..], 3), "{what}");
    assert_eq!(done.iter().map(|done| done.token).collect::<Vec<_>>(), [0, 1, 2], "{what}");
    assert!(done[1..].iter().all(|done| done.outcome.is_ok()), "{what}");
    assert_eq!(launched, 2, "{what}");
}

#[test]
fn what_is_no_answer_ends_a_worker() {
    is_ended("done without a reply", |memory| (hear(memory), memory.finish()).1, "says it is done");
    is_ended("an unknown state", |memory| (hear(memory), memory.say_number(77)).1, "waits for nothing");
    is_ended("more of a request that is whole", |memory| (hear(memory), memory.say_number(3)).1, "waits for nothing");
    let garbage: Play = |memory| {
        hear(memory);
        memory.publish(&[4, 0, 0, 0, 1, 2, 3, 4]);
        memory.finish();
    };
    is_ended("garbage", garbage, "damaged answer");
    let of_another: Play = |memory| {
        hear(memory);
        // Task 1, no time, unchanged.
        memory.publish(&[5, 0, 0, 0, 1, 0, 0, 0, 1]);
        memory.finish();
    };
    is_ended("a reply to another task", of_another, "another task");
}

#[test]
fn a_worker_cannot_make_the_host_read_beyond_the_memory_or_without_end() {
    let beyond: Play = |memory| {
        hear(memory);
        memory.claim(u32::MAX);
        memory.finish();
    };
    // Zeros: a frame of no bytes.
    is_ended("a length beyond the area", beyond, "damaged answer");
    let endless: Play = |memory| {
        hear(memory);
        // A frame of 3 GB, as long as the host takes it.
        memory.publish(&[0, 0, 0, 0xc0]);
        loop {
            memory.publish(&[0; AREA]);
        }
    };
    is_ended("a reply without an end", endless, "longer than the limits");
    let allowed: Play = |memory| {
        hear(memory);
        // Within the limits, but the bytes never come.
        memory.publish(&[0, 0, 0, 1]);
        memory.finish();
    };
    is_ended("a reply that is not whole", allowed, "says it is done");
}

#[test]
fn a_reply_too_many_ends_a_worker_after_what_it_has_answered() {
    let (done, launched) = played(
        |memory| {
            hear(memory);
            for index in 0..5 {
                memory.publish(&[5, 0, 0, 0, index, 0, 0, 0, 1]);
            }
            memory.finish();
        },
        1_000,
    );
    // The three that were asked for are there and right; the worker is not trusted any more, and nobody needs another.
    assert!(done.iter().all(|done| done.outcome.as_deref() == Ok(&[0])));
    assert_eq!(launched, 1);
}

#[test]
fn a_task_that_a_worker_never_had_is_not_to_blame_for_it() {
    let (done, launched) = played_with(
        |memory| {
            hear(memory);
            // One more than the first request has.
            for index in 0..17 {
                memory.publish(&[5, 0, 0, 0, index, 0, 0, 0, 1]);
            }
            memory.finish();
        },
        1_000,
        20,
    );
    assert!(done.iter().all(|done| done.outcome.is_ok()));
    assert_eq!((done.len(), launched), (20, 2));
}

#[test]
fn a_worker_that_only_says_that_it_progresses_is_ended() {
    let pretends: Play = |memory| {
        memory.next_request(&mut Vec::new());
        for index in 0.. {
            memory.set_progress(Progress::running(index / 1_000));
        }
    };
    let (done, launched) = played(pretends, 1);
    let fault = done[0].outcome.as_ref().unwrap_err();
    assert!(fault.code() == Code::ScriptKilled && fault.reason().contains("CPU time"), "{fault}");
    assert!(done[1..].iter().all(|done| done.outcome.is_ok()));
    assert_eq!(launched, 2);
}

#[test]
fn a_worker_that_is_busy_without_work_is_ended() {
    let stage = Stage {
        hostile: |memory| {
            hear(memory);
            memory.publish(&[5, 0, 0, 0, 0, 0, 0, 0, 1]);
            memory.finish();
            loop {
                std::hint::spin_loop();
            }
        },
        launched: AtomicUsize::new(0),
        processes: Mutex::default(),
    };
    let program = program();
    let executor = ProcessExecutor::new(Arc::new(stage), ProcessOptions::default()).unwrap();
    executor.load(&program);
    assert!(executor.submit(vec![task(&program, 0, 1_000)]).is_ok());
    let mut done = Vec::new();
    // Only the process in its place is killed; the thread spins until the test ends.
    while done.is_empty() || executor.workers() > 0 {
        executor.completed(&mut done);
        std::thread::yield_now();
    }
    assert_eq!(done[0].outcome.as_deref(), Ok(&[0][..]));
}

#[test]
fn a_worker_that_sleeps_is_ended() {
    let (done, launched) = played(hear, 1);
    let fault = done[0].outcome.as_ref().unwrap_err();
    assert!(fault.code() == Code::ScriptKilled && fault.reason().contains("stopped"), "{fault}");
    assert!(done[1..].iter().all(|done| done.outcome.is_ok()));
    assert_eq!(launched, 2);
}
