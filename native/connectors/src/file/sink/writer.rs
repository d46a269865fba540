//! Appends blocks of lines, whole or not at all.

use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use message::Fault;
use rustix::fd::OwnedFd;

use super::place::{Opened, Place};
use crate::file::folder::Identity;

/// What the writer needs of a file; a test has one that fails.
pub(super) trait Medium {
    fn length(&self) -> io::Result<u64>;
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Medium for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, lines)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.sync_all()
    }
}

/// One open file. The lock makes blocks of different shards follow each other.
pub(super) struct Writer {
    place: Place,
    folder: OwnedFd,
    identity: Identity,
    /// `None` when the end of the file could not be put right: it has to be opened and repaired.
    file: Mutex<Option<File>>,
}

impl Writer {
    pub(super) fn new(opened: Opened, place: Place) -> Writer {
        let Opened { file, folder, identity } = opened;
        Writer { place, folder, identity, file: Mutex::new(Some(file)) }
    }

    /// Whether the path still leads to this file. Blocks.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.is_usable() && place.is(&self.folder, self.identity)
    }

    pub(super) fn is_usable(&self) -> bool {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether it is seen to be unusable; a write that is under way is not waited for.
    pub(super) fn is_broken(&self) -> bool {
        self.file.try_lock().is_ok_and(|file| file.is_none())
    }

    /// On disk when it returns; or not in the file at all, `file/write`. Blocks.
    pub(super) fn append(&self, lines: &[u8]) -> Result<(), Fault> {
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = held.as_mut() else {
            return Err(self.place.failed(&io::Error::other("the last write failed; the file is opened again")));
        };
        let (result, usable) = append(file, lines);
        if !usable {
            *held = None;
        }
        result.map_err(|error| self.place.failed(&error))
    }
}

/// `false` when the file must not be written to any more.
fn append(file: &mut impl Medium, lines: &[u8]) -> (io::Result<()>, bool) {
    let length = match file.length() {
        Ok(length) => length,
        Err(error) => return (Err(error), false),
    };
    match file.append(lines).and_then(|()| file.sync()) {
        Ok(()) => (Ok(()), true),
        // A full disk, mostly. Part of the block may stand there; it will come again as a whole.
        Err(error) => {
            let usable = file.cut(length).is_ok();
            (Err(error), usable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Small {
        text: Vec<u8>,
        room: usize,
        syncs: bool,
        cuts: bool,
    }

    impl Medium for Small {
        fn length(&self) -> io::Result<u64> {
            Ok(self.text.len() as u64)
        }

        fn append(&mut self, lines: &[u8]) -> io::Result<()> {
            let fits = lines.len().min(self.room - self.text.len());
            self.text.extend_from_slice(&lines[..fits]);
            if fits < lines.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.syncs { Ok(()) } else { Err(io::Error::other("EIO")) }
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            if !self.cuts {
                return Err(io::Error::other("EIO"));
            }
            self.text.truncate(usize::try_from(length).unwrap());
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_only_and_takes_more_when_there_is_room() {
        let mut disk = Small { text: b"{}\n".to_vec(), room: 10, syncs: true, cuts: true };
        let (result, usable) = append(&mut disk, b"{\"a\":1}\n{\"b\":2}\n");
        assert_eq!((result.unwrap_err().kind(), usable), (io::ErrorKind::StorageFull, true));
        assert_eq!(disk.text, b"{}\n");
        disk.room = 100;
        assert!(append(&mut disk, b"[]\n").0.is_ok());
        assert_eq!(disk.text, b"{}\n[]\n");
    }

    #[test]
    fn lines_that_do_not_reach_the_disk_are_taken_back() {
        let mut disk = Small { text: Vec::new(), room: 100, syncs: false, cuts: true };
        assert!(append(&mut disk, b"{}\n").0.is_err());
        assert!(disk.text.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_put_right_is_not_written_to_again() {
        let mut disk = Small { text: Vec::new(), room: 1, syncs: true, cuts: false };
        let (result, usable) = append(&mut disk, b"{}\n");
        assert!(result.is_err() && !usable);
    }
}
