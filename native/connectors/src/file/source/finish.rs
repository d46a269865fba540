//! What becomes of a file when every message of it is stored.

use message::{Code, Fault};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, RenameFlags, fsync, renameat_with, unlinkat};
use rustix::io::Errno;

use super::folder::stat;
use super::options::{Done, Plan};
use super::state::{Entry, Version};

/// Names that are tried in a folder where the file's own is taken.
const MAX_NAMES: u32 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// It lies where it was.
    Stays,
    /// Moved or deleted. With other names, it still lies under these.
    PutAway { has_other_names: bool },
    /// It was written to since it was read.
    Changed,
    /// Its name does not lead to it: it was renamed, moved or deleted.
    Missing,
}

/// Deletes or moves the file, or leaves it; `sync` brings that to the disk. `version`: as it was read. Blocks.
pub(super) fn finish(
    (folder, target): (&OwnedFd, Option<&OwnedFd>),
    entry: &Entry,
    version: Version,
    plan: &Plan,
) -> Result<Finished, Fault> {
    let failed = |error: Errno| {
        let reason = format!("{:?} in {:?}: {}", entry.name, plan.folder.shown, std::io::Error::from(error));
        Fault::new(Code::FileWrite, reason)
    };
    let found = match stat(folder, &entry.name) {
        Err(Errno::NOENT) => return Ok(Finished::Missing),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.inode.is(entry.inode) => return Ok(Finished::Missing),
        Ok(found) if found.version != version => return Ok(Finished::Changed),
        Ok(found) => found,
    };
    match (&plan.options.done, target) {
        (Done::Keep, _) => return Ok(Finished::Stays),
        (Done::Move { .. }, Some(target)) => rename(folder, target, &entry.name).map_err(failed)?,
        (Done::Delete | Done::Move { .. }, _) => {
            unlinkat(folder, entry.name.as_str(), AtFlags::empty()).map_err(failed)?;
        }
    }
    Ok(Finished::PutAway { has_other_names: found.links > 1 })
}

/// What was moved or deleted stays so over a crash. Blocks.
pub(super) fn sync(folder: &OwnedFd, target: Option<&OwnedFd>, plan: &Plan) -> Result<(), Fault> {
    let synced = target.map_or(Ok(()), fsync).and_then(|()| fsync(folder));
    let reason = |error: Errno| format!("{:?}: {}", plan.folder.shown, std::io::Error::from(error));
    synced.map_err(|error| Fault::new(Code::FileWrite, reason(error)))
}

/// Overwrites nothing: `orders.csv` becomes `orders.2.csv` where there is one already.
fn rename(from: &OwnedFd, to: &OwnedFd, name: &str) -> Result<(), Errno> {
    let (stem, end) = match name.find('.').filter(|at| *at > 0) {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    for number in 1..=MAX_NAMES {
        let other = if number == 1 { name.to_owned() } else { format!("{stem}.{number}{end}") };
        match renameat_with(from, name, to, other.as_str(), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            done => return done,
        }
    }
    Err(Errno::EXIST)
}
