//! The workers of all customers: found, kept, ended. And the memory that they may use together.
//!
//! ```text
//! budget ≥ what idle workers hold, as the kernel says + what workers with a turn may use at most
//! ```
//!
//! Before a turn idle workers make room, the one used longest ago first. Where that is not enough, the turn waits for the
//! end of another one. A turn alone always runs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use script::ProgramId;

use super::ProcessOptions;
use super::counts::{Counts, Reason};
use super::seat::{Seat, most_bytes};

/// When no spare worker could be started, it is tried again after so long.
const SPARE_RETRY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Pool {
    idle: HashMap<Box<str>, Seat>,
    taken: Vec<Taken>,
    /// A worker that no customer has yet, so that the first message of one does not wait for its start.
    spare: Option<Seat>,
    /// Some thread starts one.
    starts_spare: bool,
    /// No spare one is started before.
    no_spare_until: Option<Instant>,
    /// Memory of the idle workers, bytes.
    bytes: u64,
    pub counts: Counts,
}

/// A customer whose turn it is.
struct Taken {
    customer: Box<str>,
    /// Programs that its worker has to forget afterwards.
    forgotten: Vec<ProgramId>,
    /// What its worker may use.
    bytes: u64,
}

impl Pool {
    /// Begins a customer's turn, with its worker if there is one, or with the spare one. `None` when its worker, of which
    /// the scripts may use `heap_mb`, has no place; the turn has to wait for the end of another one. [`Pool::end_turn`]
    /// ends it. Workers that make room are moved to `dropped`, to be dropped outside of any lock.
    pub fn begin_turn(
        &mut self,
        customer: &str,
        heap_mb: u32,
        options: &ProcessOptions,
        dropped: &mut Vec<Seat>,
    ) -> Option<Option<Seat>> {
        let mut bytes = most_bytes(heap_mb);
        let reserved: u64 = self.taken.iter().map(|taken| taken.bytes).sum();
        let is_full = reserved + bytes > options.workers_bytes || self.taken.len() >= options.workers;
        if is_full && !self.taken.is_empty() {
            return None;
        }
        let mut seat = self.remove(customer);
        if let Some(smaller) = seat.take_if(|seat| !seat.serves(heap_mb)) {
            self.drop_seat(smaller, Reason::Replaced, dropped);
        }
        if let Some(seat) = &seat {
            bytes = most_bytes(seat.heap_mb);
        }
        let others = self.taken.len() + usize::from(self.spare.is_some() && seat.is_some());
        while reserved + bytes + self.bytes > options.workers_bytes
            || others + self.idle.len() >= options.workers.max(1)
        {
            if !self.drop_oldest(dropped) {
                break;
            }
        }
        let seat = seat.or_else(|| self.spare.take_if(|spare| spare.serves(heap_mb)));
        self.taken.push(Taken { customer: customer.into(), forgotten: Vec::new(), bytes });
        Some(seat)
    }

    /// Takes the worker back. Those that are to be dropped are moved to `dropped`.
    pub fn end_turn(&mut self, customer: &str, seat: Option<Seat>, options: &ProcessOptions, dropped: &mut Vec<Seat>) {
        let index = self.taken.iter().position(|taken| *taken.customer == *customer);
        let forgotten = index.map(|index| self.taken.swap_remove(index).forgotten).unwrap_or_default();
        let Some(mut seat) = seat else { return };
        seat.tidy();
        let mut is_needed = true;
        for program in forgotten {
            is_needed = !seat.forget(program);
        }
        if !is_needed {
            return self.drop_seat(seat, Reason::Unused, dropped);
        }
        self.bytes += seat.bytes;
        self.idle.insert(customer.into(), seat);
        let reserved: u64 = self.taken.iter().map(|taken| taken.bytes).sum();
        // The last one stays, however large it is: it would be started again for the next message.
        while self.bytes + reserved > options.workers_bytes && self.idle.len() > 1 && self.drop_oldest(dropped) {}
    }

    /// Whether the caller is to start a worker that no customer has yet, and to bring it by [`Pool::put_spare`].
    pub fn wants_spare(&mut self, options: &ProcessOptions) -> bool {
        let is_time = self.no_spare_until.is_none_or(|until| Instant::now() >= until);
        let is_wanted =
            options.spare && is_time && !self.starts_spare && self.spare.is_none() && self.len() < options.workers;
        self.starts_spare |= is_wanted;
        is_wanted
    }

    /// Keeps a worker that no customer has yet; none could be started.
    pub fn put_spare(&mut self, seat: Option<Seat>) {
        self.starts_spare = false;
        self.no_spare_until = seat.is_none().then(|| Instant::now() + SPARE_RETRY);
        self.spare = seat;
    }

    /// Lets all workers forget a program; those that have no other are dropped.
    pub fn forget(&mut self, program: ProgramId, dropped: &mut Vec<Seat>) {
        self.taken.iter_mut().for_each(|taken| taken.forgotten.push(program));
        self.drop_where(|seat| seat.forget(program).then_some(Reason::Unused), dropped);
    }

    /// Drops those that have had nothing to do for long, that are gone, and that do what nobody has asked them to; and
    /// looks again how much memory the others have.
    pub fn sweep(&mut self, now: Instant, options: &ProcessOptions, dropped: &mut Vec<Seat>) {
        let judge = |seat: &mut Seat| {
            if now.saturating_duration_since(seat.last_used) >= options.idle {
                return Some(Reason::Idle);
            }
            seat.is_busy().then_some(Reason::Busy)
        };
        self.drop_where(judge, dropped);
        if let Some(spare) = self.spare.take_if(|spare| spare.is_busy()) {
            self.drop_seat(spare, Reason::Busy, dropped);
        }
        for seat in self.idle.values_mut() {
            self.bytes = self.bytes.saturating_sub(seat.bytes);
            seat.measure();
            self.bytes += seat.bytes;
        }
    }

    /// Workers, and customers whose turn it is.
    pub fn len(&self) -> usize {
        self.idle.len() + self.taken.len() + usize::from(self.spare.is_some())
    }

    /// Memory that idle workers hold, and that the others may use.
    pub fn used_bytes(&self) -> u64 {
        self.bytes + self.taken.iter().map(|taken| taken.bytes).sum::<u64>()
    }

    fn drop_oldest(&mut self, dropped: &mut Vec<Seat>) -> bool {
        let oldest = self.idle.iter().min_by_key(|(_, seat)| seat.last_used).map(|(name, _)| name.clone());
        let Some(seat) = oldest.and_then(|name| self.remove(&name)) else { return false };
        self.drop_seat(seat, Reason::Evicted, dropped);
        true
    }

    fn drop_seat(&mut self, seat: Seat, reason: Reason, dropped: &mut Vec<Seat>) {
        self.counts.end(reason);
        dropped.push(seat);
    }

    fn remove(&mut self, customer: &str) -> Option<Seat> {
        let seat = self.idle.remove(customer)?;
        self.bytes = self.bytes.saturating_sub(seat.bytes);
        Some(seat)
    }

    fn drop_where(&mut self, mut judge: impl FnMut(&mut Seat) -> Option<Reason>, dropped: &mut Vec<Seat>) {
        let counts = &mut self.counts;
        let mut is_removed = |seat: &mut Seat| judge(seat).map(|reason| counts.end(reason)).is_some();
        let removed: Vec<Seat> = self.idle.extract_if(|_, seat| is_removed(seat)).map(|(_, seat)| seat).collect();
        self.bytes = self.bytes.saturating_sub(removed.iter().map(|seat| seat.bytes).sum());
        dropped.extend(removed);
    }
}
