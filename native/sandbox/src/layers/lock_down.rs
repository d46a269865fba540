//! A worker takes the layers from itself, in their order, and says which are missing.

use std::os::fd::OwnedFd;

use rustix::process::Pid;

use super::seccomp::Filters;
use super::system::{clear_environment, exit_now};
use super::{Layer, LayerSet, Report, descriptors, identity, landlock, rlimits, session};
use crate::launch::WorkerLimits;

/// What a worker needs to know for it.
pub(crate) struct Given<'a> {
    /// The layers to apply.
    pub(crate) layers: LayerSet,
    /// Those without which the worker ends.
    pub(crate) required: LayerSet,
    pub(crate) limits: WorkerLimits,
    /// Address space of the zygote, in bytes.
    pub(crate) zygote_bytes: u64,
    /// The zygote, as a child of it sees it.
    pub(crate) zygote: Pid,
    /// A user id that no other worker has, where there is one.
    pub(crate) uid: Option<u32>,
    /// Whether the environment was empty when the zygote was started. Clearing the list leaves the text behind.
    pub(crate) clean_environment: bool,
    pub(crate) filters: &'a Filters,
    /// What became of the layers that the zygote has applied.
    pub(crate) zygote_report: Report,
}

/// Locks this process down, which has just been forked from the zygote. Writes its report to `status`; closing it is
/// the sign that the last layer, seccomp, stands. Returns the shared memory. Without a required layer it does not
/// return: the process ends.
pub(crate) fn lock_down(given: &Given<'_>, memory: OwnedFd, status: OwnedFd) -> OwnedFd {
    let _ = rustix::thread::set_name(c"vrsky-worker");
    let Ok((memory, status)) = descriptors::place(memory, status) else { exit_now(1) };
    let report = before_seccomp(given).or(&given.zygote_report);
    if rustix::io::write(&status, &report.to_bytes()).is_err() {
        exit_now(1);
    }
    // Seccomp itself is judged below.
    if report.first_missing(given.required.without(Layer::Seccomp)).is_some() {
        exit_now(1);
    }
    if given.layers.has(Layer::Seccomp) {
        if let Err(error) = given.filters.install() {
            let _ = rustix::io::write(&status, &super::report::errno(&error).to_le_bytes());
            if given.required.has(Layer::Seccomp) {
                exit_now(1);
            }
        }
    } else if given.required.has(Layer::Seccomp) {
        exit_now(1);
    }
    drop(status);
    memory
}

/// The order has reasons. Capabilities are needed to change the user; a change of the user takes back both the
/// request to die with the zygote and the mark that the process may be dumped. Landlock opens a descriptor, which
/// the rlimits refuse.
fn before_seccomp(given: &Given<'_>) -> Report {
    let mut report = Report::new();
    let mut apply = |layer, take: &mut dyn FnMut() -> std::io::Result<()>| {
        if given.layers.has(layer) {
            report.set(layer, take());
        }
    };
    apply(Layer::Descriptors, &mut descriptors::close_others);
    apply(Layer::Environment, &mut || {
        clear_environment()?;
        if given.clean_environment { Ok(()) } else { Err(std::io::Error::from_raw_os_error(libc::EPERM)) }
    });
    apply(Layer::Session, &mut session::leave);
    let mut bounded = Ok(());
    if given.layers.has(Layer::Capabilities) {
        bounded = identity::drop_bounding_set();
    }
    apply(Layer::OwnUid, &mut || identity::become_user(given.uid));
    apply(Layer::Capabilities, &mut || {
        std::mem::replace(&mut bounded, Ok(()))?;
        identity::drop_all()
    });
    apply(Layer::ParentDeath, &mut || session::die_with(given.zygote));
    apply(Layer::NoNewPrivs, &mut || Ok(rustix::thread::set_no_new_privs(true)?));
    apply(Layer::NotDumpable, &mut || {
        Ok(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?)
    });
    apply(Layer::Landlock, &mut landlock::restrict);
    apply(Layer::Rlimits, &mut || rlimits::set(&given.limits, given.zygote_bytes));
    if given.layers.has(Layer::Seccomp) {
        report.set(Layer::Seccomp, Ok(()));
    }
    report
}
