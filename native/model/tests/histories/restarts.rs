//! A restart of the server in the middle of histories: what it keeps, and what it forgets.

use std::sync::{Barrier, RwLock};

use harness::Server;

use crate::generate::around_restart;
use crate::lockstep::{Difference, Pair};
use crate::steps::{History, Step};
use crate::together::{always_differs, around};
use crate::{config, limited, number};

/// Threads that go through one restart together.
const COUNT: u64 = 40;

#[test]
fn the_model_and_the_server_agree_on_a_restart() {
    let first = number("SEED", 0);
    let seeds = (first..first + number("HISTORIES", COUNT).min(COUNT)).collect();
    let report = always_differs(seeds, around_one_restart);
    assert!(report.is_none(), "{}", report.unwrap_or_default());
}

/// Runs histories on one server that restarts. Those that differ, with a report.
fn around_one_restart(seeds: &[u64]) -> Vec<(u64, String)> {
    let server = RwLock::new(Server::with_config(&config(&limited())));
    let restart = |barrier: &Barrier| {
        // All have taken their steps; all timers have fired that could fire meanwhile; the server is up again.
        barrier.wait();
        barrier.wait();
        server.write().unwrap().kill_and_restart();
        barrier.wait();
    };
    let each = |barrier: &Barrier, history: &History, later: &[Step]| run(&server, barrier, history, later);
    around(("restart", restart), seeds, around_restart, each)
}

fn run(server: &RwLock<Server>, barrier: &Barrier, history: &History, later: &[Step]) -> Result<(), Difference> {
    let mut pair = Pair::new(server.read().unwrap().port, history);
    let before = history.steps.iter().enumerate().try_for_each(|(index, step)| {
        pair.step(index, step);
        pair.compare(index)
    });
    barrier.wait();
    // The server writes the state of consumers ten times a second; a killed one loses what it has not written.
    pair.step(0, &Step::Wait(300));
    pair.model.restart();
    barrier.wait();
    barrier.wait();
    before?;
    pair.real.reconnect(server.read().unwrap().port);
    pair.greet();
    // What was pending is looked at soon after the start, at a time that the model does not know exactly.
    pair.step(0, &Step::Wait(800));
    let first = history.steps.len();
    later.iter().enumerate().try_for_each(|(index, step)| {
        pair.step(first + index, step);
        pair.compare(first + index)
    })
}
