//! Random histories, each on the model and on a real nats-server side by side: a client has to see the same.
//!
//! ```text
//! seed ─► generate: steps ─► lockstep ─┬─► model:  the clock is the real one ─► seen ─┐
//!                                      └─► server: a socket                  ─► seen ─┴─► compare
//!                     shorter ◄─ shrink ◄─ differs, and again when run alone ◄────────────┘
//! ```
//!
//! `HISTORIES` is how many (200), `SEED` where they begin (0): `SEED=17 HISTORIES=1` runs the seventeenth alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets one fails")]

mod changes;
mod endpoint;
mod generate;
mod lockstep;
mod normalise;
mod restarts;
mod shrink;
mod steps;
mod together;

use std::collections::VecDeque;
use std::sync::Mutex;

use generate::history;
use harness::Server;
use lockstep::{Difference, run};
use model::{Permissions, Subjects};
use steps::History;

/// Histories that run at the same time. They wait for most of their time.
const SIDE_BY_SIDE: usize = 24;

/// What the user may do that histories of core NATS are.
pub fn limited() -> Permissions {
    let list = |subjects: &[&str]| subjects.iter().map(|subject| (*subject).to_owned()).collect::<Vec<String>>();
    let publish = Subjects { allow: Some(list(&["*.open.>", "_INBOX.>"])), deny: list(&["*.open.closed"]) };
    Permissions { publish, subscribe: Subjects { allow: None, deny: list(&["*.secret", "*.open.hidden"]) } }
}

/// The server's configuration where that user may do this.
pub fn config(limited: &Permissions) -> String {
    let subjects = |subjects: &Subjects| {
        let allow = subjects.allow.as_ref().map_or_else(String::new, |allow| format!("allow: {allow:?}, "));
        format!("{{ {allow}deny: {:?} }}", subjects.deny)
    };
    let (publish, subscribe) = (subjects(&limited.publish), subjects(&limited.subscribe));
    let permissions = format!("permissions: {{ publish: {publish}, subscribe: {subscribe} }}");
    let users = format!("{{ user: all, password: s }}, {{ user: limited, password: s, {permissions} }}");
    format!("no_auth_user: all\nauthorization {{ users: [{users}] }}\nmax_payload: 4096")
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Runs histories side by side; those that differ, with their difference.
pub fn run_all(server: &Server, histories: Vec<History>) -> Vec<(History, Difference)> {
    let queue = Mutex::new(VecDeque::from(histories));
    let differing = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let Some(history) = queue.lock().unwrap().pop_front() else { return };
                    if let Err(difference) = run(server.port, &history) {
                        differing.lock().unwrap().push((history, difference));
                    }
                }
            });
        }
    });
    differing.into_inner().unwrap()
}

#[test]
fn the_model_and_the_server_agree() {
    let server = Server::with_config(&config(&limited()));
    let (first, count) = (number("SEED", 0), number("HISTORIES", 200));
    let differing = run_all(&server, (first..first + count).map(history).collect());
    // On a busy machine a timer of the server may be late: only what differs when it runs alone does differ.
    for (history, once) in &differing {
        eprintln!("history {} differed once: {once}", history.seed);
    }
    let report = differing.iter().find_map(|(history, _)| shrink::confirm(&server, history));
    eprintln!("{} of {count} differed once", differing.len());
    assert!(report.is_none(), "{}", report.unwrap_or_default());
}
