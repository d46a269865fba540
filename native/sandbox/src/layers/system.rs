//! The system calls for which rustix has no safe function, each behind a safe one.
#![allow(unsafe_code)] // Foreign functions of libc; each use says what it relies on.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::thread::UnshareFlags;

/// Which side of a [`fork`] this is.
pub(crate) enum Side {
    Child,
    /// With the process id of the child.
    Parent(u32),
}

/// Forks. Fails in a process with more than one thread: the child would have the locks of the others and not the
/// threads that let them go.
pub(crate) fn fork() -> io::Result<Side> {
    check_threads()?;
    // SAFETY: there is one thread, so the child's memory is as consistent as the parent's.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid.unsigned_abs())),
    }
}

/// # Errors
/// When this process has more threads than this one.
pub(crate) fn check_threads() -> io::Result<()> {
    match threads()? {
        1 => Ok(()),
        _ => Err(io::Error::other("a process with several threads is no zygote and is not forked")),
    }
}

/// Threads of this process. Without `/proc` (behind the empty root) nobody can have started one since the zygote
/// counted them.
fn threads() -> io::Result<usize> {
    match std::fs::read_dir("/proc/self/task") {
        Ok(tasks) => Ok(tasks.count()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(1),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(1),
        Err(error) => Err(error),
    }
}

/// Ends the process at once: no destructor and no exit handler of the process it was forked from runs.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Closes the descriptors from `first` to `last`, whoever owns them. For a process that has just been forked and
/// does nothing more with what it inherited.
pub(crate) fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the caller names descriptors that nothing in this process uses from here on.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })
}

/// Moves a descriptor to this number; what was open there is closed.
pub(crate) fn move_to(from: OwnedFd, number: RawFd) -> io::Result<OwnedFd> {
    if from.as_raw_fd() == number {
        return Ok(from);
    }
    // SAFETY: `dup3` takes any numbers; on success `number` is a new descriptor that nothing else owns.
    unsafe {
        check(libc::dup3(from.as_raw_fd(), number, libc::O_CLOEXEC).into())?;
        Ok(OwnedFd::from_raw_fd(number))
    }
}

/// Takes over a descriptor that was inherited.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the number is looked up before anything relies on it, and the process was started with this
    // descriptor for this use.
    unsafe {
        check(libc::fcntl(number, libc::F_GETFD).into())?;
        Ok(OwnedFd::from_raw_fd(number))
    }
}

/// Forgets all environment variables.
pub(crate) fn clear_environment() -> io::Result<()> {
    // SAFETY: there is one thread, and nothing holds a pointer into the environment.
    check(unsafe { libc::clearenv() }.into())
}

/// Signals end the process as the kernel has it, but those that a terminal or a service manager sends to whole
/// groups, which are ignored: a worker ends by SIGKILL. None is blocked.
pub(crate) fn reset_signals() {
    // SAFETY: no handler is installed, and the set is initialised by `sigemptyset`.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            let ignored = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE].contains(&signal);
            libc::signal(signal, if ignored { libc::SIG_IGN } else { libc::SIG_DFL });
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// A descriptor that is readable when a child has ended. SIGCHLD is blocked from here on.
pub(crate) fn child_ends() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by `sigemptyset`; a descriptor that `signalfd` returns is new.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
        check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Forgets which children have ended: [`child_ends`] is not readable until the next one does.
pub(crate) fn drain(child_ends: BorrowedFd<'_>) {
    let mut some = [0_u8; size_of::<libc::signalfd_siginfo>() * 4];
    while rustix::io::read(child_ends, &mut some).is_ok() {}
}

/// Leaves namespaces of this process for new ones.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: there is one thread, and `FILES` is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
