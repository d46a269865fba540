//! What is known of files: by their numbers, and by their inodes, of which no two have the same.
//!
//! A file that is missing stays known for a week, as the disk may come back that it lies on. The week is counted in steps
//! while the folder is looked into, and not taken from the time of day: a clock that is set would end it at once.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use message::{Code, Fault};
use tokio::time::Instant;

use super::folder::Found;
use super::progress::Progress;
use super::state::{Entry, FileId, Inode, MAX_FILES};

const STEP: Duration = Duration::from_secs(10 * 60);
/// A week.
const STEPS: u64 = 7 * 24 * 6;

#[derive(Default)]
pub(super) struct Known {
    entries: BTreeMap<FileId, Entry>,
    by_inode: HashMap<u64, FileId>,
    /// When the last step of the week ended.
    stepped: Option<Instant>,
    /// Not all of it is written down.
    pub(super) is_changed: bool,
}

impl Known {
    pub(super) fn new(entries: Vec<Entry>) -> Known {
        let mut known = Known::default();
        for entry in entries {
            known.insert(entry);
        }
        Known { is_changed: false, ..known }
    }

    pub(super) fn get(&self, id: FileId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn find(&self, inode: Inode) -> Option<&Entry> {
        self.by_number(inode.number).filter(|entry| entry.inode.is(inode))
    }

    /// The file that has the number, or had it.
    pub(super) fn by_number(&self, number: u64) -> Option<&Entry> {
        self.entries.get(self.by_inode.get(&number)?)
    }

    /// The first reason why a file cannot be read on.
    pub(super) fn failed(&self) -> Option<Code> {
        self.iter().find_map(|entry| entry.failed.as_ref().map(Fault::code))
    }

    pub(super) fn change(&mut self, id: FileId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(&id) {
            change(entry);
            self.is_changed = true;
        }
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        if let Some(old) = self.by_inode.insert(entry.inode.number, entry.id) {
            self.entries.remove(&old);
        }
        self.entries.insert(entry.id, entry);
        self.is_changed = true;
    }

    pub(super) fn remove(&mut self, id: FileId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.by_inode.remove(&entry.inode.number);
        self.is_changed = true;
    }

    pub(super) fn on_stored(&mut self, id: FileId, progress: &Progress) {
        let Some(entry) = self.get(id) else { return };
        let stored = progress.with_rest_of(&entry.stored);
        if (entry.offset, entry.check, &entry.stored) != (progress.offset, progress.check, &stored) {
            self.change(id, |entry| {
                (entry.offset, entry.check, entry.stored) = (progress.offset, progress.check, stored);
            });
        }
    }

    /// A file is there, perhaps again, or by another name. Gives the number of another one whose inode it has.
    pub(super) fn on_found(&mut self, found: &Found) -> Option<FileId> {
        let entry = self.find(found.inode)?;
        let (id, is_same) = (entry.id, entry.version == found.version);
        // What was written to a file while it was missing is behind what it held.
        let is_other = !is_same && entry.gone.is_some() && found.version.size <= entry.version.size;
        let is_renamed = entry.name != found.name && (is_same || entry.inode.is_surely(found.inode));
        if is_other && !entry.inode.is_surely(found.inode) {
            return Some(id);
        }
        if is_renamed {
            self.change(id, |entry| entry.name.clone_from(&found.name));
        }
        if is_same && self.get(id).is_some_and(|entry| entry.inode != found.inode) {
            self.change(id, |entry| entry.inode = found.inode);
        }
        if self.get(id).is_some_and(|entry| entry.gone.is_some()) {
            self.change(id, |entry| (entry.gone, entry.missed) = (None, 0));
        }
        None
    }

    /// Another look did not find them. Counts one step at most, however far the clock went since the last one.
    pub(super) fn on_look(&mut self, now: Instant) {
        let since = *self.stepped.get_or_insert(now);
        if now.saturating_duration_since(since) < STEP {
            return;
        }
        self.stepped = Some(now);
        for entry in self.entries.values_mut().filter(|entry| entry.gone.is_some()) {
            entry.missed += 1;
            self.is_changed = true;
        }
    }

    /// Those that have been missing for too long, or are too many.
    pub(super) fn expired(&self) -> Vec<FileId> {
        let of = |entry: &Entry| entry.gone.map(|since| (since, entry.missed, entry.id));
        let mut gone: Vec<(u64, u64, FileId)> = self.iter().filter_map(of).collect();
        gone.sort_unstable();
        let too_many = gone.len().saturating_sub(MAX_FILES);
        let is_over = |(at, (_, missed, _)): &(usize, (u64, u64, FileId))| *at < too_many || *missed >= STEPS;
        gone.into_iter().enumerate().filter(is_over).map(|(_, (_, _, id))| id).collect()
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::state::Version;
    use super::*;

    #[test]
    fn a_missing_file_is_known_for_a_week_of_looks_whatever_the_clocks_say() {
        let mut known = Known::default();
        let inode = Inode { number: 1, born: None };
        let version = Version { size: 1, modified: 1 };
        known.insert(Entry {
            id: [1; 16],
            name: "a".to_owned(),
            inode,
            head: (1, [1; 16]),
            tail: None,
            offset: 1,
            check: None,
            stored: Vec::new(),
            version,
            is_finished: true,
            is_unproven: false,
            // 1970: by the time of day, missing for decades.
            gone: Some(0),
            missed: 0,
            failed: None,
        });
        let mut now = Instant::now();
        known.on_look(now);
        // A clock that goes on by days at once.
        now += Duration::from_secs(9 * 24 * 60 * 60);
        known.on_look(now);
        assert!(known.expired().is_empty());
        for _ in 2..STEPS {
            now += STEP;
            known.on_look(now);
        }
        assert!(known.expired().is_empty());
        now += STEP;
        known.on_look(now);
        assert_eq!(known.expired(), [[1; 16]]);
        assert_eq!(known.on_found(&Found { name: "a".to_owned(), inode, version, links: 1 }), None);
        known.on_look(now + STEP);
        assert_eq!(known.get([1; 16]).map(|entry| (entry.gone, entry.missed)), Some((None, 0)));
    }
}
