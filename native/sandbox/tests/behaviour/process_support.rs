//! Executors whose workers are forked without any layer, scripts, and what becomes of them.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use message::{Document, Fault, Limits, Tables};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sandbox::{Launch, ProcessExecutor, ProcessOptions, Worker, WorkerLimits, Workers};
use script::{Done, Executor, Language, Program, Task, TaskContext, TaskOwner, compile};

/// Forks the test itself. The scripts' engine has no state that another thread could be changing meanwhile, once one
/// program has been compiled, and the allocator of the C library outlives a fork.
#[derive(Default)]
pub struct Fork {
    pub launched: AtomicUsize,
    /// The last worker.
    pub pids: Mutex<Vec<u32>>,
    pub limits: Mutex<Vec<WorkerLimits>>,
    pub refuses: AtomicBool,
}

impl Launch for Fork {
    fn launch(&self, memory: BorrowedFd<'_>, limits: &WorkerLimits) -> io::Result<Worker> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let memory: OwnedFd = memory.try_clone_to_owned()?;
        // SAFETY: see above; the child never returns.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // Nobody drops a worker when the test's process ends.
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
            sandbox::worker::serve(memory);
        }
        let id = u32::try_from(pid).map_err(|_| io::Error::last_os_error())?;
        self.launched.fetch_add(1, Ordering::Relaxed);
        self.pids.lock().unwrap().push(id);
        self.limits.lock().unwrap().push(*limits);
        Ok(Worker { pid: id, pidfd: pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty())? })
    }
}

impl Fork {
    pub fn count(&self) -> usize {
        self.launched.load(Ordering::Relaxed)
    }

    pub fn last(&self) -> u32 {
        *self.pids.lock().unwrap().last().unwrap()
    }
}

/// An executor, its launcher, and its wake-ups.
pub struct Bench<L = Fork> {
    pub executor: ProcessExecutor,
    pub workers: Arc<Workers>,
    pub fork: Arc<L>,
    woken: Receiver<()>,
}

impl Bench {
    pub fn new(options: ProcessOptions) -> Bench {
        Bench::with(Fork::default(), options)
    }
}

impl<L: Launch + 'static> Bench<L> {
    pub fn with(launch: L, options: ProcessOptions) -> Bench<L> {
        let fork = Arc::new(launch);
        let workers = Workers::new(Arc::clone(&fork) as Arc<dyn Launch>, options).unwrap();
        Bench::of(workers, fork)
    }

    /// That of another shard with the same workers.
    pub fn beside(&self) -> Bench<L> {
        Bench::of(Arc::clone(&self.workers), Arc::clone(&self.fork))
    }

    fn of(workers: Arc<Workers>, fork: Arc<L>) -> Bench<L> {
        let executor = workers.executor();
        let (wake, woken) = channel();
        executor.on_completed(Box::new(move || {
            // The receiver is gone when a test ends before its last batch.
            let _ = wake.send(());
        }));
        Bench { executor, workers, fork, woken }
    }

    pub fn loaded(&self, source: &str) -> Arc<Program> {
        let program = program(source);
        self.executor.load(&program);
        program
    }

    pub fn submit(&self, batch: Vec<Task>) {
        assert!(self.executor.submit(batch).is_ok());
    }

    /// The results of `count` tasks, in the order in which they came.
    pub fn collect(&self, count: usize) -> Vec<Done> {
        let mut done = Vec::new();
        self.executor.completed(&mut done);
        while done.len() < count {
            self.woken.recv_timeout(Duration::from_secs(60)).unwrap();
            self.executor.completed(&mut done);
        }
        done
    }

    pub fn run(&self, batch: Vec<Task>) -> Vec<Done> {
        let count = batch.len();
        self.submit(batch);
        self.collect(count)
    }
}

pub fn program(source: &str) -> Arc<Program> {
    Arc::new(compile(source, Language::JavaScript, "t.js").unwrap_or_else(|fault| panic!("{source}: {fault}")))
}

/// Of a function's body.
pub fn body(body: &str) -> String {
    format!("export default (msg, ctx) => {{ {body} }}")
}

pub fn document(json: &str) -> Document {
    let mut document = Document::default();
    formats::json::parse(json.as_bytes(), &Limits::default(), &mut document).unwrap();
    document
}

pub fn owner(customer: &str, tables: Tables) -> Arc<TaskOwner> {
    Arc::new(TaskOwner { customer: customer.into(), pipeline: "orders".into(), revision: "7".into(), tables })
}

pub fn context(customer: &str) -> TaskContext {
    TaskContext {
        id: "0123456789abcdef".into(),
        owner: owner(customer, Tables::default()),
        time_ms: 1_700_000_000_123,
        headers: (*b"NATS/1.0\r\nCustomer-ID: acme\r\nX-Trace: a\r\nx-trace: b\r\n\r\n").into(),
        seed: 5,
    }
}

pub fn task(program: &Program, customer: &str, token: u64, json: &str) -> Task {
    let limits = Arc::new(Limits::default());
    Task { token, program: program.id(), document: document(json), context: context(customer), limits }
}

pub fn batch(program: &Program, customer: &str, tokens: std::ops::Range<u64>) -> Vec<Task> {
    tokens.map(|token| task(program, customer, token, &format!(r#"{{"a":{token}}}"#))).collect()
}

pub fn tokens(done: &[Done]) -> Vec<u64> {
    done.iter().map(|done| done.token).collect()
}

/// What was returned, each as JSON.
pub fn texts(done: &Done) -> Result<Vec<String>, Fault> {
    let mut document = done.document.clone();
    let roots = done.outcome.clone()?;
    let text = |root| {
        document.set_root(root);
        let mut text = Vec::new();
        formats::json::emit(&document, &mut text);
        String::from_utf8(text).unwrap()
    };
    Ok(roots.into_iter().map(text).collect())
}
