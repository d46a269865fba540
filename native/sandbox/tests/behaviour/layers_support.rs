//! Nodes of three kinds, and workers that make system calls for a test.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use harness::{Folder, eventually};
use sandbox::{Launch, Layer, LayerSet, Worker, WorkerLimits, Zygote};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::calls::{BYTES, Calls};

/// Who the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Root,
    /// An ordinary user of the machine.
    User,
    /// An ordinary user in a container as they are by default: no capability, no-new-privs, and a seccomp filter that
    /// refuses namespaces.
    Container,
    /// Root in such a container, with what a runtime leaves it.
    RootInContainer,
}

impl Node {
    pub const ALL: [Node; 4] = [Node::Root, Node::User, Node::Container, Node::RootInContainer];

    /// The command for a program with arguments, run by this node. The folder is for files that it needs.
    pub fn command(self, folder: &Path, arguments: &[&str]) -> Command {
        assert!(rustix::process::geteuid().is_root(), "these tests become other users, for which they need root");
        let mut words = vec![];
        if [Node::User, Node::Container].contains(&self) {
            words.extend(["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(String::from));
        }
        if [Node::Container, Node::RootInContainer].contains(&self) {
            let capabilities = if self == Node::Container { &[][..] } else { &KEPT_CAPABILITIES };
            let kept: String = capabilities.iter().map(|name| format!("--cap-add {name} ")).collect();
            let [refused, unknown] = filters(folder);
            // The shell opens the filters, since a command of Rust passes no descriptor but the first three; it sets
            // a variable, which `env` takes away.
            let bwrap = format!(
                "exec /usr/bin/bwrap --die-with-parent --dev-bind / / --cap-drop ALL {kept}\
                 --add-seccomp-fd 8 --add-seccomp-fd 9 /usr/bin/env -i \"$@\" 8<{} 9<{}",
                refused.display(),
                unknown.display()
            );
            words.extend(["/bin/sh".into(), "-c".into(), bwrap, "bwrap".into()]);
        }
        words.extend(arguments.iter().map(ToString::to_string));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }
}

/// What matters here of the capabilities that container runtimes leave to root.
const KEPT_CAPABILITIES: [&str; 5] = ["CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SETPCAP", "CAP_DAC_OVERRIDE"];

/// What a container runtime's default filter refuses of what could matter here: namespaces, mounts and the calls
/// that are most often ways into the kernel.
fn filters(folder: &Path) -> [PathBuf; 2] {
    let refused = [
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
    ];
    let write = |name: &str, calls: &[libc::c_long], errno: i32| {
        let rules = calls.iter().map(|call| (*call, vec![])).collect();
        let errno = SeccompAction::Errno(errno.unsigned_abs());
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let program: BpfProgram =
            SeccompFilter::new(rules, SeccompAction::Allow, errno, arch).unwrap().try_into().unwrap();
        let instructions = program.iter().flat_map(|one| {
            let code = one.code.to_ne_bytes();
            let k = one.k.to_ne_bytes();
            [code[0], code[1], one.jt, one.jf, k[0], k[1], k[2], k[3]]
        });
        let path = folder.join(name);
        std::fs::write(&path, instructions.collect::<Vec<u8>>()).unwrap();
        path
    };
    // glibc takes another call when it hears that there is no clone3, and fails when it is refused.
    [write("refused", &refused, libc::EPERM), write("unknown", &[libc::SYS_clone3], libc::ENOSYS)]
}

/// A zygote of such a node, whose workers have some of the layers.
pub struct Sandbox {
    pub zygote: Zygote,
    pub node: Node,
    pub folder: Arc<Folder>,
}

pub const LIMITS: WorkerLimits = WorkerLimits { memory_bytes: 64 << 20, cpu: None };

/// A folder that all users may look into, with the zygote's program in it.
pub fn program() -> (Arc<Folder>, String) {
    let folder = Folder::new();
    let path = folder.path().join("zygote");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    // By another process: a file that this one writes is busy while children of other tests have it open as well.
    let mut install = Command::new("/usr/bin/install");
    install.arg("--mode=755").arg(env!("CARGO_BIN_EXE_sandbox-test-zygote")).arg(&path);
    assert!(install.status().unwrap().success());
    let program = path.to_str().unwrap().to_owned();
    (Arc::new(folder), program)
}

impl Sandbox {
    /// Requires none of the layers, so that a test sees what those that are there do.
    pub fn new(node: Node, layers: LayerSet) -> Sandbox {
        Sandbox::requiring(LayerSet::NONE, node, layers)
    }

    pub fn requiring(required: LayerSet, node: Node, layers: LayerSet) -> Sandbox {
        let (folder, program) = program();
        let names: Vec<&str> = layers.iter().map(Layer::name).collect();
        let (names, held) = (names.join(","), Arc::clone(&folder));
        let command = move || node.command(held.path(), &[&program, &names]);
        Sandbox { zygote: Zygote::start(command, required).unwrap(), node, folder }
    }

    pub fn worker(&self) -> Subject {
        self.worker_with(&LIMITS)
    }

    pub fn worker_with(&self, limits: &WorkerLimits) -> Subject {
        let memory = memory();
        let worker = self.zygote.launch(memory.as_fd(), limits).unwrap();
        let calls = Calls::map(&memory);
        eventually("the worker runs", || (calls.base.load(SeqCst) != 0).then_some(()));
        Subject { worker, calls }
    }

    /// A process of the node's user outside of the sandbox.
    pub fn victim(&self) -> Victim {
        let user = match self.node {
            Node::User | Node::Container => Node::User,
            Node::Root | Node::RootInContainer => Node::Root,
        };
        let mut command = user.command(self.folder.path(), &["/bin/sleep", "1000"]);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        eventually("the victim sleeps", || {
            std::fs::read_to_string(&comm).is_ok_and(|comm| comm == "sleep\n").then_some(())
        });
        Victim(child)
    }
}

pub fn memory() -> OwnedFd {
    let memory = rustix::fs::memfd_create("calls", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&memory, BYTES as u64).unwrap();
    memory
}

pub struct Victim(Child);

impl Victim {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Where something is in its memory.
    fn address(&self) -> i64 {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.pid())).unwrap();
        i64::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel ended the worker.
    Killed,
    /// The worker runs another program.
    Replaced,
    /// An error number is negative.
    Returned(i64),
}

impl Outcome {
    pub const fn error(errno: i32) -> Outcome {
        Outcome::Returned(-(errno as i64))
    }

    /// Whether the worker was denied it, or does not have what it would be done to.
    pub fn is_refused(self) -> bool {
        let refusals = [libc::EPERM, libc::EACCES, libc::EMFILE, libc::EAGAIN, libc::ENOMEM, libc::ESRCH, libc::ENOENT];
        self == Outcome::Killed || refusals.iter().any(|errno| self == Outcome::error(*errno))
    }
}

/// What a process that has been taken over tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    Open,
    Socket,
    /// To a server that listens on the machine's loopback.
    Connect,
    Ptrace,
    ProcessVmReadv,
    Fork,
    Execve,
    Kill,
    Mount,
    Bpf,
    IoUring,
    Userfaultfd,
}

impl Attack {
    pub const ALL: [Attack; 12] = [
        Attack::Open,
        Attack::Socket,
        Attack::Connect,
        Attack::Ptrace,
        Attack::ProcessVmReadv,
        Attack::Fork,
        Attack::Execve,
        Attack::Kill,
        Attack::Mount,
        Attack::Bpf,
        Attack::IoUring,
        Attack::Userfaultfd,
    ];
}

/// A worker under test.
pub struct Subject {
    pub worker: Worker,
    pub calls: &'static Calls,
}

impl Subject {
    /// Has the worker make a system call.
    pub fn call(&self, number: libc::c_long, arguments: &[i64]) -> Outcome {
        let mut call = [0; 7];
        call[0] = number;
        call[1..=arguments.len()].copy_from_slice(arguments);
        self.calls.ask(call);
        eventually("the call ends", || {
            // In this order: it may answer, and be over for another reason.
            if self.calls.is_answered() {
                return Some(Outcome::Returned(self.calls.result.load(SeqCst)));
            }
            if self.worker.is_over() {
                return Some(Outcome::Killed);
            }
            let comm = std::fs::read_to_string(format!("/proc/{}/comm", self.worker.pid)).unwrap_or_default();
            (comm == "sleep\n").then_some(Outcome::Replaced)
        })
    }

    fn text(&self, offset: usize, text: &str) -> i64 {
        self.calls.put(offset, &[text.as_bytes(), b"\0"].concat());
        self.calls.address(offset)
    }

    fn words(&self, offset: usize, words: &[i64]) -> i64 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.calls.put(offset, &bytes);
        self.calls.address(offset)
    }

    pub fn attack(&self, attack: Attack, victim: &Victim) -> Outcome {
        let pid = i64::from(victim.pid());
        match attack {
            Attack::Open => self.call(libc::SYS_openat, &[libc::AT_FDCWD.into(), self.text(0, "/etc/passwd"), 0, 0]),
            Attack::Socket => self.socket(),
            Attack::Connect => self.connect(),
            // Does not stop the victim.
            Attack::Ptrace => self.call(libc::SYS_ptrace, &[libc::PTRACE_SEIZE.into(), pid, 0, 0]),
            Attack::ProcessVmReadv => {
                let own = self.words(0, &[self.calls.address(64), 8]);
                let theirs = self.words(16, &[victim.address(), 8]);
                self.call(libc::SYS_process_vm_readv, &[pid, own, 1, theirs, 1, 0])
            }
            Attack::Fork => self.call(libc::SYS_clone, &[libc::SIGCHLD.into(), 0, 0, 0, 0]),
            Attack::Execve => {
                let program = self.text(0, "/bin/sleep");
                let arguments = self.words(64, &[program, self.text(32, "1000"), 0]);
                self.call(libc::SYS_execve, &[program, arguments, 0])
            }
            // Ignored by who does not ask for it.
            Attack::Kill => self.call(libc::SYS_kill, &[pid, libc::SIGURG.into()]),
            Attack::Mount => {
                // There is no such file system: who may mount hears that.
                let (name, place) = (self.text(0, "no-such-file-system"), self.text(64, "/"));
                self.call(libc::SYS_mount, &[name, place, name, 0, 0])
            }
            Attack::Bpf => {
                // A map of one number: type, bytes of a key, bytes of a value, entries.
                self.calls.put(0, &[2_u32, 4, 8, 1].iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>());
                self.call(libc::SYS_bpf, &[0, self.calls.address(0), 16])
            }
            Attack::IoUring => {
                self.calls.put(0, &[0; 120]);
                self.call(libc::SYS_io_uring_setup, &[1, self.calls.address(0)])
            }
            Attack::Userfaultfd => self.call(libc::SYS_userfaultfd, &[0]),
        }
    }

    fn socket(&self) -> Outcome {
        self.call(libc::SYS_socket, &[libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0])
    }

    fn connect(&self) -> Outcome {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = match self.socket() {
            Outcome::Returned(socket) if socket >= 0 => socket,
            refused => return refused,
        };
        let port = listener.local_addr().unwrap().port().to_be_bytes();
        let mut address = [0; 16];
        address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        address[2..8].copy_from_slice(&[port[0], port[1], 127, 0, 0, 1]);
        self.calls.put(0, &address);
        self.call(libc::SYS_connect, &[socket, self.calls.address(0), 16])
    }

    /// A line of `/proc/PID/status`.
    pub fn status(&self, key: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.worker.pid)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {key}")).trim().to_owned()
    }

    pub fn wait_until_over(&self) {
        eventually("the worker is over", || self.worker.is_over().then_some(()));
    }

    /// Everything that is readable in the worker's memory.
    pub fn has_in_memory(&self, text: &[u8]) -> bool {
        use std::os::unix::fs::FileExt;
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.worker.pid)).unwrap();
        let memory = std::fs::File::open(format!("/proc/{}/mem", self.worker.pid)).unwrap();
        let mut found = false;
        let mut read = 0;
        for line in maps.lines().filter(|line| !line.contains("[v")) {
            let (range, rest) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|number| u64::from_str_radix(number, 16).unwrap());
            if !rest.starts_with('r') || to - from > 1 << 30 {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
            if memory.read_exact_at(&mut bytes, from).is_ok() {
                read += bytes.len();
                found |= bytes.windows(text.len()).any(|window| window == text);
            }
        }
        assert!(read > 1 << 20, "only {read} bytes of the worker's memory were readable");
        found
    }
}

/// Whether a process of this number is there, and is not only waiting to be reaped.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Descriptors that are open in a process.
pub fn descriptors(pid: u32) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
