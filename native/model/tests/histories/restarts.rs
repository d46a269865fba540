//! A restart of the server in the middle of histories: what it keeps, and what it forgets.

use std::sync::{Barrier, Mutex, RwLock};
use std::time::Duration;

use harness::Server;

use crate::CONFIG;
use crate::generate::around_restart;
use crate::lockstep::{Difference, Pair};
use crate::steps::{History, Step};

const COUNT: u64 = 24;

#[test]
fn the_model_and_the_server_agree_on_a_restart() {
    let server = RwLock::new(Server::with_config(CONFIG));
    let barrier = Barrier::new(usize::try_from(COUNT).unwrap() + 1);
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for seed in 0..COUNT {
            let (server, barrier, reports) = (&server, &barrier, &reports);
            scope.spawn(move || {
                let (history, later) = around_restart(seed);
                let restart = || {
                    barrier.wait();
                    barrier.wait();
                    server.read().unwrap().port
                };
                let port = server.read().unwrap().port;
                if let Err(difference) = run(port, &history, &later, restart) {
                    let later: Vec<String> = later.iter().map(|step| format!("     {step}")).collect();
                    reports.lock().unwrap().push(format!("{history}  restart\n{}\n{difference}", later.join("\n")));
                }
            });
        }
        barrier.wait();
        server.write().unwrap().kill_and_restart();
        barrier.wait();
    });
    let reports = reports.into_inner().unwrap();
    assert!(reports.is_empty(), "{} of {COUNT} differ\n{}", reports.len(), reports[0]);
}

fn run(port: u16, history: &History, later: &[Step], restart: impl FnOnce() -> u16) -> Result<(), Difference> {
    let mut pair = Pair::new(port, history);
    let before = history.steps.iter().enumerate().try_for_each(|(index, step)| {
        pair.step(index, step);
        pair.compare(index)
    });
    // The server writes the state of consumers ten times a second; a killed one loses what it has not written.
    pair.real.read_for(Duration::from_millis(300));
    pair.model.advance();
    let port = restart();
    before?;
    pair.model.restart();
    pair.real.reconnect(port);
    pair.greet();
    // What was pending is looked at soon after the start, at a time that the model does not know exactly.
    pair.step(0, &Step::Wait(800));
    let first = history.steps.len();
    later.iter().enumerate().try_for_each(|(index, step)| {
        pair.step(first + index, step);
        pair.compare(first + index)
    })
}
