//! What waits for the thread: customers take turns, and each customer's tasks stay in their order.

use std::collections::{HashMap, VecDeque};

use super::{Task, ThreadOptions};

#[derive(Default)]
pub struct Queue {
    /// By customer; none of them is empty.
    waiting: HashMap<Box<str>, VecDeque<Task>>,
    /// The customers of `waiting`, the next one first.
    turns: VecDeque<Box<str>>,
    /// Tasks and bytes that wait or run.
    tasks: usize,
    bytes: usize,
}

impl Queue {
    pub fn tasks(&self) -> usize {
        self.tasks
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
            match self.waiting.get_mut(&*task.context.customer) {
                Some(waiting) => waiting.push_back(task),
                None => self.line_up(task.context.customer.clone(), VecDeque::from([task])),
            }
        }
        Ok(())
    }

    /// Everything of the customer whose turn it is.
    pub fn next(&mut self) -> Option<VecDeque<Task>> {
        let customer = self.turns.pop_front()?;
        self.waiting.remove(&customer)
    }

    /// Ends a turn in which `tasks` of `bytes` bytes were run; the customer gets another one for `rest`.
    pub fn ran(&mut self, tasks: usize, bytes: usize, mut rest: VecDeque<Task>) {
        self.tasks -= tasks;
        self.bytes -= bytes;
        let Some(first) = rest.front() else { return };
        match self.waiting.get_mut(&*first.context.customer) {
            Some(waiting) => {
                rest.append(waiting);
                *waiting = rest;
            }
            None => self.line_up(first.context.customer.clone(), rest),
        }
    }

    fn line_up(&mut self, customer: Box<str>, tasks: VecDeque<Task>) {
        self.turns.push_back(customer.clone());
        self.waiting.insert(customer, tasks);
    }
}
