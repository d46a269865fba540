//! How long a worker takes to start, and how much memory it has that no other process shares.
//!
//! `cargo run --release -p sandbox --example launch -- ZYGOTE ARGUMENT...`, where the command is that of a zygote:
//! `vrsky_fast.node.sandbox.zygote_command()` gives it.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use std::os::fd::AsFd;
    use std::process::Command;
    use std::time::Instant;

    use sandbox::{Launch, LayerSet, WorkerLimits, Zygote};

    const WORKERS: usize = 500;

    let words: Vec<String> = std::env::args().skip(1).collect();
    let began = Instant::now();
    let zygote = Zygote::start(
        move || {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        },
        LayerSet::REQUIRED,
    )?;
    println!("the zygote is ready after {:?}", began.elapsed());
    let memory = rustix::fs::memfd_create("launch", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&memory, 1 << 20)?;
    let limits = WorkerLimits { memory_bytes: 64 << 20, cpu: None };
    let mut times = Vec::new();
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let began = Instant::now();
        workers.push(zygote.launch(memory.as_fd(), &limits)?);
        times.push(began.elapsed());
    }
    times.sort();
    println!("a worker is locked down after {:?} (p50), {:?} (p99)", times[WORKERS / 2], times[WORKERS * 99 / 100]);
    let private: u64 = workers.iter().map(|worker| private_kib(worker.pid)).sum();
    println!("{WORKERS} workers have {} KiB each of their own", private / WORKERS as u64);
    Ok(())
}

#[cfg(target_os = "linux")]
fn private_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kib = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    text.lines().filter(|line| line.starts_with("Private_")).filter_map(kib).sum()
}
