//! A worker has one descriptor, the shared memory; until it is locked down, also the pipe for its report.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use super::system::{close_range, move_to};

/// Above standard error, so that no message of a library that is written there reaches the shared memory.
const MEMORY: RawFd = 3;
const STATUS: RawFd = 4;

/// Puts both where no other one is, through numbers that neither of them has.
pub(super) fn place(memory: OwnedFd, status: OwnedFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let memory = rustix::io::fcntl_dupfd_cloexec(&memory, STATUS + 1)?;
    let status = rustix::io::fcntl_dupfd_cloexec(&status, STATUS + 1)?;
    Ok((move_to(memory, MEMORY)?, move_to(status, STATUS)?))
}

/// Closes all others.
pub(super) fn close_others() -> io::Result<()> {
    close_range(0, MEMORY.unsigned_abs() - 1)?;
    close_range(STATUS.unsigned_abs() + 1, u32::MAX)
}
