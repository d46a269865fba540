//! What waits to be run: customers take turns, and each customer's tasks stay in their order. A customer has one turn at
//! a time, so several threads can take turns from one queue.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Task;
use super::programs::Programs;
use crate::program::{Program, ProgramId};

/// Which of several callers of an executor a task is from.
pub type Submitter = u32;

/// A task, and its program if that was loaded when the task was taken.
pub struct Job {
    pub task: Task,
    pub program: Option<Arc<Program>>,
    pub submitter: Submitter,
    /// Bytes that are counted for the task, whatever becomes of its document.
    size: usize,
}

/// How much may wait or run.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub tasks: usize,
    /// Bytes of documents, about.
    pub bytes: usize,
}

#[derive(Default)]
pub struct Queue {
    /// By customer; none of them is empty.
    waiting: HashMap<Box<str>, VecDeque<Job>>,
    /// The customers of `waiting` whose turn it is not, the next one first.
    turns: VecDeque<Box<str>>,
    /// The customers whose turn it is: as many as there are threads.
    running: Vec<Box<str>>,
    /// Tasks and bytes that wait or run.
    tasks: usize,
    bytes: usize,
    programs: Programs,
    /// Programs of which the thread has to free what it holds.
    ended: Vec<ProgramId>,
}

/// What a thread does next.
pub enum Work {
    /// Free what is held of these programs.
    Forget(Vec<ProgramId>),
    /// Everything of the customer whose turn it is; [`Queue::ran`] ends the turn.
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
    /// Counts a job whose task is done or begins.
    pub fn count(&mut self, job: &Job) {
        self.tasks += 1;
        self.bytes += job.size;
        self.programs.extend(job.program.as_deref().map(Program::id));
    }
}

impl Queue {
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// Customers that wait for their turn.
    pub fn turns(&self) -> usize {
        self.turns.len()
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
    pub fn submit(&mut self, batch: Vec<Task>, room: Room) -> Result<(), Vec<Task>> {
        self.submit_from(0, batch, room)
    }

    /// The same for one of several callers.
    pub fn submit_from(&mut self, submitter: Submitter, batch: Vec<Task>, room: Room) -> Result<(), Vec<Task>> {
        let bytes: usize = batch.iter().map(Task::size).sum();
        let fits = self.tasks + batch.len() <= room.tasks && self.bytes + bytes <= room.bytes;
        if !fits && self.tasks > 0 {
            return Err(batch);
        }
        self.tasks += batch.len();
        self.bytes += bytes;
        for task in batch {
            let job = Job { program: self.programs.begin(task.program), submitter, size: task.size(), task };
            match self.waiting.get_mut(&*job.task.context.owner.customer) {
                Some(waiting) => waiting.push_back(job),
                None => self.line_up(job),
            }
        }
        Ok(())
    }

    pub fn next_work(&mut self) -> Option<Work> {
        if !self.ended.is_empty() {
            return Some(Work::Forget(std::mem::take(&mut self.ended)));
        }
        let customer = self.turns.pop_front()?;
        let jobs = self.waiting.remove(&customer)?;
        self.running.push(customer);
        Some(Work::Turn(jobs))
    }

    /// Ends a turn; the customer gets another one for `rest`, and for what has come meanwhile.
    pub fn ran(&mut self, customer: &str, ran: &Ran, mut rest: VecDeque<Job>) {
        self.tasks -= ran.tasks;
        self.bytes -= ran.bytes;
        self.ended.extend(ran.programs.iter().copied().filter(|program| self.programs.end(*program)));
        let Some(index) = self.running.iter().position(|running| **running == *customer) else { return };
        let customer = self.running.swap_remove(index);
        match self.waiting.get_mut(&customer) {
            Some(waiting) => {
                rest.append(waiting);
                *waiting = rest;
            }
            None if rest.is_empty() => return,
            None => {
                self.waiting.insert(customer.clone(), rest);
            }
        }
        self.turns.push_back(customer);
    }

    fn line_up(&mut self, job: Job) {
        let customer = job.task.context.owner.customer.clone();
        if !self.running.contains(&customer) {
            self.turns.push_back(customer.clone());
        }
        self.waiting.insert(customer, VecDeque::from([job]));
    }
}
