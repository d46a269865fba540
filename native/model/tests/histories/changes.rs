//! Permissions that change in the middle of histories, while their clients stay connected.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use harness::Server;
use model::{Permissions, Subjects};

use crate::endpoint::{Reader, Real};
use crate::generate::around_change;
use crate::lockstep::{Difference, Pair};
use crate::steps::{History, Step};
use crate::together::{always_differs, around};
use crate::{config, number};

/// Threads that go through one change together.
const COUNT: u64 = 24;
/// Subscribed to by a client that waits for the change: none of them permits it any more.
const PROBE: &str = "probe";

/// Those that are allowed, all unless said otherwise, and those that are not.
type Allowed = (Option<&'static [&'static str]>, &'static [&'static str]);

/// Subjects to publish to and to subscribe to, afterwards.
const CHANGES: [[Allowed; 2]; 4] = [
    // More than before.
    [(None, &[]), (None, &[])],
    // Other subjects than before.
    [(Some(&["*.secret", "*.open.hidden"]), &[]), (None, &["*.open.a", "*.open.*"])],
    // Fewer; the client does not hear answers any more.
    [(Some(&["*.open.*"]), &["*.open.x"]), (Some(&["*.open.a", "*.secret"]), &[])],
    // Nothing may be published.
    [(None, &[">"]), (None, &["*.open.>"])],
];

#[test]
fn the_model_and_the_server_agree_on_a_change_of_permissions() {
    let (first, count) = (number("SEED", 0), number("HISTORIES", COUNT).min(COUNT));
    for change in CHANGES {
        let permissions = permissions(change);
        let seeds = (first..first + count).collect();
        let report = always_differs(seeds, |seeds| around_one_change(seeds, &permissions));
        assert!(report.is_none(), "{permissions:?}\n{}", report.unwrap_or_default());
    }
}

fn permissions(change: [Allowed; 2]) -> Permissions {
    let list = |subjects: &[&str]| subjects.iter().map(|subject| (*subject).to_owned()).collect::<Vec<String>>();
    let [mut publish, mut subscribe] =
        change.map(|(allow, deny)| Subjects { allow: allow.map(list), deny: list(deny) });
    publish.deny.push(PROBE.into());
    subscribe.deny.push(PROBE.into());
    Permissions { publish, subscribe }
}

/// Runs histories on one server whose permissions change. Those that differ, with a report.
fn around_one_change(seeds: &[u64], permissions: &Permissions) -> Vec<(u64, String)> {
    let mut server = Server::with_config(&config(&crate::limited()));
    let (port, mut is_changed) = (server.port, false);
    let event = |barrier: &Barrier| {
        barrier.wait();
        is_changed = change(&mut server, permissions);
        barrier.wait();
    };
    let each = |barrier: &Barrier, history: &History, later: &[Step]| run(port, barrier, permissions, history, later);
    let reports = around(("change", event), seeds, around_change, each);
    assert!(is_changed, "the server has not taken its new configuration");
    reports
}

/// Returns once the server has ended a subscription that is not permitted any more.
fn change(server: &mut Server, permissions: &Permissions) -> bool {
    let mut probe = Real::connect(server.port, PROBE);
    probe.send(format!("CONNECT {{\"user\":\"limited\",\"pass\":\"s\"}}\r\nSUB {PROBE} 1\r\nPING\r\n").as_bytes());
    let end = Instant::now() + Duration::from_secs(10);
    probe.read_until(end, |reader| reader.pongs > 0);
    server.reload(&config(permissions));
    let has_ended = |reader: &Reader| reader.seen.iter().any(|one| one.text.contains("Permissions Violation"));
    probe.read_until(end, has_ended);
    has_ended(&probe.reader)
}

fn run(
    port: u16,
    barrier: &Barrier,
    permissions: &Permissions,
    history: &History,
    later: &[Step],
) -> Result<(), Difference> {
    let mut pair = Pair::new(port, history);
    let before = history.steps.iter().enumerate().try_for_each(|(index, step)| {
        pair.step(index, step);
        pair.compare(index)
    });
    barrier.wait();
    barrier.wait();
    before?;
    pair.model.server.set_permissions("limited", permissions);
    pair.model.read();
    // It goes through its connections one after the other.
    pair.step(0, &Step::Wait(200));
    let first = history.steps.len();
    pair.compare(first)?;
    later.iter().enumerate().try_for_each(|(index, step)| {
        pair.step(first + index, step);
        pair.compare(first + index)
    })
}
