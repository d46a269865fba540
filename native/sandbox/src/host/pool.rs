//! The workers of all customers: found, kept, ended.

use std::collections::HashMap;
use std::time::Instant;

use script::ProgramId;

use super::ProcessOptions;
use super::seat::Seat;

#[derive(Default)]
pub struct Pool {
    idle: HashMap<Box<str>, Seat>,
    /// Customers whose turn it is, and programs that their workers have to forget afterwards.
    taken: Vec<(Box<str>, Vec<ProgramId>)>,
    /// Memory of the idle workers, bytes.
    bytes: u64,
}

impl Pool {
    /// A customer's worker for its turn, if there is one; [`Pool::end_turn`] ends the turn.
    pub fn begin_turn(&mut self, customer: &str) -> Option<Seat> {
        self.taken.push((customer.into(), Vec::new()));
        self.remove(customer)
    }

    /// Takes the worker back; gives those that are to be dropped, outside of any lock.
    pub fn end_turn(&mut self, customer: &str, seat: Option<Seat>, options: &ProcessOptions) -> Vec<Seat> {
        let mut dropped = Vec::new();
        let index = self.taken.iter().position(|(name, _)| **name == *customer);
        let forgotten = index.map(|index| self.taken.swap_remove(index).1).unwrap_or_default();
        let Some(mut seat) = seat else { return dropped };
        seat.tidy();
        let mut is_needed = true;
        for program in forgotten {
            is_needed = !seat.forget(program);
        }
        if is_needed {
            self.bytes += seat.bytes;
            self.idle.insert(customer.into(), seat);
        } else {
            dropped.push(seat);
        }
        let is_too_much = |pool: &Pool| {
            // The last one stays, however large it is: it would be started again for the next message.
            pool.len() > options.workers.max(1) || pool.bytes > options.workers_bytes && pool.idle.len() > 1
        };
        while is_too_much(self) {
            let oldest = self.idle.iter().min_by_key(|(_, seat)| seat.last_used).map(|(name, _)| name.clone());
            let Some(seat) = oldest.and_then(|name| self.remove(&name)) else { break };
            dropped.push(seat);
        }
        dropped
    }

    /// Lets all workers forget a program; gives those that have no other.
    pub fn forget(&mut self, program: ProgramId) -> Vec<Seat> {
        self.taken.iter_mut().for_each(|(_, forgotten)| forgotten.push(program));
        self.remove_where(|seat| seat.forget(program))
    }

    /// Takes out those that have had nothing to do for long, that are gone, and that do what nobody has asked them to.
    pub fn end_idle(&mut self, now: Instant, options: &ProcessOptions) -> Vec<Seat> {
        self.remove_where(|seat| now.saturating_duration_since(seat.last_used) >= options.idle || seat.is_busy())
    }

    pub fn len(&self) -> usize {
        self.idle.len() + self.taken.len()
    }

    fn remove(&mut self, customer: &str) -> Option<Seat> {
        let seat = self.idle.remove(customer)?;
        self.bytes = self.bytes.saturating_sub(seat.bytes);
        Some(seat)
    }

    fn remove_where(&mut self, mut is_removed: impl FnMut(&mut Seat) -> bool) -> Vec<Seat> {
        let removed: Vec<Seat> = self.idle.extract_if(|_, seat| is_removed(seat)).map(|(_, seat)| seat).collect();
        self.bytes = self.bytes.saturating_sub(removed.iter().map(|seat| seat.bytes).sum());
        removed
    }
}
