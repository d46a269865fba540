//! What a script costs per message in a worker process, beside the same script on a thread of this process.
//!
//! ```text
//! cargo run --release -p sandbox --example isolation [MILLISECONDS PER CASE]
//! ```
//!
//! CPU time of everything that takes part: making the documents, the hop, the script. "one at a time" waits for each
//! message before it sends the next, and shows what a hop takes on the clock. At the end, customers that each send their
//! first message: a worker is started, and compiles the script.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    if std::env::args().nth(1).is_some_and(|word| word == "zygote") {
        let options = sandbox::zygote::Options { worker: sandbox::worker::serve, layers: sandbox::LayerSet::ALL };
        sandbox::worker::prepare();
        return sandbox::zygote::run(0, options);
    }
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::BorrowedFd;
    use std::process::Command;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use message::{Document, Limits};
    use rustix::time::{ClockId, clock_gettime};
    use sandbox::{Launch, LayerSet, ProcessExecutor, ProcessOptions, Worker, WorkerLimits, Zygote};
    use script::{
        Done, Executor, Language, Program, Task, TaskContext, TaskOwner, ThreadExecutor, ThreadOptions, compile,
    };

    const BATCH: usize = 64;
    const IN_FLIGHT: usize = 4;

    const SCRIPTS: [(&str, &str); 4] = [
        ("nothing touched", "export default msg => msg"),
        ("one field set", "export default msg => { msg.order.net = msg.order.total / 1.077; return msg }"),
        ("spread", "export default msg => ({ ...msg.order, net: msg.order.total / 1.077 })"),
        (
            "sum over a list",
            "export default msg => { let sum = 0; for (const item of msg.order.items) sum += item.qty * item.price; \
             msg.order.sum = sum; return msg }",
        ),
    ];

    fn order(items: usize) -> String {
        let items: Vec<String> = (0..items)
            .map(|i| format!(r#"{{"sku":"SKU-{i:05}","qty":{},"price":{}.25,"text":"Part no {i}"}}"#, i + 1, i * 7))
            .collect();
        format!(
            r#"{{"order":{{"id":"A-1029384","currency":"CHF","customer":{{"id":778812,"name":"Müller & Söhne AG","email":"einkauf@mueller.example"}},"country":"CH","total":1234.50,"items":[{}]}}}}"#,
            items.join(",")
        )
    }

    /// Knows the worker.
    struct Known {
        zygote: Zygote,
        pid: Arc<AtomicU32>,
    }

    impl Launch for Known {
        fn launch(&self, memory: BorrowedFd<'_>, limits: &WorkerLimits) -> std::io::Result<Worker> {
            let worker = self.zygote.launch(memory, limits)?;
            self.pid.store(worker.pid, Ordering::Relaxed);
            Ok(worker)
        }
    }

    /// Customers of the last measurement.
    const CUSTOMERS: usize = 200;

    struct Bench {
        executor: Box<dyn Executor>,
        woken: Receiver<()>,
        pid: Arc<AtomicU32>,
        documents: Mutex<Vec<Document>>,
    }

    impl Bench {
        fn new(executor: Box<dyn Executor>, pid: Arc<AtomicU32>) -> Bench {
            let (wake, woken) = channel();
            executor.on_completed(Box::new(move || {
                let _ = wake.send(());
            }));
            Bench { executor, woken, pid, documents: Mutex::default() }
        }

        /// CPU time of this process and of the worker.
        fn cpu(&self) -> [Duration; 2] {
            let time = clock_gettime(ClockId::ProcessCPUTime);
            let own = Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0));
            let path = format!("/proc/{}/schedstat", self.pid.load(Ordering::Relaxed));
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let worker = text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
            [own, Duration::from_nanos(worker)]
        }

        fn task(&self, json: &str, program: &Program, owner: &Arc<TaskOwner>, limits: &Arc<Limits>) -> Task {
            let mut document = self.documents.lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default();
            assert!(formats::json::parse(json.as_bytes(), limits, &mut document).is_ok());
            let id = "0123456789abcdef0123456789abcdef".into();
            let context = TaskContext { id, owner: Arc::clone(owner), ..TaskContext::default() };
            Task { token: 0, program: program.id(), document, context, limits: Arc::clone(limits) }
        }

        /// Nanoseconds of a message: on the clock, of this process, of the worker.
        fn run(&self, json: &str, program: &Arc<Program>, batch: usize, in_flight: usize, time: Duration) -> [f64; 3] {
            let owner = Arc::new(TaskOwner { customer: "acme".into(), ..TaskOwner::default() });
            let limits = Arc::new(Limits::default());
            self.executor.load(program);
            let (mut sent, mut count, mut done) = (0, 0, Vec::<Done>::new());
            let mut began = (Instant::now(), self.cpu());
            let mut is_warm = false;
            while began.0.elapsed() < time || !is_warm {
                while sent - count < batch * in_flight {
                    let tasks = (0..batch).map(|_| self.task(json, program, &owner, &limits)).collect();
                    assert!(self.executor.submit(tasks).is_ok());
                    sent += batch;
                }
                let _ = self.woken.recv();
                self.executor.completed(&mut done);
                count += done.len();
                assert!(done.iter().all(|done| done.outcome.is_ok()));
                if let Ok(mut spare) = self.documents.lock() {
                    spare.extend(done.drain(..).map(|done| done.document));
                }
                if !is_warm && count > 1_000 {
                    is_warm = true;
                    (sent, count, began) = (sent - count, 0, (Instant::now(), self.cpu()));
                }
            }
            let (passed, cpu) = (began.0.elapsed(), self.cpu());
            while sent > count {
                let _ = self.woken.recv();
                self.executor.completed(&mut done);
                count += std::mem::take(&mut done).len();
            }
            self.executor.unload(program.id());
            let of = |time: Duration| time.as_secs_f64() * 1e9 / count as f64;
            [of(passed), of(cpu[0] - began.1[0]), of(cpu[1].saturating_sub(began.1[1]))]
        }
    }

    pub fn main() -> std::io::Result<()> {
        let time = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000);
        let time = Duration::from_millis(time);
        let command = || {
            let mut command = Command::new(std::env::current_exe().unwrap_or_default());
            command.arg("zygote");
            command
        };
        let pid = Arc::new(AtomicU32::new(0));
        let known = Arc::new(Known { zygote: Zygote::start(command, LayerSet::REQUIRED)?, pid: Arc::clone(&pid) });
        let thread = ThreadExecutor::new(ThreadOptions::default())?;
        let process = ProcessExecutor::new(Arc::clone(&known) as Arc<dyn Launch>, ProcessOptions::default())?;
        let ready = ProcessExecutor::new(known, ProcessOptions { spare: true, ..ProcessOptions::default() })?;
        let benches =
            [("thread", Bench::new(Box::new(thread), Arc::default())), ("process", Bench::new(Box::new(process), pid))];
        println!("microseconds a message: on the clock, and of CPU: in all (this process + worker)");
        for items in [5, 100] {
            let json = order(items);
            for (name, source) in SCRIPTS {
                let program =
                    Arc::new(compile(source, Language::JavaScript, "bench.js").map_err(std::io::Error::other)?);
                for (way, batch, in_flight) in [("batches", BATCH, IN_FLIGHT), ("one at a time", 1, 1)] {
                    for (kind, bench) in &benches {
                        let [clock, own, worker] =
                            bench.run(&json, &program, batch, in_flight, time).map(|nanoseconds| nanoseconds / 1e3);
                        println!(
                            "{:>6} B  {name:<16} {way:<14} {kind:<8} {clock:>7.2}   {:>6.2} ({own:.2} + {worker:.2})",
                            json.len(),
                            own + worker
                        );
                    }
                }
            }
        }
        starts(&benches[1].1, "started for it")?;
        // Which worker is whose is not known then, so that no memory is measured.
        starts(&Bench::new(Box::new(ready), Arc::default()), "kept ready")
    }

    /// What the first message of a customer takes, and the memory of its worker that no other process shares.
    fn starts(bench: &Bench, worker: &str) -> std::io::Result<()> {
        let source = SCRIPTS[1].1;
        let program = Arc::new(compile(source, Language::JavaScript, "bench.js").map_err(std::io::Error::other)?);
        bench.executor.load(&program);
        let (json, limits) = (order(5), Arc::new(Limits::default()));
        let (mut done, mut private, mut times) = (Vec::new(), 0, Vec::new());
        for customer in 0..CUSTOMERS {
            let owner = Arc::new(TaskOwner { customer: format!("c{customer}").into(), ..TaskOwner::default() });
            let began = Instant::now();
            assert!(bench.executor.submit(vec![bench.task(&json, &program, &owner, &limits)]).is_ok());
            while done.len() <= customer {
                let _ = bench.woken.recv();
                bench.executor.completed(&mut done);
            }
            times.push(began.elapsed());
            let path = format!("/proc/{}/smaps_rollup", bench.pid.load(Ordering::Relaxed));
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let kib = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
            private += text.lines().filter(|line| line.starts_with("Private_")).filter_map(kib).sum::<u64>();
        }
        times.sort();
        let (p50, p99) = (times[CUSTOMERS / 2], times[CUSTOMERS * 99 / 100]);
        println!("a customer's first message, with a worker {worker}: {p50:?} (p50), {p99:?} (p99)");
        if private > 0 {
            println!("{} KiB a worker", private / CUSTOMERS as u64);
        }
        Ok(())
    }
}
