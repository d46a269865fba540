//! Own session, signals and umask; killed with the zygote.

use std::io;

use rustix::fs::Mode;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid, umask};

use super::system::reset_signals;

pub(super) fn leave() -> io::Result<()> {
    reset_signals();
    umask(Mode::from_raw_mode(0o777));
    setsid()?;
    Ok(())
}

/// To be called after the user id has changed: that takes the request back. `zygote` is the parent as this process
/// sees it.
pub(super) fn die_with(zygote: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The zygote may have ended before the call above. Then this process has another parent already.
    if getppid() == Some(zygote) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}
