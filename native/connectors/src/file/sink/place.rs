//! Where a file may lie, and the way there: folder by folder, through no symlink.
//!
//! ```text
//! files/ ─► acme/ ─► orders/ ─► out.ndjson       acme's `orders/out.ndjson`
//! trusted   └─ never a symlink ──┘
//! ```

use std::ffi::OsStr;
use std::fs::{File, create_dir_all};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use message::{Code, Fault, check_name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, Stat, accessat, fsync, mkdirat, open, openat, statat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::FileOptions;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Not blocking, or a pipe with nobody at its other end would hold the open for ever.
const FILE: OFlags = OFlags::RDWR
    .union(OFlags::APPEND)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// A checked path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Trusted: its symlinks are followed.
    base: PathBuf,
    /// Below it, not trusted.
    folders: Vec<String>,
    name: String,
    /// For faults: the path below the base, or the absolute one.
    shown: String,
}

/// A file that was opened, and the folder it lies in.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) folder: OwnedFd,
    pub(super) identity: Identity,
}

/// What stays the same when a file is renamed, and differs when another takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64, u64);

impl Identity {
    fn of(stat: &Stat) -> Identity {
        Identity(stat.st_dev, stat.st_ino)
    }
}

impl Place {
    pub(super) fn new(options: &FileOptions) -> Result<Place, Fault> {
        let shown = options.path.clone();
        let outside = |reason: &str| Fault::new(Code::FileOutside, format!("the path {shown:?} {reason}"));
        if options.path.is_empty() || options.path.ends_with('/') || options.path.chars().any(char::is_control) {
            return Err(Fault::new(Code::ConfigInvalidValue, format!("the path {shown:?} names no file")));
        }
        let path = Path::new(&options.path);
        if path.is_absolute() && !options.allow_absolute {
            return Err(outside("is absolute"));
        }
        let mut folders = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => folders.push(name.to_string_lossy().into_owned()),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(outside("has a part `..`")),
            }
        }
        let name = folders.pop().ok_or_else(|| outside("names no file"))?;
        if path.is_absolute() {
            // Whoever may write absolute paths is trusted with the folders on the way, too.
            let base = path.parent().unwrap_or(Path::new("/")).to_owned();
            return Ok(Place { base, folders: Vec::new(), name, shown });
        }
        Place::of_customer(options, folders, name)
    }

    fn of_customer(options: &FileOptions, mut folders: Vec<String>, name: String) -> Result<Place, Fault> {
        let FileOptions { base, customer, path, .. } = options;
        check_name(customer)
            .map_err(|error| Fault::new(Code::ConfigInvalidName, format!("the customer {customer:?} {}", error.0)))?;
        folders.insert(0, customer.clone());
        Ok(Place { base: base.clone(), folders, name, shown: format!("{customer}/{path}") })
    }

    /// Makes what is missing. Blocks. `file/outside` for a symlink or what is no file,
    /// `file/write` for all that may change.
    pub(super) fn open(&self) -> Result<Opened, Fault> {
        create_dir_all(&self.base).map_err(|error| self.failed(&error))?;
        let mut folder = open(&self.base, FOLDER, Mode::empty()).map_err(|error| self.refused(error))?;
        for name in &self.folders {
            folder = self.enter(&folder, name)?;
        }
        let name = OsStr::from_bytes(self.name.as_bytes());
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
        let mut folder = match open(&self.base, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => return self.may_make_base(),
            opened => opened.map_err(|error| self.refused(error))?,
        };
        for name in &self.folders {
            folder = match openat(&folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
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

    /// The nearest there is above `base`; a symlink that leads nowhere is in the way.
    fn may_make_base(&self) -> Result<(), Fault> {
        let is_there = |folder: &&Path| folder.symlink_metadata().is_ok();
        let there = self.base.ancestors().find(is_there).unwrap_or(Path::new("."));
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
            return Err(Fault::new(Code::FileOutside, format!("{:?} is no regular file", self.shown)));
        }
        Ok(stat)
    }

    fn enter(&self, folder: &OwnedFd, name: &str) -> Result<OwnedFd, Fault> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        match openat(folder, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                match mkdirat(folder, name, Mode::from_raw_mode(0o777)) {
                    // Somebody else was faster.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(self.refused(error)),
                }
                fsync(folder).map_err(|error| self.refused(error))?;
                openat(folder, name, flags, Mode::empty()).map_err(|error| self.refused(error))
            }
            entered => entered.map_err(|error| self.refused(error)),
        }
    }

    /// Whether the name still leads to that file: it may have been rotated away or deleted.
    pub(super) fn is(&self, folder: &impl AsFd, identity: Identity) -> bool {
        statat(folder, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| Identity::of(&stat) == identity)
    }

    fn refused(&self, error: Errno) -> Fault {
        match error {
            // With NOFOLLOW a symlink is LOOP as a file and NOTDIR (or LOOP) as a folder.
            Errno::LOOP | Errno::NOTDIR => Fault::new(
                Code::FileOutside,
                format!("{:?} leads through a symlink, or a file as if it were a folder", self.shown),
            ),
            Errno::ISDIR => Fault::new(Code::FileOutside, format!("{:?} is a folder", self.shown)),
            _ => self.failed(&error.into()),
        }
    }

    pub(super) fn failed(&self, error: &std::io::Error) -> Fault {
        Fault::new(Code::FileWrite, format!("{:?}: {error}", self.shown))
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
