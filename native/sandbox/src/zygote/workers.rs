//! The zygote's children.

use std::collections::HashMap;
use std::io::{self, PipeReader, Read, pipe};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, pidfd_send_signal, wait,
};

use super::control::Reply;
use super::run::Options;
use crate::launch::WorkerLimits;
use crate::layers::namespaces::AddressSpace;
use crate::layers::system::{Side, exit_now, fork};
use crate::layers::{Filters, Given, Layer, LayerSet, REPORT_BYTES, Report, Uids, errno, lock_down};

/// Workers of a zygote at one time. The host's memory budget ends long before.
const MAX_WORKERS: usize = 4096;
/// A worker is locked down within a millisecond. One that is not after this long hangs, and is killed.
const LOCK_DOWN_TIMEOUT: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

pub(super) struct Workers {
    options: Options,
    report: Report,
    uids: Option<Uids>,
    clean_environment: bool,
    space: AddressSpace,
    filters: Filters,
    /// By process id: which of the user ids. Entries go when the process is reaped, so none means another process.
    alive: HashMap<i32, u32>,
    /// User ids of workers that were reaped, then the next one that was never used.
    free: Vec<u32>,
    next: u32,
}

impl Workers {
    pub(super) fn new(
        options: Options,
        report: Report,
        uids: Option<Uids>,
        clean_environment: bool,
        space: AddressSpace,
    ) -> io::Result<Workers> {
        let filters = Filters::new()?;
        Ok(Workers {
            options,
            report,
            uids,
            clean_environment,
            space,
            filters,
            alive: HashMap::new(),
            free: Vec::new(),
            next: 0,
        })
    }

    /// A worker on this memory, and its pidfd; or why there is none.
    pub(super) fn launch(
        &mut self,
        memory: OwnedFd,
        required: LayerSet,
        limits: WorkerLimits,
    ) -> (Reply, Option<OwnedFd>) {
        match self.try_launch(memory, self.options.layers, required, limits, self.options.worker) {
            Ok((report, pidfd)) => match report.first_missing(required) {
                None => (Reply { errno: 0, report }, Some(pidfd)),
                // The worker has seen the same, and ended.
                Some((_, 0)) => (Reply { errno: libc::EPERM, report }, None),
                Some((_, errno)) => (Reply { errno, report }, None),
            },
            Err(error) => (Reply { errno: errno(&error), report: self.report }, None),
        }
    }

    /// Tries each layer in a child that has no other one, then all of them together: what is missing in either is
    /// missing.
    pub(super) fn probe(&mut self, limits: WorkerLimits) -> Reply {
        let nothing = |_| exit_now(0);
        let mut found = self.report;
        for layer in self.options.layers.iter() {
            if self.report.state(layer) != crate::layers::State::Off {
                continue;
            }
            let tried = memory().and_then(|memory| {
                self.try_launch(memory, LayerSet::NONE.with(layer), LayerSet::NONE, limits, nothing)
            });
            match tried {
                Ok((report, _)) => found = found.or(&report),
                Err(error) => found.set(layer, Err(error)),
            }
        }
        let together =
            memory().and_then(|memory| self.try_launch(memory, self.options.layers, LayerSet::NONE, limits, nothing));
        match together {
            Ok((report, _)) => Reply { errno: 0, report: found.and(&report) },
            Err(error) => Reply { errno: errno(&error), report: found },
        }
    }

    fn try_launch(
        &mut self,
        memory: OwnedFd,
        layers: LayerSet,
        required: LayerSet,
        limits: WorkerLimits,
        worker: fn(OwnedFd) -> !,
    ) -> io::Result<(Report, OwnedFd)> {
        self.reap();
        if self.alive.len() >= MAX_WORKERS {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        let zygote_bytes = self.space.bytes()?;
        let (status, theirs) = pipe()?;
        let number = self.take_number();
        let given = Given {
            layers,
            required,
            limits,
            zygote_bytes,
            zygote: getpid(),
            uid: number.and_then(|number| Some(self.uids?.first + number)),
            clean_environment: self.clean_environment,
            filters: &self.filters,
            zygote_report: self.report,
        };
        let pid = match fork() {
            Ok(Side::Parent(pid)) => pid.cast_signed(),
            Ok(Side::Child) => {
                drop(status);
                // Unwinding would leave this function, and be a second zygote.
                let _ = catch_unwind(AssertUnwindSafe(|| worker(lock_down(&given, memory, theirs.into()))));
                exit_now(101);
            }
            Err(error) => {
                self.free.extend(number);
                return Err(error);
            }
        };
        drop((memory, theirs));
        self.alive.insert(pid, number.unwrap_or(u32::MAX));
        // Nobody else reaps, so the number is still this child's, also when it has ended.
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::Other)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
            let _ = kill_process(pid, Signal::KILL);
        })?;
        match read_status(status) {
            Ok(report) => Ok((report, pidfd)),
            Err(error) => {
                let _ = pidfd_send_signal(&pidfd, Signal::KILL);
                Err(error)
            }
        }
    }

    fn take_number(&mut self) -> Option<u32> {
        let uids = self.uids?;
        self.free.pop().or_else(|| {
            let number = self.next;
            (number < uids.count).then(|| {
                self.next += 1;
                number
            })
        })
    }

    /// Takes leave of the children that have ended.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
            if let Some(number) = self.alive.remove(&pid.as_raw_nonzero().get()).filter(|number| *number != u32::MAX) {
                self.free.push(number);
            }
        }
    }

    pub(super) fn kill_all(&self) {
        for pid in self.alive.keys().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// What a worker reports until it is locked down, which closes the pipe.
fn read_status(mut status: PipeReader) -> io::Result<Report> {
    let mut bytes = [0; REPORT_BYTES + 4];
    let mut length = 0;
    loop {
        let mut readable = [PollFd::new(&status, PollFlags::IN)];
        match rustix::io::retry_on_intr(|| poll(&mut readable, Some(&LOCK_DOWN_TIMEOUT)))? {
            0 => return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)),
            _ => match status.read(&mut bytes[length..])? {
                0 => break,
                more => length += more,
            },
        }
    }
    let (report, rest) = bytes.split_first_chunk().ok_or(io::ErrorKind::InvalidData)?;
    match length {
        REPORT_BYTES => Ok(Report::from_bytes(report)),
        // The last layer has failed.
        length if length == REPORT_BYTES + 4 => {
            let errno = i32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
            let mut report = Report::from_bytes(report);
            report.set(Layer::Seccomp, Err(io::Error::from_raw_os_error(errno)));
            Ok(report)
        }
        // It has died, or was killed.
        _ => Err(io::Error::from_raw_os_error(libc::ECHILD)),
    }
}

/// For a worker that does nothing with it.
fn memory() -> io::Result<OwnedFd> {
    Ok(rustix::fs::memfd_create("probe", MemfdFlags::CLOEXEC)?)
}
