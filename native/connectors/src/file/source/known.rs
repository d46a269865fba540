//! What is known of files: by their numbers, and by their inodes, of which no two have the same.
//!
//! A file that is missing stays known for a week, as the disk may come back that it lies on.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use message::Code;

use super::folder::Found;
use super::state::{Entry, FileId, Inode, MAX_FILES};

const GONE_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Default)]
pub(super) struct Known {
    entries: BTreeMap<FileId, Entry>,
    by_inode: HashMap<u64, FileId>,
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
        self.iter().find_map(|entry| entry.failed)
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

    /// Everything before is stored.
    pub(super) fn on_stored(&mut self, id: FileId, offset: u64) {
        if self.get(id).is_some_and(|entry| entry.offset != offset) {
            self.change(id, |entry| entry.offset = offset);
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
            self.change(id, |entry| entry.gone = None);
        }
        None
    }

    /// Those that have been missing for too long, or are too many.
    pub(super) fn expired(&self) -> Vec<FileId> {
        let mut gone: Vec<(u64, FileId)> =
            self.iter().filter_map(|entry| entry.gone.map(|since| (since, entry.id))).collect();
        gone.sort_unstable();
        let too_many = gone.len().saturating_sub(MAX_FILES);
        let before = now().saturating_sub(GONE_FOR.as_secs());
        let is_over = |(at, (since, _)): &(usize, (u64, FileId))| *at < too_many || *since < before;
        gone.into_iter().enumerate().filter(is_over).map(|(_, (_, id))| id).collect()
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
