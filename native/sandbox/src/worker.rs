//! What a worker process does: it waits for a request, runs its tasks one by one, and answers each.
//!
//! ```text
//! next_request ─► definitions: compile, keep, forget
//!              ─► task: progress, read, load, progress, run, publish ─► the next one
//!              ─► finish, when the tasks are done, the turn is over, or a limit was met
//! ```
//!
//! The host ends this process whenever it likes. Nothing here decides anything on which another customer depends.

use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use message::{Code, Document, Fault, Limits, Table};
use script::{Engines, Keep, Program, TaskOwner, compile_checked, thread_cpu};

use crate::layers::system::exit_now;
use crate::memory::{Progress, WorkerMemory};
use crate::wire::reply::put_frame;
use crate::wire::request::{Item, Request, TaskHead};
use crate::wire::{Damaged, Slot};

/// A request ends early, with the tasks that are done, once they have used this much CPU time: other customers wait.
pub const TURN: Duration = Duration::from_millis(2);

/// Exit codes, for whoever looks at a worker that ended by itself.
const EXIT_NO_MEMORY: i32 = 70;
const EXIT_DAMAGED: i32 = 71;

/// Memory of a request or a reply that is kept from one to the next.
const KEPT_BYTES: usize = 1 << 20;

thread_local! {
    /// What a process has prepared for those that are forked from it.
    static PREPARED: Cell<Option<Engines>> = const { Cell::new(None) };
}

/// Does once, in the zygote, what each worker would do before its first script: makes a runtime of the engine with all
/// built-in objects frozen. Nothing of any customer is in it. Without it a worker starts some milliseconds later.
pub fn prepare() {
    let mut engines = new_engines();
    // What fails here fails again in the worker, which has somebody to tell.
    if engines.prepare().is_ok() {
        PREPARED.set(Some(engines));
    }
}

/// The heaps of one customer are bounded by its limits, and the process by the kernel.
fn new_engines() -> Engines {
    Engines::new(Keep { runtimes: 1, bytes: usize::MAX })
}

/// Serves the host until it kills this process. Called in a process with one thread that is already locked down.
pub fn serve(memory: OwnedFd) -> ! {
    let Ok(mut memory) = WorkerMemory::open(&memory) else { exit_now(EXIT_NO_MEMORY) };
    let Damaged(_) = answer_all(&mut memory);
    exit_now(EXIT_DAMAGED);
}

/// Answers requests until one cannot be read.
pub(crate) fn answer_all(memory: &mut WorkerMemory) -> Damaged {
    let mut serving = Serving::default();
    let mut request = Vec::new();
    loop {
        memory.next_request(&mut request);
        if let Err(damaged) = serving.answer(&request, memory) {
            return damaged;
        }
        memory.finish();
        request.shrink_to(KEPT_BYTES);
        serving.reply.shrink_to(KEPT_BYTES);
    }
}

/// What a worker knows.
struct Serving {
    engines: Engines,
    programs: HashMap<Slot, Result<Program, Fault>>,
    tables: HashMap<Slot, Arc<Table>>,
    owners: HashMap<Slot, Arc<TaskOwner>>,
    document: Document,
    reply: Vec<u8>,
}

impl Default for Serving {
    fn default() -> Serving {
        Serving {
            engines: PREPARED.take().unwrap_or_else(new_engines),
            programs: HashMap::new(),
            tables: HashMap::new(),
            owners: HashMap::new(),
            document: Document::default(),
            reply: Vec::new(),
        }
    }
}

impl Serving {
    fn answer(&mut self, request: &[u8], memory: &mut WorkerMemory) -> Result<(), Damaged> {
        let mut request = Request::new(request);
        let mut limits = Limits::default();
        let (began, cpu) = (Instant::now(), thread_cpu());
        let mut index = 0;
        while let Some(item) = request.next_item()? {
            let head = match item {
                Item::Task(head) => head,
                Item::Limits(changed) => {
                    limits = changed;
                    continue;
                }
                definition => {
                    self.define(definition)?;
                    continue;
                }
            };
            memory.set_progress(Progress::loading(index));
            request.read_document(&mut self.document)?;
            let overran = self.run(index, &head, &limits, memory)?;
            // The clock is cheap to read, the CPU time is not.
            if overran || began.elapsed() >= TURN && thread_cpu() - cpu >= TURN {
                break;
            }
            index += 1;
        }
        Ok(())
    }

    fn define(&mut self, definition: Item<'_>) -> Result<(), Damaged> {
        match definition {
            Item::Program { slot, file, javascript, source } => {
                self.programs.insert(slot, compile_checked(file, javascript, source));
            }
            Item::Table { slot, table } => {
                self.tables.insert(slot, Arc::new(table));
            }
            Item::Owner { slot, mut owner, tables } => {
                let named = |(name, slot): (&str, Slot)| Some((name.into(), Arc::clone(self.tables.get(&slot)?)));
                let tables: Option<_> = tables.into_iter().map(named).collect();
                owner.tables = tables.ok_or(Damaged("a table of an owner"))?;
                self.owners.insert(slot, Arc::new(owner));
            }
            Item::ForgetProgram(slot) => {
                if let Some(Ok(program)) = self.programs.remove(&slot) {
                    self.engines.forget(program.id());
                }
            }
            Item::ForgetTable(slot) => drop(self.tables.remove(&slot)),
            Item::ForgetOwner(slot) => drop(self.owners.remove(&slot)),
            Item::Limits(_) | Item::Task(_) => {}
        }
        Ok(())
    }

    /// Runs one task on the document that was read, and publishes the reply. Gives whether it met a limit.
    fn run(
        &mut self,
        index: usize,
        head: &TaskHead<'_>,
        limits: &Limits,
        memory: &mut WorkerMemory,
    ) -> Result<bool, Damaged> {
        let owner = self.owners.get(&head.owner).ok_or(Damaged("the owner of a task"))?;
        let program = self.programs.get(&head.program).ok_or(Damaged("the program of a task"))?;
        let (began, before) = (Instant::now(), self.document.extent());
        let (engines, document) = (&mut self.engines, &mut self.document);
        let outcome = program.as_ref().map_err(Clone::clone).and_then(|program| {
            let context = head.context(owner);
            engines.load(program, &context.owner.customer, limits)?;
            memory.set_progress(Progress::running(index));
            engines.run(program, document, &context, limits)
        });
        // What is left to do takes its time by the size of the reply, not by what the script does.
        memory.set_progress(Progress::loading(index + 1));
        self.reply.clear();
        let said = self.engines.take_said();
        put_frame(&mut self.reply, index, (began.elapsed(), &said), &self.document, before, &outcome);
        memory.publish(&self.reply);
        Ok(matches!(&outcome, Err(fault) if matches!(fault.code(), Code::ScriptTimeout | Code::ScriptOutOfMemory)))
    }
}
