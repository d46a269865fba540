//! What waits for the thread: customers take turns, and each customer's tasks stay in their order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::programs::Programs;
use super::{Task, ThreadOptions};
use crate::program::{Program, ProgramId};

/// A task, and its program if that was loaded when the task was taken.
pub struct Job {
    pub task: Task,
    pub program: Option<Arc<Program>>,
}

#[derive(Default)]
pub struct Queue {
    /// By customer; none of them is empty.
    waiting: HashMap<Box<str>, VecDeque<Job>>,
    /// The customers of `waiting`, the next one first.
    turns: VecDeque<Box<str>>,
    /// Tasks and bytes that wait or run.
    tasks: usize,
    bytes: usize,
    programs: Programs,
    /// Programs of which the thread has to free what it holds.
    ended: Vec<ProgramId>,
}

/// What the thread does next.
pub enum Work {
    /// Free what is held of these programs.
    Forget(Vec<ProgramId>),
    /// Everything of the customer whose turn it is.
    Turn(VecDeque<Job>),
}

/// What was run in a turn.
#[derive(Default)]
pub struct Ran {
    pub tasks: usize,
    pub bytes: usize,
    pub programs: Vec<ProgramId>,
}

impl Ran {
    pub fn count(&mut self, task: &Task, program: Option<&Program>) {
        self.tasks += 1;
        self.bytes += task.size();
        self.programs.extend(program.map(Program::id));
    }
}

impl Queue {
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    pub fn programs(&self) -> usize {
        self.programs.len()
    }

    pub fn load(&mut self, program: &Arc<Program>) {
        self.programs.load(program);
    }

    pub fn unload(&mut self, program: ProgramId) {
        if self.programs.unload(program) {
            self.ended.push(program);
        }
    }

    /// Takes the batch, or gives it back. One larger than the whole queue is still taken by an idle
    /// executor, or it never would be.
    pub fn submit(&mut self, batch: Vec<Task>, options: &ThreadOptions) -> Result<(), Vec<Task>> {
        let bytes: usize = batch.iter().map(Task::size).sum();
        let fits = self.tasks + batch.len() <= options.tasks && self.bytes + bytes <= options.bytes;
        if !fits && self.tasks > 0 {
            return Err(batch);
        }
        self.tasks += batch.len();
        self.bytes += bytes;
        for task in batch {
            let job = Job { program: self.programs.begin(task.program), task };
            match self.waiting.get_mut(&*job.task.context.owner.customer) {
                Some(waiting) => waiting.push_back(job),
                None => self.line_up(job.task.context.owner.customer.clone(), VecDeque::from([job])),
            }
        }
        Ok(())
    }

    pub fn next(&mut self) -> Option<Work> {
        if !self.ended.is_empty() {
            return Some(Work::Forget(std::mem::take(&mut self.ended)));
        }
        let customer = self.turns.pop_front()?;
        self.waiting.remove(&customer).map(Work::Turn)
    }

    /// Ends a turn; the customer gets another one for `rest`.
    pub fn ran(&mut self, ran: &Ran, mut rest: VecDeque<Job>) {
        self.tasks -= ran.tasks;
        self.bytes -= ran.bytes;
        self.ended.extend(ran.programs.iter().copied().filter(|program| self.programs.end(*program)));
        let Some(first) = rest.front() else { return };
        match self.waiting.get_mut(&*first.task.context.owner.customer) {
            Some(waiting) => {
                rest.append(waiting);
                *waiting = rest;
            }
            None => self.line_up(first.task.context.owner.customer.clone(), rest),
        }
    }

    fn line_up(&mut self, customer: Box<str>, jobs: VecDeque<Job>) {
        self.turns.push_back(customer.clone());
        self.waiting.insert(customer, jobs);
    }
}
