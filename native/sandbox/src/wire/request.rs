//! What a host asks of a worker.

use std::sync::Arc;

use message::packed::{Unpack, put_bytes, put_number};
use message::{Document, Limits, Table, Tables};
use script::{Program, Task, TaskContext, TaskOwner};

use super::{Damaged, OrDamaged, Slot};

/// First byte of an item.
const PROGRAM: u8 = 1;
const TABLE: u8 = 2;
const OWNER: u8 = 3;
const FORGET_PROGRAM: u8 = 4;
const FORGET_TABLE: u8 = 5;
const FORGET_OWNER: u8 = 6;
const LIMITS: u8 = 7;
const TASK: u8 = 8;

// -- the host's side ---------------------------------------------------------------------------------

/// A program goes as JavaScript without types: the worker compiles it for itself.
pub fn put_program(out: &mut Vec<u8>, slot: Slot, program: &Program) {
    out.push(PROGRAM);
    put_number(out, slot.into());
    put_bytes(out, program.file().as_bytes());
    put_bytes(out, program.javascript().as_bytes());
    out.push(u8::from(program.source().is_some()));
    if let Some(source) = program.source() {
        put_bytes(out, source.as_bytes());
    }
}

/// A table goes as `ctx.lookup` needs it: rows by key.
pub fn put_table(out: &mut Vec<u8>, slot: Slot, table: &Table) {
    out.push(TABLE);
    put_number(out, slot.into());
    table.document().write_whole(out);
    put_number(out, table.len() as u64);
    for (key, node) in table.rows() {
        put_bytes(out, key.as_bytes());
        put_number(out, node.into());
    }
}

/// `tables`: name and slot of each of the owner's tables.
pub fn put_owner<'t>(
    out: &mut Vec<u8>,
    slot: Slot,
    owner: &TaskOwner,
    tables: impl ExactSizeIterator<Item = (&'t str, Slot)>,
) {
    out.push(OWNER);
    put_number(out, slot.into());
    for name in [&owner.customer, &owner.pipeline, &owner.revision] {
        put_bytes(out, name.as_bytes());
    }
    put_number(out, tables.len() as u64);
    for (name, table) in tables {
        put_bytes(out, name.as_bytes());
        put_number(out, table.into());
    }
}

pub fn put_forget_program(out: &mut Vec<u8>, slot: Slot) {
    put_forget(out, FORGET_PROGRAM, slot);
}

pub fn put_forget_table(out: &mut Vec<u8>, slot: Slot) {
    put_forget(out, FORGET_TABLE, slot);
}

pub fn put_forget_owner(out: &mut Vec<u8>, slot: Slot) {
    put_forget(out, FORGET_OWNER, slot);
}

fn put_forget(out: &mut Vec<u8>, kind: u8, slot: Slot) {
    out.push(kind);
    put_number(out, slot.into());
}

/// The limits of the tasks that follow.
pub fn put_limits(out: &mut Vec<u8>, limits: &Limits) {
    out.push(LIMITS);
    let Limits { bytes, depth, nodes, attributes, name_bytes, fuel, outputs, output_bytes, .. } = limits;
    for size in [bytes, depth, nodes, attributes, name_bytes, outputs, output_bytes] {
        put_number(out, *size as u64);
    }
    put_number(out, *fuel);
    for number in [limits.script_cpu_ms, limits.script_memory_mb, limits.script_stack_kb] {
        put_number(out, number.into());
    }
}

pub fn put_task(out: &mut Vec<u8>, program: Slot, owner: Slot, task: &Task) {
    let TaskContext { id, time_ms, headers, seed, .. } = &task.context;
    out.push(TASK);
    put_number(out, program.into());
    put_number(out, owner.into());
    put_bytes(out, id.as_bytes());
    put_number(out, *time_ms);
    put_number(out, *seed);
    put_bytes(out, headers);
    task.document.write_whole(out);
}

// -- the worker's side -------------------------------------------------------------------------------

/// The next item of a request.
pub enum Item<'a> {
    Program {
        slot: Slot,
        file: &'a str,
        javascript: &'a str,
        source: Option<&'a str>,
    },
    Table {
        slot: Slot,
        table: Table,
    },
    Owner {
        slot: Slot,
        owner: TaskOwner,
        tables: Vec<(&'a str, Slot)>,
    },
    ForgetProgram(Slot),
    ForgetTable(Slot),
    ForgetOwner(Slot),
    Limits(Limits),
    /// The document is read by [`Request::read_document`].
    Task(TaskHead<'a>),
}

/// A task, without what its slots stand for.
pub struct TaskHead<'a> {
    pub program: Slot,
    pub owner: Slot,
    id: &'a str,
    time_ms: u64,
    seed: u64,
    headers: &'a [u8],
}

impl TaskHead<'_> {
    #[must_use]
    pub fn context(&self, owner: &Arc<TaskOwner>) -> TaskContext {
        TaskContext {
            id: self.id.into(),
            owner: Arc::clone(owner),
            time_ms: self.time_ms,
            headers: self.headers.into(),
            seed: self.seed,
        }
    }
}

/// A request, as far as it is not read.
pub struct Request<'a>(Unpack<'a>);

impl<'a> Request<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Request<'a> {
        Request(Unpack(bytes))
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// When the bytes are not a request.
    pub fn next_item(&mut self) -> Result<Option<Item<'a>>, Damaged> {
        let Some(kind) = self.0.byte() else { return Ok(None) };
        let item = match kind {
            PROGRAM => self.program(),
            TABLE => self.table(),
            OWNER => self.owner(),
            FORGET_PROGRAM => self.slot().map(Item::ForgetProgram),
            FORGET_TABLE => self.slot().map(Item::ForgetTable),
            FORGET_OWNER => self.slot().map(Item::ForgetOwner),
            LIMITS => self.limits().map(Item::Limits),
            TASK => self.task().map(Item::Task),
            _ => None,
        };
        item.or_damaged("an item of the request").map(Some)
    }

    /// The document of the task that was the last item.
    ///
    /// # Errors
    /// When the bytes are not a document.
    pub fn read_document(&mut self, document: &mut Document) -> Result<(), Damaged> {
        document.read_whole(&mut self.0).ok().or_damaged("a document of the request")
    }

    fn slot(&mut self) -> Option<Slot> {
        Slot::try_from(self.0.number()?).ok()
    }

    fn program(&mut self) -> Option<Item<'a>> {
        let (slot, file, javascript) = (self.slot()?, self.0.text()?, self.0.text()?);
        let source = if self.0.byte()? == 0 { None } else { Some(self.0.text()?) };
        Some(Item::Program { slot, file, javascript, source })
    }

    fn table(&mut self) -> Option<Item<'a>> {
        let slot = self.slot()?;
        let mut document = Document::default();
        document.read_whole(&mut self.0).ok()?;
        let mut table = Table::new(document, Box::default());
        for _ in 0..self.0.size()? {
            let (key, node) = (self.0.text()?, u32::try_from(self.0.number()?).ok()?);
            if node as usize >= table.document().node_count() || !table.insert(key, node) {
                return None;
            }
        }
        Some(Item::Table { slot, table })
    }

    fn owner(&mut self) -> Option<Item<'a>> {
        let slot = self.slot()?;
        let [customer, pipeline, revision] = [self.0.text()?.into(), self.0.text()?.into(), self.0.text()?.into()];
        let count = self.0.size()?;
        let tables = (0..count).map(|_| Some((self.0.text()?, self.slot()?))).collect::<Option<_>>()?;
        let owner = TaskOwner { customer, pipeline, revision, tables: Tables::default() };
        Some(Item::Owner { slot, owner, tables })
    }

    fn limits(&mut self) -> Option<Limits> {
        let mut size = || self.0.size();
        let [bytes, depth, nodes, attributes] = [size()?, size()?, size()?, size()?];
        let [name_bytes, outputs, output_bytes] = [size()?, size()?, size()?];
        let fuel = self.0.number()?;
        let mut narrow = || u32::try_from(self.0.number()?).ok();
        let [script_cpu_ms, script_memory_mb, script_stack_kb] = [narrow()?, narrow()?, narrow()?];
        Some(Limits {
            bytes,
            depth,
            nodes,
            attributes,
            name_bytes,
            fuel,
            outputs,
            output_bytes,
            script_cpu_ms,
            script_memory_mb,
            script_stack_kb,
        })
    }

    fn task(&mut self) -> Option<TaskHead<'a>> {
        let (program, owner, id) = (self.slot()?, self.slot()?, self.0.text()?);
        let (time_ms, seed) = (self.0.number()?, self.0.number()?);
        Some(TaskHead { program, owner, id, time_ms, seed, headers: self.0.bytes()? })
    }
}
