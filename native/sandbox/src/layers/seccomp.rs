//! The system calls that running a script needs. Every other one kills the worker.
//!
//! **Why it kills.** A script cannot make a system call: only an engine that has been taken over does. Such a process
//! is of no more use, and the next call of the same kind could find a way past the filter. A few calls are refused
//! with `EPERM` instead: libc makes them by itself, on paths that scripts do reach, and goes on without them.
//!
//! The filter is bound to the architecture of this build: a call by the table of another one (32-bit code on x86-64)
//! kills. The x32 calls of x86-64 have numbers of their own, which are not in the list.

use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Allowed with any arguments.
pub const SYSCALLS: [libc::c_long; 14] = [
    // The allocators. Executable pages are refused by `without_exec`.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Clocks, where the kernel gives no vDSO, and CPU time, for which there is none.
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    // Seeds of hash tables.
    libc::SYS_getrandom,
    // Waiting. A wait that a stop has interrupted goes on by `restart_syscall`.
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // A panic names the thread; ids say nothing of others.
    libc::SYS_getpid,
    libc::SYS_gettid,
    // The end.
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Refused with `EPERM`: the libraries make these calls by themselves. Time zones open files, panics and `abort` write
/// to standard error, sorting asks for the
/// size of the machine's memory.
#[cfg(target_arch = "x86_64")]
pub const REFUSED_QUIETLY: [libc::c_long; 14] = [
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_stat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    libc::SYS_sysinfo,
    libc::SYS_sched_getaffinity,
    libc::SYS_prlimit64,
];
#[cfg(not(target_arch = "x86_64"))]
pub const REFUSED_QUIETLY: [libc::c_long; 11] = [
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    libc::SYS_sysinfo,
    libc::SYS_sched_getaffinity,
    libc::SYS_prlimit64,
];

/// Waiting and waking. The other operations of futexes (priority inheritance, requeueing) have been ways into the
/// kernel, and nothing here uses them.
const FUTEX_OPERATIONS: [libc::c_int; 4] =
    [libc::FUTEX_WAIT, libc::FUTEX_WAKE, libc::FUTEX_WAIT_BITSET, libc::FUTEX_WAKE_BITSET];

/// Both filters, made by the zygote once: a worker only hands them to the kernel.
pub(crate) struct Filters {
    kill: BpfProgram,
    refuse: BpfProgram,
}

impl Filters {
    pub(crate) fn new() -> io::Result<Filters> {
        let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|_| unsupported())?;
        let quiet = REFUSED_QUIETLY.map(|call| (call, Vec::new()));
        let mut allowed: Vec<(i64, Vec<SeccompRule>)> = SYSCALLS.map(|call| (call, Vec::new())).into();
        let parts = || -> Result<_, BackendError> {
            allowed.push((libc::SYS_mmap, without_exec()?));
            allowed.push((libc::SYS_mprotect, without_exec()?));
            allowed.push((libc::SYS_futex, futex()?));
            // What the second filter refuses.
            allowed.extend(quiet.clone());
            let kill = SeccompFilter::new(
                allowed.into_iter().collect(),
                SeccompAction::KillProcess,
                SeccompAction::Allow,
                arch,
            )?;
            let refuse = SeccompFilter::new(
                quiet.into_iter().collect(),
                SeccompAction::Allow,
                SeccompAction::Errno(libc::EPERM.unsigned_abs()),
                arch,
            )?;
            Ok(Filters { kill: kill.try_into()?, refuse: refuse.try_into()? })
        };
        parts().map_err(|error| io::Error::other(error.to_string()))
    }

    /// After this call the thread has the calls of the lists above and no others, for good. Sets no-new-privs, without
    /// which the kernel takes no filter from an ordinary user.
    pub(super) fn install(&self) -> io::Result<()> {
        // In this order, since the second leaves no call for installing another one. Of two answers the kernel takes
        // the stricter.
        install(&self.refuse)?;
        install(&self.kill)
    }
}

fn install(program: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        other => io::Error::other(other.to_string()),
    })
}

/// Neither mapped executable nor made so: code that an attacker has written does not run.
fn without_exec() -> Result<Vec<SeccompRule>, BackendError> {
    Ok(vec![when(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0)?])
}

fn futex() -> Result<Vec<SeccompRule>, BackendError> {
    let operation = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME).cast_unsigned();
    FUTEX_OPERATIONS
        .into_iter()
        .map(|allowed| when(1, SeccompCmpOp::MaskedEq(operation.into()), allowed.unsigned_abs().into()))
        .collect()
}

fn when(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}

fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}
