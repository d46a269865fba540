//! The layers by name, sets of them, and what became of each.

use std::fmt;
use std::io;

/// One layer. The order is the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Root of the zygote is no user of the machine.
    UserNamespace,
    /// Own process ids; the kernel kills all workers with the zygote.
    PidNamespace,
    /// No network interface but a loopback that is down.
    NetworkNamespace,
    /// The root folder is empty and read-only.
    MountNamespace,
    /// No System V IPC and no POSIX message queue of others.
    IpcNamespace,
    /// Every descriptor is closed but the one of the shared memory.
    Descriptors,
    /// No variable of the host, neither in the list nor in the memory behind it.
    Environment,
    /// Own session without a terminal, an empty umask for files, signals as the kernel has them.
    Session,
    /// No capability, none to be gained.
    Capabilities,
    /// A user id that no other process has.
    OwnUid,
    /// Killed when the zygote ends.
    ParentDeath,
    /// `execve` gives no rights.
    NoNewPrivs,
    /// No core dump, no ptrace by the same user, `/proc/PID` belongs to root.
    NotDumpable,
    /// No file, no TCP port, no signal to and no ptrace of a process outside.
    Landlock,
    /// Address space, CPU time; no new process, descriptor or file.
    Rlimits,
    /// System calls outside of a short list kill the process.
    Seccomp,
}

impl Layer {
    pub const ALL: [Layer; 16] = [
        Layer::UserNamespace,
        Layer::PidNamespace,
        Layer::NetworkNamespace,
        Layer::MountNamespace,
        Layer::IpcNamespace,
        Layer::Descriptors,
        Layer::Environment,
        Layer::Session,
        Layer::Capabilities,
        Layer::OwnUid,
        Layer::ParentDeath,
        Layer::NoNewPrivs,
        Layer::NotDumpable,
        Layer::Landlock,
        Layer::Rlimits,
        Layer::Seccomp,
    ];

    /// As the log, `vrsky doctor` and the settings write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Layer::UserNamespace => "user_namespace",
            Layer::PidNamespace => "pid_namespace",
            Layer::NetworkNamespace => "network_namespace",
            Layer::MountNamespace => "mount_namespace",
            Layer::IpcNamespace => "ipc_namespace",
            Layer::Descriptors => "descriptors",
            Layer::Environment => "environment",
            Layer::Session => "session",
            Layer::Capabilities => "capabilities",
            Layer::OwnUid => "own_uid",
            Layer::ParentDeath => "parent_death",
            Layer::NoNewPrivs => "no_new_privs",
            Layer::NotDumpable => "not_dumpable",
            Layer::Landlock => "landlock",
            Layer::Rlimits => "rlimits",
            Layer::Seccomp => "seccomp",
        }
    }

    /// What the layer takes from a worker, for people.
    #[must_use]
    pub fn stops(self) -> &'static str {
        match self {
            Layer::UserNamespace => "rights on the machine: root of the zygote is no user there",
            Layer::PidNamespace => "seeing and signalling other processes, outliving the node",
            Layer::NetworkNamespace => "every network",
            Layer::MountNamespace => "every file: the root folder is empty",
            Layer::IpcNamespace => "shared memory segments and message queues of others",
            Layer::Descriptors => "files and sockets that were open in the node",
            Layer::Environment => "secrets in environment variables",
            Layer::Session => "the terminal, and the process group of the node",
            Layer::Capabilities => "what root may do",
            Layer::OwnUid => "files and processes of the node's user and of other workers",
            Layer::ParentDeath => "outliving the node",
            Layer::NoNewPrivs => "rights by set-uid programs",
            Layer::NotDumpable => "core dumps with customers' data, debuggers of the same user",
            Layer::Landlock => "files, TCP, signals to and ptrace of processes outside",
            Layer::Rlimits => "memory and CPU beyond the limit, new processes, new descriptors",
            Layer::Seccomp => "every system call that running a script does not need",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of layers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LayerSet(u32);

impl LayerSet {
    pub const NONE: LayerSet = LayerSet(0);
    pub const ALL: LayerSet = LayerSet((1 << Layer::ALL.len()) - 1);

    /// The layers without which no worker is started unless the operator says otherwise: seccomp and rlimits, and
    /// all that every Linux from 5.9 on gives to every user. Namespaces, own user ids and Landlock depend on the
    /// kernel's configuration and on rights that a restricted container does not have.
    pub const REQUIRED: LayerSet = LayerSet::NONE
        .with(Layer::Descriptors)
        .with(Layer::Environment)
        .with(Layer::Session)
        .with(Layer::Capabilities)
        .with(Layer::ParentDeath)
        .with(Layer::NoNewPrivs)
        .with(Layer::NotDumpable)
        .with(Layer::Rlimits)
        .with(Layer::Seccomp);

    #[must_use]
    pub const fn with(self, layer: Layer) -> LayerSet {
        LayerSet(self.0 | layer.bit())
    }

    #[must_use]
    pub const fn without(self, layer: Layer) -> LayerSet {
        LayerSet(self.0 & !layer.bit())
    }

    #[must_use]
    pub const fn has(self, layer: Layer) -> bool {
        self.0 & layer.bit() != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Layer> {
        Layer::ALL.into_iter().filter(move |layer| self.has(*layer))
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> LayerSet {
        LayerSet(bits & LayerSet::ALL.0)
    }
}

impl FromIterator<Layer> for LayerSet {
    fn from_iter<I: IntoIterator<Item = Layer>>(layers: I) -> LayerSet {
        layers.into_iter().fold(LayerSet::NONE, LayerSet::with)
    }
}

impl fmt::Debug for LayerSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter().map(Layer::name)).finish()
    }
}

/// What became of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not asked for.
    Off,
    Applied,
    /// The kernel's error number.
    Missing(i32),
}

/// What became of each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report([State; Layer::ALL.len()]);

pub(crate) const REPORT_BYTES: usize = Layer::ALL.len() * 4;

impl Report {
    pub(crate) const fn new() -> Report {
        Report([State::Off; Layer::ALL.len()])
    }

    #[must_use]
    pub fn state(&self, layer: Layer) -> State {
        self.0[layer as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = (Layer, State)> {
        Layer::ALL.into_iter().zip(self.0)
    }

    /// The layers that are there.
    #[must_use]
    pub fn applied(&self) -> LayerSet {
        self.iter().filter(|(_, state)| *state == State::Applied).map(|(layer, _)| layer).collect()
    }

    /// The first of these layers that is not there, with the kernel's error number (0: it was not asked for).
    #[must_use]
    pub fn first_missing(&self, required: LayerSet) -> Option<(Layer, i32)> {
        required.iter().find_map(|layer| match self.state(layer) {
            State::Applied => None,
            State::Off => Some((layer, 0)),
            State::Missing(errno) => Some((layer, errno)),
        })
    }

    pub(crate) fn set(&mut self, layer: Layer, result: io::Result<()>) {
        self.0[layer as usize] = match result {
            Ok(()) => State::Applied,
            Err(error) => State::Missing(errno(&error)),
        };
    }

    /// What `other` knows of layers that are off here.
    pub(crate) fn or(mut self, other: &Report) -> Report {
        for (own, theirs) in self.0.iter_mut().zip(other.0) {
            if *own == State::Off {
                *own = theirs;
            }
        }
        self
    }

    /// What is missing here or in `other`.
    pub(crate) fn and(mut self, other: &Report) -> Report {
        for (own, theirs) in self.0.iter_mut().zip(other.0) {
            if *own == State::Applied {
                *own = theirs;
            }
        }
        self
    }

    pub(crate) fn to_bytes(self) -> [u8; REPORT_BYTES] {
        let mut bytes = [0; REPORT_BYTES];
        for (four, state) in bytes.chunks_exact_mut(4).zip(self.0) {
            let number = match state {
                State::Off => -1,
                State::Applied => 0,
                State::Missing(errno) => errno,
            };
            four.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; REPORT_BYTES]) -> Report {
        let mut report = Report::new();
        for (state, four) in report.0.iter_mut().zip(bytes.chunks_exact(4)) {
            *state = match i32::from_le_bytes([four[0], four[1], four[2], four[3]]) {
                0 => State::Applied,
                errno if errno > 0 => State::Missing(errno),
                _ => State::Off,
            };
        }
        report
    }
}

/// The kernel's number of an error; `EIO` for one that does not come from the kernel.
pub(crate) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().filter(|errno| *errno > 0).unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_it_was_written() {
        let mut report = Report::new();
        report.set(Layer::Seccomp, Ok(()));
        report.set(Layer::Landlock, Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)));
        assert_eq!(Report::from_bytes(&report.to_bytes()), report);
        assert_eq!(report.applied(), LayerSet::NONE.with(Layer::Seccomp));
    }

    #[test]
    fn a_required_layer_that_is_missing_or_off_is_named() {
        let mut report = Report::new();
        let required = LayerSet::NONE.with(Layer::Rlimits).with(Layer::Seccomp);
        assert_eq!(report.first_missing(required), Some((Layer::Rlimits, 0)));
        report.set(Layer::Rlimits, Ok(()));
        report.set(Layer::Seccomp, Err(io::Error::from_raw_os_error(libc::ENOSYS)));
        assert_eq!(report.first_missing(required), Some((Layer::Seccomp, libc::ENOSYS)));
        report.set(Layer::Seccomp, Ok(()));
        assert_eq!(report.first_missing(required), None);
    }

    #[test]
    fn a_layer_counts_as_applied_where_two_reports_say_so() {
        let (mut alone, mut together) = (Report::new(), Report::new());
        for layer in [Layer::Landlock, Layer::Seccomp, Layer::Rlimits] {
            alone.set(layer, Ok(()));
        }
        alone.set(Layer::Rlimits, Err(io::Error::from_raw_os_error(libc::EPERM)));
        together.set(Layer::Landlock, Ok(()));
        together.set(Layer::Rlimits, Ok(()));
        together.set(Layer::Seccomp, Err(io::Error::from_raw_os_error(libc::ENOSYS)));
        let both = alone.and(&together);
        assert_eq!(both.applied(), LayerSet::NONE.with(Layer::Landlock));
        assert_eq!(both.state(Layer::Seccomp), State::Missing(libc::ENOSYS));
        assert_eq!(both.state(Layer::Rlimits), State::Missing(libc::EPERM));
    }

    #[test]
    fn the_order_of_the_list_is_the_number_of_the_layer() {
        assert!(Layer::ALL.iter().enumerate().all(|(index, layer)| *layer as usize == index));
    }
}
