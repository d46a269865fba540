//! The zygote: its workers end with it and with its host, it says what is missing, and is started again.

use std::process::{Command, Stdio};

use harness::eventually;
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Launch, Layer, LayerSet, State};

use std::os::fd::AsFd;

use crate::layers_support::{LIMITS, Node, Outcome, Sandbox, descriptors, is_alive, memory};

const NAMESPACES: [Layer; 5] =
    [Layer::UserNamespace, Layer::PidNamespace, Layer::NetworkNamespace, Layer::MountNamespace, Layer::IpcNamespace];

#[test]
fn root_has_all_layers() {
    let report = Sandbox::new(Node::Root, LayerSet::ALL).zygote.probe().unwrap();
    assert_eq!(report.applied(), LayerSet::ALL, "{report:?}");
}

#[test]
fn an_ordinary_user_has_all_layers_but_a_user_for_each_worker() {
    let report = Sandbox::new(Node::User, LayerSet::ALL).zygote.probe().unwrap();
    assert_eq!(report.applied(), LayerSet::ALL.without(Layer::OwnUid), "{report:?}");
    assert_eq!(report.state(Layer::OwnUid), State::Missing(libc::EPERM));
}

#[test]
fn in_a_container_namespaces_are_missing_and_what_a_node_requires_is_there() {
    let report = Sandbox::new(Node::Container, LayerSet::ALL).zygote.probe().unwrap();
    assert_eq!(report.first_missing(LayerSet::REQUIRED.with(Layer::Landlock)), None, "{report:?}");
    for layer in NAMESPACES {
        assert_eq!(report.state(layer), State::Missing(libc::EPERM), "{}", layer.name());
    }
}

#[test]
fn root_of_a_container_has_all_layers_but_namespaces() {
    let report = Sandbox::new(Node::RootInContainer, LayerSet::ALL).zygote.probe().unwrap();
    assert_eq!(report.applied(), NAMESPACES.iter().fold(LayerSet::ALL, |all, layer| all.without(*layer)), "{report:?}");
}

#[test]
fn a_worker_without_a_required_layer_is_not_started_and_the_error_names_the_layer() {
    let layers = LayerSet::ALL.without(Layer::Seccomp);
    let sandbox = Sandbox::requiring(LayerSet::REQUIRED, Node::Root, layers);
    let error = sandbox.zygote.launch(memory().as_fd(), &LIMITS).unwrap_err();
    assert!(error.to_string().contains("the sandbox layer `seccomp` is missing"), "{error}");
    let sandbox = Sandbox::requiring(LayerSet::REQUIRED.with(Layer::OwnUid), Node::User, LayerSet::ALL);
    let error = sandbox.zygote.launch(memory().as_fd(), &LIMITS).unwrap_err();
    assert!(error.to_string().contains("the sandbox layer `own_uid` is missing"), "{error}");
}

#[test]
fn workers_end_when_the_zygote_is_killed() {
    // With a pid namespace by the kernel, without one by the request of each worker.
    for layers in [LayerSet::ALL, LayerSet::ALL.without(Layer::PidNamespace), LayerSet::NONE.with(Layer::ParentDeath)] {
        let sandbox = Sandbox::new(Node::Root, layers);
        let workers = [sandbox.worker(), sandbox.worker()];
        kill_process(Pid::from_raw(sandbox.zygote.pid().unwrap() as i32).unwrap(), Signal::KILL).unwrap();
        workers.iter().for_each(|worker| worker.wait_until_over());
    }
}

#[test]
fn a_zygote_that_was_killed_is_started_again_with_the_next_worker() {
    let sandbox = Sandbox::new(Node::Root, LayerSet::ALL);
    let before = sandbox.zygote.pid().unwrap();
    kill_process(Pid::from_raw(before as i32).unwrap(), Signal::KILL).unwrap();
    eventually("the zygote is over", || (!is_alive(before)).then_some(()));
    assert!(matches!(sandbox.worker().call(libc::SYS_getpid, &[]), Outcome::Returned(_)));
    assert_ne!(sandbox.zygote.pid(), Some(before));
}

#[test]
fn workers_and_zygote_end_when_the_host_drops_the_zygote() {
    let sandbox = Sandbox::new(Node::Root, LayerSet::ALL);
    let (worker, outer) = (sandbox.worker(), sandbox.zygote.pid().unwrap());
    let inner = inner(outer);
    drop(sandbox);
    worker.wait_until_over();
    assert!(!is_alive(outer));
    eventually("the inner process is over", || (!is_alive(inner)).then_some(()));
}

/// The process of the zygote that forks, below the one that the host has started.
fn inner(outer: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn nothing_of_workers_that_are_over_is_left_in_the_zygote() {
    let sandbox = Sandbox::new(Node::Root, LayerSet::ALL);
    let zygote = inner(sandbox.zygote.pid().unwrap());
    let before = descriptors(zygote);
    // From several threads, as the shards of a node ask.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| drop(sandbox.worker())));
        }
    });
    let children = format!("/proc/{zygote}/task/{zygote}/children");
    eventually("all are reaped", || std::fs::read_to_string(&children).unwrap().is_empty().then_some(()));
    assert_eq!(descriptors(zygote), before);
}

#[test]
fn a_worker_that_is_dropped_is_killed_and_the_others_go_on() {
    let sandbox = Sandbox::new(Node::Root, LayerSet::ALL);
    let (one, other) = (sandbox.worker(), sandbox.worker());
    let pid = one.worker.pid;
    drop(one);
    eventually("the worker is gone, and reaped", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    assert!(matches!(other.call(libc::SYS_getpid, &[]), Outcome::Returned(_)));
}

/// Run by the test below, as the host that is killed.
#[test]
#[ignore = "a part of another test"]
fn host() {
    let Ok(node) = std::env::var("SANDBOX_TEST_NODE") else { return };
    let node = Node::ALL.into_iter().find(|one| format!("{one:?}") == node).unwrap();
    let sandbox = Sandbox::new(node, LayerSet::ALL);
    let workers: Vec<_> = (0..3).map(|_| sandbox.worker()).collect();
    let pids: Vec<String> = workers.iter().map(|worker| worker.worker.pid.to_string()).collect();
    let outer = sandbox.zygote.pid().unwrap();
    println!("\nPIDS {outer} {}", pids.join(" "));
    std::thread::park();
}

#[test]
fn after_a_sigkill_of_the_node_no_worker_and_no_zygote_is_left() {
    use std::io::{BufRead, BufReader};
    for node in Node::ALL {
        // For what it leaves behind.
        let folder = harness::Folder::new();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut host = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "layers_zygote::host", "--ignored", "--nocapture"])
            .env("SANDBOX_TEST_NODE", format!("{node:?}"))
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(host.stdout.take().unwrap()).lines();
        let pids = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("PIDS ").map(str::to_owned)).unwrap();
        let pids: Vec<u32> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
        assert!(pids.len() == 4 && pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
        host.kill().unwrap();
        host.wait().unwrap();
        eventually("all are over", || pids.iter().all(|pid| !is_alive(*pid)).then_some(()));
    }
}
