//! Where a file may lie: in a folder of its customer (`file/folder.rs`), and no symlink itself.

use std::fs::File;
use std::path::Path;

use message::{Code, Fault};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, Stat, accessat, fsync, open, openat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::FileOptions;
use crate::file::folder::{self, FOLDER, Folder, Identity, Wanted, as_name};

const FILE: OFlags = folder::FILE.union(OFlags::RDWR).union(OFlags::APPEND);

/// A checked path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    folder: Folder,
    name: String,
}

/// A file that was opened, and the folder it lies in.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) folder: OwnedFd,
    pub(super) identity: Identity,
}

impl Place {
    pub(super) fn new(options: &FileOptions) -> Result<Place, Fault> {
        let FileOptions { base, customer, path, allow_absolute } = options;
        let wanted = Wanted { base, customer, path, allow_absolute: *allow_absolute };
        let (folder, name) = wanted.file(Code::FileWrite)?;
        Ok(Place { folder, name })
    }

    /// Makes what is missing. Blocks. `file/outside` for a symlink or what is no file,
    /// `file/write` for all that may change.
    pub(super) fn open(&self) -> Result<Opened, Fault> {
        let folder = self.folder.open()?;
        let name = as_name(&self.name);
        let file = match openat(&folder, name, FILE, Mode::empty()) {
            Err(Errno::NOENT) => {
                let made = openat(&folder, name, FILE | OFlags::CREATE, Mode::from_raw_mode(0o666))
                    .map_err(|error| self.refused(error))?;
                // Its name has to survive a power cut as well as its lines.
                fsync(&folder).map_err(|error| self.refused(error))?;
                made
            }
            opened => opened.map_err(|error| self.refused(error))?,
        };
        let stat = self.is_regular(&file)?;
        Ok(Opened { file: file.into(), folder, identity: Identity::of(&stat) })
    }

    /// Whether `open` would work, as far as that can be seen without making anything. Blocks.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let mut folder = match open(&self.folder.base, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => return self.may_make_base(),
            opened => opened.map_err(|error| self.refused(error))?,
        };
        for name in &self.folder.names {
            folder = match openat(&folder, name.as_str(), FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
                Err(Errno::NOENT) => return self.may_make_in(&folder, "."),
                entered => entered.map_err(|error| self.refused(error))?,
            };
        }
        match openat(&folder, self.name.as_str(), FILE, Mode::empty()) {
            Err(Errno::NOENT) => self.may_make_in(&folder, "."),
            Err(error) => Err(self.refused(error)),
            Ok(file) => self.is_regular(&file).map(drop),
        }
    }

    /// The nearest there is above the base; a symlink that leads nowhere is in the way.
    fn may_make_base(&self) -> Result<(), Fault> {
        let is_there = |folder: &&Path| folder.symlink_metadata().is_ok();
        let there = self.folder.base.ancestors().find(is_there).unwrap_or(Path::new("."));
        self.may_make_in(CWD, there)
    }

    fn may_make_in(&self, from: impl AsFd, folder: impl Arg + Copy) -> Result<(), Fault> {
        accessat(&from, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
            .map_err(|error| self.refused(error))?;
        if is_of_the_kernel(&from, folder) { Err(self.refused(Errno::PERM)) } else { Ok(()) }
    }

    fn is_regular(&self, file: &OwnedFd) -> Result<Stat, Fault> {
        let stat = rustix::fs::fstat(file).map_err(|error| self.refused(error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Fault::new(Code::FileOutside, format!("{:?} is no regular file", self.folder.shown)));
        }
        Ok(stat)
    }

    /// Whether the name still leads to that file: it may have been rotated away or deleted.
    pub(super) fn is(&self, folder: &impl AsFd, identity: Identity) -> bool {
        folder::is_there(folder, &self.name, identity)
    }

    fn refused(&self, error: Errno) -> Fault {
        self.folder.refused(error)
    }

    pub(super) fn failed(&self, error: &std::io::Error) -> Fault {
        self.folder.failed(error)
    }
}

/// By their modes root may write to /proc and /sys, and yet nothing can be made there.
#[cfg(target_os = "linux")]
fn is_of_the_kernel(from: impl AsFd, folder: impl Arg) -> bool {
    use rustix::fs::{FsWord, PROC_SUPER_MAGIC, fstatfs};

    const SYSFS_MAGIC: FsWord = 0x6265_6572;
    openat(from, folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .and_then(fstatfs)
        .is_ok_and(|system| matches!(system.f_type, PROC_SUPER_MAGIC | SYSFS_MAGIC))
}

#[cfg(not(target_os = "linux"))]
fn is_of_the_kernel(_: impl AsFd, _: impl Arg) -> bool {
    false
}
