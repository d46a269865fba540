//! What becomes of a file when every message of it is stored.
//!
//! ```text
//! inbox/a.csv ─► inbox/.vrsky-away/a.csv ─► looked at once more ─┬─► deleted, or done/a.csv
//!                                                              └─► inbox/a.csv, where it is another one
//! ```
//!
//! A name may come to lead to another file at any moment: only one that nobody else names can be looked at and then deleted.

use message::{Code, Fault};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, fsync, linkat, mkdirat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::folder::{Found, stat};
use super::options::{Done, Plan};
use super::state::{Entry, Version};
use crate::file::folder::FOLDER;

/// In the folder: passed over, as all that is hidden.
const AWAY: &str = ".vrsky-away";
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
    put_away((folder, target), entry, &found, plan).map_err(failed)
}

/// `found`: what the name led to a moment ago.
fn put_away(
    (folder, target): (&OwnedFd, Option<&OwnedFd>),
    entry: &Entry,
    found: &Found,
    plan: &Plan,
) -> Result<Finished, Errno> {
    if plan.options.done == Done::Keep {
        return Ok(Finished::Stays);
    }
    let name = entry.name.as_str();
    let away = open_away(folder, true)?;
    match hide(folder, &away, name) {
        Ok(()) => {}
        // Tried again.
        Err(Errno::NOENT) => return Ok(Finished::Missing),
        // Of a run that was killed.
        Err(Errno::EXIST) => return rename(&away, folder, name).map(|()| Finished::Missing),
        Err(error) => return Err(error),
    }
    let ended = match stat(&away, name) {
        Ok(there) if !there.inode.is(entry.inode) => Ok(Finished::Missing),
        Ok(there) if there.version != found.version => Ok(Finished::Changed),
        // A folder that has taken its place.
        Err(Errno::NOENT) => Ok(Finished::Missing),
        Err(error) => Err(error),
        Ok(there) => {
            let done = match target {
                Some(target) => rename(&away, target, name),
                None => unlinkat(&away, name, AtFlags::empty()),
            };
            done.map(|()| Finished::PutAway { has_other_names: there.links > 1 })
        }
    };
    if !matches!(ended, Ok(Finished::PutAway { .. })) {
        rename(&away, folder, name)?;
    }
    ended
}

fn open_away(folder: &OwnedFd, is_made: bool) -> Result<OwnedFd, Errno> {
    if is_made {
        match mkdirat(folder, AWAY, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    openat(folder, AWAY, FOLDER | OFlags::NOFOLLOW, Mode::empty())
}

fn hide(folder: &OwnedFd, away: &OwnedFd, name: &str) -> Result<(), Errno> {
    match renameat_with(folder, name, away, name, RenameFlags::NOREPLACE) {
        // A file system that cannot do so. Nobody else puts a file there.
        Err(Errno::INVAL | Errno::NOSYS) => match stat(away, name) {
            Err(Errno::NOENT) => renameat(folder, name, away, name),
            found => found.and(Err(Errno::EXIST)),
        },
        done => done,
    }
}

/// What a run that was killed has left there lies in the folder again. Blocks.
pub(super) fn give_back(folder: &OwnedFd, plan: &Plan) -> Result<(), Errno> {
    let away = match open_away(folder, false) {
        Err(Errno::NOENT) => return Ok(()),
        away => away?,
    };
    for entry in Dir::read_from(&away)? {
        let entry = entry?;
        // Another in may read the same folder.
        if let Ok(name) = entry.file_name().to_str()
            && plan.takes(name)
        {
            rename(&away, folder, name)?;
        }
    }
    tidy(folder);
    Ok(())
}

/// The folder that nothing lies in any more is not left behind.
pub(super) fn tidy(folder: &OwnedFd) {
    let _ = unlinkat(folder, AWAY, AtFlags::REMOVEDIR);
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
        let renamed = match renameat_with(from, name, to, other.as_str(), RenameFlags::NOREPLACE) {
            // A file system that cannot do so.
            Err(Errno::INVAL | Errno::NOSYS) => linkat(from, name, to, other.as_str(), AtFlags::empty())
                .and_then(|()| unlinkat(from, name, AtFlags::empty())),
            renamed => renamed,
        };
        match renamed {
            Err(Errno::EXIST) => {}
            done => return done,
        }
    }
    Err(Errno::EXIST)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use message::Limits;
    use rustix::fs::open;

    use super::super::options::{Rows, SourceOptions};
    use super::*;

    fn plan(base: &Path, done: Done) -> Plan {
        let options = SourceOptions {
            base: base.to_owned(),
            customer: "acme".to_owned(),
            path: "inbox".to_owned(),
            allow_absolute: false,
            pattern: "*".to_owned(),
            state: PathBuf::new(),
            rows: Rows::Lines,
            done,
            settle_for: Duration::ZERO,
            poll: Duration::ZERO,
            limits: Limits::default(),
            fence: None,
            max_messages: 1,
            max_bytes: 1,
        };
        Plan::new(options).unwrap()
    }

    fn read_as(found: &Found) -> Entry {
        Entry { offset: found.version.size, ..Entry::new([1; 16], found, (0, [0; 16])) }
    }

    #[test]
    fn a_file_that_takes_the_place_of_one_that_is_about_to_be_put_away_stays() {
        let base = std::env::temp_dir().join(format!("vrsky-finish-{}", std::process::id()));
        for done in [Done::Delete, Done::Move { folder: "done".to_owned() }] {
            let _ = fs::remove_dir_all(&base);
            let inbox = base.join("acme/inbox");
            fs::create_dir_all(&inbox).unwrap();
            let plan = plan(&base, done);
            let target = plan.target.as_ref().map(|target| target.open().unwrap());
            let folder = open(&inbox, FOLDER, Mode::empty()).unwrap();
            fs::write(inbox.join("a.csv"), "old").unwrap();
            let found = stat(&folder, "a.csv").unwrap();
            // Between the look and what follows from it.
            fs::write(inbox.join("new"), "never read").unwrap();
            fs::rename(inbox.join("new"), inbox.join("a.csv")).unwrap();
            let ended = put_away((&folder, target.as_ref()), &read_as(&found), &found, &plan).unwrap();
            assert_eq!(ended, Finished::Missing);
            assert_eq!(fs::read_to_string(inbox.join("a.csv")).unwrap(), "never read");
            // One that was appended to.
            let found = stat(&folder, "a.csv").unwrap();
            fs::write(inbox.join("a.csv"), "never read, and more").unwrap();
            let ended = put_away((&folder, target.as_ref()), &read_as(&found), &found, &plan).unwrap();
            assert_eq!(ended, Finished::Changed);
            assert_eq!(fs::read_to_string(inbox.join("a.csv")).unwrap(), "never read, and more");
            // And one that is as it was.
            let found = stat(&folder, "a.csv").unwrap();
            let ended = put_away((&folder, target.as_ref()), &read_as(&found), &found, &plan).unwrap();
            assert_eq!(ended, Finished::PutAway { has_other_names: false });
            tidy(&folder);
            assert_eq!(fs::read_dir(&inbox).unwrap().count(), 0);
        }
        fs::remove_dir_all(base).unwrap();
    }
}
