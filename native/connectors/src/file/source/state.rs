//! How far each file has come, on disk: written to a new file, synced, and put in the old one's place.
//!
//! A file's number is made when it is first seen, and written down before a message of it goes out, so that its messages
//! have the same places when they come again, whatever becomes of its name.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use message::{Code, Fault};
use serde_json::{Value, json};

use crate::file::folder::Identity;

const FILE: &str = "files.json";
const NEW: &str = "files.json.new";
const LOCK: &str = "lock";
/// Files that are known at once, and bytes of what is known of them.
pub(super) const MAX_FILES: usize = 10_000;
const MAX_BYTES: u64 = 16 << 20;

/// Names a file for as long as it is known: 128 bits of a hash.
pub(super) type FileId = [u8; 16];

/// The size and the time of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i64,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: FileId,
    pub(super) name: String,
    pub(super) identity: Identity,
    /// The first bytes, hashed, and how many they are.
    pub(super) head: (u64, FileId),
    /// The last bytes of what was read, hashed, once all of it was.
    pub(super) tail: Option<FileId>,
    /// Where the first message begins that is not stored.
    pub(super) offset: u64,
    /// As it was when it was opened last.
    pub(super) version: Version,
    /// Everything in it is stored.
    pub(super) is_finished: bool,
    /// Why it cannot be read on.
    pub(super) failed: Option<Code>,
}

pub(super) struct State {
    folder: PathBuf,
    /// The kernel lifts the lock when the process dies.
    _lock: File,
    written: Vec<u8>,
}

impl State {
    /// Opens the folder, and locks it. Blocks. `file/in-use` when another has it, `file/state` when it cannot be used.
    pub(super) fn open(folder: &Path) -> Result<(State, Vec<Entry>), Fault> {
        let failed = |error: io::Error| failed(folder, &error.to_string());
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Fault::new(Code::FileInUse, "another shard or node reads these files"));
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let (written, entries) = match read(&folder.join(FILE)) {
            Ok(bytes) => {
                let entries =
                    parse(&bytes).ok_or_else(|| self::failed(folder, "files.json is not as it was written"))?;
                (bytes, entries)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        Ok((State { folder: folder.to_owned(), _lock: lock, written }, entries))
    }

    /// On disk when it returns. Blocks; does nothing when nothing has changed.
    pub(super) fn write<'e>(&mut self, entries: impl Iterator<Item = &'e Entry>) -> Result<(), Fault> {
        let list: Vec<Value> = entries.map(to_json).collect();
        let bytes = json!({"version": 1, "files": list}).to_string().into_bytes();
        if bytes == self.written {
            return Ok(());
        }
        let replaced = self.replace(&bytes);
        replaced.map_err(|error| failed(&self.folder, &error.to_string()))?;
        self.written = bytes;
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.folder.join(NEW);
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.size() > MAX_BYTES {
        return Err(io::Error::other("files.json is too large"));
    }
    fs::read(path)
}

fn failed(folder: &Path, reason: &str) -> Fault {
    Fault::new(Code::FileState, format!("{}: {reason}", folder.display()))
}

fn to_json(entry: &Entry) -> Value {
    let Entry { id, name, identity, head, tail, offset, version, is_finished, failed } = entry;
    json!({
        "id": hex(id),
        "name": name,
        "device": identity.device,
        "inode": identity.inode,
        "head": [head.0, hex(&head.1)],
        "tail": tail.as_ref().map(hex),
        "offset": offset,
        "version": [version.size, version.modified],
        "finished": is_finished,
        "failed": failed.map(Code::as_str),
    })
}

fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let whole: Value = serde_json::from_slice(bytes).ok()?;
    if whole.get("version")?.as_u64()? != 1 {
        return None;
    }
    whole.get("files")?.as_array()?.iter().map(from_json).collect()
}

fn from_json(value: &Value) -> Option<Entry> {
    let number = |name: &str| value.get(name)?.as_u64();
    let head = value.get("head")?;
    Some(Entry {
        id: from_hex(value.get("id")?.as_str()?)?,
        name: value.get("name")?.as_str()?.to_owned(),
        identity: Identity { device: number("device")?, inode: number("inode")? },
        head: (head.get(0)?.as_u64()?, from_hex(head.get(1)?.as_str()?)?),
        tail: match value.get("tail")? {
            Value::Null => None,
            tail => Some(from_hex(tail.as_str()?)?),
        },
        offset: number("offset")?,
        version: {
            let version = value.get("version")?;
            Version { size: version.get(0)?.as_u64()?, modified: version.get(1)?.as_i64()? }
        },
        is_finished: value.get("finished")?.as_bool()?,
        failed: match value.get("failed")? {
            Value::Null => None,
            code => Some(known_code(code.as_str()?)),
        },
    })
}

/// A code of a newer build is told as the general one.
fn known_code(text: &str) -> Code {
    Code::ALL.iter().find(|code| code.as_str() == text).copied().unwrap_or(Code::FileRead)
}

pub(super) fn hex(id: &FileId) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

fn from_hex(text: &str) -> Option<FileId> {
    if text.len() != 32 { None } else { u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes with its test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("vrsky-state-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn entry() -> Entry {
        Entry {
            id: [7; 16],
            name: "a\"ü.csv".to_owned(),
            identity: Identity { device: u64::MAX, inode: 1 },
            head: (5, [0; 16]),
            tail: Some([1; 16]),
            offset: 3,
            version: Version { size: 5, modified: -1 },
            is_finished: true,
            failed: Some(Code::FileGzip),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = Folder::new("again");
        let entries = [entry(), Entry { tail: None, is_finished: false, failed: None, ..entry() }];
        let (mut state, none) = State::open(&folder.0).unwrap();
        assert!(none.is_empty());
        state.write(entries.iter()).unwrap();
        assert_eq!(State::open(&folder.0).map(drop).unwrap_err().code(), Code::FileInUse);
        drop(state);
        assert_eq!(State::open(&folder.0).unwrap().1, entries);
    }

    #[test]
    fn what_is_not_as_it_was_written_is_an_error_and_stays() {
        let folder = Folder::new("broken");
        for text in ["", "{", "[]", "{\"version\":2,\"files\":[]}", "{\"version\":1,\"files\":[{}]}"] {
            fs::write(folder.0.join(FILE), text).unwrap();
            assert_eq!(State::open(&folder.0).map(drop).unwrap_err().code(), Code::FileState, "{text}");
            assert_eq!(fs::read_to_string(folder.0.join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_write_that_was_torn_leaves_what_was_there() {
        let folder = Folder::new("torn");
        let (mut state, _) = State::open(&folder.0).unwrap();
        state.write([entry()].iter()).unwrap();
        drop(state);
        fs::write(folder.0.join(NEW), "{\"ver").unwrap();
        assert_eq!(State::open(&folder.0).unwrap().1, [entry()]);
    }
}
