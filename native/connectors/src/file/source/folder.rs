//! What is in the folder: regular files whose names fit, with their sizes and times.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use message::{Code, Fault};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

use super::options::Plan;
use super::state::{FileId, Inode, MAX_FILES, Version};
use crate::file::folder::{FILE, as_name};

/// The first and the last bytes of a file, by which it is told from one that is written in its place.
const PART: usize = 4096;

/// A file that is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) inode: Inode,
    pub(super) version: Version,
    /// How many names it has, those in other folders too.
    pub(super) links: u64,
}

pub(super) struct Listing {
    /// All files to read, the oldest first. Hard links are one file, of the first name.
    pub(super) files: Vec<Found>,
    /// Those that fit, as far as their names can be read, and are none: by what stands for them in faults.
    pub(super) unreadable: BTreeMap<String, Version>,
}

/// What is in the folder. Blocks.
pub(super) fn list(folder: &OwnedFd, plan: &Plan) -> Result<Listing, Fault> {
    let failed = |error: Errno| plan.folder.refused(error);
    let (mut files, mut unreadable) = (Vec::new(), BTreeMap::new());
    for entry in Dir::read_from(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy();
        if !plan.takes(&name) {
            continue;
        }
        if let Cow::Owned(_) = name {
            let stat = statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
            if unreadable.len() < MAX_FILES
                && let Some(stat) = stat.ok().filter(is_regular)
            {
                unreadable.insert(visible(entry.file_name().to_bytes()), version(&stat));
            }
            continue;
        }
        let name = &*name;
        let found = match look_at(folder, name) {
            Err(Errno::NOENT) | Ok(None) => continue,
            Ok(Some(found)) => found,
            Err(error) => return Err(failed(error)),
        };
        if files.len() + unreadable.len() >= MAX_FILES {
            let reason = format!("{:?} has more than {MAX_FILES} files that fit", plan.folder.shown);
            return Err(Fault::new(Code::FileTooMany, reason));
        }
        files.push(found);
    }
    files.sort_by(|one, other| (one.version.modified, &one.name).cmp(&(other.version.modified, &other.name)));
    let mut inodes = HashSet::new();
    files.retain(|file| file.links < 2 || inodes.insert(file.inode.number));
    Ok(Listing { files, unreadable })
}

/// Opens a file for reading; through no symlink, and nothing but a regular one. Blocks.
pub(super) fn open(folder: &OwnedFd, name: &str, plan: &Plan) -> Result<(File, Found), Fault> {
    let refused = |error: Errno| {
        let reason = format!("{:?} in {:?}: {}", name, plan.folder.shown, std::io::Error::from(error));
        Fault::new(Code::FileRead, reason)
    };
    let file = openat(folder, as_name(name), FILE | OFlags::RDONLY, Mode::empty()).map_err(refused)?;
    let stat = rustix::fs::fstat(&file).map_err(refused)?;
    let found = found(name, &stat, born(&file, "", stat.st_ino));
    Ok((file.into(), found.ok_or(Errno::INVAL).map_err(refused)?))
}

/// What a name leads to: not through a symlink.
pub(super) fn stat(folder: &OwnedFd, name: &str) -> Result<Found, Errno> {
    look_at(folder, name)?.ok_or(Errno::NOENT)
}

/// `None` when it is no regular file.
fn look_at(folder: &OwnedFd, name: &str) -> Result<Option<Found>, Errno> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(found(name, &stat, born(folder, name, stat.st_ino)))
}

#[allow(clippy::unnecessary_cast)] // other systems have other types
fn found(name: &str, stat: &Stat, born: Option<i64>) -> Option<Found> {
    is_regular(stat).then(|| Found {
        name: name.to_owned(),
        inode: Inode { number: stat.st_ino as u64, born },
        version: version(stat),
        links: stat.st_nlink as u64,
    })
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// When a file was made, nanoseconds since 1970, where the file system tells: its inode may be used again after it. Without
/// a name: of the open file itself.
#[cfg(target_os = "linux")]
fn born(folder: impl rustix::fd::AsFd, name: &str, inode: u64) -> Option<i64> {
    use rustix::fs::{StatxFlags, statx};
    let flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
    let found = statx(folder, name, flags, StatxFlags::BTIME | StatxFlags::INO).ok()?;
    let is_told = found.stx_mask & StatxFlags::BTIME.bits() != 0 && found.stx_ino == inode;
    let seconds = is_told.then_some(found.stx_btime.tv_sec)?;
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(found.stx_btime.tv_nsec)))
}

#[cfg(not(target_os = "linux"))]
fn born(_: impl rustix::fd::AsFd, _: &str, _: u64) -> Option<i64> {
    None
}

pub(super) fn version_of(file: &File) -> Result<Version, Fault> {
    let stat = rustix::fs::fstat(file).map_err(|error| Fault::new(Code::FileRead, error.to_string()))?;
    Ok(version(&stat))
}

/// A hash of the first bytes: of `most`, or of those that are there. Blocks.
pub(super) fn head(file: &File, most: Option<u64>) -> Result<(u64, FileId), Fault> {
    part(file, 0, most.and_then(|most| usize::try_from(most).ok()).unwrap_or(PART))
}

/// A hash of the last bytes before `end`. Blocks.
pub(super) fn tail(file: &File, end: u64) -> Result<FileId, Fault> {
    let start = end.saturating_sub(PART as u64);
    part(file, start, usize::try_from(end - start).unwrap_or(PART)).map(|(_, digest)| digest)
}

fn part(file: &File, start: u64, most: usize) -> Result<(u64, FileId), Fault> {
    let mut bytes = [0; PART];
    let most = most.min(PART);
    let mut length = 0;
    while length < most {
        match file.read_at(&mut bytes[length..most], start + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::new(Code::FileRead, error.to_string())),
        }
    }
    Ok((length as u64, digest(&[&bytes[..length]])))
}

/// 128 bits of a hash of all parts, with their lengths.
pub(super) fn digest(parts: &[&[u8]]) -> FileId {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut id = FileId::default();
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    id
}

#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)] // other systems have other types
fn version(stat: &Stat) -> Version {
    let modified = (stat.st_mtime as i64).saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec as i64);
    Version { size: stat.st_size as u64, modified }
}

/// A name as a header and a fault can hold it: other characters than visible ASCII, and `%`, as in a URL.
pub(super) fn visible(name: &[u8]) -> String {
    let put = |byte: u8| match byte {
        b'!'..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.iter().copied().map(put).collect()
}
