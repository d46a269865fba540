//! What blocks: looks into the folder, reads, writes down the progress, puts files away. It works on a thread beside the
//! shard, one turn at a time, and holds all that is known of the files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use message::{Code, Fault};
use rustix::fd::OwnedFd;
use tokio::time::Instant;

use super::broken::{Broken, Summary};
use super::finish::{Finished, finish, give_back, sync, tidy};
use super::folder::{self, Found, Listing};
use super::inbox::ReadOn;
use super::known::{Known, now};
use super::options::{Done, Plan};
use super::overlap::Reading;
use super::progress::Progress;
use super::proof::Proofs;
use super::reader::{Reader, Room, Taken};
use super::same::{goes_on, is_as_found, is_same, number};
use super::state::{Entry, FileId, Inode, State, Version};
use crate::file::folder::Folder;

/// What one turn reads.
const TURN_BYTES: usize = 1 << 20;
/// And looks at, where little of it is messages.
const TURN_TEXT: usize = 4 << 20;
/// What a file counts for at least: opening it takes its time.
const FILE_TEXT: usize = 4 << 10;
/// New files that get their numbers with one write.
const ENTER_AT_ONCE: usize = 1_000;

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
    pub(super) read: Vec<ReadOn>,
    /// After that.
    pub(super) forgotten: Vec<FileId>,
    pub(super) failure: Option<Code>,
    /// Of single files, each once.
    pub(super) faults: Vec<Fault>,
    /// Where it has changed.
    pub(super) broken: Option<Summary>,
    /// There is more to read at once.
    pub(super) is_busy: bool,
}

/// A file of the folder, and since when it has been as it is.
struct Seen {
    inode: Inode,
    version: Version,
    since: Instant,
}

pub(super) struct Worker {
    plan: Arc<Plan>,
    state: Option<State>,
    /// The folder that was there, which is not made anew.
    folder: Option<String>,
    /// The folder that is there, while no other in reads the same files.
    held: Option<Reading>,
    known: Known,
    /// Read to their ends, as they were then; not every message of them is stored.
    complete: BTreeMap<FileId, Version>,
    /// Messages of these are with the host: they are not read anew, or those would come twice.
    unsettled: BTreeSet<FileId>,
    seen: HashMap<String, Seen>,
    waiting: Vec<Found>,
    reading: Option<(Reader, File)>,
    next_look: Option<Instant>,
    next_write: Option<Instant>,
    /// A file's number has to be known after a crash before a message of it goes out. All else that a crash forgets comes
    /// again with the same numbers.
    must_write: bool,
    proofs: Proofs,
    broken: Broken,
    /// Of the last look into the folder, and of files since.
    failure: Option<Code>,
}

impl Worker {
    pub(super) fn new(plan: Arc<Plan>) -> Worker {
        Worker {
            plan,
            state: None,
            folder: None,
            held: None,
            known: Known::default(),
            complete: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            seen: HashMap::new(),
            waiting: Vec::new(),
            reading: None,
            next_look: None,
            next_write: None,
            must_write: false,
            proofs: Proofs::default(),
            broken: Broken::default(),
            failure: None,
        }
    }

    pub(super) fn turn(&mut self, turn: &Turn) -> Report {
        let mut report = Report::default();
        let worked = self.work(turn, &mut report);
        (report.faults, report.broken) = (self.broken.take_reports(), self.broken.take_summary());
        if let Err(fault) = worked {
            report.failure = Some(fault.code());
            return report;
        }
        report.failure = self.failure.or(self.known.failed());
        report
    }

    /// Forgets nothing when it fails: the next turn begins again.
    fn work(&mut self, turn: &Turn, report: &mut Report) -> Result<(), Fault> {
        if self.state.is_none() {
            if turn.is_last {
                return Ok(());
            }
            let (state, written) = State::open(&self.plan.options.state, self.plan.options.fence.clone())?;
            self.known = Known::new(written.entries);
            (self.state, self.folder) = (Some(state), written.folder);
        }
        self.note(&turn.progress);
        if turn.is_last {
            return self.write(turn.now);
        }
        let is_due = self.next_look.is_none_or(|due| due <= turn.now);
        let has_ended = turn.progress.iter().any(|(id, progress)| progress.open == 0 && self.complete.contains_key(id));
        let mut folder = None;
        if is_due || has_ended || !self.waiting.is_empty() {
            match self.visit(turn, is_due, report) {
                Ok(visited) => folder = Some(visited),
                Err(fault) => self.failure = Some(fault.code()),
            }
        }
        if self.must_write || self.next_write.is_none_or(|due| due <= turn.now) {
            self.write(turn.now)?;
        }
        self.read(turn, folder.as_ref(), report);
        Ok(())
    }

    /// Everything that is done in the folder, where that can be opened.
    fn visit(&mut self, turn: &Turn, is_due: bool, report: &mut Report) -> Result<OwnedFd, Fault> {
        if is_due {
            self.next_look = Some(turn.now + self.plan.options.poll);
            self.failure = None;
        }
        let folder = self.open_folder()?;
        if is_due {
            self.look(&folder, turn.now, report)?;
        }
        if let Err(fault) = self.put_away(&folder, turn, report) {
            self.failure = Some(fault.code());
        }
        self.enter_next(&folder, report);
        Ok(folder)
    }

    /// Makes it only once: when it has vanished, its disk may not be mounted, and an empty one in its place would hide that.
    fn open_folder(&mut self) -> Result<OwnedFd, Fault> {
        let plan = Arc::clone(&self.plan);
        let folder = &plan.folder;
        if self.folder.as_ref() == Some(&folder.shown) {
            let opened = folder.open_existing()?;
            return self.hold(&opened).map(|()| opened);
        }
        let opened = folder.open()?;
        self.hold(&opened)?;
        self.folder = Some(folder.shown.clone());
        self.known.is_changed = true;
        Ok(opened)
    }

    /// Sees to it that no other in reads the same files, by whatever path: each would take them from the other.
    fn hold(&mut self, folder: &OwnedFd) -> Result<(), Fault> {
        if self.held.as_ref().is_some_and(|held| held.is_of(folder)) {
            return Ok(());
        }
        self.held = None;
        let options = &self.plan.options;
        let held = Reading::begin(folder, &options.pattern).map_err(|error| self.plan.folder.refused(error))?;
        self.held = held;
        if self.held.is_none() {
            let reason = format!(
                "another in reads files of the folder {:?} that fit {:?}",
                self.plan.folder.shown, options.pattern
            );
            return Err(Fault::new(Code::ConfigConflict, reason));
        }
        give_back(folder, &self.plan).map_err(|error| self.plan.folder.refused(error))
    }

    fn note(&mut self, progress: &[(FileId, Progress)]) {
        self.unsettled = progress.iter().filter(|(_, progress)| progress.open > 0).map(|(id, _)| *id).collect();
        for (id, progress) in progress {
            self.known.on_stored(*id, progress);
        }
    }

    fn write(&mut self, now: Instant) -> Result<(), Fault> {
        if let Some(state) = &mut self.state
            && self.known.is_changed
        {
            state.write(self.folder.as_deref(), self.known.iter())?;
            self.next_write = Some(now + state.pause());
        }
        (self.must_write, self.known.is_changed) = (false, false);
        Ok(())
    }

    /// Which files are to be read, and which are no more.
    fn look(&mut self, folder: &OwnedFd, now: Instant, report: &mut Report) -> Result<(), Fault> {
        let Listing { files: found, unreadable } = folder::list(folder, &self.plan)?;
        let mut seen = HashMap::with_capacity(found.len());
        for file in &found {
            let Found { name, inode, version, .. } = file;
            let before = self.seen.get(name).filter(|seen| (seen.inode, seen.version) == (*inode, *version));
            let since = before.map_or(now, |seen| seen.since);
            seen.insert(name.clone(), Seen { inode: *inode, version: *version, since });
        }
        self.seen = seen;
        for file in &found {
            if let Some(other) = self.known.on_found(file) {
                self.forget(other, report);
            }
            self.on_written(file);
        }
        self.known.on_look(now);
        self.miss(&found, report);
        self.broken.retain(|name| self.seen.contains_key(name) || unreadable.contains_key(name));
        for (name, version) in &unreadable {
            let fault = Fault::new(Code::FileRead, "its name is no UTF-8: rename it");
            self.broken.report(name, *version, &fault);
            self.failure = Some(fault.code());
        }
        for entry in self.known.iter() {
            // Perhaps by another name than before. One that is gone is known as such only when nothing of it is in hand.
            if let Some(fault) = &entry.failed
                && self.seen.contains_key(&entry.name)
            {
                self.broken.report(&entry.name, entry.version, fault);
            }
        }
        let settle_for = self.plan.options.settle_for;
        let is_settled = |file: &Found| self.seen.get(&file.name).is_some_and(|seen| seen.since + settle_for <= now);
        let is_wanted =
            |file: &Found| self.known.find(file.inode).is_none_or(|entry| self.is_wanted(entry, file.version, now));
        // From the last one to the first.
        self.waiting = found.into_iter().rev().filter(|file| is_settled(file) && is_wanted(file)).collect();
        Ok(())
    }

    /// A file that has more than was read of it is not done, whatever its name is now.
    fn on_written(&mut self, found: &Found) {
        let Some(id) = self.known.find(found.inode).map(|entry| entry.id) else { return };
        if !self.unsettled.contains(&id) && self.complete.get(&id).is_some_and(|version| *version != found.version) {
            self.complete.remove(&id);
        }
    }

    /// Files that are known and not there, and that nobody reads.
    fn miss(&mut self, found: &[Found], report: &mut Report) {
        let there: HashSet<FileId> = found.iter().filter_map(|file| Some(self.known.find(file.inode)?.id)).collect();
        let is_missing = |entry: &&Entry| {
            let is_new = entry.gone.is_none() || self.complete.contains_key(&entry.id);
            // What was read of it is delivered first.
            is_new && !self.is_in_hand(entry.id) && !there.contains(&entry.id)
        };
        let missing: Vec<(FileId, bool)> = self
            .known
            .iter()
            .filter(is_missing)
            .map(|entry| {
                // Another file has its name: it was replaced.
                (entry.id, self.seen.contains_key(&entry.name))
            })
            .collect();
        for (id, is_replaced) in missing {
            if is_replaced {
                self.forget(id, report);
            } else {
                self.on_gone(id, report);
            }
        }
        for id in self.known.expired() {
            self.forget(id, report);
        }
    }

    /// Stays known, in case that it comes back.
    fn on_gone(&mut self, id: FileId, report: &mut Report) {
        let is_stored = self.complete.remove(&id).is_some();
        // One that is to be put away is then put away.
        let stays = self.plan.options.done == Done::Keep;
        self.known.change(id, |entry| {
            (entry.gone, entry.failed) = (Some(now()), None);
            entry.is_finished = stays && (is_stored || entry.is_finished);
        });
        report.forgotten.push(id);
    }

    fn forget(&mut self, id: FileId, report: &mut Report) {
        self.known.remove(id);
        self.complete.remove(&id);
        report.forgotten.push(id);
    }

    /// It is read, or the host has messages of it.
    fn is_in_hand(&self, id: FileId) -> bool {
        self.unsettled.contains(&id) || self.reading.as_ref().is_some_and(|(reader, _)| reader.id == id)
    }

    fn is_wanted(&self, entry: &Entry, version: Version, now: Instant) -> bool {
        let is_under_way = self.complete.contains_key(&entry.id) || self.is_in_hand(entry.id);
        let is_over = entry.is_finished || entry.failed.is_some();
        let is_to_be_proven = entry.failed.is_none() && entry.is_unproven && self.proofs.may_begin(now);
        !(is_under_way || is_over && entry.version == version && !is_to_be_proven)
    }

    /// The files of which everything is stored.
    fn put_away(&mut self, folder: &OwnedFd, turn: &Turn, report: &mut Report) -> Result<(), Fault> {
        if !self.state.as_ref().is_some_and(State::is_held) {
            return Ok(());
        }
        let stored = turn.progress.iter().filter(|(_, progress)| progress.open == 0);
        let stored: Vec<(FileId, Version)> =
            stored.filter_map(|(id, _)| Some((*id, *self.complete.get(id)?))).collect();
        if stored.is_empty() {
            return Ok(());
        }
        let target = self.plan.target.as_ref().map(Folder::open).transpose()?;
        let (mut put_away, mut failed) = (Vec::new(), Ok(()));
        for (id, version) in stored {
            let Some(entry) = self.known.get(id) else { continue };
            match finish((folder, target.as_ref()), entry, version, &self.plan) {
                Ok(Finished::PutAway { has_other_names }) => {
                    self.broken.resolve(&entry.name);
                    put_away.push((id, has_other_names));
                }
                // The next look finds it by another name, or not.
                Ok(Finished::Missing) => {}
                Ok(ended) => {
                    self.complete.remove(&id);
                    self.known.change(id, |entry| entry.is_finished = ended == Finished::Stays);
                    report.forgotten.push(id);
                }
                // Tried again; other files are put away meanwhile.
                Err(fault) => {
                    self.broken.report(&entry.name, version, &fault);
                    failed = Err(fault);
                }
            }
        }
        tidy(folder);
        if !put_away.is_empty() {
            sync(folder, target.as_ref(), &self.plan)?;
        }
        for (id, has_other_names) in put_away {
            if has_other_names {
                // The other names are put away, too, without a message.
                self.on_gone(id, report);
            } else {
                self.forget(id, report);
            }
        }
        failed
    }

    /// Gives numbers to the files that are read next.
    fn enter_next(&mut self, folder: &OwnedFd, report: &mut Report) {
        if self.waiting.last().is_none_or(|found| self.known.find(found.inode).is_some()) {
            return;
        }
        let mut next = self.waiting.split_off(self.waiting.len().saturating_sub(ENTER_AT_ONCE));
        next.retain(|found| {
            self.known.find(found.inode).is_some()
                || self.enter(folder, found, report).unwrap_or_else(|fault| {
                    self.failure = Some(fault.code());
                    self.broken.report(&found.name, found.version, &fault);
                    false
                })
        });
        self.waiting.append(&mut next);
    }

    /// Whether it has a number now.
    fn enter(&mut self, folder: &OwnedFd, found: &Found, report: &mut Report) -> Result<bool, Fault> {
        let (file, now) = folder::open(folder, &found.name, &self.plan)?;
        if !is_as_found(&now, found) {
            return Ok(false);
        }
        let head = folder::head(&file, None)?;
        let id = number(found, &head.1);
        if self.unsettled.contains(&id) {
            return Ok(false);
        }
        if let Some(old) = self.known.by_number(found.inode.number).map(|entry| entry.id) {
            self.forget(old, report);
        }
        self.known.insert(Entry::new(id, found, head));
        self.must_write = true;
        Ok(true)
    }

    /// The next file, as long as the ones that wait have their numbers. Whether there is one.
    fn open_next(&mut self, folder: &OwnedFd, now: Instant, report: &mut Report) -> bool {
        while !self.must_write
            && let Some(found) = self.waiting.pop_if(|found| self.known.find(found.inode).is_some())
        {
            let (name, version) = (found.name.clone(), found.version);
            if let Err(fault) = self.open(folder, found, now, report) {
                self.failure = Some(fault.code());
                self.broken.report(&name, version, &fault);
            }
            if self.reading.is_some() {
                return true;
            }
        }
        false
    }

    fn open(&mut self, folder: &OwnedFd, found: Found, now: Instant, report: &mut Report) -> Result<(), Fault> {
        let (file, there) = folder::open(folder, &found.name, &self.plan)?;
        let Some(entry) = self.known.find(found.inode) else { return Ok(()) };
        if !is_as_found(&there, &found) {
            return Ok(());
        }
        let (id, place) = (entry.id, (entry.offset, entry.check));
        // In a file that was written to, other messages may begin there.
        let is_changed = entry.version != found.version;
        let stored = if is_changed { Vec::new() } else { entry.stored.clone() };
        let is_unproven = entry.offset > 0 && (is_changed || entry.is_unproven);
        // Nobody but an appender makes it longer and leaves it; a file that is to be put away has no other time.
        let has_grown = !is_changed || found.version.size > entry.version.size;
        let may_wait = has_grown && self.plan.options.done == Done::Keep;
        let is_proving = is_unproven && (!may_wait || self.proofs.may_begin(now));
        if !goes_on(entry, &found, &file, &self.plan.options.rows) {
            self.forget(id, report);
            if self.enter(folder, &found, report)? {
                self.waiting.push(found);
            }
            return Ok(());
        }
        let head = folder::head(&file, None)?;
        let second = file.try_clone().map_err(|error| Fault::new(Code::FileRead, error.to_string()))?;
        let reader =
            Reader::open(file, &found.name, (id, found.version, place), stored.clone(), is_proving, &self.plan.options);
        if is_proving {
            self.proofs.on_begun(now, place.0);
        }
        self.reading = Some((reader, second));
        self.known.change(id, |entry| {
            // There may be more of its first bytes than when it was seen first.
            (entry.name, entry.inode, entry.version, entry.head) = (found.name, found.inode, found.version, head);
            (entry.is_finished, entry.failed, entry.tail, entry.stored) = (false, None, None, stored);
            entry.is_unproven = is_unproven;
        });
        Ok(())
    }

    fn read(&mut self, turn: &Turn, folder: Option<&OwnedFd>, report: &mut Report) {
        let mut room = Room { messages: turn.messages, bytes: turn.bytes.min(TURN_BYTES), text: TURN_TEXT };
        while room.messages > 0 && room.bytes > 0 && room.text > 0 {
            if self.reading.is_none() && !folder.is_some_and(|folder| self.open_next(folder, turn.now, report)) {
                break;
            }
            self.read_on(&mut room, report);
        }
        // A file without a message is put away at once.
        let is_put_away = report.read.iter().any(|read| read.messages.is_empty());
        let may_open = folder.is_some() && !self.waiting.is_empty();
        report.is_busy = self.reading.is_some() || may_open || is_put_away;
    }

    /// In the file that is open. Takes what it reads out of the room.
    fn read_on(&mut self, room: &mut Room, report: &mut Report) {
        let Some((reader, file)) = &mut self.reading else { return };
        let id = reader.id;
        let before = reader.place();
        let Taken { messages, stored, text, read } = reader.next(*room, &self.plan.options);
        room.text = room.text.saturating_sub(text.max(FILE_TEXT));
        // What was read is of one file only when it still begins as it did, and is as long.
        let is_same = self.known.get(id).is_some_and(|entry| is_same(file, entry, reader.version, before));
        let read = if is_same { read } else { Err(Fault::new(Code::FileChanged, "the file is another")) };
        let (end, is_at_end, has_proven) = (reader.end(), reader.is_at_end(), reader.has_proven());
        if read.is_ok() && has_proven && self.known.get(id).is_some_and(|entry| entry.is_unproven) {
            self.known.change(id, |entry| entry.is_unproven = false);
        }
        match &read {
            Ok(()) if !is_at_end => {}
            Ok(()) => {
                let tail = folder::tail(file, reader.version.size).ok();
                self.complete.insert(id, reader.version);
                self.known.change(id, |entry| entry.tail = tail);
                if let Some(entry) = self.known.get(id) {
                    self.broken.resolve(&entry.name);
                }
                self.reading = None;
            }
            Err(fault) if fault.code() == Code::FileChanged => {
                self.failure = Some(fault.code());
                self.reading = None;
                self.forget(id, report);
                return;
            }
            Err(fault) => {
                if let Some(entry) = self.known.get(id) {
                    self.broken.report(&entry.name, entry.version, fault);
                }
                self.known.change(id, |entry| entry.failed = Some(fault.clone()));
                self.reading = None;
            }
        }
        room.messages = room.messages.saturating_sub(messages.len());
        room.bytes = room.bytes.saturating_sub(messages.iter().map(|message| message.payload.len()).sum());
        report.read.push(ReadOn { file: id, end, messages, stored });
    }
}
