//! One customer's turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Fault, Limits};
use script::{Done, Job, Program, Ran, Said, Submitter};

use super::counts::Reason;
use super::seat::{Blame, Ended, Seat};
use super::verdict::{no_worker, quarantined};
use super::workers::Shared;
use crate::worker::TURN;

/// Results that room is made for at the start of a turn; most turns have fewer.
const RESULTS: usize = 256;

/// A customer's tasks in its turn.
pub struct TurnTasks {
    /// Those without a result, in their order.
    pub waiting: VecDeque<Job>,
    pub done: Vec<Done>,
    /// Where each of them came from.
    pub submitters: Vec<Submitter>,
    pub ran: Ran,
}

impl TurnTasks {
    pub fn new(waiting: VecDeque<Job>) -> TurnTasks {
        let results = waiting.len().min(RESULTS);
        let (done, submitters) = (Vec::with_capacity(results), Vec::with_capacity(results));
        TurnTasks { waiting, done, submitters, ran: Ran::default() }
    }

    pub fn program(&self) -> Option<&Program> {
        self.waiting.front()?.program.as_deref()
    }

    /// The most that a script of any task may use, MiB.
    pub fn heap_mb(&self) -> u32 {
        self.waiting.iter().map(|job| job.task.limits.script_memory_mb).max().unwrap_or(0)
    }

    /// The limits of the next task.
    pub fn limits(&self) -> Arc<Limits> {
        self.waiting.front().map(|job| Arc::clone(&job.task.limits)).unwrap_or_default()
    }

    /// Gives all tasks without a result this one.
    pub fn refuse(&mut self, fault: &Fault) {
        while !self.waiting.is_empty() {
            self.finish(Err(fault.clone()), Duration::ZERO);
        }
    }

    /// Gives the next task its result.
    pub fn finish(&mut self, outcome: Result<Vec<u32>, Fault>, used: Duration) {
        if let Some(job) = self.waiting.pop_front() {
            self.ran.count(&job);
            self.submitters.push(job.submitter);
            self.done.push(Done {
                token: job.task.token,
                document: job.task.document,
                outcome,
                used,
                said: Said::default(),
            });
        }
    }
}

/// Runs tasks until there are none, the turn's time is over, or something went wrong. `heap_mb` is what its
/// scripts may use. Gives the worker back, if it is of further use.
pub fn run(shared: &Shared, mut seat: Option<Seat>, heap_mb: u32, tasks: &mut TurnTasks) -> Option<Seat> {
    let mut used = Duration::ZERO;
    // A worker that ended before it came to a task may have been ended by anybody. The second time it was the task.
    let mut was_relaunched = false;
    while !tasks.waiting.is_empty() && used < TURN && !shared.is_stopping() {
        let Some(program) = tasks.program().map(Program::id) else {
            let reason = "the program of the task is not loaded";
            tasks.finish(Err(Fault::new(Code::ScriptUnavailable, reason)), Duration::ZERO);
            continue;
        };
        if let Some(rest) = shared.rest(program) {
            tasks.finish(Err(quarantined(rest)), Duration::ZERO);
            continue;
        }
        if let Some(over) = seat.take_if(|seat| !seat.serves(heap_mb)) {
            shared.count_end(Reason::Replaced);
            drop(over);
        }
        let mut worker = match seat.take() {
            Some(worker) => worker,
            None => match shared.launch(heap_mb) {
                Ok(worker) => worker,
                Err(error) => {
                    tasks.refuse(&no_worker(&error));
                    return None;
                }
            },
        };
        let first = tasks.done.len();
        let ended = worker.run(tasks, shared);
        used += tasks.done[first..].iter().map(|done| done.used).sum();
        if let Ended::Lost { end, .. } = &ended {
            shared.count_end((*end).into());
        }
        match ended {
            Ended::Answered if tasks.done.last().is_some_and(is_overrun) => return Some(worker),
            Ended::Answered => seat = Some(worker),
            Ended::Stopping => return None,
            Ended::Lost { blame: Blame::Nobody, .. } => return None,
            Ended::Lost { blame: Blame::Unclear, .. } if !was_relaunched => was_relaunched = true,
            Ended::Lost { end, .. } => {
                // It may be another one than at the start of the request.
                if let Some(program) = tasks.program().filter(|_| end.is_strike()) {
                    shared.strike(program.id());
                }
                let fault = end.fault(tasks.program());
                tasks.finish(Err(fault), worker.lost_cpu());
                return None;
            }
        }
    }
    seat
}

fn is_overrun(done: &Done) -> bool {
    matches!(&done.outcome, Err(fault) if matches!(fault.code(), Code::ScriptTimeout | Code::ScriptOutOfMemory))
}
