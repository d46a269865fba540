//! The zygote's life: leave the namespaces, answer requests, reap, end with the host.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, set_parent_process_death_signal, setsid};

use super::control::{REQUEST_BYTES, Ready, Reply, Request, VERSION, receive, send};
use super::workers::Workers;
use crate::launch::WorkerLimits;
use crate::layers::namespaces::{AddressSpace, empty_root, enter, wait};
use crate::layers::system::{Side, check_threads, child_ends, drain, exit_now, fork, inherited, reset_signals};
use crate::layers::{Layer, LayerSet, Report, Uids, errno};

/// What a zygote is started with.
#[derive(Clone, Copy)]
pub struct Options {
    /// What a worker does once it is locked down. A panic ends the worker.
    pub worker: fn(OwnedFd) -> !,
    /// The layers that are tried. A node has all of them; tests take one at a time.
    pub layers: LayerSet,
}

/// Is a zygote until the host's end of the socket `control` closes. To be called by a program that has just been
/// started for this, with one thread and nothing of the host's in its memory.
///
/// # Errors
/// When the process has more than one thread, `control` is no socket of the host's, or the system has no process or
/// descriptor left. A layer that is missing is no error: the host decides.
pub fn run(control: RawFd, options: Options) -> io::Result<()> {
    check_threads()?;
    let control = inherited(control)?;
    let clean_environment = is_environment_empty();
    // Neither the terminal's nor a service manager's signals to whole groups end a zygote: it ends after its host.
    // A process that leads a group has a session of its own, or is some shell's foreground: good enough.
    let _ = setsid();
    reset_signals();
    // For `ps`, and for what the kernel logs of a worker.
    let _ = rustix::thread::set_name(c"vrsky-zygote");
    // Of all processes of a container the kernel takes workers first when memory runs out.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let mut report = Report::new();
    let uids = enter(options.layers, &mut report)?;
    if report.applied().has(Layer::PidNamespace) {
        match fork()? {
            Side::Parent(inner) => {
                drop(control);
                return match wait(inner)? {
                    Some(0) => Ok(()),
                    Some(errno) => Err(io::Error::from_raw_os_error(errno)),
                    None => Err(io::Error::other("the inner process of the zygote was killed")),
                };
            }
            Side::Child => {
                // When the outer process has ended before this call, the host has ended as well, or ends it all.
                let lived = set_parent_process_death_signal(Some(Signal::KILL))
                    .map_err(io::Error::from)
                    .and_then(|()| serve(control, options, report, uids, clean_environment));
                // An exit code is all that the outer process hears.
                exit_now(lived.map_or_else(|error| errno(&error), |()| 0));
            }
        }
    }
    serve(control, options, report, uids, clean_environment)
}

/// The text of the variables stays in memory when they are forgotten, so none may have been there at the start.
fn is_environment_empty() -> bool {
    fs::read("/proc/self/environ").is_ok_and(|text| text.is_empty())
}

fn serve(
    control: OwnedFd,
    options: Options,
    mut report: Report,
    uids: Option<Uids>,
    clean_environment: bool,
) -> io::Result<()> {
    let space = AddressSpace::open()?;
    if options.layers.has(Layer::MountNamespace) {
        report.set(Layer::MountNamespace, empty_root());
    }
    let mut workers = Workers::new(options, report, uids, clean_environment, space)?;
    let ends = child_ends()?;
    send(control.as_fd(), &Ready { version: VERSION, report }.to_bytes(), None)?;
    loop {
        let mut both = [PollFd::new(&control, PollFlags::IN), PollFd::new(&ends, PollFlags::IN)];
        match poll(&mut both, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [asked, ended] = both.map(|one| !one.revents().is_empty());
        if ended {
            drain(ends.as_fd());
            workers.reap();
        }
        if asked && !answer(&control, &mut workers)? {
            workers.kill_all();
            return Ok(());
        }
    }
}

/// Answers one request; false when there is nobody left who asks.
fn answer(control: &OwnedFd, workers: &mut Workers) -> io::Result<bool> {
    let (bytes, memory) = match receive::<REQUEST_BYTES>(control) {
        Ok(Some(request)) => request,
        // A host that was killed with a request on its way.
        Ok(None) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
        Err(error) => return Err(error),
    };
    let (reply, pidfd) = match (Request::from_bytes(&bytes), memory) {
        (Request::Launch { required, limits }, Some(memory)) => workers.launch(memory, required, limits),
        (Request::Launch { .. }, None) => (Reply { errno: libc::EBADF, report: Report::new() }, None),
        (Request::Probe, _) => (workers.probe(WorkerLimits { memory_bytes: 64 << 20, cpu: None }), None),
    };
    match send(control.as_fd(), &reply.to_bytes(), pidfd.as_ref().map(AsFd::as_fd)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}
