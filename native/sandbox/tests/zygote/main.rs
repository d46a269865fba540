//! A zygote whose workers do what a taken over script engine could do: any system call. For tests alone.
//!
//! `sandbox-test-zygote LAYER,LAYER...` gives its workers these layers and no others. With a second argument, `scripts`,
//! they run scripts, as those of a node do.
#![cfg_attr(target_os = "linux", allow(unsafe_code, clippy::expect_used))] // It makes system calls by number, in memory shared with a test.

#[cfg(target_os = "linux")]
#[path = "../behaviour/calls.rs"]
mod calls;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    let names = std::env::args().nth(1).unwrap_or_default();
    let layers = sandbox::Layer::ALL.into_iter().filter(|layer| names.split(',').any(|name| name == layer.name()));
    let runs_scripts = std::env::args().nth(2).is_some_and(|word| word == "scripts");
    let worker = if runs_scripts { sandbox::worker::serve } else { linux::obey };
    sandbox::worker::prepare();
    sandbox::zygote::run(0, sandbox::zygote::Options { worker, layers: layers.collect() })
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::OwnedFd;
    use std::sync::atomic::Ordering::SeqCst;

    use super::calls::{Calls, GETPID_32, PANIC, SPIN};

    /// Makes the calls that the test writes into the memory, one after the other.
    pub fn obey(memory: OwnedFd) -> ! {
        let calls = Calls::map(&memory);
        calls.base.store(std::ptr::from_ref(calls) as u64, SeqCst);
        let mut seen = 0;
        loop {
            seen = calls.wait_for_call(seen);
            let [number, a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5, 6].map(|index| calls.call[index].load(SeqCst));
            assert!(number != PANIC, "a worker that panics");
            if number == SPIN {
                loop {
                    std::hint::spin_loop();
                }
            }
            // SAFETY: none. A call that harms this process is what the test wants to see.
            let mut result = match number {
                GETPID_32 => unsafe { getpid_32() },
                _ => unsafe { libc::syscall(number, a, b, c, d, e, f) },
            };
            if result == -1 {
                result = -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(i32::MAX));
            }
            if result == 0 && [libc::SYS_clone, libc::SYS_clone3].contains(&number) {
                // SAFETY: the second process of a fork that was not refused has nothing to do.
                unsafe { libc::_exit(0) };
            }
            calls.answer(seen, result);
        }
    }

    /// Where the kernel runs no 32-bit programs, it ends this process.
    #[cfg(target_arch = "x86_64")]
    unsafe fn getpid_32() -> i64 {
        let mut result: i64 = 20;
        // SAFETY: the call has no arguments and changes no memory.
        unsafe { std::arch::asm!("int 0x80", inout("rax") result) };
        result
    }

    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn getpid_32() -> i64 {
        unimplemented!()
    }
}
