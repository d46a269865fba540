//! The memory that a host shares with one worker: bytes in both directions, in rounds.
//!
//! ```text
//! header   request words (the host writes)    bell, length, more
//!          reply words (the worker writes)    bell, length, state, progress
//! request  AREA bytes: a part of the request
//! reply    AREA bytes: a part of the replies
//!
//! host                                   worker
//! ask: copy, length, bell ─────────────► next_request; more? ─► state MORE, and the host asks again
//! watch progress                         progress, run, publish: copy, length
//! read state DRAIN ◄──────────────────── the area is full: wait until the host has copied it out
//! read state DONE ◄───────────────────── finish
//! ```
//!
//! The memory is a memfd, sealed against a change of its size: a worker that shrank it would crash the host. A worker
//! may write anything anywhere at any time. So the host keeps what it has to rely on to itself, clamps what it reads
//! from the header, copies replies out, and looks only at the copy.
#![allow(unsafe_code)] // Maps memory that another process writes, and copies from and to it.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::futex;

/// Bytes of a request or of replies that are passed on at once. Longer ones go in several rounds.
pub const AREA: usize = 128 << 10;
const HEADER: usize = 4096;
const SIZE: usize = HEADER + 2 * AREA;

/// The start of the memory. Each side writes its own words only, on cache lines of their own.
#[repr(C)]
struct Header {
    request: RequestWords,
    reply: ReplyWords,
}

#[repr(C, align(128))]
struct RequestWords {
    /// Counts what the host has asked.
    bell: AtomicU32,
    length: AtomicU32,
    /// 1 when this is not the end of the request.
    more: AtomicU32,
}

#[repr(C, align(128))]
struct ReplyWords {
    /// Counts what the worker has answered.
    bell: AtomicU32,
    /// Counts the bytes of all replies; begins again after 2^32. The last of them are in the area.
    published: AtomicU32,
    /// What the worker waits for: a [`State`].
    state: AtomicU32,
    /// What the worker does: see [`Progress`].
    progress: AtomicU32,
}

/// What a worker has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The request is done, and every reply is in the area.
    Done,
    /// The area is full; the worker goes on when the host asks (for nothing).
    Drain,
    /// The worker has read this part of the request, and waits for the next.
    More,
    /// A number that no worker of ours writes.
    Unknown(u32),
}

impl State {
    fn number(self) -> u32 {
        match self {
            State::Done => 1,
            State::Drain => 2,
            State::More => 3,
            State::Unknown(number) => number,
        }
    }

    fn of(number: u32) -> State {
        match number {
            1 => State::Done,
            2 => State::Drain,
            3 => State::More,
            other => State::Unknown(other),
        }
    }
}

/// What a worker does right now, as it says. Only grows while a request is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Progress(pub u32);

impl Progress {
    /// Before the first task: reading the request, compiling its programs.
    pub const PREPARING: Progress = Progress(0);

    /// Reading task `index`, and running its program's top level if it is not loaded.
    #[must_use]
    pub fn loading(index: usize) -> Progress {
        Progress(u32::try_from(index).map_or(u32::MAX, |index| 2 * index + 1))
    }

    /// Running task `index`.
    #[must_use]
    pub fn running(index: usize) -> Progress {
        Progress(u32::try_from(index).map_or(u32::MAX, |index| 2 * index + 2))
    }

    /// Whether a script's code for one message runs.
    #[must_use]
    pub fn is_running(self) -> bool {
        self.0 > 0 && self.0.is_multiple_of(2)
    }
}

/// The memory, mapped into this process.
struct Mapping {
    start: NonNull<u8>,
}

// SAFETY: the mapping belongs to whoever has this; nothing in it depends on a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(memory: BorrowedFd<'_>) -> io::Result<Mapping> {
        // SAFETY: a new mapping, at an address that the kernel chooses. The file is of this size: `create` has made and
        // sealed it.
        let start = unsafe {
            mmap(std::ptr::null_mut(), SIZE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memory.as_fd(), 0)?
        };
        NonNull::new(start.cast()).map(|start| Mapping { start }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping starts at a page and is larger; a header is atomic words only, so that writes of the other
        // process are as those of another thread.
        unsafe { self.start.cast::<Header>().as_ref() }
    }

    /// Copies `bytes` to `at` of an area, and nothing beyond its end.
    fn write(&self, area: usize, at: usize, bytes: &[u8]) -> usize {
        let length = bytes.len().min(AREA.saturating_sub(at));
        // SAFETY: the range lies in the area, `at + length <= AREA` or the length is 0, and nobody in this process has a
        // reference into it. What the other process reads meanwhile is its own business.
        unsafe { self.start.as_ptr().add(area + at.min(AREA)).copy_from_nonoverlapping(bytes.as_ptr(), length) };
        length
    }

    /// Appends `from..to` of an area to `into`, as much of it as lies in the area.
    fn read(&self, area: usize, from: usize, to: usize, into: &mut Vec<u8>) {
        let to = to.min(AREA);
        let length = to.saturating_sub(from);
        into.reserve(length);
        if length == 0 {
            return;
        }
        // SAFETY: the range lies in the area; the vector has room for it. The other process may write meanwhile: then
        // the copy is any bytes, which is what it has to be taken for in any case. The fence keeps the compiler from
        // reading the area again in place of the copy.
        unsafe {
            let end = into.as_mut_ptr().add(into.len());
            end.copy_from_nonoverlapping(self.start.as_ptr().add(area + from), length);
            fence(Ordering::SeqCst);
            into.set_len(into.len() + length);
        }
        std::hint::black_box(into);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size; no reference into it outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr().cast::<c_void>(), SIZE) };
    }
}

/// Waits until a bell no longer says `seen`, at most for `timeout`. May return earlier.
fn wait(bell: &AtomicU32, seen: u32, timeout: Option<Duration>) {
    let timeout = timeout.and_then(|timeout| timeout.try_into().ok());
    // Another value, a signal, the end of the time: the caller looks again in any case.
    let _: Result<(), Errno> = futex::wait(bell, futex::Flags::empty(), seen, timeout.as_ref());
}

fn ring(bell: &AtomicU32, next: u32) {
    bell.store(next, Ordering::Release);
    let _ = futex::wake(bell, futex::Flags::empty(), 1);
}

// -- the host's side ---------------------------------------------------------------------------------

/// The host's side.
pub struct HostMemory {
    file: OwnedFd,
    mapping: Mapping,
    asked: u32,
    answered: u32,
    /// Counts the bytes of replies that were copied out.
    taken: u32,
    /// What `taken` was when the worker last began to fill the area.
    emptied: u32,
}

impl HostMemory {
    /// # Errors
    /// When the system gives no memory.
    pub fn create() -> io::Result<HostMemory> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 do not know the seal against execution.
        let file = memfd_create("vrsky-script", flags | MemfdFlags::NOEXEC_SEAL)
            .or_else(|_| memfd_create("vrsky-script", flags))?;
        ftruncate(&file, SIZE as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let mapping = Mapping::new(file.as_fd())?;
        Ok(HostMemory { file, mapping, asked: 0, answered: 0, taken: 0, emptied: 0 })
    }

    /// To be handed to the worker.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Passes the next part of a request on; gives how long it was. The worker must have answered what was asked before.
    pub fn ask(&mut self, request: &[u8]) -> usize {
        let words = &self.mapping.header().request;
        let length = self.mapping.write(HEADER, 0, request);
        words.length.store(u32::try_from(length).unwrap_or(0), Ordering::Relaxed);
        words.more.store(u32::from(length < request.len()), Ordering::Relaxed);
        self.emptied = self.taken;
        self.asked = self.asked.wrapping_add(1);
        ring(&words.bell, self.asked);
        length
    }

    /// What the worker has answered since the last time, if anything. Waits for it, at most for `timeout`.
    pub fn answer(&mut self, timeout: Duration) -> Option<State> {
        let words = &self.mapping.header().reply;
        if words.bell.load(Ordering::Acquire) == self.answered {
            wait(&words.bell, self.answered, Some(timeout));
        }
        let bell = words.bell.load(Ordering::Acquire);
        if bell == self.answered {
            return None;
        }
        self.answered = bell;
        Some(State::of(words.state.load(Ordering::Relaxed)))
    }

    /// Copies what is new in the reply area to the end of `into`. Also after the worker was killed.
    pub fn take_replies(&mut self, into: &mut Vec<u8>) {
        let published = self.mapping.header().reply.published.load(Ordering::Acquire);
        let from = self.taken.wrapping_sub(self.emptied) as usize;
        let to = (published.wrapping_sub(self.emptied) as usize).min(AREA);
        self.mapping.read(HEADER + AREA, from, to, into);
        self.taken = self.taken.wrapping_add(u32::try_from(to.saturating_sub(from)).unwrap_or(0));
    }

    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress(self.mapping.header().reply.progress.load(Ordering::Acquire))
    }
}

// -- the worker's side -------------------------------------------------------------------------------

/// The worker's side.
pub struct WorkerMemory {
    mapping: Mapping,
    heard: u32,
    said: u32,
    /// Bytes in the reply area.
    filled: usize,
    published: u32,
}

impl WorkerMemory {
    /// # Errors
    /// When the memory cannot be mapped.
    pub fn open(memory: &OwnedFd) -> io::Result<WorkerMemory> {
        Ok(WorkerMemory { mapping: Mapping::new(memory.as_fd())?, heard: 0, said: 0, filled: 0, published: 0 })
    }

    /// Waits for a request, and puts it into `into`.
    pub fn next_request(&mut self, into: &mut Vec<u8>) {
        into.clear();
        loop {
            self.hear();
            let words = &self.mapping.header().request;
            let length = words.length.load(Ordering::Relaxed) as usize;
            self.mapping.read(HEADER, 0, length, into);
            if words.more.load(Ordering::Relaxed) == 0 {
                self.filled = 0;
                return;
            }
            self.say(State::More);
        }
    }

    /// Says what is done from now on.
    pub fn set_progress(&self, progress: Progress) {
        self.mapping.header().reply.progress.store(progress.0, Ordering::Release);
    }

    /// Hands a reply to the host: whole, or in several parts if the area has no room for it. Whatever becomes of this
    /// worker afterwards, the host has a reply that was published.
    pub fn publish(&mut self, mut reply: &[u8]) {
        while !reply.is_empty() {
            let written = self.mapping.write(HEADER + AREA, self.filled, reply);
            reply = &reply[written..];
            self.filled += written;
            self.published = self.published.wrapping_add(u32::try_from(written).unwrap_or(0));
            self.mapping.header().reply.published.store(self.published, Ordering::Release);
            if !reply.is_empty() {
                self.say(State::Drain);
                self.hear();
                self.filled = 0;
            }
        }
    }

    /// Says that the request is done.
    pub fn finish(&mut self) {
        self.set_progress(Progress::PREPARING);
        self.say(State::Done);
    }

    /// Says that so many bytes were published, whatever is there.
    #[cfg(test)]
    pub fn claim(&self, published: u32) {
        self.mapping.header().reply.published.store(published, Ordering::Release);
    }

    /// Says anything.
    #[cfg(test)]
    pub fn say_number(&mut self, number: u32) {
        self.say(State::Unknown(number));
    }

    fn hear(&mut self) {
        let bell = &self.mapping.header().request.bell;
        loop {
            let asked = bell.load(Ordering::Acquire);
            if asked != self.heard {
                self.heard = asked;
                return;
            }
            wait(bell, self.heard, None);
        }
    }

    fn say(&mut self, state: State) {
        let words = &self.mapping.header().reply;
        words.state.store(state.number(), Ordering::Relaxed);
        self.said = self.said.wrapping_add(1);
        ring(&words.bell, self.said);
    }
}
