//! The state of a worker, seen from outside: what it has, is and may use.

use std::time::Duration;

use sandbox::{Layer, LayerSet, WorkerLimits};

use crate::calls::SPIN;
use crate::layers_support::{LIMITS, Node, Outcome, Sandbox, descriptors};

fn only(layer: Layer) -> LayerSet {
    LayerSet::NONE.with(layer)
}

#[test]
fn a_worker_has_no_descriptor_but_the_memory() {
    let sandbox = Sandbox::new(Node::Root, only(Layer::Descriptors));
    assert_eq!(descriptors(sandbox.worker().worker.pid), ["3"]);
    let open = Sandbox::new(Node::Root, LayerSet::NONE);
    assert!(descriptors(open.worker().worker.pid).len() > 1);
}

#[test]
fn a_worker_is_a_user_in_no_group_of_others_and_no_two_are_the_same() {
    for namespace in [LayerSet::NONE, only(Layer::UserNamespace)] {
        let sandbox = Sandbox::new(Node::Root, namespace.with(Layer::OwnUid));
        let (one, other) = (sandbox.worker(), sandbox.worker());
        let [uid, uid_of_other] = [&one, &other].map(|worker| worker.status("Uid"));
        assert_ne!(uid, uid_of_other);
        // Real, effective, saved and of the file system.
        let ids: Vec<u32> = uid.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0] && *id >= 1_900_000_000), "{uid}");
        assert_eq!(one.status("Gid"), uid);
        assert_eq!(one.status("Groups"), "");
        // What has ended gives its number back.
        drop(one);
        let numbers = std::iter::repeat_with(|| sandbox.worker().status("Uid"));
        assert!(numbers.take(20).any(|again| again == uid));
    }
}

#[test]
fn a_worker_has_no_capability_and_gains_none() {
    for node in Node::ALL {
        let sandbox = Sandbox::new(node, LayerSet::ALL);
        let worker = sandbox.worker();
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(worker.status(set), "0000000000000000", "{set} as {node:?}");
        }
        assert_eq!(worker.status("NoNewPrivs"), "1");
    }
    let worker = Sandbox::new(Node::Root, only(Layer::Capabilities)).worker();
    assert_eq!(
        (worker.status("CapEff"), worker.status("CapBnd")),
        (worker.status("CapBnd"), "0000000000000000".into())
    );
}

#[test]
fn a_worker_has_a_session_of_its_own_and_only_sigkill_ends_it() {
    let sandbox = Sandbox::new(Node::Root, only(Layer::Session));
    let worker = sandbox.worker();
    let Outcome::Returned(session) = worker.call(libc::SYS_getsid, &[0]) else { panic!() };
    assert_eq!(session, i64::from(worker.worker.pid));
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        rustix::process::pidfd_send_signal(&worker.worker.pidfd, signal).unwrap();
    }
    assert_eq!(worker.call(libc::SYS_umask, &[0]), Outcome::Returned(0o777));
    worker.worker.kill();
    worker.wait_until_over();
}

#[test]
fn a_worker_leaves_no_dump_and_no_other_process_of_its_user_reads_its_memory() {
    const PR_GET_DUMPABLE: i64 = libc::PR_GET_DUMPABLE as i64;
    let reads = |layers| {
        let sandbox = Sandbox::new(Node::User, layers);
        let worker = sandbox.worker();
        let memory = format!("/proc/{}/mem", worker.worker.pid);
        let mut command = Node::User.command(sandbox.folder.path(), &["/usr/bin/head", "-c0", &memory]);
        let reads = command.stderr(std::process::Stdio::null()).status().unwrap().success();
        (worker.call(libc::SYS_prctl, &[PR_GET_DUMPABLE]), reads)
    };
    assert_eq!(reads(LayerSet::NONE), (Outcome::Returned(1), true));
    assert_eq!(reads(only(Layer::NotDumpable)), (Outcome::Returned(0), false));
}

#[test]
fn the_nodes_user_reads_what_a_worker_uses_and_may_end_it() {
    for node in [Node::Root, Node::User] {
        let sandbox = Sandbox::new(node, LayerSet::ALL);
        let worker = sandbox.worker();
        let pid = worker.worker.pid;
        let run = |words: &[&str]| node.command(sandbox.folder.path(), words).output().unwrap().status.success();
        for file in ["schedstat", "statm", "stat"] {
            assert!(run(&["/bin/cat", &format!("/proc/{pid}/{file}")]), "{file} as {node:?}");
        }
        assert!(run(&["/bin/kill", "-KILL", &pid.to_string()]), "{node:?}");
        worker.wait_until_over();
    }
}

#[test]
fn a_worker_gets_no_more_memory_than_its_limit() {
    let sandbox = Sandbox::new(Node::Root, only(Layer::Rlimits));
    let worker = sandbox.worker_with(&WorkerLimits { memory_bytes: 64 << 20, cpu: None });
    let map = |bytes: i64| {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        worker.call(libc::SYS_mmap, &[0, bytes, protection.into(), flags.into(), -1, 0])
    };
    assert!(matches!(map(60 << 20), Outcome::Returned(address) if address > 0));
    // There is room for the stack as well.
    assert_eq!(map(60 << 20), Outcome::error(libc::ENOMEM));
}

#[test]
fn a_worker_that_uses_more_cpu_than_its_limit_is_killed() {
    let sandbox = Sandbox::new(Node::Root, LayerSet::ALL);
    let worker = sandbox.worker_with(&WorkerLimits { cpu: Some(Duration::from_millis(1)), ..LIMITS });
    assert_eq!(worker.call(SPIN, &[]), Outcome::Killed);
}

#[test]
fn a_worker_cannot_raise_a_limit() {
    let sandbox = Sandbox::new(Node::User, only(Layer::Rlimits));
    let worker = sandbox.worker();
    worker.calls.put(0, &[1_u64, 1].iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>());
    let raised = worker.call(libc::SYS_prlimit64, &[0, libc::RLIMIT_NPROC.into(), worker.calls.address(0), 0]);
    assert_eq!(raised, Outcome::error(libc::EPERM));
}

#[test]
fn a_worker_shares_no_memory_with_others_but_its_own() {
    let sandbox = Sandbox::new(Node::Root, LayerSet::ALL);
    let worker = sandbox.worker();
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", worker.worker.pid)).unwrap();
    let shared: Vec<&str> = maps.lines().filter(|line| line.split(' ').nth(1).unwrap().ends_with('s')).collect();
    assert!(shared.len() == 1 && shared[0].contains("memfd:calls"), "{shared:?}");
}

#[test]
fn secrets_of_the_host_and_of_other_customers_are_not_in_a_workers_memory() {
    // In the host's memory, in the environment it would give to a program, and in another customer's memory.
    let mut secret = b"the-secret-of-the-host-".to_vec();
    secret.extend_from_slice(std::process::id().to_string().as_bytes());
    let text = String::from_utf8(secret.clone()).unwrap();
    let (folder, program) = crate::layers_support::program();
    let held = folder.clone();
    let (text_of_host, names) = (text.clone(), LayerSet::ALL.iter().map(Layer::name).collect::<Vec<_>>().join(","));
    let command = move || {
        let mut command = Node::Root.command(held.path(), &[&program, &names]);
        command.env("SECRET", &text_of_host);
        command
    };
    let zygote = sandbox::Zygote::start(command, LayerSet::REQUIRED).unwrap();
    let sandbox = Sandbox { zygote, node: Node::Root, folder };
    let (worker, other) = (sandbox.worker(), sandbox.worker());
    other.calls.put(100, b"the-secret-of-another-customer");
    assert!(!worker.has_in_memory(&secret));
    assert!(!worker.has_in_memory(b"the-secret-of-another-customer"));
    // What is there is found.
    assert!(other.has_in_memory(b"the-secret-of-another-customer"));
    assert_eq!(std::fs::read(format!("/proc/{}/environ", worker.worker.pid)).unwrap(), b"");
    drop(text);
}
