//! Folders of customers, and the way there: folder by folder, through no symlink.
//!
//! ```text
//! files/ ─► acme/ ─► orders/
//! trusted   └─ never a symlink
//! ```

use std::ffi::OsStr;
use std::fs::create_dir_all;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use message::{Code, Fault, check_name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, Stat, fsync, mkdirat, open, openat};
use rustix::io::Errno;

pub(super) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Not blocking, or a pipe with nobody at its other end would hold the open for ever.
pub(super) const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// What stays the same when a file is renamed, and differs when another takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl Identity {
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)] // other systems have other types
    pub(super) fn of(stat: &Stat) -> Identity {
        Identity { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }
}

/// A path as a pipeline file has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'w> {
    pub(super) base: &'w Path,
    pub(super) customer: &'w str,
    /// Below the customer's folder; or absolute, where that is allowed.
    pub(super) path: &'w str,
    pub(super) allow_absolute: bool,
}

/// A folder that is checked by its path alone.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    /// Trusted: its symlinks are followed.
    pub(super) base: PathBuf,
    /// Below it, not trusted.
    pub(super) names: Vec<String>,
    /// For faults: the path below the base, or the absolute one.
    pub(super) shown: String,
    /// What a fault says that may pass: `file/write`, `file/read`.
    pub(super) code: Code,
}

impl Wanted<'_> {
    /// The folder of a file, and the file's name.
    pub(super) fn file(&self, code: Code) -> Result<(Folder, String), Fault> {
        if self.path.ends_with('/') {
            return Err(Fault::new(Code::ConfigInvalidValue, format!("the path {:?} names no file", self.path)));
        }
        let mut names = self.names("file")?;
        let name = names.pop().ok_or_else(|| self.outside("names no file"))?;
        Ok((self.folder(names, Path::new(self.path).parent(), code)?, name))
    }

    /// The folder itself; `.` is the customer's.
    pub(super) fn to_folder(self, code: Code) -> Result<Folder, Fault> {
        let names = self.names("folder")?;
        self.folder(names, Some(Path::new(self.path)), code)
    }

    fn names(&self, what: &str) -> Result<Vec<String>, Fault> {
        let Wanted { path: shown, .. } = self;
        if shown.is_empty() || shown.chars().any(char::is_control) {
            return Err(Fault::new(Code::ConfigInvalidValue, format!("the path {shown:?} names no {what}")));
        }
        let path = Path::new(shown);
        if path.is_absolute() && !self.allow_absolute {
            return Err(self.outside("is absolute"));
        }
        let mut names = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(self.outside("has a part `..`")),
            }
        }
        Ok(names)
    }

    fn folder(&self, mut names: Vec<String>, absolute: Option<&Path>, code: Code) -> Result<Folder, Fault> {
        let Wanted { base, customer, path, .. } = self;
        if Path::new(path).is_absolute() {
            // Whoever may write absolute paths is trusted with the folders on the way, too.
            let base = absolute.unwrap_or(Path::new("/")).to_owned();
            return Ok(Folder { base, names: Vec::new(), shown: (*path).to_owned(), code });
        }
        check_name(customer)
            .map_err(|error| Fault::new(Code::ConfigInvalidName, format!("the customer {customer:?} {}", error.0)))?;
        names.insert(0, (*customer).to_owned());
        Ok(Folder { base: (*base).to_owned(), names, shown: format!("{customer}/{path}"), code })
    }

    fn outside(&self, reason: &str) -> Fault {
        Fault::new(Code::FileOutside, format!("the path {:?} {reason}", self.path))
    }
}

impl Folder {
    /// Makes what is missing. Blocks. `file/outside` for a symlink, the folder's own code for all that may change.
    pub(super) fn open(&self) -> Result<OwnedFd, Fault> {
        create_dir_all(&self.base).map_err(|error| self.failed(&error))?;
        let mut folder = open(&self.base, FOLDER, Mode::empty()).map_err(|error| self.refused(error))?;
        for name in &self.names {
            folder = self.enter(&folder, name)?;
        }
        Ok(folder)
    }

    /// Makes nothing: `file/missing` when it is not there. Blocks.
    pub(super) fn open_existing(&self) -> Result<OwnedFd, Fault> {
        let refused = |error: Errno| match error {
            Errno::NOENT => Fault::new(Code::FileMissing, format!("{:?} was there and is not any more", self.shown)),
            _ => self.refused(error),
        };
        let mut folder = open(&self.base, FOLDER, Mode::empty()).map_err(refused)?;
        for name in &self.names {
            folder = openat(&folder, name.as_str(), FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(refused)?;
        }
        Ok(folder)
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

    pub(super) fn refused(&self, error: Errno) -> Fault {
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
        Fault::new(self.code, format!("{:?}: {error}", self.shown))
    }
}

/// A file's name as the system takes it.
pub(super) fn as_name(name: &str) -> &OsStr {
    OsStr::from_bytes(name.as_bytes())
}

/// Whether a folder's file has a name that still leads to it.
pub(super) fn is_there(folder: &impl AsFd, name: &str, identity: Identity) -> bool {
    use rustix::fs::{AtFlags, statat};
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| Identity::of(&stat) == identity)
}
