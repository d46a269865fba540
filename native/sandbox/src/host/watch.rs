//! How long a worker has been at what it does, by what the kernel says of it.
//!
//! | deadline | measured | ends |
//! |---|---|---|
//! | CPU time | what the process used since its progress last changed | what the guard inside cannot stop |
//! | wall time | less the time for which it waited for a processor | a process that was stopped or sleeps |
//! | turn | CPU time since the request began | one that only pretends to progress |
//!
//! The guard inside ends an ordinary script at its limit; what is here comes later.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use message::Limits;
use script::LOADING;

use super::verdict::End;
use crate::memory::Progress;
use crate::worker::TURN;

/// A worker that is ready to run, but got no processor for so long, is given up.
const STARVED: Duration = Duration::from_secs(10);

/// For what a deadline does not foresee: a page fault, a late tick of the kernel's accounts.
const SLACK: Duration = Duration::from_millis(5);

/// For the compilation of the first programs.
const PREPARING: Duration = Duration::from_millis(100);

/// CPU time for each byte of a request or a document that is read, and of scripts that are compiled.
const PER_BYTE: Duration = Duration::from_nanos(100);

/// What the kernel says of a process.
pub struct Accounts {
    pid: u32,
    schedstat: File,
}

/// CPU time used, and time waited for a processor, since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub cpu: Duration,
    pub waited: Duration,
}

impl Accounts {
    /// # Errors
    /// When the process is over, or `/proc` is not mounted.
    pub fn open(pid: u32) -> io::Result<Accounts> {
        Ok(Accounts { pid, schedstat: File::open(format!("/proc/{pid}/schedstat"))? })
    }

    /// `None` once the process is gone. The file stays that of this process, whoever gets its number.
    pub fn times(&self) -> Option<Times> {
        let mut text = [0; 64];
        let length = self.schedstat.read_at(&mut text, 0).ok()?;
        let mut numbers = std::str::from_utf8(&text[..length]).ok()?.split_ascii_whitespace();
        let mut next = || numbers.next()?.parse().ok().map(Duration::from_nanos);
        Some(Times { cpu: next()?, waited: next()? })
    }

    /// Bytes of memory that it shares with no file: what it got when it was forked included. `None` once it is gone.
    pub fn memory(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let mut pages = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
        let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
        Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
    }

    /// Whether it runs or waits for a processor.
    fn is_runnable(&self) -> bool {
        let Ok(text) = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return false };
        // The name before it, in parentheses, may hold anything.
        text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'))
    }
}

/// Watches one request.
pub struct Watch {
    /// Bytes of the request.
    size: usize,
    began: Option<Times>,
    progress: Progress,
    /// When this progress was first seen.
    since: Instant,
    then: Times,
}

impl Watch {
    /// `size`: bytes of the request.
    pub fn new(size: usize) -> Watch {
        let (progress, since) = (Progress::PREPARING, Instant::now());
        Watch { size, began: None, progress, since, then: Times::default() }
    }

    /// How often a worker is looked at that runs a task with these limits.
    pub fn interval(limits: &Limits) -> Duration {
        let limit = Duration::from_millis(limits.script_cpu_ms.into());
        (limit / 4).clamp(Duration::from_millis(1), Duration::from_millis(10))
    }

    /// Whether a worker has to be ended that has not answered yet.
    pub fn look(&mut self, times: Times, accounts: &Accounts, progress: Progress, limits: &Limits) -> Option<End> {
        let began = *self.began.get_or_insert_with(|| {
            self.then = times;
            times
        });
        if progress > self.progress {
            (self.progress, self.since, self.then) = (progress, Instant::now(), times);
        }
        let used = times.cpu.saturating_sub(self.then.cpu);
        let turn = times.cpu.saturating_sub(began.cpu);
        let [preparing, loading, running] = self.allowed(limits);
        let allowed = match progress {
            Progress::PREPARING => preparing,
            progress if progress.is_running() => running,
            _ => loading,
        };
        if used > allowed || turn > preparing + 2 * TURN + loading + running {
            return Some(End::Late(used));
        }
        let passed = self.since.elapsed();
        let waited = times.waited.saturating_sub(self.then.waited);
        if passed.saturating_sub(waited) <= allowed + 2 * SLACK {
            return None;
        }
        // What it waits at this moment is not in its times yet.
        if !accounts.is_runnable() {
            return Some(End::Stopped);
        }
        (passed > allowed + STARVED).then_some(End::Starved)
    }

    /// CPU time for each of the parts of a request.
    fn allowed(&self, limits: &Limits) -> [Duration; 3] {
        let limit = Duration::from_millis(limits.script_cpu_ms.into());
        let hard = |limit: Duration| limit + limit / 2 + SLACK;
        let reading = PER_BYTE * u32::try_from(self.size).unwrap_or(u32::MAX);
        // Between two scripts a reply is written, of which the size is not known yet.
        let writing = PER_BYTE * u32::try_from(limits.output_bytes.min(16 * self.size)).unwrap_or(u32::MAX);
        [PREPARING + reading, hard(limit * LOADING) + reading + writing, hard(limit)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_times_memory_and_a_state() {
        let own = Accounts::open(std::process::id()).unwrap();
        assert!(own.memory().unwrap() > 0);
        assert!(own.times().is_some());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let accounts = Accounts::open(child.id()).unwrap();
        while accounts.is_runnable() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(accounts.times().is_none() && accounts.memory().is_none() && !accounts.is_runnable());
    }
}
