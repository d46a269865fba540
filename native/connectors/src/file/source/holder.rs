//! Which of the files in the folder of the state is read, and who may write it.
//!
//! ```text
//! files.json       of a node that reads alone, which a lock says
//! files-7.json     of the 7th holder of a lease: the file with the largest number counts
//! ```
//!
//! Each holder makes a file of its own with what it found in the one before. A node that was frozen, and whose lease is
//! over, may still write into its own, which nobody reads any more: no clock and no lock decides that. Should it have
//! taken a number though its lease was over by then, the holder takes a larger one with its next write.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::state::MAX_BYTES;
use crate::kind::Fence;

const DRAFT: &str = ".new";
/// Two that take a number at a time are rare, and one of them gets it.
const MAX_TRIES: u32 = 10;

/// Of the file with the number, 0 for `files.json`.
#[derive(Debug)]
pub(super) struct Holder {
    number: u64,
    fence: Option<Arc<dyn Fence>>,
}

impl Holder {
    /// The file that counts, and what is in it. Nothing is written yet.
    pub(super) fn open(folder: &Path, fence: Option<Arc<dyn Fence>>) -> io::Result<(Holder, Option<Vec<u8>>)> {
        for _ in 0..MAX_TRIES {
            let number = newest(folder)?;
            match read(&folder.join(name(number))) {
                Ok(bytes) => return Ok((Holder { number, fence }, Some(bytes))),
                // The next holder has just taken it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound && number != newest(folder)? => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Holder { number, fence }, None)),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("others take the files over again and again"))
    }

    pub(super) fn name(&self) -> String {
        name(self.number)
    }

    pub(super) fn has_fence(&self) -> bool {
        self.fence.is_some()
    }

    /// Whether this node may read the files now.
    pub(super) fn is_held(&self) -> bool {
        self.fence.as_ref().is_none_or(|fence| fence.holds())
    }

    /// Makes a file of its own behind all that are there. On disk when it returns.
    pub(super) fn claim(&mut self, folder: &Path, bytes: &[u8]) -> io::Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let draft = folder.join(format!("files-{}-{}{DRAFT}", std::process::id(), since.as_nanos()));
        write(&draft, bytes)?;
        let claimed = self.claim_with(folder, &draft);
        let _ = fs::remove_file(&draft);
        claimed?;
        sync(folder)?;
        remove_earlier(folder, self.number);
        Ok(())
    }

    fn claim_with(&mut self, folder: &Path, draft: &Path) -> io::Result<()> {
        for _ in 0..MAX_TRIES {
            let next = newest(folder)?.max(self.number) + 1;
            if !self.is_held() {
                return Err(io::Error::other("the lease is over: another node may read these files"));
            }
            // Not a rename: one of two gets the number.
            match fs::hard_link(draft, folder.join(name(next))) {
                Ok(()) => {
                    self.number = next;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // A file system without hard links.
                Err(_) if !folder.join(name(next)).exists() => {
                    fs::rename(draft, folder.join(name(next)))?;
                    self.number = next;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("others take the files over again and again"))
    }

    /// On disk when it returns.
    pub(super) fn write(&mut self, folder: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.has_fence() && self.is_held() && newest(folder)? > self.number {
            return self.claim(folder, bytes);
        }
        let (file, draft) = (folder.join(self.name()), folder.join(format!("{}{DRAFT}", self.name())));
        write(&draft, bytes)?;
        fs::rename(&draft, file)?;
        sync(folder)
    }
}

fn name(number: u64) -> String {
    if number == 0 { "files.json".to_owned() } else { format!("files-{number}.json") }
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("files-")?.strip_suffix(".json")?.parse().ok()
}

/// The largest number; 0 where no lease was ever held.
fn newest(folder: &Path) -> io::Result<u64> {
    let mut newest = 0;
    for entry in fs::read_dir(folder)? {
        newest = entry?.file_name().to_str().and_then(number_of).unwrap_or_default().max(newest);
    }
    Ok(newest)
}

/// What nobody reads any more. What is left behind does no harm.
fn remove_earlier(folder: &Path, number: u64) {
    for earlier in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = earlier.file_name();
        let Some(name) = name.to_str() else { continue };
        if name == "files.json" || name.ends_with(DRAFT) || number_of(name).is_some_and(|other| other < number) {
            let _ = fs::remove_file(earlier.path());
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.size() > MAX_BYTES {
        return Err(io::Error::other("the file is too large"));
    }
    fs::read(path)
}
