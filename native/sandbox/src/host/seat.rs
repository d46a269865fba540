//! A customer's worker: what is asked of it, how long that takes, and what it answers.

use std::io;
use std::time::{Duration, Instant};

use message::PartsCheck;
use script::{Done, Job, ProgramId};

use super::known::Known;
use super::turn::TurnTasks;
use super::verdict::End;
use super::watch::{Accounts, Watch};
use super::workers::Shared;
use crate::launch::{Launch, Worker, WorkerLimits};
use crate::memory::{HostMemory, Progress, State};
use crate::wire::reply::Replies;

/// Tasks of one request: the first time, and at most. In between as many as were done last time, or twice that.
const FIRST_BATCH: usize = 16;
const MAX_BATCH: usize = 128;

/// Memory of a worker beside the heap of its scripts: the largest message as bytes, as a tape and as a reply.
const WORKER_BYTES: u64 = 256 << 20;

/// How often the memory of a worker that is used is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// CPU time that a worker without work may use from one look to the next.
const IDLE_CPU: Duration = Duration::from_millis(5);

/// What a worker may use, bytes, by the kernel's limit.
pub fn most_bytes(heap_mb: u32) -> u64 {
    (u64::from(heap_mb) << 20) + WORKER_BYTES
}

pub struct Seat {
    worker: Worker,
    memory: HostMemory,
    accounts: Accounts,
    replies: Replies,
    check: PartsCheck,
    /// The heap that the worker was started for, MiB.
    pub heap_mb: u32,
    known: Known,
    /// Tasks of the next request.
    batch: usize,
    /// CPU time of the worker that was charged to its customer.
    charged: Duration,
    /// What the worker had used when it was last looked at.
    seen: Duration,
    /// What it had used when it was last seen without work; none since it had work.
    idle_cpu: Option<Duration>,
    /// Memory that the process had when it was started, bytes.
    shared_bytes: u64,
    pub bytes: u64,
    measured: Option<Instant>,
    pub last_used: Instant,
}

/// How a request has ended.
pub enum Ended {
    /// The worker has answered as much as it wanted to, at least one task.
    Answered,
    /// The worker is of no use any more. Of the tasks it had, those in front have their results.
    Lost { end: End, blame: Blame },
    /// The executor was dropped.
    Stopping,
}

/// Which task has cost a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The first one without a result: tasks are run in their order.
    Next,
    /// Perhaps none: the worker had not come to a task.
    Unclear,
    /// None that waits: all that the worker had have results.
    Nobody,
}

impl Seat {
    /// Starts a worker. Blocks for about a millisecond.
    pub fn launch(launch: &dyn Launch, heap_mb: u32) -> io::Result<Seat> {
        let memory = HostMemory::create()?;
        let memory_bytes = most_bytes(heap_mb);
        let worker = launch.launch(memory.file(), &WorkerLimits { memory_bytes, cpu: None })?;
        let accounts = Accounts::open(worker.pid)?;
        let shared_bytes = accounts.memory().unwrap_or(0);
        Ok(Seat {
            worker,
            memory,
            accounts,
            replies: Replies::default(),
            check: PartsCheck::default(),
            heap_mb,
            known: Known::default(),
            batch: FIRST_BATCH,
            charged: Duration::ZERO,
            seen: Duration::ZERO,
            idle_cpu: None,
            shared_bytes,
            bytes: 0,
            measured: None,
            last_used: Instant::now(),
        })
    }

    /// Whether the worker can take tasks whose scripts may use so much.
    pub fn serves(&self, heap_mb: u32) -> bool {
        heap_mb <= self.heap_mb && !self.worker.is_over()
    }

    /// Lets the worker forget a program, with its next request. Gives whether it then has none.
    pub fn forget(&mut self, program: ProgramId) -> bool {
        self.known.forget(program)
    }

    /// Lets the worker forget, with its next request, what was not used for long. Between two requests.
    pub fn tidy(&mut self) {
        self.known.tidy();
    }

    /// Whether a worker without work uses a processor, which ours do not. Judged by what it was the last time.
    pub fn is_busy(&mut self) -> bool {
        let Some(times) = self.accounts.times() else { return true };
        let before = self.idle_cpu.replace(times.cpu);
        before.is_some_and(|before| times.cpu > before + IDLE_CPU)
    }

    /// Asks the kernel how much memory the worker has, unless that is known well enough.
    pub fn measure(&mut self) {
        if self.measured.is_some_and(|measured| measured > self.last_used || measured.elapsed() < MEASURE_EVERY) {
            return;
        }
        self.measured = Some(Instant::now());
        if let Some(bytes) = self.accounts.memory() {
            self.bytes = bytes.saturating_sub(self.shared_bytes);
        }
    }

    // -- a request -----------------------------------------------------------------------------------

    /// Runs as many of the waiting tasks as a request takes; those with a result are done, the others wait. The first one
    /// has a program.
    pub fn run(&mut self, tasks: &mut TurnTasks, shared: &Shared) -> Ended {
        let (count, first) = (self.known.encode(&tasks.waiting, self.batch, self.heap_mb, shared), tasks.done.len());
        if count == 0 {
            // The first one began to rest just now; the caller looks again.
            return Ended::Answered;
        }
        let began = Instant::now();
        let ended = self.exchange(tasks, count, shared);
        let answered = tasks.done.len() - first;
        self.charge(&mut tasks.done[first..], began.elapsed(), !matches!(ended, Ended::Answered));
        self.batch = if answered == count { (2 * self.batch).min(MAX_BATCH) } else { answered.max(1) };
        self.known.clear_request();
        self.replies.clear();
        self.last_used = Instant::now();
        self.idle_cpu = None;
        ended
    }

    fn exchange(&mut self, tasks: &mut TurnTasks, count: usize, shared: &Shared) -> Ended {
        let mut sent = self.memory.ask(self.known.request());
        let mut watch = Watch::new(self.known.request().len());
        let (mut answered, mut looked) = (0, Instant::now());
        loop {
            let interval = Watch::interval(&tasks.limits());
            let state = self.memory.answer(interval);
            let is_time = state.is_none() || looked.elapsed() >= interval;
            if is_time || matches!(state, Some(State::Done | State::Drain)) {
                self.memory.take_replies(self.replies.bytes_mut());
                if let Err(end) = self.read(tasks, &mut answered, count) {
                    return self.lose(end, answered, count);
                }
            }
            match state {
                Some(State::Done) if answered == 0 || !self.replies.is_empty() => {
                    return self.lose(End::Damaged("it says it is done"), answered, count);
                }
                Some(State::Done) => return Ended::Answered,
                Some(State::Drain) => {
                    self.memory.ask(&[]);
                }
                Some(State::More) if sent < self.known.request().len() => {
                    sent += self.memory.ask(&self.known.request()[sent..]);
                }
                Some(State::More | State::Unknown(_)) => {
                    return self.lose(End::Damaged("it waits for nothing"), answered, count);
                }
                None => {}
            }
            if !is_time {
                continue;
            }
            looked = Instant::now();
            let times = self.accounts.times();
            self.seen = times.map_or(self.seen, |times| times.cpu);
            // The one that runs is the first one without a result.
            let (progress, limits) = (self.memory.progress(), tasks.limits());
            let end = match self.worker.is_over() {
                true => Some(End::Over),
                // Without times it is gone, which is seen next time.
                false => times.and_then(|times| watch.look(times, &self.accounts, progress, &limits)),
            };
            if let Some(end) = end {
                self.worker.kill();
                return self.last_replies(tasks, answered, count, end, progress);
            }
            if shared.is_stopping() {
                return Ended::Stopping;
            }
        }
    }

    /// What a worker that is gone had published before.
    fn last_replies(
        &mut self,
        tasks: &mut TurnTasks,
        mut answered: usize,
        count: usize,
        end: End,
        progress: Progress,
    ) -> Ended {
        self.memory.take_replies(self.replies.bytes_mut());
        let end = self.read(tasks, &mut answered, count).err().unwrap_or(end);
        match self.lose(end, answered, count) {
            Ended::Lost { end, blame: Blame::Next } if answered == 0 && progress == Progress::PREPARING => {
                Ended::Lost { end, blame: Blame::Unclear }
            }
            ended => ended,
        }
    }

    fn lose(&mut self, end: End, answered: usize, count: usize) -> Ended {
        self.worker.kill();
        Ended::Lost { end, blame: if answered < count { Blame::Next } else { Blame::Nobody } }
    }

    /// Finishes the tasks whose replies have come.
    fn read(&mut self, tasks: &mut TurnTasks, answered: &mut usize, count: usize) -> Result<(), End> {
        while *answered < count {
            let Some(Job { task, .. }) = tasks.waiting.front_mut() else { break };
            let reply = self.replies.next_reply(*answered, &mut task.document, &task.limits, &mut self.check);
            let Some(reply) = reply.map_err(|damaged| End::Damaged(damaged.0))? else { break };
            tasks.finish(reply.outcome, reply.used);
            if let Some(done) = tasks.done.last_mut() {
                done.said = reply.said;
            }
            *answered += 1;
        }
        Ok(())
    }

    /// CPU time that was not charged to a task when the worker was last looked at.
    pub fn lost_cpu(&self) -> Duration {
        self.seen.saturating_sub(self.charged)
    }

    /// What a worker says of the time it used is believed as long as it is little; otherwise the kernel's account is
    /// divided in the proportions that the worker gives.
    fn charge(&mut self, done: &mut [Done], passed: Duration, is_lost: bool) {
        /// Below this a look at the kernel's account costs too much.
        const LITTLE: Duration = Duration::from_micros(500);
        done.iter_mut().for_each(|one| one.used = one.used.min(passed));
        let said: Duration = done.iter().map(|one| one.used).sum();
        // The task for which a worker was lost is charged with what is left.
        if passed < LITTLE || is_lost {
            self.charged += said;
            return;
        }
        let Some(times) = self.accounts.times() else { return };
        let used = times.cpu.saturating_sub(self.charged);
        self.charged = times.cpu.max(self.charged);
        let count = u32::try_from(done.len()).unwrap_or(u32::MAX);
        if said.is_zero() {
            done.iter_mut().for_each(|one| one.used = used / count.max(1));
            return;
        }
        let share = used.as_secs_f64() / said.as_secs_f64();
        done.iter_mut().for_each(|one| one.used = one.used.mul_f64(share));
    }
}
