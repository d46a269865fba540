//! How far each file has come, on disk: written to a new file, synced, and put in the old one's place.
//!
//! A file's number is made when it is first seen, and written down before a message of it goes out, so that its messages
//! have the same places when they come again, whatever becomes of its name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Fault};
use serde_json::{Value, json};

use super::folder::Found;
use super::holder::Holder;
use super::progress::Run;
use super::trail::Check;
use crate::kind::Fence;

const LOCK: &str = "lock";
/// Files that lie in the folder at once. As many that are missing are known, too.
pub(super) const MAX_FILES: usize = 10_000;
/// Of what is known of them, with the longest names.
pub(super) const MAX_BYTES: u64 = 64 << 20;
/// Between two writes, and once more for each MiB that is written.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// Names a file for as long as it is known: 128 bits of a hash.
pub(super) type FileId = [u8; 16];

/// The size and the time of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i64,
}

/// What stays the same when a file is renamed. The number of its device is none of it: that changes when a disk is attached
/// anew, and one folder is on one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) number: u64,
    /// When the file was made, nanoseconds since 1970, where that is known.
    pub(super) born: Option<i64>,
}

impl Inode {
    /// Whether both may be of one file. A number is used again for another one.
    pub(super) fn is(self, other: Inode) -> bool {
        self.number == other.number && (self.born == other.born || self.born.is_none() || other.born.is_none())
    }

    /// Whether they are, whatever its name.
    pub(super) fn is_surely(self, other: Inode) -> bool {
        self == other && self.born.is_some()
    }
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: FileId,
    pub(super) name: String,
    pub(super) inode: Inode,
    /// The first bytes, hashed, and how many they are.
    pub(super) head: (u64, FileId),
    /// The last bytes of what was read, hashed, once all of it was.
    pub(super) tail: Option<FileId>,
    /// Where the first message begins that is not stored.
    pub(super) offset: u64,
    /// What stands before that, as a number.
    pub(super) check: Option<Check>,
    /// Which ones behind it are, while the file is as it was.
    pub(super) stored: Vec<Run>,
    /// As it was when it was opened last.
    pub(super) version: Version,
    /// Everything in it is stored.
    pub(super) is_finished: bool,
    /// It was written to, and what stands before the place was not read again since.
    pub(super) is_unproven: bool,
    /// Since when it is missing, seconds since 1970.
    pub(super) gone: Option<u64>,
    /// For how long it was looked for since, in steps of ten minutes.
    pub(super) missed: u64,
    /// Why it cannot be read on. Not written down: what was read before the bad place may not be stored, so that a new start
    /// reads up to it again.
    pub(super) failed: Option<Fault>,
}

impl Entry {
    /// Of a file of which nothing was read yet.
    pub(super) fn new(id: FileId, found: &Found, head: (u64, FileId)) -> Entry {
        Entry {
            id,
            name: found.name.clone(),
            inode: found.inode,
            head,
            tail: None,
            offset: 0,
            check: None,
            stored: Vec::new(),
            version: found.version,
            is_finished: false,
            is_unproven: false,
            gone: None,
            missed: 0,
            failed: None,
        }
    }
}

/// What is read of the state when it is opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// The folder that was there.
    pub(super) folder: Option<String>,
    pub(super) entries: Vec<Entry>,
}

pub(super) struct State {
    folder: PathBuf,
    /// The kernel lifts the lock when the process dies.
    lock: File,
    holder: Holder,
    written: Vec<u8>,
}

impl State {
    /// Opens the folder, and locks it: for itself, or with a lease for those who have one. Blocks. `file/in-use` when
    /// another has it, `file/state` when it cannot be used.
    pub(super) fn open(folder: &Path, fence: Option<Arc<dyn Fence>>) -> Result<(State, Written), Fault> {
        let failed = |error: io::Error| failed(folder, &error.to_string());
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(failed)?;
        // One that hangs, or whose machine is gone, keeps its lock for long: that of its successor lets it.
        match if fence.is_some() { lock.try_lock_shared() } else { lock.try_lock() } {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Fault::new(Code::FileInUse, "another shard or node reads these files"));
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let (holder, bytes) = Holder::open(folder, fence).map_err(failed)?;
        let written = match &bytes {
            Some(bytes) => parse(bytes).ok_or_else(|| {
                let reason = format!("{} is not as it was written", holder.name());
                self::failed(folder, &reason)
            })?,
            None => Written::default(),
        };
        let mut state = State { folder: folder.to_owned(), lock, holder, written: bytes.unwrap_or_default() };
        if state.holder.has_fence() {
            state.claim(&written)?;
        }
        Ok((state, written))
    }

    /// Takes what is known of the files over from the node before: what that one writes from now on is read by nobody.
    fn claim(&mut self, written: &Written) -> Result<(), Fault> {
        if self.written.is_empty() {
            self.written = encode(written.folder.as_deref(), written.entries.iter());
        }
        self.holder.claim(&self.folder, &self.written).map_err(|error| failed(&self.folder, &error.to_string()))
    }

    /// Whether files may be put away: nobody else has them.
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_held()
    }

    /// On disk when it returns. Blocks; does nothing when nothing has changed.
    pub(super) fn write<'e>(
        &mut self,
        folder: Option<&str>,
        entries: impl Iterator<Item = &'e Entry>,
    ) -> Result<(), Fault> {
        let bytes = encode(folder, entries);
        if bytes == self.written {
            return Ok(());
        }
        let replaced = self.is_ours().and_then(|()| self.holder.write(&self.folder, &bytes));
        replaced.map_err(|error| failed(&self.folder, &error.to_string()))?;
        self.written = bytes;
        Ok(())
    }

    /// How long it may wait for more, so that thousands of files cost no write each.
    pub(super) fn pause(&self) -> Duration {
        WRITE_EVERY * u32::try_from(1 + (self.written.len() >> 20)).unwrap_or(u32::MAX)
    }

    /// Another disk may be mounted in its place, with a state of its own.
    fn is_ours(&self) -> io::Result<()> {
        let (ours, there) = (self.lock.metadata()?, fs::metadata(self.folder.join(LOCK))?);
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            return Ok(());
        }
        Err(io::Error::other("another folder is in its place since it was opened; start the node again"))
    }
}

fn encode<'e>(folder: Option<&str>, entries: impl Iterator<Item = &'e Entry>) -> Vec<u8> {
    let list: Vec<Value> = entries.map(to_json).collect();
    json!({"version": 1, "folder": folder, "files": list}).to_string().into_bytes()
}

fn failed(folder: &Path, reason: &str) -> Fault {
    Fault::new(Code::FileState, format!("{}: {reason}", folder.display()))
}

fn to_json(entry: &Entry) -> Value {
    let Entry { id, name, inode, head, tail, offset, check, stored, version, is_finished, gone, missed, .. } = entry;
    json!({
        "id": hex(id),
        "name": name,
        "inode": inode.number,
        "born": inode.born,
        "head": [head.0, hex(&head.1)],
        "tail": tail.as_ref().map(hex),
        "offset": offset,
        "check": check.map(|check| check.near),
        "all": check.and_then(|check| check.all),
        "stored": stored,
        "version": [version.size, version.modified],
        "finished": is_finished,
        "unproven": entry.is_unproven,
        "gone": gone,
        "missed": missed,
    })
}

/// A device and a `failed`, which earlier builds wrote, are passed over.
fn parse(bytes: &[u8]) -> Option<Written> {
    let whole: Value = serde_json::from_slice(bytes).ok()?;
    if whole.get("version")?.as_u64()? != 1 {
        return None;
    }
    let entries = whole.get("files")?.as_array()?.iter().map(from_json).collect::<Option<_>>()?;
    Some(Written { folder: whole.get("folder").and_then(Value::as_str).map(str::to_owned), entries })
}

fn from_json(value: &Value) -> Option<Entry> {
    let number = |name: &str| value.get(name)?.as_u64();
    let head = value.get("head")?;
    Some(Entry {
        id: from_hex(value.get("id")?.as_str()?)?,
        name: value.get("name")?.as_str()?.to_owned(),
        inode: Inode { number: number("inode")?, born: value.get("born").and_then(Value::as_i64) },
        head: (head.get(0)?.as_u64()?, from_hex(head.get(1)?.as_str()?)?),
        tail: match value.get("tail")? {
            Value::Null => None,
            tail => Some(from_hex(tail.as_str()?)?),
        },
        offset: number("offset")?,
        // Earlier builds had no such numbers, and no such list.
        check: number("check").map(|near| Check { near, all: number("all") }),
        stored: match value.get("stored") {
            None => Vec::new(),
            Some(runs) => runs.as_array()?.iter().map(run).collect::<Option<_>>()?,
        },
        version: {
            let version = value.get("version")?;
            Version { size: version.get(0)?.as_u64()?, modified: version.get(1)?.as_i64()? }
        },
        is_finished: value.get("finished")?.as_bool()?,
        is_unproven: value.get("unproven").and_then(Value::as_bool).unwrap_or(false),
        gone: number("gone"),
        // Earlier builds had no such number.
        missed: number("missed").unwrap_or(0),
        failed: None,
    })
}

fn run(value: &Value) -> Option<Run> {
    Some((value.get(0)?.as_u64()?, value.get(1)?.as_u64()?))
}

pub(super) fn hex(id: &FileId) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

fn from_hex(text: &str) -> Option<FileId> {
    if text.len() != 32 { None } else { u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const FILE: &str = "files.json";
    const NEW: &str = "files.json.new";

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
            inode: Inode { number: u64::MAX, born: Some(-1) },
            head: (5, [0; 16]),
            tail: Some([1; 16]),
            offset: 3,
            check: Some(Check { near: u64::MAX, all: Some(u64::MAX) }),
            stored: vec![(4, 5)],
            version: Version { size: 5, modified: -1 },
            is_finished: true,
            is_unproven: true,
            gone: Some(1),
            missed: 1_008,
            failed: None,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = Folder::new("again");
        let inode = Inode { number: 2, born: None };
        let entries = vec![entry(), Entry { inode, tail: None, is_finished: false, gone: None, ..entry() }];
        let (mut state, none) = State::open(&folder.0, None).unwrap();
        assert_eq!(none, Written::default());
        state.write(Some("acme/inbox"), entries.iter()).unwrap();
        assert_eq!(State::open(&folder.0, None).map(drop).unwrap_err().code(), Code::FileInUse);
        drop(state);
        let written = Written { folder: Some("acme/inbox".to_owned()), entries };
        assert_eq!(State::open(&folder.0, None).unwrap().1, written);
    }

    #[test]
    fn the_state_of_an_earlier_build_is_read() {
        let folder = Folder::new("earlier");
        let (id, head) = (hex(&[7; 16]), hex(&[0; 16]));
        let file = json!({
            "id": id, "name": "a\"ü.csv", "device": 1, "inode": u64::MAX, "head": [5, head], "tail": hex(&[1; 16]),
            "offset": 3, "check": 4, "version": [5, -1], "finished": true, "failed": "file/gzip",
        });
        fs::write(folder.0.join(FILE), json!({"version": 1, "files": [file]}).to_string()).unwrap();
        let inode = Inode { number: u64::MAX, born: None };
        let check = Some(Check { near: 4, all: None });
        let entries =
            vec![Entry { inode, gone: None, missed: 0, check, stored: Vec::new(), is_unproven: false, ..entry() }];
        assert_eq!(State::open(&folder.0, None).unwrap().1, Written { folder: None, entries });
    }

    #[test]
    fn the_most_that_is_known_can_be_read_again() {
        let name = "\u{1}".repeat(255);
        let long = Entry { name, offset: u64::MAX, version: Version { size: u64::MAX, modified: i64::MIN }, ..entry() };
        assert!(2 * MAX_FILES as u64 * (to_json(&long).to_string().len() as u64 + 1) < MAX_BYTES);
    }

    #[test]
    fn what_is_not_as_it_was_written_is_an_error_and_stays() {
        let folder = Folder::new("broken");
        for text in ["", "{", "[]", "{\"version\":2,\"files\":[]}", "{\"version\":1,\"files\":[{}]}"] {
            fs::write(folder.0.join(FILE), text).unwrap();
            assert_eq!(State::open(&folder.0, None).map(drop).unwrap_err().code(), Code::FileState, "{text}");
            assert_eq!(fs::read_to_string(folder.0.join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_folder_in_the_place_of_the_one_that_is_locked_is_left_alone() {
        let folder = Folder::new("place");
        let state = folder.0.join("state");
        let (mut ours, _) = State::open(&state, None).unwrap();
        fs::rename(&state, folder.0.join("away")).unwrap();
        drop(State::open(&state, None).unwrap());
        assert_eq!(ours.write(None, [entry()].iter()).unwrap_err().code(), Code::FileState);
        assert!(!state.join(FILE).exists());
    }

    #[test]
    fn a_write_that_was_torn_leaves_what_was_there() {
        let folder = Folder::new("torn");
        let (mut state, _) = State::open(&folder.0, None).unwrap();
        state.write(None, [entry()].iter()).unwrap();
        drop(state);
        fs::write(folder.0.join(NEW), "{\"ver").unwrap();
        assert_eq!(State::open(&folder.0, None).unwrap().1.entries, [entry()]);
    }

    /// A lease that ends when it is told to.
    #[derive(Debug)]
    struct Lease(AtomicBool);

    impl Lease {
        fn new() -> Arc<Lease> {
            Arc::new(Lease(AtomicBool::new(true)))
        }

        fn end(&self) {
            self.0.store(false, Ordering::SeqCst);
        }
    }

    impl Fence for Lease {
        fn holds(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn at(offset: u64) -> Entry {
        Entry { offset, ..entry() }
    }

    fn leased(folder: &Path, lease: &Arc<Lease>) -> (State, Written) {
        State::open(folder, Some(Arc::clone(lease) as Arc<dyn Fence>)).unwrap()
    }

    #[test]
    fn the_next_holder_of_a_lease_goes_on_where_the_one_before_was_and_does_not_wait_for_its_lock() {
        let folder = Folder::new("lease");
        let (one, other) = (Lease::new(), Lease::new());
        let (mut before, none) = leased(&folder.0, &one);
        assert_eq!(none, Written::default());
        before.write(Some("acme/inbox"), [at(1)].iter()).unwrap();
        one.end();
        let (_after, found) = leased(&folder.0, &other);
        assert_eq!(found, Written { folder: Some("acme/inbox".to_owned()), entries: vec![at(1)] });
    }

    #[test]
    fn what_a_node_writes_that_has_lost_its_lease_is_read_by_nobody() {
        let folder = Folder::new("stale");
        let (one, other) = (Lease::new(), Lease::new());
        let (mut before, _) = leased(&folder.0, &one);
        before.write(None, [at(1)].iter()).unwrap();
        one.end();
        let (mut after, _) = leased(&folder.0, &other);
        after.write(None, [at(5)].iter()).unwrap();
        let _ = before.write(None, [at(2)].iter());
        assert!(!before.is_held() && after.is_held());
        assert_eq!(leased(&folder.0, &Lease::new()).1.entries, [at(5)]);
    }

    #[test]
    fn one_that_opens_too_late_does_not_hide_what_the_holder_writes() {
        let folder = Folder::new("late");
        let (one, other) = (Lease::new(), Lease::new());
        let (mut holder, _) = leased(&folder.0, &other);
        // Its lease ends between the look at it and what it does.
        let (mut late, _) = leased(&folder.0, &one);
        one.end();
        holder.write(None, [at(5)].iter()).unwrap();
        let _ = late.write(None, [at(2)].iter());
        assert_eq!(leased(&folder.0, &Lease::new()).1.entries, [at(5)]);
    }

    #[test]
    fn without_a_lease_nothing_is_claimed() {
        let folder = Folder::new("ended");
        let ended = Lease::new();
        ended.end();
        let opened = State::open(&folder.0, Some(ended as Arc<dyn Fence>));
        assert_eq!(opened.map(drop).unwrap_err().code(), Code::FileState);
    }

    #[test]
    fn a_run_of_one_machine_and_nodes_with_leases_go_on_for_each_other_and_never_at_a_time() {
        let folder = Folder::new("both");
        let (mut run, _) = State::open(&folder.0, None).unwrap();
        run.write(None, [at(1)].iter()).unwrap();
        let lease = Lease::new();
        let opened = State::open(&folder.0, Some(Arc::clone(&lease) as Arc<dyn Fence>));
        assert_eq!(opened.map(drop).unwrap_err().code(), Code::FileInUse);
        drop(run);
        let (mut node, found) = leased(&folder.0, &lease);
        assert_eq!(found.entries, [at(1)]);
        node.write(None, [at(2)].iter()).unwrap();
        assert_eq!(State::open(&folder.0, None).map(drop).unwrap_err().code(), Code::FileInUse);
        drop(node);
        let (mut run, found) = State::open(&folder.0, None).unwrap();
        assert_eq!(found.entries, [at(2)]);
        run.write(None, [at(3)].iter()).unwrap();
        drop(run);
        assert_eq!(leased(&folder.0, &lease).1.entries, [at(3)]);
    }
}
