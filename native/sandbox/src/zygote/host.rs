//! The host's handle on its zygote.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::control::{READY_BYTES, REPLY_BYTES, Ready, Reply, Request, receive, send};
use crate::launch::{Launch, Worker, WorkerLimits};
use crate::layers::{LayerSet, Report};

/// A zygote forks in a millisecond and starts in a tenth of a second. One that does not answer for so long is ended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts workers by a zygote. A zygote that has ended is started again with the next worker. Dropping this ends the
/// zygote and all of its workers.
pub struct Zygote {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    required: LayerSet,
    running: Mutex<Option<Running>>,
}

struct Running {
    control: OwnedFd,
    outer: Child,
    report: Report,
}

impl Zygote {
    /// Starts the zygote and waits until it is ready.
    ///
    /// `command` runs a program that calls [`super::run`] with descriptor 0, which becomes the control socket. It gets
    /// an empty environment, whatever the command says, and `/` as its folder. It is asked for again when the zygote
    /// has ended. `required`: without these layers no worker is started; [`LayerSet::REQUIRED`] is the default of a
    /// node.
    ///
    /// # Errors
    /// When the program is not to be had, is of another version, or ends or hangs instead of being ready.
    pub fn start(command: impl Fn() -> Command + Send + Sync + 'static, required: LayerSet) -> io::Result<Zygote> {
        let running = Running::start(command())?;
        Ok(Zygote { command: Box::new(command), required, running: Mutex::new(Some(running)) })
    }

    /// The same by the words of a command: a program and its arguments.
    ///
    /// # Errors
    /// As [`Zygote::start`].
    pub fn of_command(words: Vec<String>, required: LayerSet) -> io::Result<Zygote> {
        let command = move || {
            let mut command = Command::new(words.first().map_or("", String::as_str));
            command.args(words.iter().skip(1));
            command
        };
        Zygote::start(command, required)
    }

    /// What became of the layers that all workers share; the others are [`crate::layers::State::Off`].
    ///
    /// # Errors
    /// As [`Zygote::start`], when it had to be started again.
    pub fn report(&self) -> io::Result<Report> {
        let mut running = self.lock();
        self.running(&mut running).map(|running| running.report)
    }

    /// Tries each layer in a worker of its own, then all of them in one, and says which are to be had.
    ///
    /// # Errors
    /// When no worker can be started at all.
    pub fn probe(&self) -> io::Result<Report> {
        let (reply, _) = self.ask(Request::Probe, None)?;
        if reply.errno == 0 { Ok(reply.report) } else { Err(io::Error::from_raw_os_error(reply.errno)) }
    }

    /// The process id of the zygote, as this process sees it; none while it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(|running| running.outer.id())
    }

    /// Asks the zygote. When it turns out to have ended, another one is started and asked, once.
    fn ask(&self, request: Request, memory: Option<BorrowedFd<'_>>) -> io::Result<(Reply, Option<OwnedFd>)> {
        let mut running = self.lock();
        let first = self.running(&mut running)?.ask(request, memory);
        if first.is_ok() {
            return first;
        }
        *running = None;
        let again = self.running(&mut running)?.ask(request, memory);
        if again.is_err() {
            *running = None;
        }
        again
    }

    fn running<'a>(&self, running: &'a mut Option<Running>) -> io::Result<&'a mut Running> {
        match running {
            Some(running) => Ok(running),
            None => Ok(running.insert(Running::start((self.command)())?)),
        }
    }

    /// A poisoned lock holds a socket on which an answer may be missing: the next answer would be taken for it.
    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            self.running.clear_poison();
            let mut running = poisoned.into_inner();
            *running = None;
            running
        })
    }
}

impl Launch for Zygote {
    fn launch(&self, memory: BorrowedFd<'_>, limits: &WorkerLimits) -> io::Result<Worker> {
        let request = Request::Launch { required: self.required, limits: *limits };
        let (reply, pidfd) = self.ask(request, Some(memory))?;
        let Some(pidfd) = pidfd else { return Err(refused(&reply, self.required)) };
        let pid = pid_of(&pidfd);
        let worker = Worker { pid: pid.as_ref().copied().unwrap_or(0), pidfd };
        // Dropping the worker kills it.
        pid.map(|_| worker)
    }
}

/// Why there is no worker, with the name of the layer that is missing.
fn refused(reply: &Reply, required: LayerSet) -> io::Error {
    let error = io::Error::from_raw_os_error(reply.errno);
    match reply.report.first_missing(required) {
        Some((layer, missing)) if missing == reply.errno || missing == 0 => {
            io::Error::new(error.kind(), format!("the sandbox layer `{}` is missing: {error}", layer.name()))
        }
        _ => error,
    }
}

/// The process of a pidfd, as this process sees it.
fn pid_of(pidfd: &OwnedFd) -> io::Result<u32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    // -1 when it has ended and was reaped, 0 when it is in no pid namespace below this one.
    let pid = line.and_then(|pid| pid.trim().parse::<u32>().ok()).filter(|pid| *pid > 0);
    pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

impl Running {
    fn start(mut command: Command) -> io::Result<Running> {
        let (control, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&control, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        set_socket_timeout(&control, Timeout::Send, Some(ANSWER_TIMEOUT))?;
        command.env_clear().current_dir("/").stdin(Stdio::from(theirs)).stdout(Stdio::null());
        let outer = command.spawn()?;
        // The command holds the zygote's end, which has to be closed here, or the end of the zygote is never seen.
        drop(command);
        let mut running = Running { control, outer, report: Report::new() };
        let (bytes, _) = running.receive::<READY_BYTES>()?;
        running.report = Ready::from_bytes(&bytes).check()?;
        Ok(running)
    }

    fn ask(&mut self, request: Request, memory: Option<BorrowedFd<'_>>) -> io::Result<(Reply, Option<OwnedFd>)> {
        send(self.control.as_fd(), &request.to_bytes(), memory)?;
        let (bytes, pidfd) = self.receive::<REPLY_BYTES>()?;
        Ok((Reply::from_bytes(&bytes), pidfd))
    }

    fn receive<const N: usize>(&mut self) -> io::Result<([u8; N], Option<OwnedFd>)> {
        let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "the zygote has ended");
        receive(&self.control)?.ok_or_else(ended)
    }
}

impl Drop for Running {
    /// SIGKILL to the outer process ends the inner one, and that one's end all workers.
    fn drop(&mut self) {
        let _ = self.outer.kill();
        let _ = self.outer.wait();
    }
}
