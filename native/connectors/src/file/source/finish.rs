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
    /// Nothing is left to know of it.
    Gone,
    /// It was written to since it was read.
    Changed,
}

/// Deletes or moves the file, or leaves it. `version`: as it was read. Blocks.
pub(super) fn finish(folder: &OwnedFd, entry: &Entry, version: Version, plan: &Plan) -> Result<Finished, Fault> {
    let failed = |error: Errno| {
        let reason = format!("{:?} in {:?}: {}", entry.name, plan.folder.shown, std::io::Error::from(error));
        Fault::new(Code::FileWrite, reason)
    };
    match stat(folder, &entry.name) {
        // Deleted, or put away by somebody else.
        Err(Errno::NOENT) => return Ok(Finished::Gone),
        Err(error) => return Err(failed(error)),
        Ok((identity, _)) if identity != entry.identity => return Ok(Finished::Gone),
        Ok((_, now)) if now != version => return Ok(Finished::Changed),
        Ok(_) => {}
    }
    match (&plan.options.done, &plan.target) {
        (Done::Keep, _) => return Ok(Finished::Stays),
        (Done::Move { .. }, Some(target)) => {
            let target = target.open()?;
            rename(folder, &target, &entry.name).map_err(failed)?;
            fsync(&target).map_err(failed)?;
        }
        (Done::Delete | Done::Move { .. }, _) => {
            unlinkat(folder, entry.name.as_str(), AtFlags::empty()).map_err(failed)?;
        }
    }
    fsync(folder).map_err(failed)?;
    Ok(Finished::Gone)
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
