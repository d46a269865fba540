//! What a worker knows: programs, owners and tables, each under a number, sent once. And the next request.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use message::{Limits, Table};
use script::{Job, Program, ProgramId, TaskOwner};

use super::workers::Shared;
use crate::memory::AREA;
use crate::wire::Slot;
use crate::wire::request;

/// Owners (revisions of pipelines) whose names and tables a worker keeps.
const OWNERS: usize = 16;

/// Memory of a request that is kept from one to the next.
const KEPT_BYTES: usize = 1 << 20;

#[derive(Default)]
pub struct Known {
    next_slot: Slot,
    programs: HashMap<ProgramId, Slot>,
    /// The one used last comes last.
    owners: Vec<(Arc<TaskOwner>, Slot)>,
    tables: Vec<(Arc<Table>, Slot)>,
    /// The next request: what the worker has to know or to forget, then the tasks.
    request: Vec<u8>,
    /// Program and owner of each of its tasks.
    slots: Vec<(Slot, Slot)>,
}

impl Known {
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Begins the next request.
    pub fn clear_request(&mut self) {
        self.request.clear();
        self.request.shrink_to(KEPT_BYTES);
    }

    /// Lets the worker forget a program, with its next request. Gives whether it then has none.
    pub fn forget(&mut self, program: ProgramId) -> bool {
        if let Some(slot) = self.programs.remove(&program) {
            request::put_forget_program(&mut self.request, slot);
        }
        self.programs.is_empty()
    }

    /// Writes a request of as many of `jobs` as it takes, at most `most`; gives their number. All of them have programs
    /// that do not rest, and do with a heap of `heap_mb`.
    pub fn encode(&mut self, jobs: &VecDeque<Job>, most: usize, heap_mb: u32, shared: &Shared) -> usize {
        let serves = |job: &&Job| job.task.limits.script_memory_mb <= heap_mb;
        // Definitions stand before all tasks: a request may end before its last one.
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        let mut known = None;
        for job in jobs.iter().take(most).take_while(serves) {
            let Some(program) = &job.program else { break };
            if known != Some(program.id()) && shared.rest(program.id()).is_some() {
                break;
            }
            known = Some(program.id());
            slots.push((self.program(program), self.owner(&job.task.context.owner)));
        }
        let mut last: Option<&Arc<Limits>> = None;
        let mut count = 0;
        for (job, (program, owner)) in jobs.iter().zip(&slots) {
            if count > 0 && self.request.len() >= AREA {
                break;
            }
            if last.is_none_or(|last| !Arc::ptr_eq(last, &job.task.limits)) {
                request::put_limits(&mut self.request, &job.task.limits);
                last = Some(&job.task.limits);
            }
            request::put_task(&mut self.request, *program, *owner, &job.task);
            count += 1;
        }
        self.slots = slots;
        count
    }

    fn program(&mut self, program: &Program) -> Slot {
        if let Some(slot) = self.programs.get(&program.id()) {
            return *slot;
        }
        let slot = self.slot();
        request::put_program(&mut self.request, slot, program);
        self.programs.insert(program.id(), slot);
        slot
    }

    fn owner(&mut self, owner: &Arc<TaskOwner>) -> Slot {
        if let Some(index) = self.owners.iter().rposition(|(known, _)| Arc::ptr_eq(known, owner)) {
            self.owners[index..].rotate_left(1);
            return self.owners.last().map_or(0, |(_, slot)| *slot);
        }
        let tables: Vec<_> = owner.tables.iter().map(|(name, table)| (name, self.table(table))).collect();
        let slot = self.slot();
        request::put_owner(&mut self.request, slot, owner, tables.into_iter());
        self.owners.push((Arc::clone(owner), slot));
        slot
    }

    fn table(&mut self, table: &Arc<Table>) -> Slot {
        if let Some((_, slot)) = self.tables.iter().find(|(known, _)| Arc::ptr_eq(known, table)) {
            return *slot;
        }
        let slot = self.slot();
        request::put_table(&mut self.request, slot, table);
        self.tables.push((Arc::clone(table), slot));
        slot
    }

    /// Lets the worker forget owners that were not used for long, and their tables. Between two requests: a task of the
    /// one that is written may name any owner.
    pub fn tidy(&mut self) {
        while self.owners.len() > OWNERS {
            let (_, slot) = self.owners.remove(0);
            request::put_forget_owner(&mut self.request, slot);
        }
        let (owners, request) = (&self.owners, &mut self.request);
        self.tables.retain(|(table, slot)| {
            let is_used = owners.iter().any(|(owner, _)| owner.tables.iter().any(|(_, used)| Arc::ptr_eq(used, table)));
            if !is_used {
                request::put_forget_table(request, *slot);
            }
            is_used
        });
    }

    fn slot(&mut self) -> Slot {
        self.next_slot += 1;
        self.next_slot
    }
}
