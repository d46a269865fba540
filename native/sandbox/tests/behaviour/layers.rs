//! What each layer refuses alone, and what all of them refuse to each kind of node.

use sandbox::{Layer, LayerSet};

use crate::layers_support::{Attack, Node, Outcome, Sandbox};

/// What came of these attacks, each by a worker of its own.
fn outcomes(node: Node, layers: LayerSet, attacks: &[Attack]) -> Vec<(Attack, Outcome)> {
    let sandbox = Sandbox::new(node, layers);
    let victim = sandbox.victim();
    attacks.iter().map(|attack| (*attack, sandbox.worker().attack(*attack, &victim))).collect()
}

fn assert_all_refused(node: Node, layers: LayerSet) {
    let outcomes = outcomes(node, layers, &Attack::ALL);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_refused()), "{node:?} with {layers:?}: {outcomes:?}");
}

/// As root, with these layers and no others: exactly this comes of these attacks, and the others are not refused.
fn assert_refuses(layers: &[Layer], refused: &[(Attack, Outcome)]) {
    let expected = |attack| refused.iter().find(|(one, _)| *one == attack).map(|(_, outcome)| *outcome);
    // With no descriptor to be had, a new program finds no library, and ends as if it had been killed.
    let judged = |attack: &&Attack| **attack != Attack::Execve || !layers.contains(&Layer::Rlimits);
    let attacks: Vec<Attack> = Attack::ALL.iter().filter(judged).copied().collect();
    for (attack, outcome) in outcomes(Node::Root, layers.iter().copied().collect(), &attacks) {
        match expected(attack) {
            Some(expected) => assert_eq!(outcome, expected, "{attack:?}"),
            None => assert!(!outcome.is_refused(), "{attack:?}: {outcome:?}"),
        }
    }
}

#[test]
fn without_layers_root_is_refused_nothing() {
    assert_refuses(&[], &[(Attack::Execve, Outcome::Replaced)]);
}

#[test]
fn with_all_layers_no_node_leaves_a_worker_any_attack() {
    for node in Node::ALL {
        assert_all_refused(node, LayerSet::ALL);
    }
}

#[test]
fn seccomp_alone_leaves_a_worker_no_attack() {
    for node in Node::ALL {
        for (attack, outcome) in outcomes(node, LayerSet::NONE.with(Layer::Seccomp), &Attack::ALL) {
            let expected = if attack == Attack::Open { Outcome::error(libc::EPERM) } else { Outcome::Killed };
            assert_eq!(outcome, expected, "{attack:?} as {node:?}");
        }
    }
}

#[test]
fn without_seccomp_the_other_layers_leave_a_worker_no_attack() {
    for node in Node::ALL {
        assert_all_refused(node, LayerSet::ALL.without(Layer::Seccomp));
    }
}

#[test]
fn landlock_alone_refuses_files_tcp_and_other_processes() {
    let (access, permission) = (Outcome::error(libc::EACCES), Outcome::error(libc::EPERM));
    assert_refuses(
        &[Layer::Landlock],
        &[
            (Attack::Open, access),
            (Attack::Connect, access),
            (Attack::Ptrace, permission),
            (Attack::ProcessVmReadv, permission),
            (Attack::Execve, access),
            (Attack::Kill, permission),
            (Attack::Mount, permission),
        ],
    );
}

#[test]
fn rlimits_alone_refuse_new_descriptors() {
    // Root may have any number of processes, whatever the limit.
    let full = Outcome::error(libc::EMFILE);
    let attacks = [Attack::Open, Attack::Socket, Attack::Connect, Attack::Bpf, Attack::IoUring, Attack::Userfaultfd];
    assert_refuses(&[Layer::Rlimits], &attacks.map(|attack| (attack, full)));
}

#[test]
fn rlimits_refuse_processes_to_who_is_not_root() {
    let rlimits = LayerSet::NONE.with(Layer::Rlimits);
    let again = (Attack::Fork, Outcome::error(libc::EAGAIN));
    assert_eq!(outcomes(Node::User, rlimits, &[Attack::Fork]), [again]);
    let own_uid = rlimits.with(Layer::OwnUid).with(Layer::Capabilities);
    assert_eq!(outcomes(Node::Root, own_uid, &[Attack::Fork]), [again]);
}

#[test]
fn an_own_user_without_capabilities_is_refused_other_processes_and_what_only_root_may() {
    let permission = Outcome::error(libc::EPERM);
    let attacks = [Attack::Ptrace, Attack::ProcessVmReadv, Attack::Kill, Attack::Mount];
    let layers = LayerSet::NONE.with(Layer::OwnUid).with(Layer::Capabilities);
    assert_eq!(outcomes(Node::Root, layers, &attacks), attacks.map(|attack| (attack, permission)));
}

#[test]
fn no_capability_alone_is_refused_what_only_root_may() {
    let layers = LayerSet::NONE.with(Layer::Capabilities);
    assert_eq!(outcomes(Node::Root, layers, &[Attack::Mount]), [(Attack::Mount, Outcome::error(libc::EPERM))]);
}

#[test]
fn the_network_namespace_alone_has_no_way_to_the_machine() {
    let layers = LayerSet::NONE.with(Layer::NetworkNamespace);
    assert_eq!(
        outcomes(Node::Root, layers, &[Attack::Connect]),
        [(Attack::Connect, Outcome::error(libc::ENETUNREACH))]
    );
}

#[test]
fn the_mount_namespace_alone_has_no_files() {
    let none = Outcome::error(libc::ENOENT);
    let layers = LayerSet::NONE.with(Layer::MountNamespace);
    assert_eq!(
        outcomes(Node::Root, layers, &[Attack::Open, Attack::Execve]),
        [(Attack::Open, none), (Attack::Execve, none)]
    );
}

#[test]
fn the_pid_namespace_alone_has_no_process_of_the_machine() {
    let none = Outcome::error(libc::ESRCH);
    let layers = LayerSet::NONE.with(Layer::PidNamespace);
    let attacks = [Attack::Ptrace, Attack::ProcessVmReadv, Attack::Kill];
    assert_eq!(outcomes(Node::Root, layers, &attacks), attacks.map(|attack| (attack, none)));
}

#[test]
fn the_user_namespace_alone_leaves_root_no_right_on_the_machine() {
    let permission = Outcome::error(libc::EPERM);
    let layers = LayerSet::NONE.with(Layer::UserNamespace);
    let attacks = [Attack::Ptrace, Attack::ProcessVmReadv, Attack::Kill, Attack::Mount, Attack::Bpf];
    assert_eq!(outcomes(Node::Root, layers, &attacks), attacks.map(|attack| (attack, permission)));
}

#[test]
fn the_ipc_namespace_alone_has_no_shared_memory_of_the_machine() {
    const KEY: i64 = 0x7672_736b;
    let own = rustix_shmget(KEY as i32);
    let get = |layers| Sandbox::new(Node::Root, layers).worker().call(libc::SYS_shmget, &[KEY, 0, 0]);
    assert_eq!(get(LayerSet::NONE), Outcome::Returned(own.into()));
    assert_eq!(get(LayerSet::NONE.with(Layer::IpcNamespace)), Outcome::error(libc::ENOENT));
    // SAFETY: removes the segment made above.
    unsafe { libc::shmctl(own, libc::IPC_RMID, std::ptr::null_mut()) };
}

fn rustix_shmget(key: i32) -> i32 {
    // SAFETY: makes a segment, and maps nothing.
    let id = unsafe { libc::shmget(key, 4096, libc::IPC_CREAT | 0o600) };
    assert!(id >= 0, "{}", std::io::Error::last_os_error());
    id
}
