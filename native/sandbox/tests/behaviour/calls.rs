//! The memory that a test shares with a worker of `sandbox-test-zygote`: one system call at a time.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64};

pub const BYTES: usize = 64 << 10;
/// Instead of a system call: the worker panics.
pub const PANIC: i64 = i64::MAX;
/// Instead of a system call: the worker uses the CPU without end.
pub const SPIN: i64 = i64::MAX - 1;

/// Instead of a system call: `getpid` by the table of 32-bit programs.
pub const GETPID_32: i64 = i64::MAX - 2;

#[repr(C)]
pub struct Calls {
    /// Counts the calls asked for, and those answered.
    asked: AtomicU32,
    answered: AtomicU32,
    /// Where the worker has mapped this.
    pub base: AtomicU64,
    /// The number, then six arguments.
    pub call: [AtomicI64; 7],
    /// What the call returned; an error number is negative.
    pub result: AtomicI64,
    /// For what arguments point to.
    pub data: [AtomicU8; 4096],
}

#[allow(dead_code, reason = "the test uses one half, the worker the other")]
impl Calls {
    pub fn map(memory: &OwnedFd) -> &'static Calls {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a mapping of its own that nobody unmaps, of a file that nobody truncates; all fields are atomic.
        unsafe {
            let address = mmap(std::ptr::null_mut(), BYTES, protection, MapFlags::SHARED, memory, 0);
            &*address.expect("the shared memory is mapped").cast::<Calls>()
        }
    }

    /// The address of `data[offset]` in the worker.
    pub fn address(&self, offset: usize) -> i64 {
        (self.base.load(SeqCst) as usize + std::mem::offset_of!(Calls, data) + offset) as i64
    }

    pub fn put(&self, offset: usize, bytes: &[u8]) {
        for (place, byte) in self.data[offset..].iter().zip(bytes) {
            place.store(*byte, SeqCst);
        }
    }

    pub fn get(&self, offset: usize, length: usize) -> Vec<u8> {
        self.data[offset..offset + length].iter().map(|byte| byte.load(SeqCst)).collect()
    }

    pub fn ask(&self, call: [i64; 7]) {
        for (place, value) in self.call.iter().zip(call) {
            place.store(value, SeqCst);
        }
        self.asked.fetch_add(1, SeqCst);
        wake(&self.asked);
    }

    pub fn is_answered(&self) -> bool {
        self.answered.load(SeqCst) == self.asked.load(SeqCst)
    }

    pub fn wait_for_call(&self, seen: u32) -> u32 {
        loop {
            match self.asked.load(SeqCst) {
                asked if asked != seen => return asked,
                _ => wait(&self.asked, seen),
            }
        }
    }

    pub fn answer(&self, seen: u32, result: i64) {
        self.result.store(result, SeqCst);
        self.answered.store(seen, SeqCst);
        wake(&self.answered);
    }
}

fn wait(word: &AtomicU32, value: u32) {
    let _ = rustix::thread::futex::wait(word, rustix::thread::futex::Flags::empty(), value, None);
}

fn wake(word: &AtomicU32) {
    let _ = rustix::thread::futex::wake(word, rustix::thread::futex::Flags::empty(), 1);
}
