//! What blocks: looks into the folder, reads, writes down the progress, puts files away. It works on a thread beside the
//! shard, one turn at a time, and holds all that is known of the files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Fault};
use rustix::fd::OwnedFd;
use tokio::time::Instant;

use super::finish::{Finished, finish};
use super::folder::{self, Found};
use super::inbox::{Message, Progress};
use super::options::{Plan, Rows};
use super::reader::Reader;
use super::state::{Entry, FileId, State, Version};
use crate::file::folder::Identity;

/// Between two writes of the progress, unless a file begins or ends: what a crash repeats at most.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// What one turn reads.
const TURN_BYTES: usize = 1 << 20;

/// What the shard says at the start of a turn.
pub(super) struct Turn {
    pub(super) now: Instant,
    pub(super) progress: Vec<(FileId, Progress)>,
    /// What may be read.
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// The last one: only the progress is written.
    pub(super) is_last: bool,
}

/// What a turn has brought.
#[derive(Default)]
pub(super) struct Report {
    pub(super) read: Option<(FileId, u64, Vec<Message>)>,
    pub(super) forgotten: Vec<FileId>,
    pub(super) failure: Option<Code>,
    /// There is more to read at once.
    pub(super) is_busy: bool,
}

/// A file of the folder, and since when it has been as it is.
struct Seen {
    identity: Identity,
    version: Version,
    since: Instant,
}

pub(super) struct Worker {
    plan: Arc<Plan>,
    state: Option<State>,
    entries: BTreeMap<FileId, Entry>,
    /// Read to their ends, as they were then; not every message of them is stored.
    complete: BTreeMap<FileId, Version>,
    /// Messages of these are with the host: they are not read anew, or those would come twice.
    unsettled: BTreeSet<FileId>,
    seen: HashMap<String, Seen>,
    waiting: Vec<Found>,
    reading: Option<(Reader, File)>,
    next_look: Option<Instant>,
    next_write: Option<Instant>,
    must_write: bool,
    /// Of the last look into the folder, and of files since.
    failure: Option<Code>,
}

impl Worker {
    pub(super) fn new(plan: Arc<Plan>) -> Worker {
        Worker {
            plan,
            state: None,
            entries: BTreeMap::new(),
            complete: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            seen: HashMap::new(),
            waiting: Vec::new(),
            reading: None,
            next_look: None,
            next_write: None,
            must_write: false,
            failure: None,
        }
    }

    pub(super) fn turn(&mut self, turn: &Turn) -> Report {
        let mut report = Report::default();
        if let Err(fault) = self.work(turn, &mut report) {
            report.failure = Some(fault.code());
            return report;
        }
        let failed = self.entries.values().find_map(|entry| entry.failed);
        report.failure = self.failure.or(failed);
        report
    }

    /// Forgets nothing when it fails: the next turn begins again.
    fn work(&mut self, turn: &Turn, report: &mut Report) -> Result<(), Fault> {
        if self.state.is_none() {
            if turn.is_last {
                return Ok(());
            }
            let (state, entries) = State::open(&self.plan.options.state)?;
            self.entries = entries.into_iter().map(|entry| (entry.id, entry)).collect();
            self.state = Some(state);
        }
        self.note(&turn.progress);
        if turn.is_last {
            return self.write();
        }
        let is_due = self.next_look.is_none_or(|due| due <= turn.now);
        let has_ended = turn.progress.iter().any(|(id, progress)| progress.open == 0 && self.complete.contains_key(id));
        if (is_due || has_ended || self.reading.is_none() && !self.waiting.is_empty())
            && let Err(fault) = self.visit(turn, is_due, report)
        {
            self.failure = Some(fault.code());
        }
        // A file's number has to be known after a crash before a message of it goes out.
        if self.must_write || self.next_write.is_none_or(|due| due <= turn.now) {
            self.next_write = Some(turn.now + WRITE_EVERY);
            self.write()?;
        }
        self.read(turn, report);
        Ok(())
    }

    /// Everything that is done in the folder, where that can be opened.
    fn visit(&mut self, turn: &Turn, is_due: bool, report: &mut Report) -> Result<(), Fault> {
        if is_due {
            self.next_look = Some(turn.now + self.plan.options.poll);
            self.failure = None;
        }
        let folder = self.plan.folder.open()?;
        if is_due {
            self.look(&folder, turn.now, report)?;
        }
        self.put_away(&folder, turn, report);
        while self.reading.is_none()
            && let Some(found) = self.waiting.pop()
        {
            if let Err(fault) = self.open(&folder, &found, report) {
                self.failure = Some(fault.code());
            }
        }
        Ok(())
    }

    fn note(&mut self, progress: &[(FileId, Progress)]) {
        self.unsettled = progress.iter().filter(|(_, progress)| progress.open > 0).map(|(id, _)| *id).collect();
        for (id, progress) in progress {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.offset = progress.offset;
            }
        }
    }

    fn write(&mut self) -> Result<(), Fault> {
        if let Some(state) = &mut self.state {
            state.write(self.entries.values())?;
        }
        self.must_write = false;
        Ok(())
    }

    /// Which files are to be read, and which are no more.
    fn look(&mut self, folder: &OwnedFd, now: Instant, report: &mut Report) -> Result<(), Fault> {
        let found = folder::list(folder, &self.plan)?;
        let mut seen = HashMap::with_capacity(found.len());
        for file in &found {
            let Found { name, identity, version } = file;
            let before = self.seen.get(name).filter(|seen| (seen.identity, seen.version) == (*identity, *version));
            let since = before.map_or(now, |seen| seen.since);
            seen.insert(name.clone(), Seen { identity: *identity, version: *version, since });
        }
        self.seen = seen;
        self.drop_missing(&found, report);
        let known: HashMap<Identity, FileId> = self.entries.values().map(|entry| (entry.identity, entry.id)).collect();
        let settle_for = self.plan.options.settle_for;
        let is_settled = |file: &Found| self.seen.get(&file.name).is_some_and(|seen| seen.since + settle_for <= now);
        let is_wanted = |file: &Found| known.get(&file.identity).is_none_or(|id| self.is_wanted(*id, file.version));
        // From the last one to the first.
        self.waiting = found.into_iter().rev().filter(|file| is_settled(file) && is_wanted(file)).collect();
        Ok(())
    }

    /// What is known of files that are not there any more, and that nobody reads.
    fn drop_missing(&mut self, found: &[Found], report: &mut Report) {
        let there: std::collections::HashSet<Identity> = found.iter().map(|file| file.identity).collect();
        let (complete, reading) = (&self.complete, self.reading.as_ref().map(|(reader, _)| reader.id));
        let missing = |entry: &Entry| {
            !there.contains(&entry.identity) && !complete.contains_key(&entry.id) && reading != Some(entry.id)
        };
        let gone: Vec<FileId> = self.entries.values().filter(|entry| missing(entry)).map(|entry| entry.id).collect();
        for id in gone {
            self.forget(id, report);
        }
    }

    fn forget(&mut self, id: FileId, report: &mut Report) {
        self.entries.remove(&id);
        self.complete.remove(&id);
        report.forgotten.push(id);
        self.must_write = true;
    }

    fn is_wanted(&self, id: FileId, version: Version) -> bool {
        let Some(entry) = self.entries.get(&id) else { return true };
        let is_in_hand = self.complete.contains_key(&id)
            || self.unsettled.contains(&id)
            || self.reading.as_ref().is_some_and(|(reader, _)| reader.id == id);
        let is_over = entry.is_finished || entry.failed.is_some();
        !(is_in_hand || is_over && entry.version == version)
    }

    fn put_away(&mut self, folder: &OwnedFd, turn: &Turn, report: &mut Report) {
        for (id, progress) in &turn.progress {
            if progress.open > 0 {
                continue;
            }
            let (Some(version), Some(entry)) = (self.complete.get(id).copied(), self.entries.get(id)) else { continue };
            match finish(folder, entry, version, &self.plan) {
                Ok(Finished::Gone) => self.forget(*id, report),
                Ok(ended) => {
                    self.complete.remove(id);
                    if let Some(entry) = self.entries.get_mut(id) {
                        entry.is_finished = ended == Finished::Stays;
                    }
                    report.forgotten.push(*id);
                    self.must_write = true;
                }
                // Tried again; other files are read meanwhile.
                Err(fault) => self.failure = Some(fault.code()),
            }
        }
    }

    fn open(&mut self, folder: &OwnedFd, found: &Found, report: &mut Report) -> Result<(), Fault> {
        let (file, identity, version) = folder::open(folder, &found.name, &self.plan)?;
        if (identity, version) != (found.identity, found.version) {
            // Written to since the look: it has to settle.
            return Ok(());
        }
        let known = self.entries.values().find(|entry| entry.identity == identity).map(|entry| entry.id);
        let id = match known.filter(|id| self.goes_on(*id, &found.name, &file, version)) {
            Some(id) => id,
            None => {
                if let Some(old) = known {
                    self.forget(old, report);
                }
                self.enter(found, &file)?
            }
        };
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(()) };
        (entry.is_finished, entry.failed, entry.version, entry.tail) = (false, None, version, None);
        entry.name.clone_from(&found.name);
        self.must_write = true;
        let second = file.try_clone().map_err(|error| Fault::new(Code::FileRead, error.to_string()))?;
        match Reader::open(file, &found.name, (id, version, entry.offset), &self.plan.options) {
            Ok(reader) => self.reading = Some((reader, second)),
            Err(fault) => entry.failed = Some(fault.code()),
        }
        Ok(())
    }

    /// Whether the file is the one that is known, perhaps with more at its end, and not another in its place: an inode
    /// is used again, and a copy over a file keeps it.
    fn goes_on(&self, id: FileId, name: &str, file: &File, version: Version) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        let begins_as_it_did = || folder::head(file, Some(entry.head.0)).is_ok_and(|head| head == entry.head);
        if version == entry.version {
            // Perhaps renamed.
            return begins_as_it_did();
        }
        let is_gzip = name.ends_with(".gz");
        // A compressed file that was cut off may be completed, and a complete one only be replaced.
        let has_one_text = matches!(self.plan.options.rows, Rows::Whole) || is_gzip && entry.tail.is_some();
        let goes_past = |tail| folder::tail(file, entry.version.size).is_ok_and(|now| now == tail);
        name == entry.name
            && (entry.offset == 0 || !has_one_text && (is_gzip || version.size >= entry.offset))
            && begins_as_it_did()
            && entry.tail.is_none_or(goes_past)
    }

    /// Gives the file its number: made of all that tells it from another, so that it comes out the same once more.
    fn enter(&mut self, found: &Found, file: &File) -> Result<FileId, Fault> {
        let head = folder::head(file, None)?;
        let Identity { device, inode } = found.identity;
        let numbers = [device, inode, found.version.size, found.version.modified.cast_unsigned()].map(u64::to_le_bytes);
        let id = folder::digest(&[found.name.as_bytes(), numbers.as_flattened(), &head.1]);
        let entry = Entry {
            id,
            name: found.name.clone(),
            identity: found.identity,
            head,
            tail: None,
            offset: 0,
            version: found.version,
            is_finished: false,
            failed: None,
        };
        self.entries.insert(id, entry);
        Ok(id)
    }

    fn read(&mut self, turn: &Turn, report: &mut Report) {
        let Some((reader, file)) = &mut self.reading else { return };
        if turn.messages == 0 || turn.bytes == 0 {
            return;
        }
        let id = reader.id;
        let (messages, read) = reader.next(turn.messages, turn.bytes.min(TURN_BYTES), &self.plan.options);
        // What was read is of one file only when it still begins as it did, and is as long.
        let same = self.entries.get(&id).is_some_and(|entry| is_same(file, entry, reader.version));
        let read = if same { read } else { Err(Fault::new(Code::FileChanged, "the file is another")) };
        let (end, is_at_end) = (reader.offset(), reader.is_at_end());
        match read {
            Ok(()) => {
                // One without a message is put away at once.
                report.is_busy = !is_at_end || !self.waiting.is_empty() || messages.is_empty();
                report.read = Some((id, end, messages));
                if is_at_end {
                    if let Some(entry) = self.entries.get_mut(&id) {
                        entry.tail = folder::tail(file, reader.version.size).ok();
                    }
                    self.complete.insert(id, reader.version);
                    self.reading = None;
                }
            }
            Err(fault) if fault.code() == Code::FileChanged => {
                self.failure = Some(fault.code());
                self.reading = None;
                self.forget(id, report);
            }
            Err(fault) => {
                report.read = Some((id, end, messages));
                self.reading = None;
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.failed = Some(fault.code());
                }
                self.must_write = true;
            }
        }
    }
}

fn is_same(file: &File, entry: &Entry, version: Version) -> bool {
    match folder::version_of(file) {
        Ok(now) if now == version => true,
        // What is appended is read another time.
        Ok(now) if now.size >= version.size => {
            folder::head(file, Some(entry.head.0)).is_ok_and(|head| head == entry.head)
        }
        _ => false,
    }
}
