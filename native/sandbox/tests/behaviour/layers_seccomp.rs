//! The filter, call by call.

use sandbox::layers::{REFUSED_QUIETLY, SYSCALLS};
use sandbox::{Layer, LayerSet};

use crate::calls::{GETPID_32, PANIC};
use crate::layers_support::{Node, Outcome, Sandbox};

const SECCOMP: LayerSet = LayerSet::NONE.with(Layer::Seccomp);
/// Allowed with some arguments.
const SOMETIMES: [libc::c_long; 3] = [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_futex];
/// The kernel's own trampolines for probes make these, of which it asks no filter. Whoever else does is refused.
#[cfg(target_arch = "x86_64")]
const NOT_FILTERED: [libc::c_long; 2] = [335, 336];
#[cfg(not(target_arch = "x86_64"))]
const NOT_FILTERED: [libc::c_long; 0] = [];
/// Beyond the last number of any kernel so far.
const NUMBERS: std::ops::Range<libc::c_long> = 0..600;

#[test]
fn every_call_outside_of_the_lists_kills_the_worker() {
    let sandbox = Sandbox::new(Node::Root, SECCOMP);
    let listed = [&SYSCALLS[..], &REFUSED_QUIETLY, &SOMETIMES, &NOT_FILTERED].concat();
    for number in NUMBERS.filter(|number| !listed.contains(number)) {
        assert_eq!(sandbox.worker().call(number, &[]), Outcome::Killed, "system call {number}");
    }
}

#[test]
fn what_libraries_call_by_themselves_is_refused_and_the_worker_goes_on() {
    let sandbox = Sandbox::new(Node::Root, SECCOMP);
    let worker = sandbox.worker();
    for number in REFUSED_QUIETLY {
        assert_eq!(worker.call(number, &[]), Outcome::error(libc::EPERM), "system call {number}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_calls_of_x32_kill_the_worker() {
    let sandbox = Sandbox::new(Node::Root, SECCOMP);
    for number in SYSCALLS {
        assert_eq!(sandbox.worker().call(0x4000_0000 | number, &[]), Outcome::Killed, "x32 system call {number}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_by_the_table_of_another_architecture_kills_the_worker() {
    let worker = Sandbox::new(Node::Root, SECCOMP).worker();
    assert_eq!(worker.call(GETPID_32, &[]), Outcome::Killed);
    // The same call by its own table is allowed. Where the kernel has that other table, it is the filter that kills.
    let plain = Sandbox::new(Node::Root, LayerSet::NONE).worker();
    match plain.call(GETPID_32, &[]) {
        Outcome::Killed => {}
        pid => assert_eq!(pid, Outcome::Returned(plain.worker.pid.into())),
    }
}

#[test]
fn no_memory_becomes_executable() {
    let (read, execute) = (libc::PROT_READ.into(), (libc::PROT_READ | libc::PROT_EXEC).into());
    let private: i64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).into();
    let sandbox = Sandbox::new(Node::Root, SECCOMP);
    let worker = sandbox.worker();
    let Outcome::Returned(address) = worker.call(libc::SYS_mmap, &[0, 4096, read, private, -1, 0]) else {
        panic!("no memory")
    };
    assert!(address > 0);
    assert_eq!(worker.call(libc::SYS_mprotect, &[address, 4096, read]), Outcome::Returned(0));
    assert_eq!(worker.call(libc::SYS_mprotect, &[address, 4096, execute]), Outcome::Killed);
    let mapped = sandbox.worker().call(libc::SYS_mmap, &[0, 4096, execute, private, -1, 0]);
    assert_eq!(mapped, Outcome::Killed);
}

#[test]
fn futexes_wait_and_wake_and_do_nothing_else() {
    let sandbox = Sandbox::new(Node::Root, SECCOMP);
    let worker = sandbox.worker();
    let word = worker.calls.address(0);
    let private = i64::from(libc::FUTEX_PRIVATE_FLAG);
    for operation in [libc::FUTEX_WAKE, libc::FUTEX_WAKE_BITSET] {
        assert_eq!(
            worker.call(libc::SYS_futex, &[word, i64::from(operation) | private, 1, 0, 0, -1]),
            Outcome::Returned(0)
        );
    }
    // The word is 0.
    assert_eq!(worker.call(libc::SYS_futex, &[word, libc::FUTEX_WAIT.into(), 1, 0]), Outcome::error(libc::EAGAIN));
    for operation in [libc::FUTEX_REQUEUE, libc::FUTEX_CMP_REQUEUE, libc::FUTEX_LOCK_PI, libc::FUTEX_WAKE_OP] {
        let call = [word, i64::from(operation) | private, 1, 0, word, 0];
        assert_eq!(sandbox.worker().call(libc::SYS_futex, &call), Outcome::Killed, "futex operation {operation}");
    }
}

#[test]
fn a_wait_goes_on_after_the_worker_was_stopped() {
    use rustix::process::{Signal, pidfd_send_signal};
    let sandbox = Sandbox::new(Node::Root, LayerSet::ALL);
    let worker = sandbox.worker();
    pidfd_send_signal(&worker.worker.pidfd, Signal::STOP).unwrap();
    harness::eventually("the worker is stopped", || worker.status("State").starts_with('T').then_some(()));
    pidfd_send_signal(&worker.worker.pidfd, Signal::CONT).unwrap();
    assert!(matches!(worker.call(libc::SYS_getpid, &[]), Outcome::Returned(pid) if pid > 1));
}

#[test]
fn a_panic_ends_the_worker_and_is_not_a_second_zygote() {
    let sandbox = Sandbox::new(Node::Root, LayerSet::ALL);
    let worker = sandbox.worker();
    assert_eq!(worker.call(PANIC, &[]), Outcome::Killed);
    assert!(matches!(sandbox.worker().call(libc::SYS_getpid, &[]), Outcome::Returned(_)));
}
