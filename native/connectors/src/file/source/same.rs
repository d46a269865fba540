//! Whether a file is the one that is known, and what tells it from another.

use std::fs::File;

use super::folder::{self, Found};
use super::options::Rows;
use super::state::{Entry, FileId, Inode, Version};
use super::trail::{Check, Trail};

/// A file's number: of all that tells it from another, so that it comes out the same once more. Not of its name and its
/// device, which change.
pub(super) fn number(found: &Found, head: &FileId) -> FileId {
    let Inode { number, born } = found.inode;
    let Version { size, modified } = found.version;
    let numbers = [number, born.unwrap_or(0).cast_unsigned(), size, modified.cast_unsigned()].map(u64::to_le_bytes);
    folder::digest(&[numbers.as_flattened(), head])
}

/// Not so when it was written to since the look: it has to settle.
pub(super) fn is_as_found(now: &Found, found: &Found) -> bool {
    (now.inode, now.version) == (found.inode, found.version)
}

/// Whether the file may be the one that is known, perhaps with more at its end, and not another in its place: an inode is
/// used again, and a copy over a file keeps it. What stands before the place where it is read on, the reader looks at. Blocks.
pub(super) fn goes_on(entry: &Entry, found: &Found, file: &File, rows: &Rows) -> bool {
    let Found { name, inode, version, .. } = found;
    let begins_as_it_did = || folder::head(file, Some(entry.head.0)).is_ok_and(|head| head == entry.head);
    if *version == entry.version {
        // Perhaps renamed.
        return begins_as_it_did();
    }
    let is_gzip = name.ends_with(".gz");
    let has_one_text = matches!(rows, Rows::Whole);
    let goes_past = |tail| folder::tail(file, entry.version.size).is_ok_and(|now| now == tail);
    (*name == entry.name || entry.inode.is_surely(*inode))
        && (entry.offset == 0 || !has_one_text && (is_gzip || version.size >= entry.offset))
        && begins_as_it_did()
        && entry.tail.is_none_or(goes_past)
}

/// Whether what was read of an open file, from `before` on, is of the one that is known. Blocks.
pub(super) fn is_same(file: &File, entry: &Entry, version: Version, before: Option<(u64, Check)>) -> bool {
    let begins_as_it_did = || folder::head(file, Some(entry.head.0)).is_ok_and(|head| head == entry.head);
    let leads_there = || {
        let Some((at, check)) = before else { return true };
        Trail::of(file, at, check.all).is_ok_and(|trail| trail.is_some_and(|trail| trail.check() == check))
    };
    match folder::version_of(file) {
        Ok(now) if now == version => true,
        // What is appended is read another time.
        Ok(now) => now.size >= version.size && begins_as_it_did() && leads_there(),
        Err(_) => false,
    }
}
